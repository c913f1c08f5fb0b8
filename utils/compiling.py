"""When compiled code is loaded: where Numba is, and from so much work on that it pays."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from typing import Any

from utils.cli import say

MANY = 6000  # detections dealt with in this process from which loading, half a second, pays
ROOT = Path(__file__).resolve().parents[1]

_loaded: dict[str, Any] = {}
_done = 0


def compiled(name: str, work: int = 0) -> Any | None:
    """Return a module of compiled functions, None while NumPy does as well.

    What it computes is what the NumPy code beside it computes, to the last bits; it may be loaded
    at any moment.

    Args:
        name: of the module, compiled*.py. work: detections that are to be dealt with now.
    """
    global _done
    if name in _loaded:
        return _loaded[name]
    _done += work
    if _done < MANY or importlib.util.find_spec("numba") is None:
        return None
    return load(name)


def load(name: str) -> Any:
    """Return a module of compiled functions; the first time ever it is compiled, and that said."""
    spec = importlib.util.find_spec(name)
    place = Path(str(spec.origin)) if spec else Path()
    # Where Numba keeps it elsewhere, it is said every time.
    if not any(place.parent.glob(f"__pycache__/{place.stem}.*.nbi")):
        say(f"compiling {place.parent.name}/{place.name}, once for all runs to come")
    _loaded[name] = importlib.import_module(name)
    return _loaded[name]


def load_all() -> None:
    """Load every module of compiled functions."""
    for file in sorted(ROOT.glob("[um]*/**/compiled*.py")):
        load(".".join(file.relative_to(ROOT).with_suffix("").parts))


if __name__ == "__main__":
    load_all()
