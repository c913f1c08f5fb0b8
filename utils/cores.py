"""Work of one process spread over the cores that it has."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Piece = TypeVar("Piece")


def cores() -> int:
    """Return how many cores this process may use.

    Who starts processes side by side, as `pipeline.parallel` does, gives each its share in
    OMP_NUM_THREADS.
    """
    share = os.environ.get("OMP_NUM_THREADS", "").split(",")[0]
    if share.isdecimal() and int(share):
        return int(share)
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def on_cores(call: Callable[[Piece], None], pieces: Iterable[Piece]) -> None:
    """Call a function, which lets go of Python's lock, with every piece; what it raises is raised.

    Args:
        call: what it makes it writes where no other piece does.
    """
    waiting = list(pieces)
    count = min(cores(), len(waiting))
    if count < 2:
        for piece in waiting:
            call(piece)
        return
    with ThreadPoolExecutor(count) as pool:
        for _ in pool.map(call, waiting):
            pass
