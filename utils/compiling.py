"""When compiled code is loaded: where it is, and from so much work on that it pays.

python -m utils.compiling     # compile all there is, once; `make install` does it
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import importlib.util
import os
import platform
import threading
from collections.abc import Callable, Iterator
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from utils.cli import note, run, say, warn

MANY = 6000  # detections read, cut out and tracked, from which loading, half a second, pays
ROOT = Path(__file__).resolve().parents[1]
COMPLETE = "complete"  # file in the cache that says that all is there
OPTIONS = {"cache": True, "nogil": True, "error_model": "numpy"}
HINT = "python -m utils.compiling does it, once, in a minute"
# Numba looks at a function's own file alone, and they call each other: this is all of them.
SOURCES = (
    "utils/compiled.py",
    "utils/compiled_overlap.py",
    "models/usc_mots/compiled.py",
    "utils/mask_cells.py",
    "models/best/step.py",
)
PATIENCE = 1.0  # seconds after which a user is told what he waits for

_loaded: dict[str, Any] = {}
_done = 0


def compiled(name: str, work: int = 0) -> Any | None:
    """Return a module of compiled functions, None while NumPy does as well.

    What it computes is what the NumPy code beside it computes, but for rounding; it may be loaded
    at any moment. Nothing is compiled on the way, which takes a minute: where it was not done
    before, that is said once.

    Args:
        name: of the module, compiled*.py. work: detections that are to be dealt with now.
    """
    global _done
    if name in _loaded:
        return _loaded[name]
    _done += work
    if _done < MANY or not usable(folder()):
        return None
    return load(name)


@cache
def usable(place: Path) -> bool:
    """Return whether all is compiled in a folder and can be loaded; if not, say so, once."""
    if importlib.util.find_spec("numba") is None:
        return False
    # Numba writes beside what it loads.
    if (place / COMPLETE).is_file() and os.access(place, os.W_OK):
        return True
    warn(f"the inner loops are not compiled: {HINT}")
    return False


def sources() -> list[Path]:
    """Return the files of compiled functions."""
    return [ROOT / name for name in SOURCES]


@cache
def folder() -> Path:
    """Return where this version of the functions is kept, compiled for this machine.

    The name is the digest of all of them. Where this repository cannot be written to, it is in the
    user's cache.
    """
    if importlib.util.find_spec("numba") is None:
        return ROOT / "__pycache__"
    from llvmlite.binding import get_host_cpu_name

    what = f"{version('numba')} {platform.python_version()} {get_host_cpu_name()} {OPTIONS}"
    digest = hashlib.sha256(what.encode())
    for file in sources():
        digest.update(file.read_bytes())
    name, own = f"compiled-{digest.hexdigest()[:16]}", ROOT / "__pycache__"
    if os.access(own if own.is_dir() else ROOT, os.W_OK):
        return own / name
    users = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(users) / "usc-mots" / name


def loop(signature: str | None = None) -> Callable[[Callable[..., Any]], Any]:
    """Return the decorator of a function that Numba compiles, for `solid` arrays.

    Args:
        signature: of its arguments; None takes those of its callers.
    """
    import numba

    def decorate(function: Callable[..., Any]) -> Any:
        before = numba.config.CACHE_DIR
        numba.config.CACHE_DIR = str(folder())
        try:
            return numba.njit(signature, **OPTIONS)(function)
        except (RuntimeError, OSError):  # no folder to keep it in: compiled anew in each process
            return numba.njit(signature, **{**OPTIONS, "cache": False})(function)
        finally:
            numba.config.CACHE_DIR = before

    return decorate


@contextlib.contextmanager
def announced() -> Iterator[None]:
    """Say what a user waits for, where compiling within takes longer than a moment."""
    text = "compiling the inner loops, once for all runs to come (make install does it ahead)"
    timer = threading.Timer(PATIENCE, note, [text])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def solid(values: npt.ArrayLike, kind: type = np.float64) -> npt.NDArray[Any]:
    """Return an array as compiled functions take it, a copy where it is not so."""
    if isinstance(values, np.ndarray) and values.dtype == kind:
        flags = values.flags
        if flags.c_contiguous and flags.writeable:
            return values
    return np.array(values, kind, order="C")


def load(name: str) -> Any:
    """Return a module of compiled functions; what is not compiled yet is compiled."""
    _loaded[name] = importlib.import_module(name)
    return _loaded[name]


def load_all() -> None:
    """Load every module of compiled functions; compile them first, if need be, and say so.

    Raises:
        ValueError: there is no Numba, or no room for what it makes.
    """
    if importlib.util.find_spec("numba") is None:
        raise ValueError("compiling needs numba, got none: NumPy does what is compiled")
    done = folder() / COMPLETE
    try:
        done.parent.mkdir(parents=True, exist_ok=True)
        if not done.is_file():
            say("compiling the inner loops, once for all runs to come")
        for file in sources():
            module = load(".".join(file.relative_to(ROOT).with_suffix("").parts))
            getattr(module, "compile_ahead", lambda: None)()
        if not os.environ.get("NUMBA_DISABLE_JIT"):
            done.touch()
    except OSError as error:
        raise ValueError(f"{done.parent}: must be a folder to write to, got {error}") from None


if __name__ == "__main__":
    run(load_all)
