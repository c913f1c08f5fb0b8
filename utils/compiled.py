"""Patches of masks straight from their run lengths, compiled; where Numba is, see `utils.masks`.

Bit for bit what OpenCV makes of the decoded mask: its arithmetic is followed step by step.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import numpy.typing as npt

from utils.compiling import loop
from utils.cores import cores, on_cores
from utils.masks import FIRST

Array = npt.NDArray[Any]

ONE = 2048  # OpenCV's fixed-point unit of a weight
SIXTEEN = np.int32(16)
HALF = np.int32(4 * 128 - 3)  # (value + 2) >> 2 is above 127 just where the value is above this
LIT, DARK = np.uint8(255), np.uint8(0)
SLIVER = 1e-3  # share of a pixel that OpenCV's area weights leave out


@loop("Tuple((i8[::1], i8[::1], b1))(u1[::1], i8[::1], i8, i8)")
def decode(text: Array, starts: Array, pixels: int, digits: int) -> tuple[Array, Array, bool]:
    """Return what `utils.masks.decode_runs` does, and whether every mask is valid.

    Args:
        text: n compressed run lengths, one after another; starts: (n + 1,) where each begins.
        digits: MAX_DIGITS.
    """
    n, count = len(starts) - 1, 0
    for k in range(len(text)):
        count += text[k] < FIRST + 32
    runs, offsets = np.empty(count, np.int64), np.zeros(n + 1, np.int64)
    count = 0
    for i in range(n):
        at, total, before, last, found = starts[i], 0, 0, 0, 0
        if at == starts[i + 1]:
            return runs, offsets, False
        while at < starts[i + 1]:
            value, used, more = 0, 0, True
            while more:
                if at == starts[i + 1] or used == digits:
                    return runs, offsets, False
                digit = int(text[at]) - FIRST
                if digit < 0 or digit >= 64:
                    return runs, offsets, False
                value |= (digit & 31) << (5 * used)
                more = digit >= 32
                used += 1
                at += 1
                if not more and digit & 16:
                    value -= 1 << (5 * used)
            run = value + before if found > 2 else value
            if run < 0 or run > pixels:
                return runs, offsets, False
            before, last = last, run
            total += run
            runs[count] = run
            count += 1
            found += 1
        if total != pixels:
            return runs, offsets, False
        offsets[i + 1] = count
    return runs, offsets, True


@loop("i8[:,::1](i8[::1], i8[::1], i8)")
def tight_boxes(runs: Array, offsets: Array, height: int) -> Array:
    """Return the (n, 4) boxes xywh around the masks of `decode`, zeros for empty ones."""
    boxes = np.zeros((len(offsets) - 1, 4), np.int64)
    for i in range(len(boxes)):
        position, left, top, right, bottom = 0, -1, height, 0, 0
        for k in range(offsets[i], offsets[i + 1]):
            if (k - offsets[i]) % 2 and runs[k]:
                last = position + runs[k] - 1
                if left < 0:
                    left = position // height
                right = last // height
                if right > position // height:  # it goes on at the top of the next column
                    top, bottom = 0, height - 1
                else:
                    top, bottom = min(top, position % height), max(bottom, last % height)
            position += runs[k]
        if left >= 0:
            boxes[i] = left, top, right - left + 1, bottom - top + 1
    return boxes


@loop()
def _inside(runs: Array, x: int, y: int, w: int, h: int, height: int, part: Array) -> None:
    """Write the mask within its box into part (h, w), 0 or 255."""
    part[:h, :w] = 0
    position = 0
    for k in range(len(runs)):
        if k % 2:
            column, row = position // height - x, position % height - y
            left = runs[k]
            while left > 0:
                # A run goes on at the top of the next column.
                count = min(left, height - (row + y))
                for r in range(row, row + count):
                    part[r, column] = 255
                left -= count
                column += 1
                row = -y
        position += runs[k]


@loop()
def _linear_weights(new: int, old: int, low: Array, weight: Array, clip: bool) -> None:
    """Write for each new pixel the lower of the two old ones, and both weights (2, n).

    Beyond the edge OpenCV takes the last column with its whole weight (clip), but the last row
    twice, which rounds otherwise.
    """
    scale = 1.0 / (new / old)
    for d in range(new):
        place = np.float32((d + 0.5) * scale - 0.5)
        first = int(np.floor(place))
        share = np.float32(place - np.float32(first))
        if clip and first < 0:
            first, share = 0, np.float32(0)
        if clip and first >= old - 1:
            first, share = old - 1, np.float32(0)
        low[d] = first
        # Each is rounded on its own, so that both need not add up to ONE.
        weight[0, d] = int(np.rint((np.float32(1) - share) * np.float32(ONE)))
        weight[1, d] = int(np.rint(share * np.float32(ONE)))


@loop()
def _enlarge(part: Array, w: int, h: int, new_w: int, new_h: int, top: int, left: int,
             patch: Array, low: Array, weight: Array, rows: Array) -> None:  # fmt: skip
    """Write the enlarged mask into a patch, bilinearly, thresholded at one half."""
    _linear_weights(new_w, w, low[0], weight[0], True)
    _linear_weights(new_h, h, low[1], weight[1], False)
    have0, have1 = -1, -1
    for d in range(new_h):
        first = min(max(low[1, d], 0), h - 1)
        second = min(low[1, d] + 1, h - 1)
        if have0 != first:
            if have1 == first:
                rows[0, :new_w] = rows[1, :new_w]
            else:
                _row(part, first, w, new_w, low[0], weight[0], rows[0])
            have0 = first
        if have1 != second:
            _row(part, second, w, new_w, low[0], weight[0], rows[1])
            have1 = second
        b0, b1 = weight[1, 0, d], weight[1, 1, d]
        upper, lower, target = rows[0], rows[1], patch[top + d, left : left + new_w]
        if not (upper.any() or lower.any()):
            continue  # the patch is empty as it comes
        for e in range(new_w):
            first_part = np.int32(np.int32(b0 * upper[e]) >> SIXTEEN)
            value = np.int32(first_part + np.int32(np.int32(b1 * lower[e]) >> SIXTEEN))
            target[e] = LIT if value > HALF else DARK


@loop()
def _row(part: Array, r: int, w: int, new_w: int, low: Array, weight: Array, row: Array) -> None:
    """Write a row, enlarged, in fixed point."""
    source, left, right = part[r], weight[0], weight[1]
    for e in range(new_w):
        first = low[e]
        second = min(first + 1, w - 1)
        # Four bits are dropped, as OpenCV does before it weighs the rows.
        row[e] = (np.int32(source[first]) * left[e] + np.int32(source[second]) * right[e]) >> 4


@loop()
def _area_weights(new: int, old: int, first: Array, count: Array, weights: Array) -> None:
    """Write for each new pixel the first old one, how many, and their weights."""
    scale = 1.0 / (new / old)
    for d in range(new):
        start = d * scale
        end = start + scale
        width = min(scale, old - start)
        low, high = int(np.ceil(start)), int(np.floor(end))
        high = min(high, old - 1)
        low = min(low, high)
        n = 0
        first[d] = low
        if low - start > SLIVER:
            first[d] = low - 1
            weights[d, n] = np.float32((low - start) / width)
            n += 1
        for _ in range(low, high):
            weights[d, n] = np.float32(1.0 / width)
            n += 1
        if end - high > SLIVER:
            weights[d, n] = np.float32(min(min(end - high, 1.0), width) / width)
            n += 1
        count[d] = n


@loop()
def _shrink(part: Array, w: int, h: int, new_w: int, new_h: int, top: int, left: int,
            patch: Array) -> None:  # fmt: skip
    """Write the mask, made smaller by the areas of its pixels, into a patch."""
    scale_x, scale_y = 1.0 / (new_w / w), 1.0 / (new_h / h)
    whole_x, whole_y = int(np.rint(scale_x)), int(np.rint(scale_y))
    eps = 2.220446049250313e-16
    if abs(scale_x - whole_x) < eps and abs(scale_y - whole_y) < eps:
        share = np.float32(1.0) / np.float32(whole_x * whole_y)
        for d in range(new_h):
            for e in range(new_w):
                total = 0
                for r in range(d * whole_y, (d + 1) * whole_y):
                    for c in range(e * whole_x, (e + 1) * whole_x):
                        total += part[r, c]
                value = np.rint(np.float32(total) * share)
                patch[top + d, left + e] = 255 if value > 127 else 0
        return
    room = max(int(np.ceil(scale_x)), int(np.ceil(scale_y))) + 2
    first_x, count_x = np.empty(new_w, np.int64), np.empty(new_w, np.int64)
    first_y, count_y = np.empty(new_h, np.int64), np.empty(new_h, np.int64)
    weights_x = np.empty((new_w, room), np.float32)
    weights_y = np.empty((new_h, room), np.float32)
    _area_weights(new_w, w, first_x, count_x, weights_x)
    _area_weights(new_h, h, first_y, count_y, weights_y)
    total_row = np.empty(new_w, np.float32)
    for d in range(new_h):
        total_row[:] = np.float32(0)
        for k in range(count_y[d]):
            r, beta = first_y[d] + k, weights_y[d, k]
            for e in range(new_w):
                value = np.float32(0)
                for n in range(count_x[e]):
                    value += np.float32(part[r, first_x[e] + n]) * weights_x[e, n]
                total_row[e] += beta * value
        for e in range(new_w):
            patch[top + d, left + e] = 255 if np.rint(total_row[e]) > 127 else 0


@loop("void(i8[::1], i8[::1], i8[:,::1], i8, i8, u1[:,:,::1])")
def _patches(runs: Array, offsets: Array, boxes: Array, height: int, size: int,
             patches: Array) -> None:  # fmt: skip
    """Write the patch of every mask; see `patches_of`."""
    for i in range(len(boxes)):
        x, y, w, h = boxes[i]
        part = np.empty((h, w), np.uint8)
        _inside(runs[offsets[i] : offsets[i + 1]], x, y, w, h, height, part)
        scale = size / max(h, w)
        new_w, new_h = max(1, int(np.rint(w * scale))), max(1, int(np.rint(h * scale)))
        top, left = (size - new_h) // 2, (size - new_w) // 2
        patches[i] = 0
        if new_w == w and new_h == h:
            patches[i, top : top + h, left : left + w] = part
        elif scale < 1 and w >= new_w and h >= new_h:
            _shrink(part, w, h, new_w, new_h, top, left, patches[i])
        else:
            low, weight = np.empty((2, size), np.int32), np.empty((2, 2, size), np.int32)
            rows = np.empty((2, size), np.int32)
            _enlarge(part, w, h, new_w, new_h, top, left, patches[i], low, weight, rows)


def patches_of(
    runs: Array, offsets: Array, boxes_xywh: Array, height: int, size: int
) -> npt.NDArray[np.uint8]:
    """Return (n, size, size) uint8, 0 or 255: what `crop` and `fit_square` make, mask by mask.

    Args:
        runs, offsets: see `utils.masks.decode_runs`. boxes_xywh: (n, 4) int64 px, tight, none
            empty. height: of the frame in px. size: side of a patch in px.
    """
    patches = np.empty((len(boxes_xywh), size, size), np.uint8)
    # Threads of our own: Numba's break off a program that calls it from two of its own.
    # More parts than cores: masks are unlike, and none shall wait long for another.
    cuts = np.linspace(0, len(boxes_xywh), 4 * cores() + 1).astype(int).tolist()

    def some(part: tuple[int, int]) -> None:
        low, high = part
        own = offsets[low : high + 1]
        _patches(runs, own, boxes_xywh[low:high], height, size, patches[low:high])

    on_cores(some, itertools.pairwise(cuts))
    return patches
