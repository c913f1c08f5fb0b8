"""Lines of space-separated fields, checked one by one: what the text formats share."""

from __future__ import annotations

import itertools
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from utils.detections import MAX_CLASS, Detections
from utils.files import BOM, FormatError, checked_start, shown
from utils.formats.base import File, Format, Options
from utils.formats.rows import MAX_FRAME, MAX_SIDE, Rows

MAX_SCORE = 100.0  # percent
MAX_COORDINATE = 1e6  # pixels; boxes beyond it are typing errors, and would overflow a float32
INTEGER = re.compile(rb"[0-9]{1,9}")
# There is one way to read each number, so that a wrong one is found at once.
REAL = re.compile(rb"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?")

INTEGERS = re.compile(b"(?:%b )*%b" % (INTEGER.pattern, INTEGER.pattern))
REALS = re.compile(b"(?:%b )*%b" % (REAL.pattern, REAL.pattern))
LONGEST_LINE = 64 << 20  # bytes
BLOCK = 1024  # lines that are checked at once

Line = tuple[int, list[bytes]]  # line number and fields


@dataclass(frozen=True)
class Columns:
    """A text format: how it is told apart and which field of a line is what.

    Attributes:
        name: of --format. meaning: its fields, for docs and messages.
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

    def read(
        self, path: Path, sequence: str, lines: Iterable[Line], keep_ids: bool = True
    ) -> Detections:
        """Return the Detections of lines, in their order. Nothing is decoded before it is checked.

        Raises:
            FormatError: a line that breaks a rule.
        """
        rows = Rows(path, sequence, scored=self.score is not None)
        vectors = [np.zeros((0, self.vector), np.float32)]
        for block in _blocks(lines):
            bulk = self._bulk(block)
            if bulk is not None and rows.extend(*bulk[:-1]):
                vectors.append(bulk[-1])
                continue
            # Something is wrong or unusual here: line by line it is found out what.
            for n, fields in block:
                frame, identity, cls, height, width, score, box, v = self._parse(path, n, fields)
                rows.fix_size(n, height, width)
                rows.add(n, frame, cls, fields[self.rle], score, identity, box)
                if v is not None:
                    vectors.append(np.array([v], np.float32))
        detections = rows.finish(keep_ids=keep_ids)
        if not self.vector or not len(detections):
            return detections
        return replace(detections, vectors=np.concatenate(vectors))

    def _bulk(self, block: list[Line]) -> tuple[Any, ...] | None:
        """Return the columns of lines that keep every rule of `_parse`, None if one does not.

        Those of `Rows.extend`, and (k, vector) float32.
        """
        if any(len(fields) != self.fields for _, fields in block):
            return None
        columns = list(zip(*(fields for _, fields in block), strict=True))
        n = len(block)
        ids = (*(() if self.id is None else (self.id,)), self.frame, self.cls)
        whole = {i: _integers(columns[i]) for i in (*ids, self.height, self.width)}
        if any(values is None for values in whole.values()):
            return None
        frames, classes, heights, widths = (
            whole[i] for i in (self.frame, self.cls, self.height, self.width)
        )
        sides = (heights, 1, MAX_SIDE), (widths, 1, MAX_SIDE)
        within = (frames, 0, MAX_FRAME), (classes, 1, MAX_CLASS), *sides
        if any(values.min() < low or values.max() > high for values, low, high in within):
            return None
        scores: Any = np.ones(n)
        if self.score is not None:
            scores = _reals([columns[self.score]], MAX_SCORE)
        boxes: Any = np.zeros((n, 0))
        if self.box is not None:
            boxes = _reals(columns[self.box : self.box + 4], MAX_COORDINATE)
        vectors: Any = np.zeros((n, 0))
        if self.vector:
            vectors = _reals(columns[-self.vector :], 1e30)
        if scores is None or boxes is None or vectors is None:
            return None
        if self.corners and self.box is not None:
            boxes[:, 2:] -= boxes[:, :2]
        if (boxes[:, 2:] < 0).any():
            return None
        places, rles = [number for number, _ in block], columns[self.rle]
        identities = np.zeros(n, np.int64) if self.id is None else whole[self.id]
        size = np.stack([heights, widths], axis=1)
        parsed = places, frames, classes, rles, scores.reshape(n), identities, size, boxes
        return *parsed, vectors.astype(np.float32)

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


def _blocks(lines: Iterable[Line]) -> Iterator[list[Line]]:
    """Yield the lines by some at once; those before a line that is refused come before it is."""
    block: list[Line] = []
    try:
        for line in lines:
            block.append(line)
            if len(block) == BLOCK:
                yield block
                block = []
    except FormatError:
        if block:
            yield block
        raise
    if block:
        yield block


def _integers(fields: Sequence[bytes]) -> Any:
    """Return (k,) int64, None where a field is none, see `integer`."""
    text = b" ".join(fields)
    return np.fromstring(text, np.int64, sep=" ") if INTEGERS.fullmatch(text) else None


def _reals(columns: Sequence[Sequence[bytes]], limit: float) -> Any:
    """Return (k, c) float64 of c columns, None where a field is none, see `real`."""
    text = b" ".join(itertools.chain.from_iterable(columns))
    if not REALS.fullmatch(text):
        return None
    values = np.fromstring(text, np.float64, sep=" ").reshape(len(columns), -1).T.copy()
    return values if (np.abs(values) <= limit).all() else None


def numbered(text: bytes) -> list[Line]:
    """Return the lines of a text that are not blank, split at spaces and tabs."""
    return list(each_line(text.split(b"\n")))


def each_line(lines: Iterable[bytes]) -> Iterator[Line]:
    """Yield the lines that are not blank, split at spaces and tabs."""
    for n, line in enumerate(lines, 1):
        if fields := line.split():
            yield n, fields


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


def _bounded(file: File, stream: Any) -> Iterator[bytes]:
    """Yield lines, none of which may be longer than LONGEST_LINE bytes."""
    n = 0
    while line := stream.readline(LONGEST_LINE + 1):
        n += 1
        if len(line) > LONGEST_LINE:
            raise FormatError(
                file.path, n, f"a line must have at most {LONGEST_LINE} bytes", "more"
            )
        yield line


class TextLines(Format):
    """A text format of one sequence a file, told by the number of fields in its first line.

    Args:
        columns: what they are. counts: {fields: words} of all text formats, for messages.
    """

    suffixes = (".txt",)
    alone = True

    def __init__(self, columns: Columns, counts: Mapping[int, str]) -> None:
        self.columns, self.counts = columns, counts
        self.name, self.meaning = columns.name, columns.meaning  # type: ignore[misc]

    def fits(self, file: File) -> bool:
        """Return whether the first line has so many fields."""
        lines = numbered(file.head)
        return bool(lines) and len(lines[0][1]) == self.columns.fields

    def read(self, file: File, options: Options) -> list[Detections]:
        """Return the one sequence of the file; an empty file is one without detections."""
        checked_start(file.path, file.head)
        detections = self.columns.read(file.path, file.stem, self._lines(file), options.ids)
        return [detections if len(detections) else Detections.empty(file.stem)]

    def _lines(self, file: File) -> Iterator[Line]:
        """Yield the lines of a file one by one, each with as many fields as the first."""
        try:
            with file.open() as stream:
                for n, fields in each_line(_bounded(file, stream)):
                    if n == 1:
                        fields[0] = fields[0].removeprefix(BOM)
                    if len(fields) not in self.counts:
                        rule = (
                            f"expected {self.counts[self.columns.fields]}, as in the lines before"
                        )
                        raise FormatError(file.path, n, rule, len(fields))
                    yield n, fields
        except (OSError, EOFError, zlib.error) as error:
            raise FormatError(file.path, None, "must be readable", shown(error)) from None
