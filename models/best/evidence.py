"""How much a descriptor tells about identity, measured on the video itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from models.best.track_table import TrackTable
from utils.detections import each_class

PAIRS = 50  # of each kind before a descriptor says anything
LIMIT = 2.0  # of the log-likelihood ratio either way: distances are no better known than that
ANCHOR = (
    30  # detections after which a track's present mean becomes the past that others are held to
)
KNOWN = 10  # detections from which a track's mean is held to what it takes

Array = npt.NDArray[Any]


class _Distances:
    """What distances of one kind of pairs are expected to be after some frames (least squares).

    What a track looks like wanders: its distance to its own past grows with the square root of the
    frames between.
    """

    def __init__(self) -> None:
        self._moments, self._products = np.zeros((2, 2)), np.zeros(2)
        self._squares, self.number = 0.0, 0

    @staticmethod
    def _features(lags: Array) -> Array:
        return np.stack([np.ones(len(lags)), np.sqrt(lags)], axis=1)

    def observe(self, lags: Array, distances: Array) -> None:
        """Add (k,) distances, each to what was known so many frames ago."""
        features = self._features(lags)
        self._moments += features.T @ features
        self._products += features.T @ distances
        self._squares += float(distances @ distances)
        self.number += len(distances)

    def expected(self, lags: Array) -> tuple[Array, float]:
        """Return (k,) the expected distances, and the variance around them."""
        line = np.linalg.lstsq(self._moments, self._products, rcond=None)[0]
        left = self._squares - line @ (2 * self._products - self._moments @ line)
        return self._features(lags) @ line, max(float(left), 0.0) / max(self.number, 1)


class Evidence:
    """What a descriptor of tracks says, and how much, in columns of a table of its own.

    A descriptor (an embedding of the DHAE, a colour histogram) is worth what it separates here: its
    distances between a track's past and the detection the track took, and between that past and the
    detection of the nearest other track, the one it is likeliest to be taken for, are measured as
    the video runs. Both are held to a past as old as that of the pairs in doubt. Taken for normal,
    with one variance, the logarithm of their likelihood ratio is linear in the distance; it is near
    0 for a descriptor that tells nothing, or nothing any more after so long, and grows with its
    reliability. No identity is needed for that.

    Columns: `mean_NAME` (m, F) float32; `count_NAME` (m,) int, detections taken; `anchor_NAME`
    (m, F), the means as they were up to ANCHOR detections ago; `held_NAME` (m,) int, the frames of
    those.

    Args:
        name: of the descriptor.
        memory: share of the old mean that stays when a track takes a detection, once it has more
            than 1 / (1 - memory) of them; before, all count alike. In [0, 1).
    """

    def __init__(self, name: str, memory: float = 0.9) -> None:
        self.name, self.memory = name, memory
        self.mean, self.count, self.anchor, self.held = (
            f"{k}_{name}" for k in ("mean", "count", "anchor", "held")
        )
        self._distances: dict[int, tuple[_Distances, _Distances]] = {}  # class: (same, different)

    def columns(self, size: int) -> dict[str, Array]:
        """Return the empty columns of a table, for descriptors of this size."""
        return self.start(0, np.zeros((0, size)))

    def start(self, number: int, descriptors: Array) -> dict[str, Array]:
        """Return the columns of tracks that start in frame `number` with (k, F) descriptors."""
        descriptors = np.asarray(descriptors, np.float32)
        ones = np.ones(len(descriptors), np.int64)
        return {
            self.mean: descriptors,
            self.count: ones,
            self.anchor: descriptors,
            self.held: number * ones,
        }

    def update(
        self, tracks: TrackTable, rows: Array, number: int, descriptors: Array, nearest: Array
    ) -> None:
        """Learn from the detections that tracks took; blend them in.

        Args:
            tracks: the table as it was before; rows: (k,) tracks; number: of the frame;
                descriptors: (k, F); nearest: (k,) which of the k is nearest of its class, -1 none.
        """
        counts, classes = tracks[self.count][rows], tracks["classes"][rows]
        known = np.flatnonzero(counts > KNOWN)
        rivalled = known[nearest[known] >= 0]
        pairs = ((known, known), (rivalled, nearest[rivalled]))
        for column, frames in ((self.mean, "frames"), (self.anchor, self.held)):
            past, lags = tracks[column][rows], number - tracks[frames][rows]
            for kind, (mine, taken) in enumerate(pairs):
                distances = _norm(past[mine] - descriptors[taken])
                self._observe(kind, classes[mine], lags[mine], distances)
        counts = counts + 1
        share = np.maximum(1 - self.memory, 1 / counts)[:, None].astype(np.float32)
        before = tracks[self.mean][rows]
        means = before + share * (descriptors - before)
        due = counts % ANCHOR == 0
        tracks.update(rows, **{self.mean: means, self.count: counts})
        held = np.full(int(due.sum()), number)
        tracks.update(rows[due], **{self.anchor: means[due], self.held: held})

    def _observe(self, kind: int, classes: Array, lags: Array, distances: Array) -> None:
        for cls, of in each_class(classes):
            measured = self._distances.setdefault(cls, (_Distances(), _Distances()))
            measured[kind].observe(lags[of], distances[of])

    def log_ratio(self, tracks: TrackTable, rows: Array, number: int, descriptors: Array) -> Array:
        """Return (p,) log p(distance | same object) / p(distance | different objects).

        Args:
            tracks: the table; rows: (p,) tracks; number: of the frame; descriptors: (p, F) of the
                detections.
        """
        distances = _norm(tracks[self.mean][rows] - descriptors)
        lags, classes = number - tracks["frames"][rows], tracks["classes"][rows]
        ratio = np.zeros(len(rows))
        for cls, kinds in self._distances.items():
            if min(kind.number for kind in kinds) < PAIRS:
                continue
            mine = classes == cls
            (same, spread), (other, spread_other) = (kind.expected(lags[mine]) for kind in kinds)
            slope = np.maximum(other - same, 0) / max(spread, spread_other, 1e-9)
            ratio[mine] = slope * ((same + other) / 2 - distances[mine])
        return np.clip(ratio, -LIMIT, LIMIT)


def _norm(differences: Array) -> Array:
    return np.sqrt(np.einsum("kf,kf->k", differences, differences)).astype(np.float64)
