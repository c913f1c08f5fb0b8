"""Which detections are near which tracks, what their positions say, and who takes which."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from models import candidates
from models.best.motion import RECENT, SHARED, STILL, Motion, expected_pairs
from models.best.track_table import TrackTable
from models.candidates import Candidates, assign_pairs
from utils.boxes import xywh_to_xyxy
from utils.compiling import compiled, solid
from utils.config import BestConfig
from utils.detections import each_class

SETTLED = 0.5  # generalised IoU from which a pair without near rivals needs no other evidence
RIVAL = 0.7  # generalised IoU by which others must fall short of a pair to be no rivals
MANY = 200  # detections from which the nearest of each are looked up in a tree
NEIGHBOURS = 8  # asked of the tree: more than are ever equally near

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Compared:
    """What positions say of m tracks and n detections.

    Attributes:
        pairs: those that are near, and others.
        expected: (m, 4) xyxy px, where tracks are expected.
        gain: (p,) of each pair over leaving both alone; 0 or less is none.
        doubtful: (d,) places of the pairs that need other cues.
    """

    pairs: Candidates
    expected: Array
    gain: Array
    doubtful: Array


def compared(
    motion: Motion,
    tracks: TrackTable,
    number: int,
    boxes_xywh: Array,
    classes: Array,
    least: Array,
    config: BestConfig,
) -> Compared:
    """Compare where tracks are expected with where detections are.

    Args:
        motion: of the tracks. tracks: m, at least one. number: of the frame.
        boxes_xywh: (n, 4) px, at least one; classes: (n,) int, theirs.
        least: (C,) generalised IoU of each class above which a pair gains something.
        config: `slack`, `memory`.
    """
    fast, shape = compiled("models.best.compiled"), (len(tracks), len(boxes_xywh))
    if fast is not None:
        columns = (tracks[n] for n in ("centres", "sizes", "velocities", "frames", "classes"))
        rows, at, overlap, expected, gain, doubtful, whole = fast.compare(
            *columns, xywh_to_xyxy(boxes_xywh), solid(classes, np.int64), number, solid(least),
            motion.damping, float(config.slack), int(config.memory), RECENT, SHARED, STILL,
            SETTLED, RIVAL, candidates.SMALL**2,
        )  # fmt: skip
        if whole:
            return Compared(Candidates(rows, at, overlap, shape), expected, gain, doubtful)
    of = tracks["classes"]
    least = least[of]
    gate = least - config.slack * motion.uncertainty(tracks, number)
    floor = float(least.min())
    wanted = np.minimum(gate, min(floor, SETTLED - RIVAL))
    pairs, expected = expected_pairs(motion, tracks, number, boxes_xywh, classes, floor, wanted)
    possible = pairs.overlap > gate[pairs.rows]
    gain = np.where(possible, pairs.overlap - least[pairs.rows], -1.0)
    lost = (number - tracks["frames"] > config.memory)[pairs.rows]
    certain = settled(replace(pairs, overlap=np.where(lost, -1.0, pairs.overlap)))
    gain[lost & certain] = -1.0
    return Compared(pairs, expected, gain, np.flatnonzero(possible & ~certain))


def settled(pairs: Candidates) -> Array:
    """Return (p,) bool: the pairs to which a pair far above all its rivals leaves no doubt.

    Args:
        pairs: all that are above SETTLED - RIVAL, and others.
    """
    (m, n), rows, columns, overlap = pairs.shape, pairs.rows, pairs.columns, pairs.overlap
    fast = compiled("models.best.compiled")
    if fast is not None:
        at = solid(rows, np.int64), solid(columns, np.int64)
        certain: Array = fast.settled(*at, solid(overlap), m, n, SETTLED, RIVAL)
        return certain
    top, highest, best = pairs.highest()
    leads = np.bincount(columns[overlap > highest[columns] - RIVAL], minlength=n) == 1
    leads = leads[best] & (top == highest[best]) & (top > SETTLED)
    leads &= np.bincount(rows[overlap > top[rows] - RIVAL], minlength=m) == 1
    taken = np.zeros(n, bool)
    taken[best[leads]] = True
    found: Array = leads[rows] | taken[columns]
    return found


def linked(
    pairs: Candidates,
    gain: Array,
    tracks: TrackTable,
    probability: Array,
    number: int,
    confident: float,
) -> tuple[Array, Array]:
    """Return (n,) the track and (n,) the pair of each detection, -1 without one.

    Likely objects choose first; what is left continues tracks of the last frame, or unlikely ones:
    a weak detection is no ground to revive a track.

    Args:
        pairs, gain: p near pairs and their gains. tracks: m. probability: (n,) P(object) of the
        detections. number: of the frame. confident: P(object) of likely objects.
    """
    belief, frames = tracks["belief"], tracks["frames"]
    fast = compiled("models.best.compiled")
    if fast is not None:
        at = solid(pairs.rows, np.int64), solid(pairs.columns, np.int64), solid(gain)
        probability = solid(probability)
        most = candidates.SMALL**2
        owner, made, whole = fast.link(*at, frames, belief, probability, number, confident, most)
        if whole:
            return owner, made
    owner, made = (np.full(len(probability), -1) for _ in range(2))
    likely, among = belief >= confident, probability >= confident
    free = likely
    for _ in range(2):
        open_ = np.where(free[pairs.rows] & among[pairs.columns], gain, 0.0)
        chosen = assign_pairs(pairs.rows, pairs.columns, open_, pairs.shape)
        owner[pairs.columns[chosen]], made[pairs.columns[chosen]] = pairs.rows[chosen], chosen
        free = (frames == number - 1) | ~likely
        free[owner[owner >= 0]] = False
        among = owner < 0
    return owner, made


def nearest(boxes_xywh: Array, classes: Array) -> Array:
    """Return (k,) the nearest other box of the same class by its centre, -1 where none is."""
    centres = boxes_xywh[:, :2] + boxes_xywh[:, 2:] / 2
    fast = compiled("models.best.compiled")
    if fast is not None:
        found: Array = fast.nearest(solid(centres), solid(classes, np.int64))
        return found
    if len(centres) > MANY:
        return _nearest_of_many(centres, classes)
    apart = np.linalg.norm(centres[:, None] - centres, axis=2)
    apart[classes[:, None] != classes] = np.inf
    np.fill_diagonal(apart, np.inf)
    closest = apart.argmin(axis=1)
    return np.where(np.isfinite(apart.min(axis=1)), closest, -1)


def _nearest_of_many(centres: Array, classes: Array) -> Array:
    """Do what `nearest` does by a tree of each class; of equally near ones the first counts."""
    from scipy.spatial import cKDTree  # only crowds wait for it

    closest = np.full(len(centres), -1)
    for _, mine in each_class(classes):
        rows = np.flatnonzero(mine)
        if len(rows) < 2:
            continue
        points = centres[rows]
        asked = min(len(rows), NEIGHBOURS + 1)
        _, found = cKDTree(points).query(points, k=asked)
        found.sort(axis=1)  # by row, so that the first of equal ones is taken
        apart = np.linalg.norm(points[found] - points[:, None], axis=2)
        apart[found == np.arange(len(rows))[:, None]] = np.inf
        closest[rows] = rows[found[np.arange(len(rows)), apart.argmin(axis=1)]]
    return closest
