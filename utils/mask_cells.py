"""Masks as 64 cells of their boxes, compiled: small to keep, and quick to compare after they moved.

Bit r * SIDE + c of a mask's number says whether it is set at the middle of the cell in row r and
column c of its box.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from utils.compiling import loop
from utils.runs import FIRST

Array = npt.NDArray[Any]

# Cells along each side. 16 give no better identities, and a mask of 8 x 8 is one number.
SIDE = 8
CHUNK = 4096  # masks whose run lengths are copied at once
ONE = np.uint64(1)


@loop()
def _number(text: Array, at: int) -> tuple[int, int]:
    """Return the number that begins at a character, and where the next one begins."""
    value, used = 0, 0
    while True:
        digit = int(text[at]) - FIRST
        value |= (digit & 31) << (5 * used)
        used, at = used + 1, at + 1
        if digit < 32:
            return (value - (1 << (5 * used)) if digit & 16 else value), at


@loop()
def cells_of(text: Array, starts: Array, boxes: Array, height: int, width: int) -> Array:
    """Return (n,) uint64, the cells of masks.

    Args:
        text: (t,) uint8, n valid COCO-compressed run lengths, one after another. starts: (n + 1,)
            where each begins. boxes: (n, 4) xywh px; beyond the frame there is no mask.
    """
    n = len(boxes)
    cells = np.zeros(n, np.uint64)
    x, y = np.empty(SIDE, np.int64), np.empty(SIDE, np.int64)
    for i in range(n):
        _middles(boxes[i, 0], boxes[i, 2], x)
        _middles(boxes[i, 1], boxes[i, 3], y)
        # Points come by ascending pixels, and so do runs: both are gone through once.
        at, run, before, last, end = starts[i], -1, 0, 0, 0
        for c in range(SIDE):
            if x[c] < 0 or x[c] >= width:
                continue
            for r in range(SIDE):
                if y[r] < 0 or y[r] >= height:
                    continue
                point = x[c] * height + y[r]
                if c and x[c] == x[c - 1]:  # the same column of pixels, already gone through
                    bit = np.uint64(r * SIDE + c - 1)
                    if (cells[i] >> bit) & ONE:
                        cells[i] |= ONE << np.uint64(r * SIDE + c)
                    continue
                while end <= point and at < starts[i + 1]:
                    value, at = _number(text, at)
                    run += 1
                    # From the fourth on each number is the difference to the one two before.
                    value += before if run > 2 else 0
                    before, last = last, value
                    end += value
                if run % 2 == 1 and end > point:
                    cells[i] |= ONE << np.uint64(r * SIDE + c)
    return cells


@loop()
def _middles(low: float, side: float, pixels: Array) -> None:
    """Write the pixels in which the middles of SIDE cells of a box's side lie."""
    for k in range(SIDE):
        pixels[k] = int(np.floor(low + (k + 0.5) / SIDE * side))


@loop()
def _cell_numbers(low: float, high: float, start: float, end: float, numbers: Array) -> None:
    """Write in which cell of (start, end) the middles of the cells of (low, high) lie."""
    for k in range(SIDE):
        point = low + (k + 0.5) / SIDE * (high - low)
        numbers[k] = int(np.floor((point - start) * (SIDE / (end - start))))


@loop()
def _is_set(cells: int, row: int, column: int) -> bool:
    """Return whether a cell is set, False outside the box."""
    if row < 0 or row >= SIDE or column < 0 or column >= SIDE:
        return False
    return bool((cells >> np.uint64(row * SIDE + column)) & ONE)


@loop()
def moved_iou(a: int, a_box: Array, b: int, b_box: Array) -> float:
    """Return the IoU of two masks, each stretched over a box; 0 where the boxes do not meet.

    Counted at the middles of SIDE x SIDE cells of the smallest box around both.

    Args:
        a, b: uint64 of `cells_of`. a_box, b_box: (4,) xyxy px, of positive size.
    """
    if a_box[2] <= b_box[0] or b_box[2] <= a_box[0] or a_box[3] <= b_box[1] or b_box[3] <= a_box[1]:
        return 0.0
    places = np.empty((2, 2, SIDE), np.int64)  # of x and y, in both masks
    for axis in range(2):
        low = min(a_box[axis], b_box[axis])
        high = max(a_box[axis + 2], b_box[axis + 2])
        _cell_numbers(low, high, a_box[axis], a_box[axis + 2], places[axis, 0])
        _cell_numbers(low, high, b_box[axis], b_box[axis + 2], places[axis, 1])
    shared, either = 0, 0
    for r in range(SIDE):
        for c in range(SIDE):
            first = _is_set(a, places[1, 0, r], places[0, 0, c])
            second = _is_set(b, places[1, 1, r], places[0, 1, c])
            shared += first and second
            either += first or second
    return shared / max(either, 1)


def mask_cells(rles: Sequence[bytes], boxes_xywh: Array, size: tuple[int, int]) -> Array:
    """Return (n,) uint64, the cells of masks within their boxes.

    Args:
        rles: n valid COCO-compressed run lengths. boxes_xywh: (n, 4) px.
        size: (height, width) of the frames in px.
    """
    cells = np.empty(len(rles), np.uint64)
    for start in range(0, len(rles), CHUNK):
        part = list(rles[start : start + CHUNK])
        text = np.frombuffer(bytearray(b"".join(part)), np.uint8)
        starts = np.cumsum([0, *map(len, part)])
        boxes = np.array(boxes_xywh[start : start + CHUNK], np.float64, order="C")
        cells[start : start + CHUNK] = cells_of(text, starts, boxes, *size)
    return cells


@cache
def compile_ahead() -> None:
    """Compile all of it, or load what was compiled before."""
    box = np.array([[0.0, 0.0, 2.0, 2.0]])
    cells = mask_cells([b"22"], box, (2, 2))
    moved_iou(cells[0], box[0], cells[0], box[0])
