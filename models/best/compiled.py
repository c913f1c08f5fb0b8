"""Inner loops of the preset `best`, compiled: what NumPy does in the modules beside."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from models.compiled import assign, near
from utils.compiling import loop

Array = npt.NDArray[Any]

FARTHER = 1 + 1e-9  # times a distance, beyond which nothing is as near


@loop("b1[::1](i8[::1], i8[::1], f8[::1], i8, i8, f8, f8)")
def settled(
    rows: Array, columns: Array, overlap: Array, m: int, n: int, least: float, rival: float
) -> Array:
    """Return what `linking.settled` does, for `least` SETTLED and `rival` RIVAL."""
    top, column_top, best = np.full(m, -1.0), np.full(n, -1.0), np.zeros(m, np.int64)
    for p in range(len(rows)):
        i, j = rows[p], columns[p]
        if overlap[p] > top[i]:
            top[i], best[i] = overlap[p], j
        column_top[j] = max(column_top[j], overlap[p])
    in_row, in_column = np.zeros(m, np.int64), np.zeros(n, np.int64)
    for p in range(len(rows)):
        in_row[rows[p]] += overlap[p] > top[rows[p]] - rival
        in_column[columns[p]] += overlap[p] > column_top[columns[p]] - rival
    leads, taken = np.zeros(m, np.bool_), np.zeros(n, np.bool_)
    for i in range(m):
        j = best[i]
        leads[i] = top[i] > least and top[i] == column_top[j]
        leads[i] &= in_row[i] == 1 and in_column[j] == 1
        if leads[i]:
            taken[j] = True
    found = np.empty(len(rows), np.bool_)
    for p in range(len(rows)):
        found[p] = leads[rows[p]] or taken[columns[p]]
    return found


@loop("i8[::1](f8[:,::1], i8[::1])")
def nearest(centres: Array, classes: Array) -> Array:
    """Return what `linking.nearest` does, of (k, 2) centres."""
    n = len(centres)
    found, order = np.full(n, -1), np.argsort(centres[:, 0])
    for at in range(n):
        i, lowest = order[at], np.inf
        for way in (-1, 1):
            other = at + way
            while 0 <= other < n:
                j = order[other]
                x, y = centres[i, 0] - centres[j, 0], centres[i, 1] - centres[j, 1]
                if abs(x) > lowest * FARTHER:
                    break
                other += way
                apart = np.sqrt(x * x + y * y)
                if classes[i] == classes[j] and (
                    apart < lowest or (apart == lowest and j < found[i])
                ):
                    lowest, found[i] = apart, j
    return found


@loop()
def _middle(values: Array) -> float:
    ranked = np.sort(values)
    return (ranked[(len(ranked) - 1) // 2] + ranked[len(ranked) // 2]) / 2


@loop(
    "Tuple((i8[::1], i8[::1], f8[::1], f8[:,::1], f8[::1], i8[::1], b1))"
    "(f8[:,::1], f8[:,::1], f8[:,::1], i8[::1], i8[::1], f8[:,::1], i8[::1], i8, f8[::1], f8, f8, "
    "i8, i8, i8, f8, f8, f8, i8)"
)
def compare(
    centres: Array, sizes: Array, velocities: Array, last: Array, classes: Array, boxes: Array,
    box_classes: Array, number: int, least: Array, damping: float, slack: float, memory: int,
    recent: int, shared: int, still: float, sure: float, rival: float, most: int,
) -> tuple[Array, Array, Array, Array, Array, Array, bool]:  # fmt: skip
    """Return rows, columns and overlap of the near pairs, and what `linking.compared` does.

    Args:
        centres, sizes, velocities: (m, 2); last, classes: (m,), last their frames; boxes: (n, 4)
        xyxy px; box_classes: (n,); least: (C,) of each class; memory: frames after which a track
        is lost; sure, rival: SETTLED and RIVAL; most: cells that are assigned here.

    Returns:
        rows, columns, overlap: (p,). expected: (m, 4). gain: (p,). doubtful: (d,). whether all was
        found out; if not, the others mean nothing.
    """
    m, n = len(centres), len(boxes)
    expected, gate, wanted = np.empty((m, 4)), np.empty(m), np.empty(m)
    floor = np.inf
    for i in range(m):
        gap = number - last[i]
        way = float(gap) if damping == 1 else (1 - damping ** float(gap)) / (1 - damping)
        for axis in range(2):
            centre = centres[i, axis] + velocities[i, axis] * way
            half = sizes[i, axis] / 2
            expected[i, axis], expected[i, axis + 2] = centre - half, centre + half
        floor = min(floor, least[classes[i]])
        gate[i] = least[classes[i]] - slack * (1 - damping ** float(gap - 1))
    for i in range(m):
        wanted[i] = min(gate[i], min(floor, sure - rival))
    rows, columns, overlap = near(expected, boxes, classes, box_classes, wanted)
    gain = np.zeros(len(rows))
    for p in range(len(rows)):
        if number - last[rows[p]] <= recent:
            gain[p] = overlap[p] - floor
    made, rest = assign(rows, columns, gain, m, n, most)
    if len(rest):
        return rows, columns, overlap, expected, gain, rest, False
    if len(made) >= shared:
        shift, off = np.empty(2), np.empty(len(made))
        for axis in range(2):
            for k in range(len(made)):
                a, b = expected[rows[made[k]]], boxes[columns[made[k]]]
                off[k] = ((b[axis] - a[axis]) + (b[axis + 2] - a[axis + 2])) / 2
            shift[axis] = _middle(off)
        if np.abs(shift).max() >= still:
            for i in range(m):
                for axis in range(4):
                    expected[i, axis] += shift[axis % 2]
            rows, columns, overlap = near(expected, boxes, classes, box_classes, wanted)
    seen, gain = overlap.copy(), np.empty(len(rows))
    for p in range(len(rows)):
        if number - last[rows[p]] > memory:
            seen[p] = -1.0
    certain = settled(rows, columns, seen, m, n, sure, rival)
    doubtful, count = np.empty(len(rows), np.int64), 0
    for p in range(len(rows)):
        i = rows[p]
        possible = overlap[p] > gate[i]
        gain[p] = overlap[p] - least[classes[i]] if possible else -1.0
        if certain[p] and number - last[i] > memory:
            gain[p] = -1.0
        if possible and not certain[p]:
            doubtful[count] = p
            count += 1
    return rows, columns, overlap, expected, gain, doubtful[:count].copy(), True


@loop()
def _take(
    owner: Array, rows: Array, columns: Array, gain: Array, free: Array, among: Array, most: int,
    made: Array,
) -> bool:  # fmt: skip
    """Let free tracks take some detections; return whether all was found out."""
    some = np.empty(len(rows), np.int64)
    count = 0
    for p in range(len(rows)):
        if free[rows[p]] and among[columns[p]] and gain[p] > 0:
            some[count] = p
            count += 1
    some = some[:count]
    chosen, rest = assign(rows[some], columns[some], gain[some], len(free), len(among), most)
    for k in chosen:
        p = some[k]
        owner[columns[p]], made[columns[p]] = rows[p], p
    return len(rest) == 0


@loop(
    "Tuple((i8[::1], i8[::1], b1))"
    "(i8[::1], i8[::1], f8[::1], i8[::1], f8[::1], f8[::1], i8, f8, i8)"
)
def link(
    rows: Array, columns: Array, gain: Array, last: Array, belief: Array, probability: Array,
    number: int, confident: float, most: int,
) -> tuple[Array, Array, bool]:  # fmt: skip
    """Return the track and the pair of each detection, -1 without one, see `linking.linked`.

    Args:
        rows, columns, gain: (p,) pairs; last: (m,) frames; belief: (m,); probability: (n,).

    Returns:
        owner, made: (n,). Whether all was found out; if not, the others mean nothing.
    """
    m, n = len(belief), len(probability)
    owner, made = np.full(n, -1), np.full(n, -1)
    likely, among = belief >= confident, probability >= confident
    done = _take(owner, rows, columns, gain, likely, among, most, made)
    free = np.empty(m, np.bool_)
    for i in range(m):
        free[i] = last[i] == number - 1 or not likely[i]
    for j in range(n):
        if owner[j] >= 0:
            free[owner[j]] = False
        among[j] = owner[j] < 0
    done &= _take(owner, rows, columns, gain, free, among, most, made)
    return owner, made, done


@loop("void(f8[:,::1], f8[:,::1], f8[:,::1], i8[::1], i8[::1], i8[::1], f8[:,::1], i8, f8)")
def move(
    centres: Array, sizes: Array, velocities: Array, last: Array, steps: Array, rows: Array,
    boxes_xywh: Array, number: int, smoothing: float,
) -> None:  # fmt: skip
    """Do what `Motion.move` does, in the columns themselves."""
    for k in range(len(rows)):
        row = rows[k]
        steps[row] += 1
        share = max(smoothing, 1 / steps[row])
        for axis in range(2):
            size = boxes_xywh[k, axis + 2]
            centre = boxes_xywh[k, axis] + size / 2
            step = (centre - centres[row, axis]) / (number - last[row])
            velocities[row, axis] += share * (step - velocities[row, axis])
            centres[row, axis], sizes[row, axis] = centre, size
        last[row] = number


@loop("void(i4[::1], b1[::1], i8[::1], f8[:,::1], i8[::1], f8[:,::1], i8, i8, f8)")
def live(
    totals: Array, still: Array, born: Array, first: Array, ids: Array, boxes_xywh: Array,
    number: int, aged: int, least: float,
) -> None:  # fmt: skip
    """Do what `confidence._Lives.take` does, for ids that have room; aged: SETTLED."""
    for k in range(len(ids)):
        row, box = ids[k], boxes_xywh[k]
        if totals[row] == 0:
            born[row], first[row] = number, box
        totals[row] += 1
        still[row] = False
        if number - born[row] >= aged:
            a = first[row]
            right, bottom = a[0] + a[2], a[1] + a[3]
            end, low = box[0] + box[2], box[1] + box[3]
            w = max(min(right, end) - max(a[0], box[0]), 0.0)
            h = max(min(bottom, low) - max(a[1], box[1]), 0.0)
            shared = w * h
            union = (right - a[0]) * (bottom - a[1]) + (end - box[0]) * (low - box[1]) - shared
            still[row] = union > 0 and shared / union > least
