"""Loops that Numba compiles: each function once for all runs to come, and kept on disk.

    python -m utils.compiling     # compile all ahead, in half a minute, as `make install` does

Without that, the first run that needs a function compiles it, and says so. NUMBA_DISABLE_JIT=1 runs
the same lines as Python.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import platform
import threading
import time
from collections.abc import Callable
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import numba
import numpy as np
import numpy.typing as npt
from llvmlite.binding import get_host_cpu_name
from numba.core import event

from utils.cli import note, run, say

Function = TypeVar("Function", bound=Callable[..., Any])

ROOT = Path(__file__).resolve().parents[1]
OPTIONS = {"cache": True, "nogil": True, "error_model": "numpy"}
# Numba looks for changes in a function's own file alone, and they call each other: these are all.
SOURCES = (
    "utils/runs.py",
    "utils/mask_cells.py",
    "models/usc_mots/constraints.py",
    "models/usc_mots/kmeans_loops.py",
    "models/best/table.py",
    "models/best/assignment.py",
    "models/best/pairs.py",
    "models/best/step.py",
)
PATIENCE = 1.0  # seconds of compiling before the user is told why the run waits


def sources() -> list[Path]:
    """Return the files of compiled functions."""
    return [ROOT / name for name in SOURCES]


@cache
def folder() -> Path:
    """Return where this version of the functions is kept, compiled for this machine.

    The name is the digest of all of them. Where this repository cannot be written to, it is in the
    user's cache.
    """
    what = f"{version('numba')} {platform.python_version()} {get_host_cpu_name()} {OPTIONS}"
    digest = hashlib.sha256(what.encode())
    for file in sources():
        digest.update(file.read_bytes())
    name, local = f"compiled-{digest.hexdigest()[:16]}", ROOT / "__pycache__"
    if os.access(local if local.is_dir() else ROOT, os.W_OK):
        return local / name
    users = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(users) / "usc-mots" / name


class Announcer(event.Listener):  # type: ignore[misc]  # Numba has no types
    """Says once that loops are being compiled, when that has taken PATIENCE seconds."""

    def __init__(self) -> None:
        self._depth, self._spent, self._began = 0, 0.0, 0.0
        self._timer: threading.Timer | None = None

    def on_start(self, event: Any) -> None:
        """Take note that a function is being compiled, maybe within another one."""
        self._depth += 1
        if self._depth == 1 and self._spent < PATIENCE:
            self._began = time.perf_counter()
            text = "compiling inner loops, once for all runs to come (make install does it ahead)"
            self._timer = threading.Timer(PATIENCE - self._spent, note, [text])
            self._timer.daemon = True
            self._timer.start()

    def on_end(self, event: Any) -> None:
        """Take note that it is compiled."""
        self._depth -= 1
        if self._depth == 0 and self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._spent += time.perf_counter() - self._began


event.register("numba:compile", Announcer())


def loop() -> Callable[[Function], Function]:
    """Return the decorator of a function that Numba compiles when it is called first.

    Where nothing can be kept on disk, it is compiled anew in each process.
    """

    def decorate(function: Function) -> Function:
        before = numba.config.CACHE_DIR
        numba.config.CACHE_DIR = str(folder())
        try:
            compiled: Function = numba.njit(**OPTIONS)(function)
        except (RuntimeError, OSError):
            compiled = numba.njit(**{**OPTIONS, "cache": False})(function)
        finally:
            numba.config.CACHE_DIR = before
        return compiled

    return decorate


def solid(values: npt.ArrayLike, kind: type = np.float64) -> npt.NDArray[Any]:
    """Return an array as compiled functions take it, a copy where it is not so."""
    if isinstance(values, np.ndarray) and values.dtype == kind:
        flags = values.flags
        if flags.c_contiguous and flags.writeable:
            return values
    return np.array(values, kind, order="C")


def compile_all() -> None:
    """Compile every function that is not, and say so."""
    say("compiling the inner loops, once for all runs to come")
    for file in sources():
        module = importlib.import_module(".".join(file.relative_to(ROOT).with_suffix("").parts))
        if hasattr(module, "compile_ahead"):  # others are compiled by those that call them
            module.compile_ahead()


if __name__ == "__main__":
    run(compile_all)
