"""The preset `best`: the paper's clustering with expected positions and exact assignment."""

from collections import Counter

import numpy as np
from scipy.optimize import linear_sum_assignment

from models.evidence import Evidence
from models.motion import Motion, expected_overlap
from models.rules import limits_of
from utils.boxes import xywh_to_xyxy
from utils.mask_grids import grids, moved_iou

SETTLED = 0.5  # generalised IoU from which a pair without near rivals needs no other evidence
RIVAL = 0.7  # generalised IoU by which others must fall short of a pair to be no rivals
FRESH = 3  # frames since it was seen up to which a mask is comparable with its successor
GONE = 3  # frames after which a track that left at the frame's border is not expected back
BORDER = 2  # px


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


def _settled(overlap):
    """Return (m, n) bool: the pairs to which a pair far above all its rivals leaves no doubt."""
    best = overlap.argmax(axis=1)
    highest = overlap.max(axis=0)
    leads = (overlap > highest - RIVAL).sum(axis=0) == 1  # of the column
    top = overlap[np.arange(len(best)), best]
    leads = leads[best] & (top == highest[best]) & (top > SETTLED)
    leads &= (overlap > top[:, None] - RIVAL).sum(axis=1) == 1
    settled = np.zeros(overlap.shape, bool)
    settled[leads] = True
    settled[:, best[leads]] = True
    return settled


class MotionTracker:
    """Gives detections identities, one frame at a time, like `Tracker`.

    Every live track is a cluster, represented by a virtual observation at the current frame: its
    box, and its mask, as its motion expects them. Detections and clusters are barred from each
    other below a generalised IoU (a cannot-link) that falls with the uncertainty of the position,
    and assigned exactly, by that IoU, the overlap of the masks, the change of size and the
    `Evidence` of descriptors. A track that is missed stays for `memory` frames, unless it left at
    the border. Confident detections choose first; weak ones only continue tracks seen at the last
    frame, and never start one.

    Args:
        config: MotionConfig.

    Attributes:
        report: Counter: `tracks` started, `tentative` detections that no second one joined,
            `weak` detections that continued no track, `short` detections of tracks that were too
            short or scored too low.
    """

    def __init__(self, config):
        self.config = config
        self.report = Counter()
        self._reset()
        self._next_id = 1

    def _reset(self):
        """Forget all tracks; identities go on."""
        self._motion = Motion(self.config.smoothing, self.config.damping)
        self._evidence = ()
        self._classes = np.zeros(0, np.int64)
        self._ids = np.zeros(0, np.int64)
        self._rles = np.zeros(0, object)  # of the last detection
        self._pending = {}  # id -> [(row, score)] of a track that is not confirmed yet
        self._last = None

    def update(self, frame):
        """Take the next frame.

        Args:
            frame: Frame with `boxes_xywh`, `masks` and `size`; its number must be above the last
                one's.

        Returns:
            [(row, id)] of the detections whose identity is now final.

        Raises:
            ValueError: frame numbers out of order.
        """
        if self._last is not None and frame.number <= self._last:
            raise ValueError(f"frames must ascend: got frame {frame.number} after {self._last}")
        self._last = frame.number
        self._forget(frame)
        if not self._evidence:
            self._evidence = tuple(Evidence() for _ in frame.descriptors())
        owner = np.full(len(frame.rows), -1)
        confident = frame.scores >= limits_of(frame.classes, self.config.confident)
        if len(owner) and len(self._motion):
            gain = self._gain(frame)
            self._assign(owner, gain, np.arange(len(gain)), confident)
            if not confident.all():
                # Only what was seen a frame ago: a weak detection is no ground to revive a track.
                seen = self._motion.frames == frame.number - 1
                free = np.flatnonzero(seen & ~np.isin(np.arange(len(gain)), owner))
                self._assign(owner, gain, free, ~confident)
        self._move(frame, owner)
        self._start(frame, owner, confident)
        return self._release(frame, owner)

    def _gain(self, frame):
        """Return the (m, k) gain of every pair over leaving both alone; 0 or less for none."""
        config, motion = self.config, self._motion
        comparable = self._classes[:, None] == frame.classes
        overlap, expected = expected_overlap(
            motion,
            frame.number,
            frame.boxes_xywh,
            comparable,
            lambda similarity: assign_exactly(similarity, config.least_overlap),
        )
        gate = config.least_overlap - config.slack * motion.uncertainty(frame.number)
        possible = comparable & (overlap > gate[:, None])
        gain = np.where(possible, overlap - config.least_overlap, -1.0)
        tracks, detections = np.nonzero(possible & ~_settled(overlap))
        if len(tracks):
            gain[tracks, detections] += self._other_cues(frame, expected, tracks, detections)
        return gain

    def _other_cues(self, frame, expected, tracks, detections):
        """Return what masks, sizes and descriptors add to the gain of (p,) pairs."""
        config, motion = self.config, self._motion
        added = np.zeros(len(tracks))
        gap = frame.number - motion.frames[tracks]
        fresh = np.flatnonzero(gap <= FRESH)
        if config.mask_weight and len(fresh):
            iou = self._mask_overlap(frame, expected, tracks[fresh], detections[fresh])
            added[fresh] += config.mask_weight * iou
        if config.size_weight:
            change = np.log(motion.sizes[tracks] / frame.boxes_xywh[detections, 2:])
            added -= config.size_weight * np.minimum(np.abs(change).sum(axis=1), 2)
        share = np.where(gap == 1, 0.5, 1.0)
        weights = (config.descriptor_weight, config.colour_weight)
        descriptors = frame.descriptors()
        for weight, evidence, values in zip(weights, self._evidence, descriptors, strict=False):
            ratio = evidence.log_ratio(tracks, self._classes[tracks], values[detections])
            added += weight * share * ratio
        return added

    def _mask_overlap(self, frame, expected, tracks, detections):
        """Return the IoU of masks moved to the expected boxes and detections, for (p,) pairs."""
        motion, found = self._motion, xywh_to_xyxy(frame.boxes_xywh)
        used, row = np.unique(tracks, return_inverse=True)
        taken, column = np.unique(detections, return_inverse=True)
        rles = [*self._rles[used], *(frame.masks[i]["counts"] for i in taken.tolist())]
        last = motion.boxes()[used]
        cells = grids(rles, np.concatenate([last, found[taken]]), *frame.size)
        earlier, current = cells[row], cells[len(used) + column]
        return moved_iou(earlier, expected[tracks], current, found[detections])

    def _assign(self, owner, gain, tracks, among):
        """Write the tracks that take some of the detections `among` (bool) into `owner`."""
        detections = np.flatnonzero(among)
        rows, columns = assign_exactly(gain[tracks[:, None], detections], 0.0)
        owner[detections[columns]] = tracks[rows]

    def _move(self, frame, owner):
        """Move the tracks to the detections they took."""
        taken = np.flatnonzero(owner >= 0)
        if not len(taken):
            return
        rows = owner[taken]
        for evidence, values in zip(self._evidence, frame.descriptors(), strict=True):
            evidence.update(rows, self._classes[rows], values[taken])
        self._motion.update(rows, frame.boxes_xywh[taken], frame.number)
        for row, detection in zip(rows.tolist(), taken.tolist(), strict=True):
            self._rles[row] = frame.masks[detection]["counts"]

    def _start(self, frame, owner, confident):
        """Start tracks with the confident detections that are left; write them into `owner`."""
        free = owner < 0
        new = np.flatnonzero(free & confident)
        self.report["weak"] += int(free.sum()) - len(new)
        if not len(new):
            return
        owner[new] = len(self._ids) + np.arange(len(new))
        self._motion.add(frame.boxes_xywh[new], frame.number)
        for evidence, values in zip(self._evidence, frame.descriptors(), strict=True):
            evidence.add(values[new])
        rles = np.empty(len(new), object)
        rles[:] = [frame.masks[i]["counts"] for i in new]
        self._rles = np.concatenate([self._rles, rles])
        self._classes = np.concatenate([self._classes, frame.classes[new]])
        fresh = self._next_id + np.arange(len(new))
        self._ids = np.concatenate([self._ids, fresh])
        self._next_id += len(new)
        self._pending |= {identity: [] for identity in fresh.tolist()}
        self.report["tracks"] += len(new)

    def _release(self, frame, owner):
        """Return the [(row, id)] of confirmed tracks; what waits is released with its track."""
        finished = []
        used = np.flatnonzero(owner >= 0)
        if not self._pending:
            ids = self._ids[owner[used]]
            return list(zip(frame.rows[used].tolist(), ids.tolist(), strict=True))
        columns = (
            frame.rows[used],
            self._ids[owner[used]],
            frame.classes[used],
            frame.scores[used],
        )
        for row, identity, cls, score in zip(*(c.tolist() for c in columns), strict=True):
            waiting = self._pending.get(identity)
            if waiting is None:
                finished.append((row, identity))
                continue
            waiting.append((row, score))
            mean = sum(score for _, score in waiting) / len(waiting)
            # Scores are float32: 0.7 must reach 0.7.
            enough = mean >= self.config.confirmed.get(cls, 0) - 1e-6
            if enough and len(waiting) >= self.config.min_track_length:
                finished += [(row, identity) for row, _ in self._pending.pop(identity)]
        return finished

    def _forget(self, frame):
        """Drop tracks that are not expected any more; tentative ones and exits go first."""
        motion = self._motion
        if (motion.frames >= frame.number - 1).all():
            return  # every limit is 1 frame at least
        limit = np.where(motion.steps == 0, self.config.t_lag - 1, self.config.memory)
        boxes = motion.boxes()
        exits = (boxes[:, 0] <= BORDER) | (boxes[:, 2] >= frame.size[1] - BORDER)
        limit[exits] = np.minimum(limit[exits], GONE)
        keep = frame.number - motion.frames <= limit
        if keep.all():
            return
        for identity in self._ids[~keep].tolist():
            self._drop(self._pending.pop(identity, ()))
        motion.keep(keep)
        for evidence in self._evidence:
            evidence.keep(keep)
        self._classes, self._ids = self._classes[keep], self._ids[keep]
        self._rles = self._rles[keep]

    def _drop(self, rows):
        self.report["tentative" if len(rows) == 1 else "short"] += len(rows)

    def flush(self):
        """Forget the sequence; nothing becomes final any more. Return []."""
        for rows in self._pending.values():
            self._drop(rows)
        self._reset()
        return []
