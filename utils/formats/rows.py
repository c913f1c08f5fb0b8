"""The detections of one sequence, gathered from a file of any format, and checked."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco_mask

from utils import masks
from utils.detections import MAX_CLASS, Detections
from utils.files import FormatError, check_name, shown
from utils.frames import BY_NUMBER, SAID, number_frames
from utils.score_scales import ScoreError, to_unit
from utils.video_names import repeated

Array = npt.NDArray[Any]
Size = tuple[int, int]  # height and width in px

MAX_SIDE = 16384  # pixels; the largest frame side that is read
MAX_FRAME = 1_000_000  # videos take room for every frame up to the last
MAX_ID = 2**31 - 1


class Rows:
    """Gathers the detections of one sequence, and checks them.

    Args:
        path: for messages. sequence: its name. size: of the frames, None where masks say it.
        scored: whether there are scores.
    """

    def __init__(
        self, path: Path, sequence: str, size: Size | None = None, scored: bool = False
    ) -> None:
        self.path, self.sequence = path, check_name(path, "a sequence", sequence)
        self.size, self.scored = size, scored
        self.notes: list[str] = []
        self.rescale = True  # whether scores may be percent or logits
        self.pictures: dict[int, str] = {}  # see `Detections`
        self.unread: str | None = None  # see `Detections`
        self._sized: Any = None  # where the size is from
        self._places: list[Any] | array[int] = array("l")
        self._frames, self._classes, self._ids = array("i"), array("h"), array("i")
        self._scores, self._boxes = array("d"), array("d")
        self._rles: list[bytes] = []

    def __len__(self) -> int:
        return len(self._rles)

    def fail(self, place: Any, rule: str, value: object) -> FormatError:
        """Return the error to raise about a place."""
        return FormatError(self.path, place, rule, shown(value))

    def number(
        self, place: str, names: Sequence[str], fields: Sequence[Any] | None = None
    ) -> list[int]:
        """Return the frame numbers of a sequence's pictures; note how they were found.

        Args:
            place: for messages. names: file names, as listed.
            fields: what the file says of each picture's frame; None where it says nothing.

        Raises:
            FormatError: two pictures are one frame.
        """
        numbers, how = number_frames(names)
        folders = sorted({str(PurePosixPath(name.replace("\\", "/")).parent) for name in names})
        if len(folders) > 1:
            listed = ", ".join(folders[:3])
            self.notes.append(f"images of {len(folders)} folders are one sequence ({listed})")
        if fields is not None and names:
            self.notes.append("frame numbers are those that the file gives its images")
            if list(fields) != numbers or how not in BY_NUMBER:
                self.pictures.update(zip(fields, map(stem_of, names), strict=True))
            numbers = list(fields)
        elif how in BY_NUMBER:
            self.notes.append("frame numbers are from the images' file names" if names else "")
            self.notes.append(SAID[how] or "")
        else:
            self.notes.append(SAID[how] or "")
            self.pictures.update(zip(numbers, map(stem_of, names), strict=True))
        if len(set(numbers)) < len(numbers):
            again = repeated(numbers)[0]
            pair = [name for n, name in zip(numbers, names, strict=True) if n == again]
            value = f"frame {again} of {' and '.join(pair[:2])}"
            raise self.fail(place, "a frame must be listed once", value)
        return numbers

    def fix_size(self, place: Any, height: Any, width: Any) -> Size:
        """Take the size of a mask or frame, which must be that of all; return it."""
        if not (_whole(height) and _whole(width)) or not (
            0 < height <= MAX_SIDE and 0 < width <= MAX_SIDE
        ):
            rule = f"height and width must be whole numbers in 1..{MAX_SIDE}"
            raise self.fail(place, rule, f"{height} {width}")
        size = int(height), int(width)
        if self.size is None:
            self.size, self._sized = size, place
        if self.size != size:
            rule = f"frame size must be {self.size[0]} {self.size[1]}"
            rule += f" as in {_named(self._sized)}" if self._sized else " (height width)"
            raise self.fail(place, rule, f"{height} {width}")
        return size

    def add(
        self,
        place: Any,
        frame: Any,
        cls: Any,
        rle: bytes,
        score: Any = 1.0,
        identity: Any = 0,
        box: Sequence[float] | None = None,
    ) -> None:
        """Take a detection.

        Args:
            place: where it stands, for messages: a line number or words.
            frame: number; cls: class number; rle: COCO-compressed run lengths; score: finite;
            identity: from 1, 0 where there is none; box: x y w h in px of every detection or of
            none, where the mask's own is taken.

        Raises:
            FormatError: a value that breaks a rule. Masks are checked by `finish`.
        """
        if not _whole(frame) or not 0 <= frame <= MAX_FRAME:
            raise self.fail(place, f"frame must be a whole number in 0..{MAX_FRAME}", frame)
        if not _whole(cls) or not 0 < cls <= MAX_CLASS:
            raise self.fail(place, f"class must be a whole number in 1..{MAX_CLASS}", cls)
        if not _whole(identity) or not 0 <= identity <= MAX_ID:
            raise self.fail(place, f"id must be a whole number in 0..{MAX_ID}", identity)
        if not _number(score):
            raise self.fail(place, "score must be a finite number", score)
        if not isinstance(place, int) and isinstance(self._places, array):
            self._places = self._places.tolist()
        self._places.append(place)
        self._frames.append(int(frame))
        self._classes.append(int(cls))
        self._scores.append(float(score))
        self._ids.append(int(identity))
        self._rles.append(rle)
        if box is not None:
            self._boxes.extend(box)

    def extend(
        self,
        places: Sequence[int],
        frames: Array,
        classes: Array,
        rles: Sequence[bytes],
        scores: Array,
        ids: Array,
        sizes: Array,
        boxes: Array,
    ) -> bool:
        """Take k detections whose values were checked, if all are of this sequence's frame size.

        Args:
            places: line numbers. frames, classes, scores, ids: (k,). sizes: (k, 2), height and
            width in px. boxes: (k, 4) xywh, or (k, 0) where masks have their own.

        Returns:
            Whether they were taken.
        """
        size = int(sizes[0, 0]), int(sizes[0, 1])
        if (sizes != size).any() or self.size not in (None, size):
            return False
        if self.size is None:
            self.size, self._sized = size, places[0]
        self._places.extend(places)
        self._rles.extend(rles)
        for column, values in (
            (self._frames, frames),
            (self._classes, classes),
            (self._ids, ids),
            (self._scores, scores),
            (self._boxes, boxes),
        ):
            column.frombytes(values.astype(column.typecode).tobytes())
        return True

    def finish(self, names: Mapping[int, str] | None = None, keep_ids: bool = True) -> Detections:
        """Return the Detections, rows in the order in which they were taken.

        Args:
            names: {number: name} of the classes; None where they have none.
            keep_ids: whether identities are kept.

        Raises:
            FormatError: a mask or score that breaks a rule, or an identity twice in a frame.
        """
        size = self.size or (0, 0)
        if not len(self):
            empty = Detections.empty(self.sequence, *size)
            return self._with(empty, names)
        try:
            rles = masks.checked(self._rles, *size)
        except masks.RleError as error:
            raise self.fail(self._places[error.row], error.rule, error.value) from None
        self._rles = []
        self._check_ids()
        try:
            scores, scale = to_unit(np.array(self._scores), self.rescale)
        except ScoreError as error:
            raise self.fail(self._places[error.row], error.rule, f"{error.value:g}") from None
        self.notes += [] if scale is None else [scale]
        ids = np.array(self._ids, np.int32)
        detections = Detections(
            self.sequence,
            *size,
            np.array(self._frames, np.int32),
            np.array(self._classes, np.int16),
            scores,
            self._box_column(rles, size),
            rles,
            ids if keep_ids else np.zeros_like(ids),
        )
        return self._with(detections, names)

    def _with(self, detections: Detections, names: Mapping[int, str] | None) -> Detections:
        notes = tuple(f"{self.sequence}: {note}" for note in dict.fromkeys(self.notes) if note)
        return replace(
            detections,
            class_names=names,
            notes=notes,
            scored=self.scored,
            pictures=self.pictures or None,
            unread=self.unread,
        )

    def _box_column(self, rles: Array, size: Size) -> npt.NDArray[np.float64]:
        """Return the boxes that were given, else those around the masks."""
        if self._boxes:
            return np.array(self._boxes).reshape(-1, 4)
        return masks.tight_boxes_xywh(rles, *size)

    def _check_ids(self) -> None:
        """Refuse two objects with one id in one frame; id 0 means none."""
        frames, ids = np.array(self._frames), np.array(self._ids)
        order = np.lexsort((ids, frames))  # stable: of two alike the earlier comes first
        order = order[ids[order] > 0]
        alike = (np.diff(frames[order]) == 0) & (np.diff(ids[order]) == 0)
        if not alike.any():
            return
        again = int(order[1:][alike].min())
        frame, identity = int(frames[again]), int(ids[again])
        first = int(np.flatnonzero((frames == frame) & (ids == identity))[0])
        rule = f"an id must occur once in a frame (also in {_named(self._places[first])})"
        raise self.fail(self._places[again], rule, f"id {identity} twice in frame {frame}")


def stem_of(name: str) -> str:
    """Return a file's name without folders and suffix."""
    return PurePosixPath(name.replace("\\", "/")).stem


def _named(place: Any) -> str:
    return f"line {place}" if isinstance(place, int) else str(place)


def _whole(value: Any) -> bool:
    if isinstance(value, bool | np.bool_):
        return False
    return isinstance(value, int | np.integer) or (isinstance(value, float) and value.is_integer())


def _number(value: Any) -> bool:
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | float | np.number):
        return False
    number: Any = value
    return bool(-1e300 < number < 1e300)


def polygon_rle(rows: Rows, place: Any, polygons: Any, size: Size) -> bytes:
    """Return the run lengths of an object of one or more polygons, drawn by pycocotools.

    Args:
        rows: for messages. place: likewise.
        polygons: lists [x1, y1, x2, y2, ...] in px.
        size: (height, width) of the frame.

    Raises:
        FormatError: under three points, no finite numbers, or points far outside the frame.
    """
    height, width = size
    outlines = []
    for polygon in polygons:
        if not isinstance(polygon, Sequence) or isinstance(polygon, str):
            raise rows.fail(place, "a polygon must be a list x1 y1 x2 y2 ...", polygon)
        if len(polygon) % 2:
            raise rows.fail(place, "a polygon must have pairs of x and y", f"{len(polygon)} values")
        if len(polygon) < 6:
            rule = "a polygon must have at least three points"
            raise rows.fail(place, rule, len(polygon) // 2)
        for value in polygon:
            if not _number(value):
                raise rows.fail(place, "a polygon must be of finite numbers", value)
        x, y = np.array(polygon[::2], float), np.array(polygon[1::2], float)
        for values, side, name in ((x, width, "x"), (y, height, "y")):
            if values.min() < -side or values.max() > 2 * side:
                far = values.min() if values.min() < -side else values.max()
                rule = f"a polygon must lie at the frame of {height} x {width}"
                raise rows.fail(place, rule, f"{name} {far:g}")
        outlines.append([float(v) for v in polygon])
    if not outlines:
        raise rows.fail(place, "a polygon must have at least three points", 0)
    rle: bytes = coco_mask.merge(coco_mask.frPyObjects(outlines, height, width))["counts"]
    return rle
