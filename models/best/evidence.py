"""How much a descriptor tells about identity, measured on the video itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from models.best.track_table import TrackTable
from utils.compiling import compiled, solid

PAIRS = 50  # of each kind before a descriptor says anything
LIMIT = 2.0  # of the log-likelihood ratio either way: distances are no better known than that
ANCHOR = (
    30  # detections after which a track's present mean becomes the past that others are held to
)
SINGULAR = 1e-12  # share of the trace below which a smaller eigenvalue is 0
KNOWN = 10  # detections from which a track's mean is held to what it takes

Array = npt.NDArray[Any]


def _fitted(moments: Array) -> tuple[Array, Array, Array]:
    """Return the lines of distances over square roots of frames, by least squares.

    What a track looks like wanders: its distance to its own past grows with the square root of the
    frames between. Where all were as old, the line of least norm is taken.

    Args:
        moments: (..., 6): the number of pairs, and their sums of the root, of the frames, of the
            distance, of its product with the root, and of its square.

    Returns:
        base, slope, variance around the line, (...) each.
    """
    n, root, lag, far, product, square = np.moveaxis(moments, -1, 0)
    determinant, trace = n * lag - root * root, np.maximum(n + lag, 1.0)
    regular = determinant > SINGULAR * trace**2
    divisor = np.where(regular, determinant, trace**2)
    base = np.where(regular, lag * far - root * product, n * far + root * product) / divisor
    slope = np.where(regular, n * product - root * far, root * far + lag * product) / divisor
    left = square - base * (2 * far - n * base - root * slope)
    left -= slope * (2 * product - root * base - lag * slope)
    return base, slope, np.maximum(left, 0) / np.maximum(n, 1)


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
        self._moments = np.zeros((0, 2, 6))  # by class; of the same objects, of different ones

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
        descriptors, nearest = solid(descriptors, np.float32), solid(nearest, np.int64)
        self._make_room(tracks["classes"])
        fast = compiled("models.best.compiled_evidence")
        if fast is not None:
            columns = self.mean, self.count, self.anchor, self.held, "frames", "classes"
            rules = KNOWN, ANCHOR, 1 - self.memory, self._moments
            fast.blend(*(tracks[c] for c in columns), rows, number, descriptors, nearest, *rules)
            return
        counts, classes = tracks[self.count][rows], tracks["classes"][rows]
        known = np.flatnonzero(counts > KNOWN)
        rivalled = known[nearest[known] >= 0]
        pairs = ((known, known), (rivalled, nearest[rivalled]))
        for column, frames in ((self.mean, "frames"), (self.anchor, self.held)):
            past, lags = tracks[column][rows], number - tracks[frames][rows]
            for kind, (mine, taken) in enumerate(pairs):
                apart = _norm(past[mine] - descriptors[taken])
                self._observe(kind, classes[mine], lags[mine], apart)
        counts = counts + 1
        share = np.maximum(1 - self.memory, 1 / counts)[:, None].astype(np.float32)
        before = tracks[self.mean][rows]
        means = before + share * (descriptors - before)
        due = counts % ANCHOR == 0
        tracks.update(rows, **{self.mean: means, self.count: counts})
        held = np.full(int(due.sum()), number)
        tracks.update(rows[due], **{self.anchor: means[due], self.held: held})

    def _make_room(self, classes: Array) -> None:
        missing = int(classes.max(initial=0)) + 1 - len(self._moments)
        if missing > 0:
            self._moments = np.concatenate([self._moments, np.zeros((missing, 2, 6))])

    def _observe(self, kind: int, classes: Array, lags: Array, distances: Array) -> None:
        self._make_room(classes)
        roots = np.sqrt(lags)
        added = np.ones(len(lags)), roots, lags, distances, roots * distances, distances**2
        np.add.at(self._moments[:, kind], classes, np.stack(added, axis=1))

    def log_ratio(
        self, tracks: TrackTable, rows: Array, number: int, descriptors: Array, taken: Array
    ) -> Array:
        """Return (p,) log p(distance | same object) / p(distance | different objects).

        Args:
            tracks: the table; rows: (p,) tracks; number: of the frame; descriptors: (n, F) of its
                detections; taken: (p,) detections.
        """
        self._make_room(tracks["classes"])
        fast = compiled("models.best.compiled_evidence")
        if fast is not None:
            what = tracks[self.mean], tracks["frames"], tracks["classes"], rows, number
            looks, limits = solid(descriptors, np.float32), (PAIRS, LIMIT, SINGULAR)
            found: Array = fast.log_ratio(*what, looks, taken, self._moments, *limits)
            return found
        classes = tracks["classes"][rows]
        known = np.all(self._moments[:, :, 0] >= PAIRS, axis=1)
        distances = _norm(tracks[self.mean][rows] - descriptors[taken])
        base, slope, spread = _fitted(self._moments)
        roots = np.sqrt(number - tracks["frames"][rows])[:, None]
        lines = base[classes] + slope[classes] * roots
        same, other = lines[:, 0], lines[:, 1]
        spread = np.maximum(spread.max(axis=1), 1e-9)
        ratio = np.maximum(other - same, 0) / spread[classes] * ((same + other) / 2 - distances)
        return np.where(known[classes], np.clip(ratio, -LIMIT, LIMIT), 0.0)


def _norm(differences: Array) -> Array:
    return np.sqrt(np.einsum("kf,kf->k", differences, differences)).astype(np.float64)
