"""Lines of space-separated fields, checked one by one: what the text formats share."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from utils import masks
from utils.detections import MAX_CLASS, Detections
from utils.files import FormatError, shown
from utils.score_scales import ScoreError, to_unit

MAX_SIDE = 16384  # pixels; the largest frame side that is read
MAX_FRAME = 1_000_000  # videos take room for every frame up to the last
MAX_SCORE = 100.0  # percent
MAX_COORDINATE = 1e6  # pixels; boxes beyond it are typing errors, and would overflow a float32
INTEGER = re.compile(rb"[0-9]{1,9}")
REAL = re.compile(rb"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,4})?")

Numbered = Sequence[tuple[int, list[bytes]]]  # (line number, fields) of each line that has some


@dataclass(frozen=True)
class Format:
    """A text format: how it is told apart and which field of a line is what.

    Attributes:
        name: what messages call it. meaning: its fields, for docs and --list.
        fields: in a line; tells it apart.
        frame, cls, height, width, rle: field numbers; id, score, box: likewise, None where absent.
        corners: whether the box is x1 y1 x2 y2, not x y w h.
        vector: floats at the end of a line.
    """

    name: str
    meaning: str
    fields: int
    frame: int
    cls: int
    height: int
    width: int
    rle: int
    id: int | None = None
    score: int | None = None
    box: int | None = None
    corners: bool = False
    vector: int = 0

    def read(self, path: Path, sequence: str, lines: Numbered) -> Detections:
        """Return the Detections of lines, in their order. Nothing is decoded before it is checked.

        Raises:
            FormatError: a line that breaks a rule.
        """
        rows = [self._parse(path, n, fields) for n, fields in lines]
        rles: list[bytes] = [fields[self.rle] for _, fields in lines]
        frames, ids, classes, heights, widths, scores, boxes, vectors = zip(*rows, strict=True)
        height, width = _frame_size(path, lines, heights, widths)
        try:
            runs, offsets = masks.decode_runs(rles, height * width)
        except masks.RleError as error:
            raise FormatError(path, lines[error.row][0], error.rule, error.value) from None
        rles = masks.canonical(rles, runs, offsets, height, width)
        if self.id is not None:
            _check_ids(path, lines, frames, ids)
        if self.box is None:
            boxes = tuple(masks.tight_boxes_xywh(rles, height, width))
        column = np.empty(len(rles), object)
        column[:] = rles
        try:
            unit, scale = to_unit(np.array(scores))
        except ScoreError as error:
            raise FormatError(path, lines[error.row][0], error.rule, f"{error.value:g}") from None
        return Detections(
            sequence,
            height,
            width,
            np.array(frames, np.int32),
            np.array(classes, np.int16),
            unit,
            np.array(boxes, np.float64).reshape(-1, 4),
            column,
            np.array(ids, np.int32),
            np.array(vectors, np.float32) if self.vector else None,
            scored=self.score is not None,
            notes=() if scale is None else (f"{sequence}: {scale}",),
        )

    def _parse(self, path: Path, n: int, fields: list[bytes]) -> tuple[Any, ...]:
        """Return (frame, id, class, height, width, score, box, vector) of one checked line."""
        if len(fields) != self.fields:
            rule = f"expected {self.fields} fields, as in the lines before"
            raise FormatError(path, n, rule, len(fields))
        frame = integer(path, n, "frame", fields[self.frame])
        if frame > MAX_FRAME:
            raise FormatError(path, n, f"frame must be at most {MAX_FRAME}", frame)
        identity = 0 if self.id is None else integer(path, n, "id", fields[self.id])
        cls = integer(path, n, "class", fields[self.cls])
        if not 0 < cls <= MAX_CLASS:
            raise FormatError(path, n, f"class must be in 1..{MAX_CLASS}", cls)
        height = integer(path, n, "height", fields[self.height])
        width = integer(path, n, "width", fields[self.width])
        if not (0 < height <= MAX_SIDE and 0 < width <= MAX_SIDE):
            rule = f"height and width must be in 1..{MAX_SIDE}"
            raise FormatError(path, n, rule, f"{height} {width}")
        score, box, vector = 1.0, None, None
        if self.score is not None:
            score = real(path, n, "score", fields[self.score], MAX_SCORE)
        if self.box is not None:
            box = self._box(path, n, fields[self.box : self.box + 4])
        if self.vector:
            vector = [real(path, n, "embedding", f, 1e30) for f in fields[-self.vector :]]
        return frame, identity, cls, height, width, score, box, vector

    def _box(self, path: Path, n: int, fields: list[bytes]) -> list[float]:
        """Return the x y w h of a line."""
        x, y, w, h = (real(path, n, "box", field, MAX_COORDINATE) for field in fields)
        if self.corners:
            w, h = w - x, h - y
        if w < 0 or h < 0:
            rule = "box width and height must not be negative"
            raise FormatError(path, n, rule, f"{w:g} {h:g}")
        return [x, y, w, h]


def numbered(content: bytes) -> Numbered:
    """Return the lines of a file that are not blank, split at spaces and tabs."""
    lines = enumerate(content.split(b"\n"), 1)
    return [(n, fields) for n, line in lines if (fields := line.split())]


def integer(path: Path, n: int, name: str, field: bytes) -> int:
    """Return a non-negative integer of at most nine digits."""
    if not INTEGER.fullmatch(field):
        raise FormatError(path, n, f"{name} must be a non-negative integer", shown(field))
    return int(field)


def real(path: Path, n: int, name: str, field: bytes, limit: float) -> float:
    """Return a finite number of at most `limit` in size."""
    if not REAL.fullmatch(field):
        raise FormatError(path, n, f"{name} must be a finite number", shown(field))
    value = float(field)
    if not abs(value) <= limit:
        raise FormatError(path, n, f"{name} must be at most {limit:g} in size", shown(field))
    return value


def _frame_size(
    path: Path, lines: Numbered, heights: Sequence[int], widths: Sequence[int]
) -> tuple[int, int]:
    """Return the one (height, width) of all lines."""
    size = heights[0], widths[0]
    for (n, _), height, width in zip(lines, heights, widths, strict=True):
        if (height, width) != size:
            rule = f"frame size must be {size[0]} {size[1]} as in line {lines[0][0]}"
            raise FormatError(path, n, rule, f"{height} {width}")
    return size


def _check_ids(path: Path, lines: Numbered, frames: Sequence[int], ids: Sequence[int]) -> None:
    """Refuse two objects with one id in one frame; id 0 means none."""
    seen: dict[tuple[int, int], int] = {}
    for (n, _), frame, identity in zip(lines, frames, ids, strict=True):
        if not identity:
            continue
        if (frame, identity) in seen:
            rule = f"an id must occur once in a frame (also in line {seen[frame, identity]})"
            raise FormatError(path, n, rule, f"id {identity} twice in frame {frame}")
        seen[frame, identity] = n
