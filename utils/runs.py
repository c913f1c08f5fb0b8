"""Run lengths of masks, compiled: checking and decoding them, boxes, parts, what two share.

COCO's format: numbers in base 32, least significant digit first, bit 5 of a character says that
more digits follow, bit 4 of the last digit is the sign; from the fourth number on each is the
difference to the number two before it. Runs alternate background, foreground.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from utils.compiling import loop

Array = npt.NDArray[Any]

FIRST, LAST = 48, 111  # alphabet of COCO-compressed run lengths: chr(48) to chr(111)
MAX_DIGITS = 6  # base-32 digits of one number; 30 bits hold any run of a 16384 x 16384 frame
# What may be wrong with a mask, see `decode`.
SOUND, EMPTY, FOREIGN, UNENDED, LONG, RUN, TOTAL = range(7)


@loop()
def decode(text: Array, starts: Array, pixels: int) -> tuple[Array, Array, int, int, int]:
    """Return the runs of masks, and what is wrong with the first one that is broken.

    Args:
        text: (t,) uint8, n compressed run lengths, one after another. starts: (n + 1,) where each
            begins. pixels: of a frame.

    Returns:
        runs: (r,) int64 px. offsets: (n + 1,), the runs of mask i begin at offsets[i].
        fault: SOUND, or which rule is broken; then by which mask, and by what: the character, the
            run or the sum.
    """
    n, count = len(starts) - 1, 0
    for k in range(len(text)):
        count += text[k] < FIRST + 32
    runs, offsets = np.empty(count, np.int64), np.zeros(n + 1, np.int64)
    count = 0
    for i in range(n):
        at, total, before, last, numbers = starts[i], 0, 0, 0, 0
        if at == starts[i + 1]:
            return runs, offsets, EMPTY, i, 0
        while at < starts[i + 1]:
            value, at, fault, wrong = number(text, at, starts[i + 1])
            if fault != SOUND:
                return runs, offsets, fault, i, wrong
            run = value + before if numbers > 2 else value
            if run < 0 or run > pixels:
                return runs, offsets, RUN, i, run
            before, last = last, run
            total += run
            runs[count] = run
            count += 1
            numbers += 1
        if total != pixels:
            return runs, offsets, TOTAL, i, total
        offsets[i + 1] = count
    return runs, offsets, SOUND, 0, 0


@loop()
def number(text: Array, at: int, end: int) -> tuple[int, int, int, int]:
    """Return the number that begins at a character, where the next begins, the fault, its cause."""
    value, used = 0, 0
    while True:
        if at == end:
            return 0, at, UNENDED, 0
        digit = int(text[at]) - FIRST
        if digit < 0 or digit >= 64:
            return 0, at, FOREIGN, int(text[at])
        if used == MAX_DIGITS:
            return 0, at, LONG, 0
        value |= (digit & 31) << (5 * used)
        used += 1
        at += 1
        if digit < 32:
            return (value - (1 << (5 * used)) if digit & 16 else value), at, SOUND, 0


@loop()
def tight_boxes(runs: Array, offsets: Array, height: int) -> Array:
    """Return the (n, 4) boxes xywh around masks, zeros for empty ones."""
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
def crop(runs: Array, box: Array, height: int) -> Array:
    """Return a mask within its tight box only, (h, w) uint8, 0 or 255.

    Args:
        runs: (r,) of the mask. box: (4,) int64 xywh px. height: of the frame in px.
    """
    x, y, w, h = box
    part = np.zeros((h, w), np.uint8)
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
    return part


@loop()
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
    pairs = np.zeros((a, n - a), np.bool_)
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
                    pairs[i, j - a] = True
                    break
    return pairs


@cache
def compile_ahead() -> None:
    """Compile all of it, or load what was compiled before."""
    text = np.frombuffer(bytearray(b"22"), np.uint8)
    runs, offsets, *_ = decode(text, np.array([0, 2]), 4)
    boxes = tight_boxes(runs, offsets, 2)
    crop(runs, boxes[0], 2)
    touching(np.concatenate([runs, runs]), np.array([0, 2, 4]), 1)
