"""One frame of the preset `best`, compiled: every live track against every detection.

Expected boxes, the camera's motion, gains of pairs, assignment, update of the table. All functions
run as plain Python under NUMBA_DISABLE_JIT=1.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from models.best.assignment import Pairs, assign
from models.best.pairs import add_masks, expected_boxes, near_pairs, odds_alone
from models.best.table import Rules, Seen, Tracks, detections_of, empty_table, forget, move, place
from utils.compiling import loop
from utils.mask_cells import mask_cells

Array = npt.NDArray[Any]


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
