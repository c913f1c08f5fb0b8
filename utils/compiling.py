"""When compiled code is loaded: where it is, and from so much work on that it pays.

python -m utils.compiling     # compile all there is, once; `make install` does it
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import os
import platform
import shutil
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from utils.cli import note, run, say

MANY = 6000  # detections dealt with in this process from which loading, half a second, pays
ROOT = Path(__file__).resolve().parents[1]
COMPLETE = "complete"  # file in the cache that says that all is there

_loaded: dict[str, Any] = {}
_done = 0


def compiled(name: str, work: int = 0) -> Any | None:
    """Return a module of compiled functions, None while NumPy does as well.

    What it computes is what the NumPy code beside it computes, to the last bits; it may be loaded
    at any moment. Nothing is compiled on the way, which takes a minute: where it was not done
    before, that is said once.

    Args:
        name: of the module, compiled*.py. work: detections that are to be dealt with now.
    """
    global _done
    if name in _loaded:
        return _loaded[name]
    _done += work
    if _done < MANY or importlib.util.find_spec("numba") is None:
        return None
    if not (folder() / COMPLETE).is_file():
        _say_once()
        return None
    return load(name)


@cache
def _say_once() -> None:
    note("the inner loops are not compiled: python -m utils.compiling does it, once, in a minute")


def sources() -> list[Path]:
    """Return the files of compiled functions."""
    return sorted(ROOT.glob("[um]*/**/compiled*.py"))


@cache
def folder() -> Path:
    """Return where this version of the functions is kept, compiled.

    Numba looks at a function's own file alone, and they call each other: the name is of all.
    """
    what = hashlib.sha256(f"{version('numba')} {platform.python_version()}".encode())
    for file in sources():
        what.update(file.read_bytes())
    return ROOT / "__pycache__" / f"compiled-{what.hexdigest()[:16]}"


def load(name: str) -> Any:
    """Return a module of compiled functions; what is not compiled yet is compiled."""
    import numba

    numba.config.CACHE_DIR = str(folder())
    _loaded[name] = importlib.import_module(name)
    return _loaded[name]


def load_all() -> None:
    """Load every module of compiled functions; compile them first, if need be, and say so."""
    done = folder() / COMPLETE
    folder().mkdir(parents=True, exist_ok=True)
    if not done.is_file():
        say("compiling the inner loops, once for all runs to come")
        for old in set(folder().parent.glob("compiled-*")) - {folder()}:
            shutil.rmtree(old, ignore_errors=True)
    for file in sources():
        load(".".join(file.relative_to(ROOT).with_suffix("").parts))
    if not os.environ.get("NUMBA_DISABLE_JIT"):
        done.touch()


if __name__ == "__main__":
    run(load_all)
