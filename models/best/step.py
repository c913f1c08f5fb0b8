"""One frame of the preset `best`, compiled: every live track against every detection.

A pair gains what the detection is likelier to be the track's than to be anything else. With g the
generalised IoU of the box and where the track is expected, and m the IoU of the masks, moved there:

    gain = prior + nearness * log((1 + g) / 2) - log(new + false) + mask_weight * m

A pair whose gain without the last term is not above 0 is no pair: masks only choose between the
tracks that a detection may be. `new` is how many objects of the class appear at this place in a
frame, and `false` how many detections of this score are no objects there. Both are multiplied by
the square root of the box's share of the frame, because objects come in over its border. The term
of g is a density with heavy tails: far from the expected place it falls as a power of the distance,
so that neither a jump nor a gap of many frames needs a rule of its own.

Tracks are columns of a table, of which the first `count` rows are in use. All functions run as
plain Python under NUMBA_DISABLE_JIT=1.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from utils.compiling import loop
from utils.mask_cells import mask_cells, moved_iou

Array = npt.NDArray[Any]

LEAST_P = 1e-3  # of a detection, so that a score of 0 has odds


class Tracks(NamedTuple):
    """The table of live tracks; row i of every column is track i.

    Attributes:
        centres, sizes: (m, 2) px, x and y, of the last box. velocities: (m, 2) px a frame.
        last: (m,) int64 frame of the last detection. steps: (m,) int64 how many moves were seen.
        classes, ids: (m,) int64.
        totals: (m,) float64 P(object) summed over its detections; counts: (m,) int64 of them.
        cells: (m,) uint64, the last mask, see `utils.mask_cells`.
    """

    centres: Array
    sizes: Array
    velocities: Array
    last: Array
    steps: Array
    classes: Array
    ids: Array
    totals: Array
    counts: Array
    cells: Array


def empty_table(room: int) -> Tracks:
    """Return a table with room for so many tracks."""
    centres, sizes, velocities = (np.zeros((room, 2)) for _ in range(3))
    last, steps, classes, ids, counts = (np.zeros(room, np.int64) for _ in range(5))
    totals, cells = np.zeros(room), np.zeros(room, np.uint64)
    return Tracks(centres, sizes, velocities, last, steps, classes, ids, totals, counts, cells)


class Seen(NamedTuple):
    """The detections of a frame.

    Attributes:
        boxes: (n, 4) xyxy px, of positive size. classes: (n,) int64. probability: (n,) float64.
        cells: (n,) uint64. number: of the frame. area: of the frame in px^2.
        first: whether no earlier frame had a detection; then nothing counts as new.
    """

    boxes: Array
    classes: Array
    probability: Array
    cells: Array
    number: int
    area: float
    first: bool


class Rules(NamedTuple):
    """The settings of `BestConfig` that a step needs, see there."""

    nearness: float
    mask_weight: float
    prior: float
    clutter: float
    smoothing: float
    damping: float
    memory: int
    part: float
    written: float


class Pairs(NamedTuple):
    """Detections and the tracks they may be: those of detection j are starts[j] to starts[j + 1].

    Attributes:
        starts: (n + 1,) int64. tracks: (p,) int64. gain: (p,) float64.
    """

    starts: Array
    tracks: Array
    gain: Array


@loop()
def forget(tracks: Tracks, count: int, number: int, memory: int) -> int:
    """Drop the tracks that were not seen for `memory` frames; return how many stay."""
    kept = 0
    for i in range(count):
        if number - tracks.last[i] <= memory:
            if kept != i:
                tracks.centres[kept], tracks.sizes[kept] = tracks.centres[i], tracks.sizes[i]
                tracks.velocities[kept], tracks.cells[kept] = tracks.velocities[i], tracks.cells[i]
                tracks.last[kept], tracks.steps[kept] = tracks.last[i], tracks.steps[i]
                tracks.classes[kept], tracks.ids[kept] = tracks.classes[i], tracks.ids[i]
                tracks.totals[kept], tracks.counts[kept] = tracks.totals[i], tracks.counts[i]
            kept += 1
    return kept


@loop()
def expected_boxes(tracks: Tracks, count: int, number: int, damping: float) -> Array:
    """Return (m, 4) xyxy px: constant velocity, which fades with each frame that was missed."""
    boxes = np.empty((count, 4))
    for i in range(count):
        gap = float(number - tracks.last[i])
        # 1 + d + d^2 + ... over the frames that passed.
        way = gap if damping == 1 else (1 - damping**gap) / (1 - damping)
        for axis in range(2):
            centre = tracks.centres[i, axis] + tracks.velocities[i, axis] * way
            half = tracks.sizes[i, axis] / 2
            boxes[i, axis], boxes[i, axis + 2] = centre - half, centre + half
    return boxes


@loop()
def generalised_iou(a: Array, b: Array) -> float:
    """Return the generalised IoU of two boxes xyxy, in (-1, 1] (Rezatofighi et al., CVPR 2019)."""
    w, h = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    shared = max(w, 0.0) * max(h, 0.0)
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared
    hull = (max(a[2], b[2]) - min(a[0], b[0])) * (max(a[3], b[3]) - min(a[1], b[1]))
    return shared / union + union / hull - 1


@loop()
def odds_alone(seen: Seen, births: Array, frames: float, rules: Rules) -> Array:
    """Return (n,) the gain of a perfect pair: minus the log density of being no track's.

    Args:
        births: (C,) how many objects of each class were new, in `frames` frames.
    """
    n = len(seen.boxes)
    odds = np.empty(n)
    for j in range(n):
        p = max(seen.probability[j], LEAST_P)
        c = seen.classes[j]
        box = seen.boxes[j]
        share = min((box[2] - box[0]) * (box[3] - box[1]) / seen.area, 1.0)
        false = rules.clutter * (1 - p) / p
        odds[j] = rules.prior - np.log(births[c] / frames + false) - np.log(share) / 2
    return odds


@loop()
def _longer(values: Array, room: int) -> Array:
    more = np.empty(room, values.dtype)
    more[: len(values)] = values
    return more


@loop()
def near_pairs(
    expected: Array, tracks: Tracks, seen: Seen, odds: Array, nearness: float, gap: int
) -> Pairs:
    """Return the pairs of one class whose gain is above 0, by their boxes alone.

    Args:
        expected: (m, 4) xyxy px. odds: (n,) of `odds_alone`.
        gap: frames since a track was seen, up to which its pairs count.
    """
    m, n = len(expected), len(seen.boxes)
    room, count = 4 * (m + n) + 16, 0
    columns, gain = np.empty(room, np.int64), np.empty(room)
    starts = np.zeros(n + 1, np.int64)
    # Tracks by their middles along x: those too far away are hardly looked at.
    middles, largest = np.empty(m), 0.0
    for i in range(m):
        middles[i] = (expected[i, 0] + expected[i, 2]) / 2
        largest = max(largest, expected[i, 2] - expected[i, 0], expected[i, 3] - expected[i, 1])
    order = np.argsort(middles)
    middles = middles[order]
    for j in range(n):
        box = seen.boxes[j]
        # A box of generalised IoU g lies within (1 / (1 + g) - 1 / 2) times both sides.
        least = np.exp(-odds[j] / nearness)
        reach = (0.5 / least - 0.5) * (max(box[2] - box[0], box[3] - box[1]) + largest)
        reach *= 1 + 1e-9  # what is lost in rounding
        x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
        for k in range(np.searchsorted(middles, x - reach), m):
            if middles[k] > x + reach:
                break
            i = order[k]
            if tracks.classes[i] != seen.classes[j] or seen.number - tracks.last[i] > gap:
                continue
            if abs((expected[i, 1] + expected[i, 3]) / 2 - y) > reach:
                continue
            value = odds[j] + nearness * np.log((1 + generalised_iou(expected[i], box)) / 2)
            if value > 0:
                if count == room:
                    room *= 2
                    columns, gain = _longer(columns, room), _longer(gain, room)
                columns[count], gain[count] = i, value
                count += 1
        starts[j + 1] = count
    return Pairs(starts, columns[:count], gain[:count])


@loop()
def add_masks(pairs: Pairs, expected: Array, tracks: Tracks, seen: Seen, weight: float) -> None:
    """Add what masks say to the gains, in place, of pairs that have a rival."""
    rivals = np.zeros(len(expected), np.int64)
    for i in pairs.tracks:
        rivals[i] += 1
    for j in range(len(seen.boxes)):
        alone = pairs.starts[j + 1] - pairs.starts[j] == 1
        for p in range(pairs.starts[j], pairs.starts[j + 1]):
            i = pairs.tracks[p]
            if not alone or rivals[i] > 1:
                iou = moved_iou(tracks.cells[i], expected[i], seen.cells[j], seen.boxes[j])
                pairs.gain[p] += weight * iou


@loop()
def assign(pairs: Pairs, m: int) -> Array:
    """Return (m,) the detection of each track, -1 without one, at the largest sum of gains.

    Gains of 0 or less are no pair. Shortest augmenting paths on the sparse pairs (Crouse, IEEE TAES
    2016), where each detection may also stay alone, for nothing. SciPy's solver takes a dense
    matrix, and one call of it costs as much as this whole step of ten objects.
    """
    n = len(pairs.starts) - 1
    track_of, taken = np.full(n, -1), np.full(m, -1)  # of each detection; of each track
    u, v = np.zeros(n), np.zeros(m)
    far, before = np.full(m, np.inf), np.empty(m, np.int64)
    closed, touched = np.zeros(m, np.bool_), np.empty(m, np.int64)
    rows, reached = np.empty(n, np.int64), np.empty(n)
    for start in range(n):
        row, reach, met, passed = start, 0.0, 0, 0
        nothing, loser, sink = np.inf, -1, -1
        while True:
            rows[passed], reached[passed] = row, reach
            passed += 1
            if reach - u[row] < nothing:
                nothing, loser = reach - u[row], row
            for p in range(pairs.starts[row], pairs.starts[row + 1]):
                i = pairs.tracks[p]
                if closed[i] or pairs.gain[p] <= 0:
                    continue
                way = reach - pairs.gain[p] - u[row] - v[i]
                if way < far[i]:
                    if far[i] == np.inf:
                        touched[met] = i
                        met += 1
                    far[i], before[i] = way, row
            lowest, nearest = np.inf, -1
            for k in range(met):
                i = touched[k]
                if not closed[i] and (far[i] < lowest or (far[i] == lowest and taken[i] < 0)):
                    lowest, nearest = far[i], i
            if nearest < 0 or nothing <= lowest:
                reach = nothing
                break
            closed[nearest], reach = True, lowest
            if taken[nearest] < 0:
                sink = nearest
                break
            row = taken[nearest]
        for k in range(passed):
            u[rows[k]] += reach - reached[k]
        for k in range(met):
            i = touched[k]
            if closed[i]:
                v[i] -= reach - far[i]
        # Hand the tracks on along the path, from its end back to the start.
        if sink < 0:
            sink, track_of[loser] = track_of[loser], -1
        while sink >= 0:
            row = before[sink]
            follows = track_of[row]
            taken[sink], track_of[row] = row, sink
            sink = follows
        for k in range(met):
            far[touched[k]], closed[touched[k]] = np.inf, False
    return taken


@loop()
def follow_camera(expected: Array, seen: Seen, pairs: Pairs) -> None:
    """Move all expected boxes, in place, by what the camera moved: the median over sure pairs."""
    taken = assign(pairs, len(expected))
    off, count = np.empty((2, len(expected))), 0
    for i in range(len(expected)):
        if taken[i] >= 0:
            box = seen.boxes[taken[i]]
            for axis in range(2):
                moved = box[axis] - expected[i, axis] + box[axis + 2] - expected[i, axis + 2]
                off[axis, count] = moved / 2
            count += 1
    if count:
        for axis in range(2):
            shift = np.median(off[axis, :count])
            expected[:, axis] += shift
            expected[:, axis + 2] += shift


@loop()
def link(tracks: Tracks, count: int, seen: Seen, pairs: Pairs, part: float) -> Array:
    """Return (n,) the track of each detection, -1 without one.

    Likely objects choose first. What is left continues tracks of the last frame or unlikely ones: a
    weak detection is no ground to bring a track back.
    """
    n = len(seen.boxes)
    owner, used = np.full(n, -1), np.zeros(count, np.bool_)
    gain = np.empty(len(pairs.gain))
    for turn in range(2):
        for j in range(n):
            for p in range(pairs.starts[j], pairs.starts[j + 1]):
                i = pairs.tracks[p]
                likely = tracks.totals[i] >= part * tracks.counts[i]
                if turn == 0:
                    may = likely and seen.probability[j] >= part
                else:
                    may = owner[j] < 0 and not used[i]
                    may = may and (not likely or tracks.last[i] == seen.number - 1)
                gain[p] = pairs.gain[p] if may else 0.0
        taken = assign(Pairs(pairs.starts, pairs.tracks, gain), count)
        for i in range(count):
            if taken[i] >= 0:
                owner[taken[i]], used[i] = i, True
    return owner


@loop()
def move(tracks: Tracks, i: int, seen: Seen, j: int, smoothing: float) -> None:
    """Let a track take a detection: its velocity is the mean of its moves, later a running mean."""
    tracks.steps[i] += 1
    share = max(smoothing, 1 / tracks.steps[i])
    gap = seen.number - tracks.last[i]
    for axis in range(2):
        centre = (seen.boxes[j, axis] + seen.boxes[j, axis + 2]) / 2
        step = (centre - tracks.centres[i, axis]) / gap
        tracks.velocities[i, axis] += share * (step - tracks.velocities[i, axis])


@loop()
def place(tracks: Tracks, i: int, seen: Seen, j: int) -> None:
    """Write a detection's box, mask and probability into a track."""
    for axis in range(2):
        low, high = seen.boxes[j, axis], seen.boxes[j, axis + 2]
        tracks.centres[i, axis], tracks.sizes[i, axis] = (low + high) / 2, high - low
    tracks.last[i], tracks.cells[i] = seen.number, seen.cells[j]
    tracks.totals[i] += seen.probability[j]
    tracks.counts[i] += 1


@loop()
def detections_of(
    boxes_xywh: Array, classes: Array, scores: Array, cells: Array, number: int, area: float,
    first: bool,
) -> Seen:  # fmt: skip
    """Return a frame's detections as the other functions take them; see `Seen`."""
    n = len(boxes_xywh)
    boxes, owners, probability = np.empty((n, 4)), np.empty(n, np.int64), np.empty(n)
    for j in range(n):
        for axis in range(2):
            low = boxes_xywh[j, axis]
            # No object is smaller than a pixel.
            boxes[j, axis], boxes[j, axis + 2] = low, low + max(boxes_xywh[j, axis + 2], 1.0)
        owners[j], probability[j] = classes[j], scores[j]
    return Seen(boxes, owners, probability, cells, number, area, first)


@loop()
def step(
    tracks: Tracks, count: int, seen: Seen, births: Array, frames: float, new_id: int, rules: Rules
) -> tuple[int, int, Array, Array]:
    """Take a frame; return how many tracks there are, the next new id, and two (n,) arrays of ids.

    The first holds final ids, unless a track is dropped at its end; the second what is told at
    once: the same, or 0 while the track is not believed.

    Args:
        tracks: with room for n more. births: (C,) by class, in place. frames: in which they were.
        new_id: of the first track that starts here, the next ones count on.
    """
    n = len(seen.boxes)
    count = forget(tracks, count, seen.number, rules.memory)
    expected = expected_boxes(tracks, count, seen.number, rules.damping)
    odds = odds_alone(seen, births, frames, rules)
    follow_camera(expected, seen, near_pairs(expected, tracks, seen, odds, rules.nearness, 1))
    pairs = near_pairs(expected, tracks, seen, odds, rules.nearness, rules.memory)
    add_masks(pairs, expected, tracks, seen, rules.mask_weight)
    owner = link(tracks, count, seen, pairs, rules.part)
    ids, at_once = np.empty(n, np.int64), np.zeros(n, np.int64)
    for j in range(n):
        i = owner[j]
        if i < 0:
            i = count
            count += 1
            tracks.velocities[i], tracks.steps[i] = 0.0, 0
            tracks.classes[i], tracks.ids[i], new_id = seen.classes[j], new_id, new_id + 1
            tracks.totals[i], tracks.counts[i] = 0.0, 0
            if not seen.first:
                births[seen.classes[j]] += seen.probability[j]
        else:
            move(tracks, i, seen, j, rules.smoothing)
        place(tracks, i, seen, j)
        ids[j] = tracks.ids[i]
        # Believed is who is written by what was seen so far, after one detection of P `part`.
        belief = (tracks.totals[i] + rules.part) / (tracks.counts[i] + 1)
        if belief >= rules.written and seen.probability[j] >= rules.part:
            at_once[j] = ids[j]
    return count, new_id, ids, at_once


@loop()
def take(
    tracks: Tracks, count: int, boxes_xywh: Array, classes: Array, scores: Array, cells: Array,
    number: int, area: float, first: bool, births: Array, frames: float, new_id: int, rules: Rules,
) -> tuple[int, int, Array, Array]:  # fmt: skip
    """Do `step` for the columns of a Frame: the one call from Python."""
    seen = detections_of(boxes_xywh, classes, scores, cells, number, area, first)
    return step(tracks, count, seen, births, frames, new_id, rules)


@cache
def compile_ahead() -> None:
    """Compile `take`, or load what was compiled before, for the columns that frames have."""
    tracks, rules = empty_table(2), Rules(4.0, 8.0, 1.0, 4.0, 0.15, 0.96, 30, 0.3, 0.6)
    boxes = np.array([[1.0, 0.0, 1.0, 2.0]])
    cells = mask_cells([b"22"], boxes, (2, 2))
    columns = boxes, np.ones(1, np.int16), np.ones(1, np.float32), cells
    for column in columns:
        column.flags.writeable = False
    take(tracks, 0, *columns, 0, 4.0, True, np.ones(2), 10.0, 1, rules)
