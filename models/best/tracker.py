"""The preset `best`: the paper's clustering with expected positions and exact assignment."""

from __future__ import annotations

from typing import Any

import numpy as np

from models.assignment import assign_exactly
from models.best.evidence import Evidence
from models.best.motion import Motion, expected_overlap
from models.best.track_table import TrackTable
from models.tracking import (
    BOXES,
    COLOURS,
    EMBEDDINGS,
    MASKS,
    Array,
    Finished,
    Frame,
    Tracker,
    register,
)
from utils.boxes import xywh_to_xyxy
from utils.config import BestConfig, limit_of, limits_of
from utils.mask_grids import grids, moved_iou

SETTLED = 0.5  # generalised IoU from which a pair without near rivals needs no other evidence
RIVAL = 0.7  # generalised IoU by which others must fall short of a pair to be no rivals
FRESH = 3  # frames since it was seen up to which a mask is comparable with its successor
GONE = 3  # frames after which a track that left at the frame's border is not expected back
BORDER = 2  # px


def _settled(overlap: Array) -> Array:
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


@register
class BestTracker(Tracker):
    """Gives detections identities, one frame at a time.

    Every live track is a cluster, represented by a virtual observation at the current frame: its
    box, and its mask, as its motion expects them. Detections and clusters are barred from each
    other below a generalised IoU (a cannot-link) that falls with the uncertainty of the position,
    and assigned exactly, by that IoU, the overlap of the masks, the change of size and the
    `Evidence` of descriptors. A track that is missed stays for `memory` frames, unless it left at
    the border. Confident detections choose first; weak ones only continue tracks seen at the last
    frame, and never start one.

    Args:
        config: BestConfig.

    Attributes:
        report: Counter: `tracks` started, `tentative` detections that no second one joined,
            `weak` detections that continued no track, `short` detections of tracks that were too
            short, `unconfirmed` of tracks that scored too low on average.
    """

    name = "best"
    meaning = "expected positions, exact assignment, evidence measured on the video"
    settings = BestConfig

    def __init__(self, config: BestConfig | None = None) -> None:
        super().__init__()
        self.config = config or BestConfig()
        self.needs = (MASKS, BOXES, *(EMBEDDINGS,) * (self.config.descriptor_weight > 0))
        self.uses = (COLOURS,) * (self.config.colour_weight > 0)
        self._motion = Motion(self.config.smoothing, self.config.damping)
        self._next_id = 1
        self._reset()

    def _reset(self) -> None:
        """Forget all tracks; identities go on."""
        self._tracks: TrackTable | None = None
        self._evidence: dict[str, Evidence] = {}
        # id -> (class, [(row, score)]) of a track that is not confirmed yet
        self._pending: dict[int, tuple[int, list[tuple[int, float]]]] = {}
        self._last = None

    def _begin(self, frame: Frame) -> TrackTable:
        """Return an empty table with a column for all that is known of a track."""
        present = [name for name in (EMBEDDINGS, COLOURS) if name in frame.columns]
        self._evidence = {name: Evidence(name) for name in present}
        columns = {
            "classes": np.zeros(0, np.int64),
            "ids": np.zeros(0, np.int64),
            "rles": np.zeros(0, object),  # of the last detection
            **Motion.columns(),
        }
        for name, evidence in self._evidence.items():
            columns |= evidence.columns(frame[name].shape[1])
        return TrackTable(**columns)

    def update(self, frame: Frame) -> Finished:
        """Take the next frame, see `Tracker`."""
        self._follow(frame)
        if self._tracks is not None:
            self._forget(frame, self._tracks)
        if not len(frame):
            return []
        if self._tracks is None:
            self._tracks = self._begin(frame)
        tracks, owner = self._tracks, np.full(len(frame), -1)
        confident = frame.scores >= limits_of(frame.classes, self.config.confident)
        if len(tracks):
            gain = self._gain(frame, tracks)
            self._assign(owner, gain, np.arange(len(gain)), confident)
            if not confident.all():
                # Only what was seen a frame ago: a weak detection is no ground to revive a track.
                seen = tracks["frames"] == frame.number - 1
                free = np.flatnonzero(seen & ~np.isin(np.arange(len(gain)), owner))
                self._assign(owner, gain, free, ~confident)
        self._move(frame, tracks, owner)
        self._start(frame, tracks, owner, confident)
        return self._release(frame, tracks, owner)

    def _gain(self, frame: Frame, tracks: TrackTable) -> Array:
        """Return the (m, k) gain of every pair over leaving both alone; 0 or less for none."""
        config, motion = self.config, self._motion
        comparable = tracks["classes"][:, None] == frame.classes
        overlap, expected = expected_overlap(
            motion,
            tracks,
            frame.number,
            frame[BOXES],
            comparable,
            lambda similarity: assign_exactly(similarity, config.least_overlap),
        )
        gate = config.least_overlap - config.slack * motion.uncertainty(tracks, frame.number)
        possible = comparable & (overlap > gate[:, None])
        gain: Array = np.where(possible, overlap - config.least_overlap, -1.0)
        rows, detections = np.nonzero(possible & ~_settled(overlap))
        if len(rows):
            gain[rows, detections] += self._other_cues(frame, tracks, expected, rows, detections)
        return gain

    def _other_cues(
        self, frame: Frame, tracks: TrackTable, expected: Array, rows: Array, detections: Array
    ) -> Array:
        """Return what masks, sizes and descriptors add to the gain of (p,) pairs."""
        config = self.config
        added = np.zeros(len(rows))
        gap = frame.number - tracks["frames"][rows]
        fresh = np.flatnonzero(gap <= FRESH)
        if config.mask_weight and len(fresh):
            iou = self._mask_overlap(frame, tracks, expected, rows[fresh], detections[fresh])
            added[fresh] += config.mask_weight * iou
        if config.size_weight:
            change = np.log(tracks["sizes"][rows] / frame[BOXES][detections, 2:])
            added -= config.size_weight * np.minimum(np.abs(change).sum(axis=1), 2)
        share = np.where(gap == 1, 0.5, 1.0)
        weights = {EMBEDDINGS: config.descriptor_weight, COLOURS: config.colour_weight}
        for name, evidence in self._evidence.items():
            classes = tracks["classes"][rows]
            ratio = evidence.log_ratio(tracks, rows, classes, frame[name][detections])
            added += weights[name] * share * ratio
        return added

    def _mask_overlap(
        self, frame: Frame, tracks: TrackTable, expected: Array, rows: Array, detections: Array
    ) -> Array:
        """Return the IoU of masks moved to the expected boxes and detections, for (p,) pairs."""
        found = xywh_to_xyxy(frame[BOXES])
        used, row = np.unique(rows, return_inverse=True)
        taken, column = np.unique(detections, return_inverse=True)
        masks = frame[MASKS]
        rles = [*tracks["rles"][used], *(masks[i]["counts"] for i in taken.tolist())]
        last = self._motion.boxes(tracks)[used]
        cells = grids(rles, np.concatenate([last, found[taken]]), *frame.size)
        earlier, current = cells[row], cells[len(used) + column]
        return moved_iou(earlier, expected[rows], current, found[detections])

    def _assign(self, owner: Array, gain: Array, rows: Array, among: Array) -> None:
        """Write the tracks that take some of the detections `among` (bool) into `owner`."""
        detections = np.flatnonzero(among)
        taken, columns = assign_exactly(gain[rows[:, None], detections], 0.0)
        owner[detections[columns]] = rows[taken]

    def _move(self, frame: Frame, tracks: TrackTable, owner: Array) -> None:
        """Move the tracks to the detections they took."""
        taken = np.flatnonzero(owner >= 0)
        if not len(taken):
            return
        rows = owner[taken]
        for name, evidence in self._evidence.items():
            evidence.update(tracks, rows, tracks["classes"][rows], frame[name][taken])
        moved = self._motion.moved(tracks, rows, frame[BOXES][taken], frame.number)
        tracks.update(rows, **moved, rles=_rles(frame, taken))

    def _start(self, frame: Frame, tracks: TrackTable, owner: Array, confident: Array) -> None:
        """Start tracks with the confident detections that are left; write them into `owner`."""
        free = owner < 0
        new = np.flatnonzero(free & confident)
        self.report["weak"] += int(free.sum()) - len(new)
        if not len(new):
            return
        owner[new] = len(tracks) + np.arange(len(new))
        fresh = self._next_id + np.arange(len(new))
        columns: dict[str, Any] = Motion.start(frame[BOXES][new], frame.number)
        for name, evidence in self._evidence.items():
            columns |= evidence.start(frame[name][new])
        classes = frame.classes[new]
        tracks.append(ids=fresh, classes=classes, rles=_rles(frame, new), **columns)
        self._next_id += len(new)
        for identity, cls in zip(fresh.tolist(), classes.tolist(), strict=True):
            self._pending[identity] = (cls, [])
        self.report["tracks"] += len(new)

    def _release(self, frame: Frame, tracks: TrackTable, owner: Array) -> Finished:
        """Return the [(row, id)] of confirmed tracks; what waits is released with its track."""
        finished: Finished = []
        used = np.flatnonzero(owner >= 0)
        columns = (frame.rows[used], tracks["ids"][owner[used]], frame.scores[used])
        for row, identity, score in zip(*(c.tolist() for c in columns), strict=True):
            if identity not in self._pending:
                finished.append((row, identity))
                continue
            cls, waiting = self._pending[identity]
            waiting.append((row, score))
            mean = sum(score for _, score in waiting) / len(waiting)
            # Scores are float32: 0.7 must reach 0.7.
            enough = mean >= limit_of(cls, self.config.confirmed) - 1e-6
            if enough and len(waiting) >= limit_of(cls, self.config.min_track_length):
                del self._pending[identity]
                finished += [(row, identity) for row, _ in waiting]
        return finished

    def _forget(self, frame: Frame, tracks: TrackTable) -> None:
        """Drop tracks that are not expected any more; tentative ones and exits go first."""
        if (tracks["frames"] >= frame.number - 1).all():
            return  # every limit is 1 frame at least
        limit = np.where(tracks["steps"] == 0, self.config.t_lag - 1, self.config.memory)
        boxes = self._motion.boxes(tracks)
        exits = (boxes[:, 0] <= BORDER) | (boxes[:, 2] >= frame.size[1] - BORDER)
        limit[exits] = np.minimum(limit[exits], GONE)
        keep = frame.number - tracks["frames"] <= limit
        if keep.all():
            return
        for identity in tracks["ids"][~keep].tolist():
            if identity in self._pending:
                self._drop(*self._pending.pop(identity))
        tracks.keep(keep)

    def _drop(self, cls: int, rows: list[tuple[int, float]]) -> None:
        """Count the detections of a track that is not written, under the rule that dropped it."""
        if len(rows) >= limit_of(cls, self.config.min_track_length):
            why = "unconfirmed"
        else:
            why = "tentative" if len(rows) == 1 else "short"
        self.report[why] += len(rows)

    def flush(self) -> Finished:
        """Forget the sequence; nothing becomes final any more. Return []."""
        for cls, rows in self._pending.values():
            self._drop(cls, rows)
        self._reset()
        return []


def _rles(frame: Frame, rows: Array) -> Array:
    """Return the run lengths of some detections as an object array."""
    rles = np.empty(len(rows), object)
    rles[:] = [frame[MASKS][i]["counts"] for i in rows.tolist()]
    return rles
