"""What each pair of a live track and a detection gains: the likelihood of the preset `best`.

A pair gains what the detection is likelier to be the track's than to be anything else. With g the
generalised IoU of the box and where the track is expected, and m the IoU of the masks, moved there:

    gain = prior + nearness * log((1 + g) / 2) - log(new + false) + mask_weight * m

A pair whose gain without the last term is not above 0 is no pair: masks only choose between the
tracks that a detection may be. `new` is how many objects of the class appear at this place in a
frame, and `false` how many detections of this score are no objects there. Both are multiplied by
the square root of the box's share of the frame, because objects come in over its border. The term
of g is a density with heavy tails: far from the expected place it falls as a power of the distance,
so that neither a jump nor a gap of many frames needs a rule of its own.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from models.best.assignment import Pairs
from models.best.table import Rules, Seen, Tracks
from utils.compiling import loop
from utils.mask_cells import moved_iou

Array = npt.NDArray[Any]

LEAST_P = 1e-3  # of a detection, so that a score of 0 has odds


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
    value: float = shared / union + union / hull - 1
    return value


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
def by_middles(boxes: Array) -> tuple[Array, Array, float]:
    """Return boxes' middles along x, ascending, their order, and the largest side of all."""
    middles, largest = np.empty(len(boxes)), 0.0
    for i in range(len(boxes)):
        middles[i] = (boxes[i, 0] + boxes[i, 2]) / 2
        largest = max(largest, boxes[i, 2] - boxes[i, 0], boxes[i, 3] - boxes[i, 1])
    order = np.argsort(middles)
    return middles[order], order, largest


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
    middles, order, largest = by_middles(expected)
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
def _longer(values: Array, room: int) -> Array:
    more = np.empty(room, values.dtype)
    more[: len(values)] = values
    return more


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
