"""Masks as small grids of cells in their boxes, compiled: the overlap of masks moved elsewhere."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from utils.compiling import loop

Array = npt.NDArray[Any]

SIDE = 16  # cells along each side; masks of 8 and of 32 gave the same identities on KITTI MOTS


@loop()
def cells_of(runs: Array, offsets: Array, boxes: Array, height: int, width: int) -> Array:
    """Return (n, SIDE, SIDE) bool: is the mask set at the middle of each cell of its box.

    Args:
        runs, offsets: of n masks, see `utils.masks.decode_runs`. boxes: (n, 4) xyxy px; beyond the
            frame there is no mask.
    """
    n = len(boxes)
    cells = np.zeros((n, SIDE, SIDE), np.bool_)
    x, y = np.empty(SIDE, np.int64), np.empty(SIDE, np.int64)
    for i in range(n):
        for k in range(SIDE):
            x[k] = int(np.floor(boxes[i, 0] + (k + 0.5) / SIDE * (boxes[i, 2] - boxes[i, 0])))
            y[k] = int(np.floor(boxes[i, 1] + (k + 0.5) / SIDE * (boxes[i, 3] - boxes[i, 1])))
        # The run that a point lies in, and where it ends; points come in ascending order.
        run, end = offsets[i], runs[offsets[i]]
        for c in range(SIDE):
            if x[c] < 0 or x[c] >= width:
                continue
            if c and x[c] == x[c - 1]:
                cells[i, :, c] = cells[i, :, c - 1]
                continue
            for r in range(SIDE):
                if 0 <= y[r] < height:
                    point = x[c] * height + y[r]
                    while end <= point:
                        run += 1
                        end += runs[run]
                    cells[i, r, c] = (run - offsets[i]) % 2 == 1
    return cells


@loop()
def _cell_numbers(low: float, high: float, start: float, end: float, numbers: Array) -> None:
    """Write in which cell of (start, end) the middles of the cells of (low, high) lie."""
    for k in range(SIDE):
        point = low + (k + 0.5) / SIDE * (high - low)
        numbers[k] = int(np.floor((point - start) * (SIDE / (end - start))))


@loop()
def moved_iou(a: Array, a_box: Array, b: Array, b_box: Array) -> float:
    """Return the IoU of two masks, each stretched over a box; 0 where the boxes do not meet.

    Counted at the middles of SIDE x SIDE cells of the smallest box around both.

    Args:
        a, b: (SIDE, SIDE) of `cells_of`. a_box, b_box: (4,) xyxy px, of positive size.
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
        a_row, b_row = places[1, 0, r], places[1, 1, r]
        in_a, in_b = 0 <= a_row < SIDE, 0 <= b_row < SIDE
        for c in range(SIDE):
            a_column, b_column = places[0, 0, c], places[0, 1, c]
            first = in_a and 0 <= a_column < SIDE and a[a_row, a_column]
            second = in_b and 0 <= b_column < SIDE and b[b_row, b_column]
            shared += first and second
            either += first or second
    return shared / max(either, 1)
