"""The preset `best`: the paper's clustering with expected positions and exact assignment."""

from collections import Counter

import numpy as np
from scipy.optimize import linear_sum_assignment

from models.motion import Motion, expected_overlap
from models.rules import limits_of


def assign_exactly(similarity, least):
    """Assign rows to columns so that the gain above `least`, summed over pairs, is largest.

    A k-means step under the constraints of one frame is exactly this: in it, each cluster takes at
    most one detection, and none below the limit, which is a cannot-link.

    Args:
        similarity: (m, n) float; least: pairs at or below are never made.

    Returns:
        (rows, columns) of the pairs.
    """
    # What is no pair gains nothing, so that no pair is made for the sake of another.
    gain = np.maximum(similarity - least, 0.0)
    rows, columns = linear_sum_assignment(gain, maximize=True)
    made = gain[rows, columns] > 0
    return rows[made], columns[made]


class MotionTracker:
    """Gives detections identities, one frame at a time, like `Tracker`.

    Every live track is a cluster, represented by a virtual observation at the current frame: its
    box as its motion expects it. Detections and clusters are barred from each other below a
    generalised IoU (a cannot-link), and assigned exactly. A track that is missed stays for `memory`
    frames. Confident detections choose first; weak ones only continue tracks seen at the last
    frame, and never start one.

    Args:
        config: MotionConfig.

    Attributes:
        report: Counter: `tracks` started, `tentative` detections that no second one joined,
            `weak` detections that continued no track, `short` detections of short tracks.
    """

    def __init__(self, config):
        self.config = config
        self.report = Counter()
        self._reset()
        self._next_id = 1

    def _reset(self):
        """Forget all tracks; identities go on."""
        self._motion = Motion(self.config.smoothing, self.config.damping)
        self._classes = np.zeros(0, np.int64)
        self._ids = np.zeros(0, np.int64)
        self._pending = {}  # id -> rows of a track that is still too short
        self._last = None

    def update(self, frame):
        """Take the next frame.

        Args:
            frame: Frame with `boxes_xywh`; its number must be above the last one's.

        Returns:
            [(row, id)] of the detections whose identity is now final.

        Raises:
            ValueError: frame numbers out of order.
        """
        if self._last is not None and frame.number <= self._last:
            raise ValueError(f"frames must ascend: got frame {frame.number} after {self._last}")
        self._last = frame.number
        self._forget(frame.number)
        k = len(frame.rows)
        owner = np.full(k, -1)
        confident = frame.scores >= limits_of(frame.classes, self.config.confident)
        if k and len(self._motion):
            overlap = expected_overlap(
                self._motion,
                frame.number,
                frame.boxes_xywh,
                self._classes[:, None] == frame.classes,
                lambda similarity: assign_exactly(similarity, self.config.least_overlap),
            )
            tracks = np.arange(len(self._motion))
            self._assign(owner, overlap, tracks, np.flatnonzero(confident))
            # Only what was seen a frame ago: a weak detection is no ground to revive a track.
            seen = self._motion.frames == frame.number - 1
            free = np.flatnonzero(seen & ~np.isin(tracks, owner))
            self._assign(owner, overlap, free, np.flatnonzero(~confident))
        return self._write(frame, owner, confident)

    def _assign(self, owner, overlap, tracks, detections):
        """Write the tracks that take detections into `owner`, in place."""
        part = overlap[np.ix_(tracks, detections)]
        rows, columns = assign_exactly(part, self.config.least_overlap)
        owner[detections[columns]] = tracks[rows]

    def _write(self, frame, owner, confident):
        """Move the tracks, start new ones and return what is final."""
        taken = np.flatnonzero(owner >= 0)
        self._motion.update(owner[taken], frame.boxes_xywh[taken], frame.number)
        new = np.flatnonzero((owner < 0) & confident)
        owner[new] = len(self._ids) + np.arange(len(new))
        self._motion.add(frame.boxes_xywh[new], frame.number)
        self._classes = np.concatenate([self._classes, frame.classes[new]])
        fresh = self._next_id + np.arange(len(new))
        self._ids = np.concatenate([self._ids, fresh])
        self._next_id += len(new)
        self._pending |= {identity: [] for identity in fresh.tolist()}
        self.report["tracks"] += len(new)
        self.report["weak"] += int((owner < 0).sum())
        finished = []
        used = np.flatnonzero(owner >= 0)
        pairs = zip(frame.rows[used].tolist(), self._ids[owner[used]].tolist(), strict=True)
        for row, identity in pairs:
            waiting = self._pending.get(identity)
            if waiting is None:
                finished.append((row, identity))
                continue
            waiting.append((row, identity))
            if len(waiting) >= self.config.min_track_length:
                finished += self._pending.pop(identity)
        return finished

    def _forget(self, number):
        """Drop tracks missed for too long; a track of one detection is tentative and goes first."""
        if not len(self._motion):
            return
        limit = np.where(self._motion.steps == 0, self.config.t_lag - 1, self.config.memory)
        keep = number - self._motion.frames <= limit
        for identity in self._ids[~keep].tolist():
            self._drop(self._pending.pop(identity, ()))
        self._motion.keep(keep)
        self._classes, self._ids = self._classes[keep], self._ids[keep]

    def _drop(self, rows):
        self.report["tentative" if len(rows) == 1 else "short"] += len(rows)

    def flush(self):
        """Forget the sequence; nothing becomes final any more. Return []."""
        for rows in self._pending.values():
            self._drop(rows)
        self._reset()
        return []
