"""The overlap of masks, as they are (`utils.masks`) and moved (`utils.mask_grids`), compiled."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from utils.compiling import loop

Array = npt.NDArray[Any]


@loop()
def _places(low: float, high: float, side: int, places: Array) -> None:
    """Write the pixels in which the centres of the cells of an axis lie."""
    for k in range(side):
        places[k] = int(np.floor(low + (k + 0.5) / side * (high - low)))


@loop("b1[:,:,::1](i8[::1], i8[::1], f8[:,::1], i8, i8, i8)")
def grids(runs: Array, offsets: Array, boxes: Array, height: int, width: int, side: int) -> Array:
    """Return (n, side, side) bool, what `mask_grids.grids` does.

    Args:
        runs, offsets: of n masks, see `utils.masks.decode_runs`. boxes: (n, 4) xyxy px.
    """
    n = len(boxes)
    found = np.zeros((n, side, side), np.bool_)
    x, y = np.empty(side, np.int64), np.empty(side, np.int64)
    for i in range(n):
        _places(boxes[i, 0], boxes[i, 2], side, x)
        _places(boxes[i, 1], boxes[i, 3], side, y)
        # The run that a point lies in, and where it ends; points come in ascending order.
        run, end = offsets[i], runs[offsets[i]]
        for c in range(side):
            if x[c] < 0 or x[c] >= width:
                continue
            if c and x[c] == x[c - 1]:
                found[i, :, c] = found[i, :, c - 1]
                continue
            for r in range(side):
                if 0 <= y[r] < height:
                    point = x[c] * height + y[r]
                    while end <= point:
                        run += 1
                        end += runs[run]
                    found[i, r, c] = (run - offsets[i]) % 2 == 1
    return found


@loop("f8[::1](b1[:,:,::1], i8[::1], f8[:,::1], i8[::1], f8[:,::1])")
def moved_iou(
    cells: Array, first: Array, first_boxes: Array, second: Array, second_boxes: Array
) -> Array:
    """Return the (p,) IoU of pairs of masks, each stretched over a box.

    Args:
        cells: (n, side, side) of `grids`; first, second: (p,) which of them; first_boxes,
        second_boxes: (p, 4) xyxy px.
    """
    side = cells.shape[1]
    found = np.empty(len(first))
    x, y = np.empty((2, side), np.int64), np.empty((2, side), np.int64)
    for p in range(len(first)):
        for axis in range(2):
            places = x if axis == 0 else y
            low = min(first_boxes[p, axis], second_boxes[p, axis])
            high = max(first_boxes[p, axis + 2], second_boxes[p, axis + 2])
            for k in range(side):
                point = low + (k + 0.5) / side * (high - low)
                for which in range(2):
                    box = first_boxes[p] if which == 0 else second_boxes[p]
                    share = (point - box[axis]) * (side / (box[axis + 2] - box[axis]))
                    places[which, k] = int(np.floor(share))
        a, b = cells[first[p]], cells[second[p]]
        shared, either = 0, 0
        for r in range(side):
            in_a, in_b = 0 <= y[0, r] < side, 0 <= y[1, r] < side
            for c in range(side):
                one = in_a and 0 <= x[0, c] < side and a[y[0, r], x[0, c]]
                other = in_b and 0 <= x[1, c] < side and b[y[1, r], x[1, c]]
                shared += one and other
                either += one or other
        found[p] = shared / max(either, 1)
    return found


@loop("b1[:,::1](i8[::1], i8[::1], i8)")
def touching(runs: Array, offsets: Array, a: int) -> Array:
    """Return (a, n - a) bool: which of the first `a` masks share a pixel with the others.

    Args:
        runs, offsets: of n masks, see `utils.masks.decode_runs`.
    """
    n = len(offsets) - 1
    ends = np.empty(len(runs), np.int64)
    for i in range(n):
        total = 0
        for k in range(offsets[i], offsets[i + 1]):
            total += runs[k]
            ends[k] = total
    found = np.zeros((a, n - a), np.bool_)
    for i in range(a):
        for j in range(a, n):
            # Foreground reaches from the end of each even run to that of the odd one after it.
            p, q = offsets[i], offsets[j]
            while p + 1 < offsets[i + 1] and q + 1 < offsets[j + 1]:
                if ends[p + 1] <= ends[q]:
                    p += 2
                elif ends[q + 1] <= ends[p]:
                    q += 2
                elif ends[p] == ends[p + 1]:
                    p += 2  # a run of length zero
                elif ends[q] == ends[q + 1]:
                    q += 2
                else:
                    found[i, j - a] = True
                    break
    return found
