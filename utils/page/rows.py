"""The detections of a sequence as the page holds them: outlines, packed frame by frame.

The packed form is whole numbers in base 128, the low seven bits first, the high bit set on all
bytes of a number but its last. For each frame: how many detections; for each of them, in the order
of the MOTS txt: id, class, score * SCORES, number of rings; for each ring: number of points and
their x and y in px, each less that of the point before it (the first of a ring less that of the
last ring's first), with signs in the lowest bit (0, -1, 1, -2 are 0, 1, 2, 3). `rows.js` reads it.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from utils import masks
from utils.detections import Detections

Array = npt.NDArray[Any]

SCORES = 10_000  # steps of a score
EPSILON = 0.5  # px by which an outline may be simplified
MOST = 40_000_000  # bytes of outlines of a sequence; from then on its page shows boxes


class PackedRows:
    """Packs the written detections of one sequence, frame by frame.

    Attributes:
        boxes_from: frame from which on boxes stand for outlines, None where there was room for all.
    """

    def __init__(self) -> None:
        self._parts: list[Array] = []
        self._bytes = 0
        self.boxes_from: int | None = None

    def add(self, result: Detections, rows: Array, boxes_xywh: Array) -> None:
        """Add a frame.

        Args:
            result: its Detections. rows: (k,) those that are written, in the order of the file.
            boxes_xywh: (k, 4) around their masks, px.
        """
        if self._bytes > MOST and self.boxes_from is None and len(rows):
            self.boxes_from = int(result.frames[rows[0]])
        numbers: list[Array] = [np.array([len(rows)])]
        runs, offsets = masks.decode_runs(result.rles[rows], result.height * result.width)
        for i, row in enumerate(rows.tolist()):
            box = boxes_xywh[i].astype(int).tolist()
            if self.boxes_from is None:
                part = masks.crop(runs[offsets[i] : offsets[i + 1]], box, result.height)
                rings = outlines(part, box)
            else:
                rings = [_corners(box)] if box[2] * box[3] else []
            score = round(float(result.scores[row]) * SCORES)
            numbers.append(
                np.array([result.ids[row], result.classes[row], max(0, score), len(rings)])
            )
            before = np.zeros((1, 2), np.int64)
            for ring in rings:
                steps = np.diff(np.concatenate([before, ring]), axis=0).ravel()
                numbers += [np.array([len(ring)]), np.where(steps < 0, -2 * steps - 1, 2 * steps)]
                before = ring[:1]
        self._parts.append(packed(np.concatenate(numbers)))
        self._bytes += self._parts[-1].nbytes

    def text(self) -> str:
        """Return all frames in base64."""
        return base64.b64encode(b"".join(part.tobytes() for part in self._parts)).decode()


def _corners(box_xywh: Sequence[int]) -> npt.NDArray[np.int64]:
    """Return the middles of a box's corner pixels, (4, 2) px."""
    x, y, w, h = box_xywh
    right, bottom = x + w - 1, y + h - 1
    return np.array([[x, y], [right, y], [right, bottom], [x, bottom]], np.int64)


def outlines(part: Array, box_xywh: Sequence[int]) -> list[npt.NDArray[np.int64]]:
    """Return the outlines of a mask, those of holes too, as (points, 2) int64 px of the frame.

    Args:
        part: (h, w) uint8 mask in its box, 0 outside. box_xywh: whole px.
    """
    if not part.size:
        return []
    found: Any = cv2.findContours(part, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)[0]
    corner = np.array(box_xywh[:2], np.int64)
    return [cv2.approxPolyDP(ring, EPSILON, True)[:, 0].astype(np.int64) + corner for ring in found]


def packed(numbers: Array) -> npt.NDArray[np.uint8]:
    """Return (n,) whole numbers from 0 as bytes in base 128."""
    numbers = numbers.astype(np.uint64)
    lengths = np.ones(len(numbers), np.int64)
    for k in range(1, 9):
        lengths += numbers >= np.uint64(1 << 7 * k)
    starts = np.cumsum(lengths) - lengths
    held = np.zeros(int(lengths.sum()), np.uint8)
    for k in range(int(lengths.max(initial=1))):
        there = lengths > k
        low = (numbers[there] >> np.uint64(7 * k)) & np.uint64(127)
        more = np.where(lengths[there] > k + 1, 128, 0)
        held[starts[there] + k] = low.astype(np.int64) | more
    return held


def scores_of(text: str, frames: int) -> npt.NDArray[np.float32]:
    """Return the (n,) float32 scores of packed detections.

    Args:
        text: of `PackedRows.text`. frames: how many there are.
    """
    held = np.frombuffer(base64.b64decode(text), np.uint8)
    ends = np.flatnonzero(held < 128)
    starts = np.concatenate([[0], ends[:-1] + 1]) if len(ends) else ends
    numbers = np.zeros(len(ends), np.int64)
    for k in range(int((ends - starts).max(initial=-1)) + 1):
        there = starts + k <= ends
        numbers[there] |= (held[starts[there] + k].astype(np.int64) & 127) << 7 * k
    scores, at = [], 0
    for _ in range(frames):
        count, at = int(numbers[at]), at + 1
        for _ in range(count):
            scores.append(int(numbers[at + 2]) / SCORES)
            rings, at = int(numbers[at + 3]), at + 4
            for _ in range(rings):
                at += 1 + 2 * int(numbers[at])
    return np.array(scores, np.float32)
