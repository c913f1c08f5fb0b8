"""How much a descriptor tells about identity, measured on the video itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from models.best.track_table import TrackTable

PAIRS = 50  # of each kind before a descriptor says anything
LIMIT = 2.0  # of the log-likelihood ratio either way: distances are no better known than that
ANCHOR = 10  # frames after which a track's present mean becomes the past that others are held to

Array = npt.NDArray[Any]


class Evidence:
    """What a descriptor of tracks says, and how much, in columns of a table of its own.

    A descriptor (an embedding of the DHAE, a colour histogram) is worth what it separates here: its
    distances between a track's past and the detection the track took, and between that past and the
    detection of another track, are averaged as the video runs. Both taken for normal, with one
    variance, the logarithm of their likelihood ratio is linear in the distance; it is near 0 for a
    descriptor that tells nothing, and grows with its reliability. No identity is needed for that.

    Columns: `mean_NAME` (m, F) float32; `anchor_NAME` (m, F), the means as they were up to ANCHOR
    detections ago; `count_NAME` (m,) int, detections taken.

    Args:
        name: of the descriptor.
        memory: share of the old mean that stays when a track takes a detection, once it has more
            than 1 / (1 - memory) of them; before, all count alike. In [0, 1).
    """

    def __init__(self, name: str, memory: float = 0.9) -> None:
        self.name, self.memory = name, memory
        self.mean, self.anchor, self.count = (f"{k}_{name}" for k in ("mean", "anchor", "count"))
        self._index: dict[int, int] = {}  # class -> row of the sums
        # By class, (same, different): number, sum and sum of squares of the distances.
        self._sums = np.zeros((0, 2, 3))

    def columns(self, size: int) -> dict[str, Array]:
        """Return the empty columns of a table, for descriptors of this size."""
        return {
            self.mean: np.zeros((0, size), np.float32),
            self.anchor: np.zeros((0, size), np.float32),
            self.count: np.zeros(0, np.int64),
        }

    def start(self, descriptors: Array) -> dict[str, Array]:
        """Return the columns of tracks that start with these (k, F) descriptors."""
        descriptors = np.asarray(descriptors, np.float32)
        ones = np.ones(len(descriptors), np.int64)
        return {self.mean: descriptors, self.anchor: descriptors, self.count: ones}

    def update(self, tracks: TrackTable, rows: Array, classes: Array, descriptors: Array) -> None:
        """Learn from the (k, F) descriptors that tracks of these classes took; blend them in."""
        if not len(rows):
            return
        counts = tracks[self.count][rows]
        known = np.flatnonzero(counts > ANCHOR)
        if len(known) > 1:
            # Different: the detection of the next known track of the same class, around a circle.
            order = known[np.argsort(classes[known], kind="stable")]
            other = np.concatenate([order[1:], order[:1]])
            anchors = tracks[self.anchor][rows[order]]
            self._observe(0, classes[order], anchors - descriptors[order])
            same_class = classes[order] == classes[other]
            differences = (anchors - descriptors[other])[same_class]
            self._observe(1, classes[order[same_class]], differences)
        counts = counts + 1
        share = np.maximum(1 - self.memory, 1 / counts)[:, None].astype(np.float32)
        before = tracks[self.mean][rows]
        means = before + share * (descriptors - before)
        due = counts % ANCHOR == 0
        tracks.update(rows, **{self.mean: means, self.count: counts})
        tracks.update(rows[due], **{self.anchor: means[due]})

    def _rows(self, classes: Array) -> Array:
        """Return the rows of the sums that hold these classes, adding those that are new."""
        for cls in sorted(set(classes.tolist()) - self._index.keys()):
            self._index[cls] = len(self._index)
            self._sums = np.concatenate([self._sums, np.zeros((1, 2, 3))])
        return np.array([self._index[cls] for cls in classes.tolist()], np.int64)

    def _observe(self, kind: int, classes: Array, differences: Array) -> None:
        squares = np.einsum("kf,kf->k", differences, differences).astype(np.float64)
        distances = np.sqrt(squares)
        held = self._rows(classes)
        for row in set(held.tolist()):
            mine = held == row
            self._sums[row, kind] += mine.sum(), distances[mine].sum(), squares[mine].sum()

    def log_ratio(
        self, tracks: TrackTable, rows: Array, classes: Array, descriptors: Array
    ) -> Array:
        """Return (p,) log p(distance | same object) / p(distance | different objects).

        Args:
            tracks: the table; rows: (p,) tracks; classes: (p,) theirs; descriptors: (p, F) of the
                detections.
        """
        differences = tracks[self.mean][rows] - descriptors
        distances = np.sqrt(np.einsum("kf,kf->k", differences, differences))
        held = self._rows(classes)
        number = np.maximum(self._sums[:, :, 0], 1)
        mean = self._sums[:, :, 1] / number
        variance = (self._sums[:, :, 2] / number - mean**2).max(axis=1)
        slope = np.maximum(mean[:, 1] - mean[:, 0], 0) / np.maximum(variance, 1e-9)
        slope[self._sums[:, :, 0].min(axis=1) < PAIRS] = 0
        return np.clip(slope[held] * (mean.mean(axis=1)[held] - distances), -LIMIT, LIMIT)
