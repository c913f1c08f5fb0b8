"""How much a descriptor tells about identity, measured on the video itself."""

import numpy as np

PAIRS = 50  # of each kind before a descriptor says anything
LIMIT = 2.0  # of the log-likelihood ratio either way: distances are no better known than that
ANCHOR = 10  # frames after which a track's present mean becomes the past that others are held to
CLASSES = 11  # class numbers are below


class Evidence:
    """The descriptors of m tracks, and what a distance to them says; row k is track k.

    A descriptor (an embedding of the DHAE, a colour histogram) is worth what it separates here: its
    distances between a track's past and the detection the track took, and between that past and the
    detection of another track, are averaged as the video runs. Both taken for normal, with one
    variance, the logarithm of their likelihood ratio is linear in the distance; it is near 0 for a
    descriptor that tells nothing, and grows with its reliability. No identity is needed for that.

    Args:
        memory: share of the old mean that stays when a track takes a detection, once it has more
            than 1 / (1 - memory) of them; before, all count alike. In [0, 1).

    Attributes:
        means: (m, F) float32; anchors: (m, F), the means as they were up to ANCHOR detections ago.
    """

    def __init__(self, memory=0.9):
        self.memory = memory
        self.means = self.anchors = None
        self._counts = np.zeros(0, np.int64)
        # By class, (same, different): number, sum and sum of squares of the distances.
        self._sums = np.zeros((CLASSES, 2, 3))

    def add(self, descriptors):
        """Append tracks that start with these (k, F) descriptors."""
        descriptors = np.asarray(descriptors, np.float32)
        if self.means is None:
            self.means = self.anchors = np.zeros((0, descriptors.shape[1]), np.float32)
        self.means = np.concatenate([self.means, descriptors])
        self.anchors = np.concatenate([self.anchors, descriptors])
        self._counts = np.concatenate([self._counts, np.ones(len(descriptors), np.int64)])

    def keep(self, rows):
        """Keep the given rows only (bool mask or indices)."""
        if self.means is not None:
            self.means, self.anchors = self.means[rows], self.anchors[rows]
            self._counts = self._counts[rows]

    def update(self, rows, classes, descriptors):
        """Learn from the (k, F) descriptors that tracks of these classes took; blend them in."""
        if not len(rows):
            return
        known = np.flatnonzero(self._counts[rows] > ANCHOR)
        if len(known) > 1:
            # Different: the detection of the next known track of the same class, around a circle.
            order = known[np.argsort(classes[known], kind="stable")]
            other = np.concatenate([order[1:], order[:1]])
            anchors = self.anchors[rows[order]]
            self._observe(0, classes[order], anchors - descriptors[order])
            same_class = classes[order] == classes[other]
            differences = (anchors - descriptors[other])[same_class]
            self._observe(1, classes[order[same_class]], differences)
        self._counts[rows] += 1
        share = np.maximum(1 - self.memory, 1 / self._counts[rows])[:, None].astype(np.float32)
        self.means[rows] += share * (descriptors - self.means[rows])
        due = rows[self._counts[rows] % ANCHOR == 0]
        self.anchors[due] = self.means[due]

    def _observe(self, kind, classes, differences):
        squares = np.einsum("kf,kf->k", differences, differences).astype(np.float64)
        distances = np.sqrt(squares)
        for cls in set(classes.tolist()):
            mine = classes == cls
            self._sums[cls, kind] += mine.sum(), distances[mine].sum(), squares[mine].sum()

    def log_ratio(self, rows, classes, descriptors):
        """Return (p,) log p(distance | same object) / p(distance | different objects).

        Args:
            rows: (p,) tracks; classes: (p,) theirs; descriptors: (p, F) of the detections.
        """
        differences = self.means[rows] - descriptors
        distances = np.sqrt(np.einsum("kf,kf->k", differences, differences))
        number = np.maximum(self._sums[:, :, 0], 1)
        mean = self._sums[:, :, 1] / number
        variance = (self._sums[:, :, 2] / number - mean**2).max(axis=1)
        slope = np.maximum(mean[:, 1] - mean[:, 0], 0) / np.maximum(variance, 1e-9)
        slope[self._sums[:, :, 0].min(axis=1) < PAIRS] = 0
        return np.clip(slope[classes] * (mean.mean(axis=1)[classes] - distances), -LIMIT, LIMIT)
