"""The live tracks of the preset `best` as columns of a table, and a frame's detections.

The first `count` rows of the table are in use.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from utils.compiling import loop

Array = npt.NDArray[Any]


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


def empty_table(room: int) -> Tracks:
    """Return a table with room for so many tracks."""
    centres, sizes, velocities = (np.zeros((room, 2)) for _ in range(3))
    last, steps, classes, ids, counts = (np.zeros(room, np.int64) for _ in range(5))
    totals, cells = np.zeros(room), np.zeros(room, np.uint64)
    return Tracks(centres, sizes, velocities, last, steps, classes, ids, totals, counts, cells)


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
