"""Detections: one row per detected object, the one data structure of the pipeline."""

import zlib
from dataclasses import dataclass, replace

import numpy as np

CAR, PEDESTRIAN, IGNORE = 1, 2, 10
CLASS_NAMES = {CAR: "car", PEDESTRIAN: "pedestrian", IGNORE: "ignore"}


@dataclass(frozen=True)
class Detections:
    """The detections of one sequence; row i stays row i from file to result.

    Attributes:
        sequence: name of the sequence, as in its file name.
        height: frame height in pixels (0 where the sequence has no detections).
        width: frame width in pixels (0 likewise).
        frames: (n,) int32, frame number as in the file, never shifted, in any order.
        classes: (n,) int16, 1 car, 2 pedestrian, 10 ignore region.
        scores: (n,) float32 confidence in [0, 1].
        boxes_xywh: (n, 4) float64, top-left corner and size in pixels.
        rles: (n,) object, COCO-compressed run lengths as bytes, column-major over (height, width).
        ids: (n,) int32 identity that came with the file, 0 where it had none. Truth: the tracker
            never reads it, but for their number in a window where |K| is to be known.
        embeddings: (n, 128) float32 that came with TrackR-CNN detections, or None.
        scored: whether the file had scores. MOTS txt has none: its masks are ground truth or a
            tracker's choice, and rules about a detector's output do not apply to them.
    """

    sequence: str
    height: int
    width: int
    frames: np.ndarray
    classes: np.ndarray
    scores: np.ndarray
    boxes_xywh: np.ndarray
    rles: np.ndarray
    ids: np.ndarray
    embeddings: np.ndarray | None = None
    scored: bool = True

    def __len__(self):
        return len(self.frames)

    @classmethod
    def empty(cls, sequence, height=0, width=0):
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

    def select(self, rows):
        """Return the given rows (boolean mask or indices) as new Detections."""
        columns = ("frames", "classes", "scores", "boxes_xywh", "rles", "ids")
        chosen = {name: getattr(self, name)[rows] for name in columns}
        if self.embeddings is not None:
            chosen["embeddings"] = self.embeddings[rows]
        return replace(self, **chosen)

    def coco(self, rows=None):
        """Return the masks of the rows as the list of dicts that pycocotools takes."""
        size = [self.height, self.width]
        rles = self.rles if rows is None else self.rles[rows]
        return [{"size": size, "counts": counts} for counts in rles]

    def rows_by_frame(self):
        """Return [(frame, rows)], frames ascending; rows are indices in canonical order.

        The order within a frame (score down, then class, box and mask) depends on what the
        detections are, not on where they stand in the file, so that shuffling a file changes no
        track.
        """
        if not len(self):
            return []
        x, y, w, h = self.boxes_xywh.T
        masks = [zlib.crc32(rle) for rle in self.rles]
        order = np.lexsort((masks, h, w, y, x, self.classes, -self.scores, self.frames))
        frames, starts = np.unique(self.frames[order], return_index=True)
        return list(zip(frames.tolist(), np.split(order, starts[1:]), strict=True))
