"""Detections: one row per detected object, the one data structure of the pipeline."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

CAR, PEDESTRIAN, IGNORE = 1, 2, 10  # class numbers of KITTI MOTS and MOTSChallenge
MAX_CLASS = 32767  # class numbers are int16

ROWS = ("frames", "classes", "scores", "boxes_xywh", "rles", "ids")  # columns that all have
Rows = npt.NDArray[Any]  # a boolean mask or indices


def each_class(classes: npt.NDArray[Any]) -> Iterator[tuple[int, npt.NDArray[np.bool_]]]:
    """Yield (class, (k,) bool) of the classes that are among (k,) classes."""
    for cls in set(classes.tolist()):
        yield cls, classes == cls


def as_coco(rles: Iterable[bytes], size: tuple[int, int]) -> list[dict[str, Any]]:
    """Return masks as the list of dicts that pycocotools takes; size: height and width in px."""
    shape = list(size)
    return [{"size": shape, "counts": counts} for counts in rles]


@dataclass(frozen=True)
class Detections:
    """The detections of one sequence; row i stays row i from file to result.

    Attributes:
        sequence: name of the sequence, as in its file name.
        height: frame height in pixels (0 where the sequence has no detections).
        width: frame width in pixels (0 likewise).
        frames: (n,) int32, frame number as in the file, never shifted, in any order.
        classes: (n,) int16, from 1; the data set names them.
        scores: (n,) float32 confidence in [0, 1].
        boxes_xywh: (n, 4) float64, top-left corner and size in pixels.
        rles: (n,) object, COCO-compressed run lengths as bytes, column-major over (height, width).
        ids: (n,) int32 identity that came with the file, 0 where it had none. Truth: the tracker
            never reads it, but for their number in a window where |K| is to be known.
        vectors: (n, 128) float32 association vectors of TrackR-CNN detections, or None.
        scored: whether the file had scores. MOTS txt has none: its masks are ground truth or a
            tracker's choice, and rules about a detector's output do not apply to them.
        class_names: {number: name} where the file names its classes; None where they are the
            numbers of the MOTS benchmarks.
        notes: what reading it took for granted, for the user.
        pictures: {frame: name of its picture, without suffix} where frames are not the numbers in
            the names of files.
        parents: {identity: that of the cell it came from by division}, None where nobody looked.
        unread: why a file with content gave no detection; None where it is right to have none.
    """

    sequence: str
    height: int
    width: int
    frames: npt.NDArray[np.int32]
    classes: npt.NDArray[np.int16]
    scores: npt.NDArray[np.float32]
    boxes_xywh: npt.NDArray[np.float64]
    rles: npt.NDArray[np.object_]
    ids: npt.NDArray[np.int32]
    vectors: npt.NDArray[np.float32] | None = None
    scored: bool = True
    class_names: Mapping[int, str] | None = None
    notes: tuple[str, ...] = ()
    pictures: Mapping[int, str] | None = None
    parents: Mapping[int, int] | None = None
    unread: str | None = None

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def size(self) -> tuple[int, int]:
        """Return (height, width) of a frame in pixels."""
        return self.height, self.width

    @classmethod
    def empty(cls, sequence: str, height: int = 0, width: int = 0) -> Detections:
        """Return a sequence without detections."""
        return cls(
            sequence,
            height,
            width,
            np.zeros(0, np.int32),
            np.zeros(0, np.int16),
            np.zeros(0, np.float32),
            np.zeros((0, 4)),
            np.zeros(0, object),
            np.zeros(0, np.int32),
        )

    @classmethod
    def joined(cls, parts: Sequence[Detections]) -> Detections:
        """Return the rows of several as one, in order; all else is that of the first.

        Vectors are kept if all parts have some; it is scored if one is.
        """
        columns: dict[str, Any] = {n: np.concatenate([getattr(p, n) for p in parts]) for n in ROWS}
        vectors = [part.vectors for part in parts if part.vectors is not None]
        columns["vectors"] = np.concatenate(vectors) if len(vectors) == len(parts) else None
        return replace(parts[0], **columns, scored=any(part.scored for part in parts))

    @property
    def filled(self) -> npt.NDArray[np.bool_]:
        """Return (n,) bool: whether a mask has a pixel, of boxes that are around their masks."""
        filled: npt.NDArray[np.bool_] = self.boxes_xywh[:, 2] > 0
        return filled

    def select(self, rows: Rows | slice) -> Detections:
        """Return the given rows (boolean mask or indices) as new Detections."""
        chosen: dict[str, Any] = {name: getattr(self, name)[rows] for name in ROWS}
        if self.vectors is not None:
            chosen["vectors"] = self.vectors[rows]
        return replace(self, **chosen)

    def coco(self, rows: Rows | None = None) -> list[dict[str, Any]]:
        """Return the masks of the rows as the list of dicts that pycocotools takes."""
        return as_coco(self.rles if rows is None else self.rles[rows], self.size)

    def rows_by_frame(self, keep: Rows | None = None) -> list[tuple[int, npt.NDArray[np.int64]]]:
        """Return [(frame, rows)], frames ascending; rows are indices in canonical order.

        The order within a frame (score down, then class, box and mask) depends on what the
        detections are, not on where they stand in the file, so that shuffling a file changes no
        track.

        Args:
            keep: (n,) bool, rows to take; None takes all. Frames without a row are left out.
        """
        rows = np.arange(len(self)) if keep is None else np.flatnonzero(keep)
        if not len(rows):
            return []
        frames, scores = self.frames[rows], self.scores[rows]
        order = np.lexsort((-scores, frames))
        if ((np.diff(frames[order]) == 0) & (np.diff(scores[order]) == 0)).any():
            x, y, w, h = self.boxes_xywh[rows].T
            masks = np.array([zlib.crc32(rle) for rle in self.rles[rows]])
            order = np.lexsort((masks, h, w, y, x, self.classes[rows], -scores, frames))
        numbers, starts = np.unique(frames[order], return_index=True)
        return list(zip(numbers.tolist(), np.split(rows[order], starts[1:]), strict=True))
