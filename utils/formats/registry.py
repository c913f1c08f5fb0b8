"""The registry of formats: told apart by content, read and merged by sequence."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from utils.detections import Detections
from utils.files import FormatError, find_sequences, read_bytes
from utils.formats.lines import numbered
from utils.formats.mots_txt import MOTS_TXT
from utils.formats.track_rcnn import TRACK_RCNN
from utils.formats.tracking_only import TRACKING_ONLY

FORMATS = {f.fields: f for f in (MOTS_TXT, TRACKING_ONLY, TRACK_RCNN)}


def read_detections(path: Path | str, sequence: str | None = None) -> Detections:
    """Read one file of any format, told apart by the field count of its first line.

    Args:
        path: the file.
        sequence: its name; None takes the file's stem.

    Returns:
        Detections, rows in file order. An empty file is a sequence without detections.

    Raises:
        FormatError: a line that breaks a rule. Nothing is decoded before it is checked.
    """
    path = Path(path)
    sequence = sequence or path.stem
    lines = numbered(read_bytes(path))
    if not lines:
        return Detections.empty(sequence)
    count = len(lines[0][1])
    counts = ", ".join(map(str, [*FORMATS][:-1])) + f" or {[*FORMATS][-1]} fields"
    if count not in FORMATS:
        raise FormatError(path, lines[0][0], f"expected {counts}", count)
    for n, fields in lines:
        if len(fields) not in FORMATS:
            rule = f"expected {counts}, as in the lines before"
            raise FormatError(path, n, rule, len(fields))
    return FORMATS[count].read(path, sequence, lines)


def read_sequences(path: Path | str, names: Iterable[str] | None = None) -> list[Detections]:
    """Return [Detections] of a file or folder; all are read and checked before any is used."""
    return [read_detections(file, name) for name, file in find_sequences(path, names).items()]


def merge_sequences(first: Detections, second: Detections) -> Detections:
    """Return the rows of two files of one sequence, as where each class has its own folder.

    Raises:
        FormatError: other frame sizes.
    """
    if not len(first) or not len(second):
        return first if len(first) else second
    if first.size != second.size:
        rule = f"frame size must be {first.height} {first.width} in every file of the sequence"
        raise FormatError(first.sequence, None, rule, f"{second.height} {second.width}")
    columns: tuple[str, ...] = ("frames", "classes", "scores", "boxes_xywh", "rles", "ids")
    both = first.vectors is not None and second.vectors is not None
    columns += ("vectors",) if both else ()
    joined: dict[str, Any] = {
        n: np.concatenate([getattr(first, n), getattr(second, n)]) for n in columns
    }
    vectors = joined.pop("vectors", None)
    scored = first.scored or second.scored
    notes = tuple(dict.fromkeys(first.notes + second.notes))
    return replace(first, **joined, vectors=vectors, scored=scored, notes=notes)
