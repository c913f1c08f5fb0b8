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
def _apart(first: Array, second: Array) -> float:
    total = np.float32(0)
    for k in range(len(first)):
        difference = first[k] - second[k]
        total += difference * difference
    return float(np.sqrt(total))


@loop()
def _observe(moments: Array, lag: int, distance: float) -> None:
    root = np.sqrt(lag)
    moments[0] += 1
    moments[1] += root
    moments[2] += lag
    moments[3] += distance
    moments[4] += root * distance
    moments[5] += distance * distance


@loop()
def _learn(past: Array, since: int, taken: Array, number: int, moments: Array) -> None:
    """Add how far a detection is from the past of a track."""
    _observe(moments, number - since, _apart(past, taken))


@loop(
    "void(f4[:,::1], i8[::1], f4[:,::1], i8[::1], i8[::1], i8[::1], i8[::1], i8, f4[:,::1], "
    "i8[::1], i8, i8, f8, f8[:,:,::1])"
)
def blend(
    mean: Array, counts: Array, anchor: Array, held: Array, last: Array, classes: Array,
    rows: Array, number: int, descriptors: Array, near: Array, known: int, every: int,
    newest: float, moments: Array,
) -> None:  # fmt: skip
    """Do what `Evidence.update` does, in the columns themselves.

    Args:
        mean, anchor: (m, F); counts, held, last, classes: (m,), last the frames of `mean`; rows:
        (k,) tracks; descriptors: (k, F) of what they took; near: (k,) see `nearest`; known: KNOWN;
        every: ANCHOR; newest: least share of a new detection; moments: (C, 2, 6).
    """
    for k in range(len(rows)):
        row = rows[k]
        if counts[row] > known:
            mine = moments[classes[row]]
            _learn(mean[row], last[row], descriptors[k], number, mine[0])
            _learn(anchor[row], held[row], descriptors[k], number, mine[0])
            if near[k] >= 0:
                _learn(mean[row], last[row], descriptors[near[k]], number, mine[1])
                _learn(anchor[row], held[row], descriptors[near[k]], number, mine[1])
    for k in range(len(rows)):
        row = rows[k]
        counts[row] += 1
        share = np.float32(max(newest, 1 / counts[row]))
        for f in range(mean.shape[1]):
            mean[row, f] += share * (descriptors[k, f] - mean[row, f])
        if counts[row] % every == 0:
            anchor[row], held[row] = mean[row], number


@loop()
def _line(moments: Array, singular: float) -> tuple[float, float, float]:
    """Return base, slope and variance of `evidence._fitted`."""
    n, root, lag, far, product, square = moments
    determinant, trace = n * lag - root * root, max(n + lag, 1.0)
    if determinant > singular * trace**2:
        base = (lag * far - root * product) / determinant
        slope = (n * product - root * far) / determinant
    else:
        base = (n * far + root * product) / trace**2
        slope = (root * far + lag * product) / trace**2
    left = square - base * (2 * far - n * base - root * slope)
    left -= slope * (2 * product - root * base - lag * slope)
    return base, slope, max(left, 0.0) / max(n, 1.0)


@loop(
    "f8[::1](f4[:,::1], i8[::1], i8[::1], i8[::1], i8, f4[:,::1], i8[::1], f8[:,:,::1], f8, f8, f8)"
)
def log_ratio(
    mean: Array, last: Array, classes: Array, rows: Array, number: int, descriptors: Array,
    taken: Array, moments: Array, pairs: float, limit: float, singular: float,
) -> Array:  # fmt: skip
    """Return what `Evidence.log_ratio` does; last: (m,) frames; pairs: PAIRS; limit: LIMIT."""
    lines, spread = np.empty((len(moments), 2, 2)), np.full(len(moments), 1e-9)
    for c in range(len(moments)):
        for kind in range(2):
            base, slope, variance = _line(moments[c, kind], singular)
            lines[c, kind, 0], lines[c, kind, 1] = base, slope
            spread[c] = max(spread[c], variance)
    found = np.zeros(len(rows))
    for p in range(len(rows)):
        row = rows[p]
        c = classes[row]
        if moments[c, 0, 0] < pairs or moments[c, 1, 0] < pairs:
            continue
        root = np.sqrt(number - last[row])
        same = lines[c, 0, 0] + lines[c, 0, 1] * root
        other = lines[c, 1, 0] + lines[c, 1, 1] * root
        distance = _apart(mean[row], descriptors[taken[p]])
        ratio = max(other - same, 0.0) / spread[c] * ((same + other) / 2 - distance)
        found[p] = min(max(ratio, -limit), limit)
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
    doubtful = np.empty(len(rows), np.int64)
    if len(rest):
        return rows, columns, overlap, expected, gain, doubtful, False
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
