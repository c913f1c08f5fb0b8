"""The overlap of masks moved elsewhere, compiled; see `utils.mask_grids`."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


@numba.njit(cache=True, nogil=True)
def _ends(text: Array, start: int, stop: int, ends: Array) -> int:
    """Write where each run of a mask ends, in pixels; return how many there are."""
    count, before, last, total = 0, 0, 0, 0
    at = start
    while at < stop:
        value, shift, more = 0, 0, True
        while more:
            digit = int(text[at]) - 48
            value |= (digit & 31) << shift
            shift += 5
            more = digit >= 32
            at += 1
            if not more and digit & 16:
                value -= 1 << shift
        # From the fourth number on each is the difference to the one two before it.
        run = value + before if count > 2 else value
        before, last = last, run
        total += run
        ends[count] = total
        count += 1
    return count


@numba.njit(cache=True, nogil=True)
def _places(low: float, high: float, side: int, places: Array) -> None:
    """Write the pixels in which the centres of the cells of an axis lie."""
    for k in range(side):
        places[k] = int(np.floor(low + (k + 0.5) / side * (high - low)))


@numba.njit("b1[:,:,::1](u1[::1], i8[::1], f8[:,::1], i8, i8, i8)", cache=True, nogil=True)
def grids(text: Array, starts: Array, boxes: Array, height: int, width: int, side: int) -> Array:
    """Return (n, side, side) bool, what `mask_grids.grids` does.

    Args:
        text: run lengths of n valid masks, one after another; starts: (n + 1,) where each begins.
        boxes: (n, 4) xyxy px.
    """
    n = len(boxes)
    found = np.zeros((n, side, side), np.bool_)
    longest = 1
    for i in range(n):
        longest = max(longest, starts[i + 1] - starts[i])
    ends = np.empty(longest, np.int64)
    x, y = np.empty(side, np.int64), np.empty(side, np.int64)
    for i in range(n):
        count = _ends(text, starts[i], starts[i + 1], ends)
        _places(boxes[i, 0], boxes[i, 2], side, x)
        _places(boxes[i, 1], boxes[i, 3], side, y)
        run = 0
        for c in range(side):
            if x[c] < 0 or x[c] >= width:
                continue
            if c and x[c] == x[c - 1]:
                found[i, :, c] = found[i, :, c - 1]
                continue
            for r in range(side):
                if 0 <= y[r] < height:
                    point = x[c] * height + y[r]
                    while run < count and ends[run] <= point:
                        run += 1
                    found[i, r, c] = run % 2 == 1
    return found


@numba.njit("f8[::1](b1[:,:,::1], i8[::1], f8[:,::1], i8[::1], f8[:,::1])", cache=True, nogil=True)
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


@numba.njit("b1[:,::1](u1[::1], i8[::1], i8)", cache=True, nogil=True)
def touching(text: Array, starts: Array, a: int) -> Array:
    """Return (a, n - a) bool: which of the first `a` masks share a pixel with the others.

    Args:
        text, starts: see `grids`.
    """
    n = len(starts) - 1
    ends, begin = np.empty(len(text), np.int64), np.zeros(n + 1, np.int64)
    for i in range(n):
        count = _ends(text, starts[i], starts[i + 1], ends[begin[i] :])
        begin[i + 1] = begin[i] + count
    found = np.zeros((a, n - a), np.bool_)
    for i in range(a):
        for j in range(a, n):
            # Foreground reaches from the end of each even run to that of the odd one after it.
            p, q = begin[i], begin[j]
            while p + 1 < begin[i + 1] and q + 1 < begin[j + 1]:
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
