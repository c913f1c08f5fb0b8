"""Corrections of identities: what the page of a run saves and `correct.py` applies.

An edit is a dict with `op`, the numbers that it needs, and the name of its `sequence`:

    {"op": "merge", "track": a, "into": b}          all detections of a go to b
    {"op": "split", "track": a, "frame": f}         a from frame f on becomes a new track
    {"op": "swap", "track": a, "other": b, "frame": f}    from frame f on, a and b change places
    {"op": "move", "track": a, "frame": f, "into": b}     a's detection in f goes to b, or to a new
                                                    track if b is 0
    {"op": "class", "track": a, "class": c}         a becomes a new track of class c
    {"op": "delete", "track": a, "first": f, "last": g}   a's detections in frames f to g go

Edits take effect in their order. A detection has the class of its track. `utils/page/edits.js` does
the same in the page; a test applies random edits in both.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from utils.detections import MAX_CLASS
from utils.files import FormatError

Array = npt.NDArray[Any]

KIND = "USC-MOTS edits"  # what a file of edits calls itself
PER_CLASS = 1000  # the first track of a class is class * 1000 + 1, the benchmark's habit
NEEDS: Mapping[str, tuple[str, ...]] = {
    "merge": ("track", "into"),
    "split": ("track", "frame"),
    "swap": ("track", "other", "frame"),
    "move": ("track", "frame", "into"),
    "class": ("track", "class"),
    "delete": ("track", "first", "last"),
}


class Editing:
    """The identities of one sequence while they are corrected.

    Args:
        frames, ids, classes: (n,) int of each detection; ids from 1.

    Attributes:
        ids: (n,) int64 identities now, 0 for deleted detections. classes: (n,) int64 now.
    """

    def __init__(self, frames: Array, ids: Array, classes: Array) -> None:
        self.frames = np.asarray(frames, np.int64)
        self.ids, self.classes = np.array(ids, np.int64), np.array(classes, np.int64)
        self._used = set(self.ids.tolist())

    def apply(self, edit: Mapping[str, Any]) -> None:
        """Apply one edit.

        Raises:
            ValueError: it is no edit, names no track, changes nothing, or would put two detections
                of a frame into one track.
        """
        op = str(edit.get("op"))
        if op not in NEEDS:
            raise ValueError(f"op must be one of {', '.join(NEEDS)}, got {op}")
        numbers = [edit.get(name) for name in NEEDS[op]]
        for name, number in zip(NEEDS[op], numbers, strict=True):
            if not isinstance(number, int) or isinstance(number, bool) or number < 0:
                raise ValueError(f"{op}: {name} must be a whole number from 0, got {number}")
        mine = self._rows(numbers[0])
        getattr(self, f"_{op}")(mine, *numbers[1:])

    def _rows(self, track: Any) -> Array:
        """Return the rows of a track, which must have some."""
        rows = np.flatnonzero(self.ids == track) if track else np.zeros(0, np.int64)
        if not len(rows):
            raise ValueError(f"track must exist in the sequence, got {track}")
        return rows

    def _fresh(self, cls: int) -> int:
        """Return an unused identity of a class: one above its highest now."""
        same = self.ids[(self.classes == cls) & (self.ids > 0)]
        number = int(same.max() if len(same) else cls * PER_CLASS) + 1
        while number in self._used:
            number += 1
        self._used.add(number)
        return number

    def _give(self, rows: Array, track: int, cls: int) -> None:
        """Give detections to a track, in whose frames it must have no other."""
        others = np.setdiff1d(np.flatnonzero(self.ids == track), rows)
        both = np.intersect1d(self.frames[rows], self.frames[others])
        if len(both):
            rule = f"track {track} must have one detection in a frame"
            raise ValueError(f"{rule}, got two in frame {both[0]}")
        self.ids[rows], self.classes[rows] = track, cls

    def _merge(self, mine: Array, into: int) -> None:
        cls = int(self.classes[self._rows(into)[0]])
        if into == self.ids[mine[0]]:
            raise ValueError(f"merge needs two tracks, got {into} twice")
        self._give(mine, into, cls)

    def _split(self, mine: Array, frame: int) -> None:
        later = mine[self.frames[mine] >= frame]
        if not 0 < len(later) < len(mine):
            raise ValueError(f"split needs detections before frame {frame} and from {frame} on")
        cls = int(self.classes[mine[0]])
        self._give(later, self._fresh(cls), cls)

    def _swap(self, mine: Array, other: int, frame: int) -> None:
        theirs, track = self._rows(other), int(self.ids[mine[0]])
        if other == track:
            raise ValueError(f"swap needs two tracks, got {other} twice")
        classes = int(self.classes[mine[0]]), int(self.classes[theirs[0]])
        mine, theirs = (rows[self.frames[rows] >= frame] for rows in (mine, theirs))
        if not len(mine) + len(theirs):
            raise ValueError(f"swap needs detections from frame {frame} on")
        self.ids[mine], self.classes[mine] = other, classes[1]
        self.ids[theirs], self.classes[theirs] = track, classes[0]

    def _move(self, mine: Array, frame: int, into: int) -> None:
        row = mine[self.frames[mine] == frame]
        if not len(row):
            raise ValueError(f"move needs a detection in frame {frame}")
        if not into and len(mine) == 1:
            raise ValueError("move to a new track needs a track with at least two detections")
        if into == self.ids[mine[0]]:
            raise ValueError(f"move needs two tracks, got {into} twice")
        cls = int(self.classes[self._rows(into)[0] if into else mine[0]])
        self._give(row, into or self._fresh(cls), cls)

    def _class(self, mine: Array, cls: int) -> None:
        if not 0 < cls <= MAX_CLASS or cls == self.classes[mine[0]]:
            rule = f"class must be in 1..{MAX_CLASS} and differ from the track's"
            raise ValueError(f"{rule}, got {cls}")
        self._give(mine, self._fresh(cls), cls)

    def _delete(self, mine: Array, first: int, last: int) -> None:
        gone = mine[(self.frames[mine] >= first) & (self.frames[mine] <= last)]
        if not len(gone):
            raise ValueError(f"delete needs detections in frames {first} to {last}")
        self.ids[gone] = 0


def read_edits(path: Path) -> tuple[dict[str, str], list[dict[str, Any]]]:
    """Return ({sequence: digest of the run's rows}, edits) of a file.

    Raises:
        FormatError: it is no file of edits.
    """
    try:
        held = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "a file that is not JSON"
        raise FormatError(path, None, "must be the edits.json of a run's page", reason) from None
    if not isinstance(held, dict) or held.get("kind") != KIND:
        got = "JSON of another kind"
        raise FormatError(path, None, "must be the edits.json of a run's page", got)
    runs, edits = held.get("runs"), held.get("edits")
    if not isinstance(runs, dict) or not isinstance(edits, list):
        raise FormatError(path, None, "must hold runs and edits", ", ".join(map(str, held)))
    for i, edit in enumerate(edits, 1):
        if not isinstance(edit, dict) or edit.get("sequence") not in runs:
            known = ", ".join(runs)
            raise FormatError(path, f"edit {i}", f"must name a sequence ({known})", edit)
    return {str(name): str(digest) for name, digest in runs.items()}, edits


def apply_all(
    path: Path, edits: Sequence[Mapping[str, Any]], editing: Mapping[str, Editing]
) -> None:
    """Apply the edits of a file in their order.

    Raises:
        FormatError: one that cannot be applied, by its number.
    """
    for i, edit in enumerate(edits, 1):
        try:
            editing[edit["sequence"]].apply(edit)
        except ValueError as error:
            rule, comma, got = str(error).rpartition(", got ")
            shown = got if comma else json.dumps(edit)
            raise FormatError(path, f"edit {i}", rule if comma else str(error), shown) from None
