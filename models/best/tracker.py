"""The preset `best`: the paper's clustering with expected positions and exact assignment."""

from __future__ import annotations

from typing import Any

import numpy as np

from models.best.confidence import Confidence
from models.best.evidence import LIMIT, Evidence
from models.best.linking import compared, linked, nearest
from models.best.motion import Innovations, Motion
from models.best.release import Release
from models.best.track_table import ClassNumbers, TrackTable
from models.candidates import Candidates
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
from utils.compiling import compiled
from utils.config import BestConfig
from utils.mask_grids import moved_iou

FRESH = 3  # frames since it was seen up to which a mask is comparable with its successor
GONE = 3  # frames after which a track that left at the frame's border is not expected back
BORDER = 2  # px
SURE = 3  # steps from which a track's next one says what innovations are usual


@register
class BestTracker(Tracker):
    """Gives detections identities, one frame at a time.

    Every live track is a cluster, represented by a virtual observation at the current frame: its
    box, and its mask, as its motion expects them. Detections and clusters are barred from each
    other below a generalised IoU (a cannot-link) that follows from the innovations measured on the
    video, and falls with the uncertainty of the position and where detections are seldom false.
    They are assigned exactly, by that IoU, the overlap of the masks, the change of size and the
    `Evidence` of descriptors. What a score means is measured, too (`Confidence`): likely objects
    choose first, the rest only continues tracks seen at the last frame or starts tracks of its own,
    and what is written is decided on P(object) (`Release`). A track that is missed stays for
    `memory` frames, and for `recall` frames where descriptors can prove that it is back, unless it
    left at the border.

    Args:
        config: BestConfig.
        confidence: what scores mean, as measured on the whole video before; None measures on the
            way.

    Attributes:
        report: Counter: `tracks` started, and what `Release` counts.
    """

    name = "best"
    meaning = "expected positions, exact assignment, evidence measured on the video"
    settings = BestConfig
    measures = True

    def __init__(
        self, config: BestConfig | None = None, confidence: Confidence | None = None
    ) -> None:
        super().__init__()
        self.config, self._given = config or BestConfig(), confidence
        self.needs = (MASKS, BOXES, *(EMBEDDINGS,) * (self.config.descriptor_weight > 0))
        self.uses = (COLOURS,) * (self.config.colour_weight > 0)
        self._motion = Motion(self.config.smoothing, self.config.damping)
        self._next_id = 1
        self._learned: Confidence | None = None
        self._reset()

    def _reset(self) -> None:
        """Forget all tracks; identities go on."""
        self._tracks: TrackTable | None = None
        self._evidence: dict[str, Evidence] = {}
        self._innovations, self._classes = Innovations(), ClassNumbers()
        self.confidence = self._given or Confidence()
        self._release = Release(self.confidence, self.config, self.report)
        self._last = None

    def _begin(self, frame: Frame) -> TrackTable:
        """Return an empty table with a column for all that is known of a track."""
        present = [name for name in (EMBEDDINGS, COLOURS) if name in frame.columns]
        self._evidence = {name: Evidence(name) for name in present}
        columns = {
            "classes": np.zeros(0, np.int64),  # as `ClassNumbers` has them
            "ids": np.zeros(0, np.int64),
            "rles": np.zeros(0, object),  # of the last detection
            "belief": np.zeros(0),  # P(object), the running mean of its detections'
            **Motion.columns(),
        }
        for name, evidence in self._evidence.items():
            columns |= evidence.columns(frame[name].shape[1])
        return TrackTable(**columns)

    def update(self, frame: Frame) -> Finished:
        """Take the next frame, see `Tracker`."""
        self._follow(frame)
        finished: Finished = []
        if self._tracks is not None:
            finished += self._forget(frame, self._tracks)
        if not len(frame):
            return finished
        if self._tracks is None:
            self._tracks = self._begin(frame)
        compiled("models.best.compiled", len(frame))
        tracks, owner = self._tracks, np.full(len(frame), -1)
        classes = self._classes.of(frame.classes)
        probability = self.confidence.probability(frame.classes, frame.scores)
        if len(tracks):
            pairs, gain = self._gain(frame, tracks, classes)
            confident = self.config.confident
            owner, made = linked(pairs, gain, tracks, probability, frame.number, confident)
            self._measure(frame, tracks, pairs, made[made >= 0])
        self._move(frame, tracks, owner, classes)
        self._start(frame, tracks, owner, classes)
        return finished + self._write(frame, tracks, owner, probability)

    def _measure(self, frame: Frame, tracks: TrackTable, pairs: Candidates, made: Array) -> None:
        """Learn from the innovations of settled, likely tracks of the last frame."""
        rows = pairs.rows[made]
        sure = (tracks["frames"][rows] == frame.number - 1) & (tracks["steps"][rows] >= SURE)
        sure &= tracks["belief"][rows] >= self.config.confident
        self._innovations.observe(tracks["classes"][rows[sure]], pairs.overlap[made[sure]])

    def _gain(self, frame: Frame, tracks: TrackTable, classes: Array) -> tuple[Candidates, Array]:
        """Return the near pairs of tracks and detections, and (p,) their gains.

        A gain is over leaving both alone; 0 or less is none.
        """
        config, names = self.config, self._classes.names
        certain = self.confidence.purity(names) ** config.clutter
        least = self._innovations.least_overlap(len(names), config.innovation)
        least = least * (1 - certain) - config.reach * certain
        found = compared(self._motion, tracks, frame.number, frame[BOXES], classes, least, config)
        pairs, gain, doubtful = found.pairs, found.gain, found.doubtful
        if len(doubtful):
            rows, detections = pairs.rows[doubtful], pairs.columns[doubtful]
            others = self._other_cues(frame, tracks, found.expected, rows, detections)
            change = self._size_change(frame, tracks, rows, detections)
            others -= config.size_weight * (1 - certain[tracks["classes"][rows]]) * change
            gain[doubtful] += others
        return pairs, gain

    def _other_cues(
        self, frame: Frame, tracks: TrackTable, expected: Array, rows: Array, detections: Array
    ) -> Array:
        """Return what masks and descriptors add to the gain of (p,) pairs."""
        config = self.config
        added = np.zeros(len(rows))
        gap = frame.number - tracks["frames"][rows]
        fresh = np.flatnonzero(gap <= FRESH)
        if config.mask_weight and len(fresh):
            iou = self._mask_overlap(frame, tracks, expected, rows[fresh], detections[fresh])
            added[fresh] += config.mask_weight * iou
        share, told = np.where(gap == 1, 0.5, 1.0), np.zeros(len(rows))
        weights = self._weights()
        for name, evidence in self._evidence.items():
            ratio = evidence.log_ratio(tracks, rows, frame.number, frame[name], detections)
            added += weights[name] * share * ratio
            told += weights[name] * ratio
        added[(gap > config.memory) & (told < config.proof)] = -np.inf
        return added

    def _weights(self) -> dict[str, float]:
        """Return what each descriptor's log-likelihood ratio counts in gains of IoU."""
        config = self.config
        weights = {EMBEDDINGS: config.descriptor_weight, COLOURS: config.colour_weight}
        return {name: weights[name] for name in self._evidence}

    @staticmethod
    def _size_change(frame: Frame, tracks: TrackTable, rows: Array, detections: Array) -> Array:
        """Return (p,) in [0, 2], the change of log width and log height of pairs."""
        change = np.log(tracks["sizes"][rows] / frame[BOXES][detections, 2:])
        bounded: Array = np.minimum(np.abs(change).sum(axis=1), 2)
        return bounded

    def _mask_overlap(
        self, frame: Frame, tracks: TrackTable, expected: Array, rows: Array, detections: Array
    ) -> Array:
        """Return the IoU of masks moved to the expected boxes and detections, for (p,) pairs."""
        found = xywh_to_xyxy(frame[BOXES])
        used, row = _numbered(rows, len(tracks))
        taken, column = _numbered(detections, len(frame))
        rles = [*tracks["rles"][used], *frame[MASKS][taken]]
        last = self._motion.boxes(tracks)[used]
        boxes = np.concatenate([last, found[taken]])
        first, second = (row, expected[rows]), (len(used) + column, found[detections])
        return moved_iou(rles, boxes, *first, *second, frame.size)

    def _move(self, frame: Frame, tracks: TrackTable, owner: Array, classes: Array) -> None:
        """Move the tracks to the detections they took."""
        taken = np.flatnonzero(owner >= 0)
        if not len(taken):
            return
        rows = owner[taken]
        if self._evidence:
            near = nearest(frame[BOXES][taken], classes[taken])
        for name, evidence in self._evidence.items():
            evidence.update(tracks, rows, frame.number, frame[name][taken], near)
        self._motion.move(tracks, rows, frame[BOXES][taken], frame.number)
        tracks.update(rows, rles=frame[MASKS][taken])

    def _start(self, frame: Frame, tracks: TrackTable, owner: Array, classes: Array) -> None:
        """Start tracks with the detections that are left; write them into `owner`."""
        new = np.flatnonzero(owner < 0)
        if not len(new):
            return
        owner[new] = len(tracks) + np.arange(len(new))
        fresh = self._next_id + np.arange(len(new))
        columns: dict[str, Any] = Motion.start(frame[BOXES][new], frame.number)
        for name, evidence in self._evidence.items():
            columns |= evidence.start(frame.number, frame[name][new])
        columns |= {"ids": fresh, "classes": classes[new], "belief": np.zeros(len(new))}
        tracks.append(rles=frame[MASKS][new], **columns)
        self._next_id += len(new)
        self._release.start(fresh, frame.classes[new])
        self.report["tracks"] += len(new)

    def _write(
        self, frame: Frame, tracks: TrackTable, owner: Array, probability: Array
    ) -> Finished:
        """Learn from the frame's detections, all of which have a track; return what is final."""
        ids, before = tracks["ids"][owner], tracks["belief"][owner]
        if self._given is None:
            columns = (frame.classes, frame.scores, ids, frame[BOXES])
            self.confidence.observe(frame.number, *columns)
        share = np.maximum(1 / (tracks["steps"][owner] + 1), self.config.recency)
        tracks.update(owner, belief=before + share * (probability - before))
        finished, beliefs = self._release.learn()
        if beliefs:
            judged = np.flatnonzero(np.isin(tracks["ids"], list(beliefs)))
            values = [beliefs[identity] for identity in tracks["ids"][judged].tolist()]
            tracks.update(judged, belief=np.array(values))
        belief = tracks["belief"][owner]
        return finished + self._release.take(
            frame.number, frame.rows, ids, frame.scores, probability, belief
        )

    def _forget(self, frame: Frame, tracks: TrackTable) -> Finished:
        """Drop tracks that are not expected any more, single detections and exits first.

        Return what is released of them.
        """
        if (tracks["frames"] >= frame.number - 1).all():
            return []  # every limit is 1 frame at least
        config, provable = self.config, LIMIT * sum(self._weights().values())
        longest = max(config.memory, config.recall if provable >= config.proof else 0)
        limit = np.where(tracks["steps"] == 0, config.t_lag - 1, longest)
        boxes = self._motion.boxes(tracks)
        exits = (boxes[:, 0] <= BORDER) | (boxes[:, 2] >= frame.size[1] - BORDER)
        limit[exits] = np.minimum(limit[exits], GONE)
        keep = frame.number - tracks["frames"] <= limit
        if keep.all():
            return []
        gone = tracks["ids"][~keep].tolist()
        tracks.keep(keep)
        return self._release.end(gone)

    def flush(self) -> Finished:
        """Return [(row, id)] of what waited for a verdict, and forget the sequence."""
        finished = self._release.flush()
        self._learned = self.confidence
        self._reset()
        return finished

    def open_since(self) -> int | None:
        """Return the earliest frame with an open detection, see `Tracker`."""
        return self._release.open_since()

    def again(self) -> BestTracker:
        """Return a tracker for the same video that knows its scores from the start."""
        return BestTracker(self.config, self._learned)


def _numbered(rows: Array, count: int) -> tuple[Array, Array]:
    """Return which of `count` rows occur, ascending, and which of those each row is."""
    occurs = np.zeros(count, bool)
    occurs[rows] = True
    return np.flatnonzero(occurs), (np.cumsum(occurs) - 1)[rows]
