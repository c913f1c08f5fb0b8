"""What a detector's scores mean, measured on the video itself: P(object | score)."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import isotonic_regression

from utils.boxes import paired_iou
from utils.compiling import compiled, solid
from utils.detections import each_class

HORIZONS = (5, 7, 10, 14, 20)  # frames over which a detection's track has to go on
CHANCE = 0.5  # of the best scores' continuation: what false detections make at most
BINS = 12  # of the scores' ranks, at most
PER_BIN = 30  # observations; fewer make fewer bins
PRIOR = 10  # observations like the average that a bin starts with
KEPT = 4096  # latest observations of a class
READY = 400  # observations of a class before its tracks are judged by them,
WAIT = 60  # or frames since its first; or, while all its scores are alike, HORIZONS[0] frames;
LONGEST = 600  # or frames of the video since its first, for a class that is hardly ever seen
STILL = 0.5  # IoU of a track's first box and its latest, above which it stands still,
SETTLED = 10  # from so many frames on
BEST, MOVING = 0.75, 0.25  # quantile of ranks from which at least this share has to move
GROWTH = 1.1  # by which observations grow before they are evaluated again
ASSUMED = 0.8  # share of objects among detections of different scores, before it is known

Array = npt.NDArray[Any]


class Confidence:
    """P(object | score) of each class, from how detections of such a score are continued.

    A detector is not asked what its scores mean. The share of the next frames in which the track
    that a detection belongs to has another one is averaged over the ranks of the scores, and made
    to rise with them. The best scores' share is taken for that of objects, the worst scores' for
    that of false detections, though for CHANCE of the former at most, since a detector may not show
    its worst; what lies between is a mixture of both. False detections last as long as the scene
    looks the same, longer at a high frame rate or with a still camera: the horizon is the shortest
    of HORIZONS at which the worst scores' share has fallen to CHANCE. What stands still before a
    camera that stands still is left out, for a false detection does so for ever, unless nearly all
    of the best scores do.

    Only the order of scores counts, so that a detector that counts in percent, in logits or on any
    other rising scale is the same detector. Where all scores are alike, as in files without them,
    every detection is an object.
    """

    def __init__(self) -> None:
        self._classes: dict[int, _Scale] = {}
        self._open: list[deque[_Taken]] = [deque() for _ in HORIZONS]
        self._lives = _Lives()

    def observe(
        self, frame: int, classes: Array, scores: Array, ids: Array, boxes_xywh: Array
    ) -> None:
        """Take (k,) detections of the next frame, the tracks (ids) they belong to, (k, 4) boxes."""
        for place, waiting in enumerate(self._open):
            while waiting and waiting[0].frame + HORIZONS[place] < frame:
                self._close(place, waiting.popleft())
        if not len(ids):
            return
        self._lives.take(frame, ids, boxes_xywh)
        for scale in self._classes.values():
            scale.elapsed(frame)
        for cls, mine in each_class(classes):
            self._classes.setdefault(cls, _Scale(frame)).see(frame, scores[mine])
            taken = _Taken(frame, cls, scores[mine], ids[mine], self._lives.totals[ids[mine]])
            for waiting in self._open:
                waiting.append(taken)

    def _close(self, place: int, taken: _Taken) -> None:
        shares = (self._lives.totals[taken.ids] - taken.totals) / HORIZONS[place]
        self._classes[taken.cls].add(place, taken.scores, shares, self._lives.still[taken.ids])

    def ready(self, cls: int) -> bool:
        """Return whether enough was seen of a class to judge its tracks."""
        return cls in self._classes and self._classes[cls].ready

    def purity(self, classes: Sequence[int]) -> Array:
        """Return (c,) float64, the share of each class' detections that are objects."""
        known = self._classes
        return np.array([known[cls].purity if cls in known else 1.0 for cls in classes])

    def probability(self, classes: Array, scores: Array) -> Array:
        """Return (k,) float64 P(object | score); 1 for classes of which nothing was seen yet."""
        result = np.ones(len(scores))
        for cls, mine in each_class(classes):
            if cls in self._classes:
                result[mine] = self._classes[cls].probability(scores[mine])
        return result


@dataclass(frozen=True)
class _Taken:
    """The detections of a frame and class whose continuation is not known yet."""

    frame: int
    cls: int
    scores: Array
    ids: Array
    totals: Array  # detections of their tracks, these included


class _Lives:
    """What became of tracks, by id.

    Attributes:
        totals: (m,) detections taken. still: (m,) bool, whether a track has been where it started
            for SETTLED frames.
    """

    def __init__(self) -> None:
        self.totals, self.still = np.zeros(0, np.int32), np.zeros(0, bool)
        self._born, self._first = np.zeros(0, np.int64), np.zeros((0, 4))  # frame, box

    def take(self, frame: int, ids: Array, boxes_xywh: Array) -> None:
        """Note the (k,) detections of a frame."""
        more = int(ids.max()) + 1 - len(self.totals)
        if more > 0:
            more += len(self.totals)
            self.totals, self.still, self._born, self._first = (
                np.concatenate([column, np.zeros((more, *column.shape[1:]), column.dtype)])
                for column in (self.totals, self.still, self._born, self._first)
            )
        fast = compiled("models.best.compiled")
        if fast is not None:
            columns = self.totals, self.still, self._born, self._first
            fast.live(*columns, solid(ids, np.int64), solid(boxes_xywh), frame, SETTLED, STILL)
            return
        new = self.totals[ids] == 0
        if new.any():
            self._born[ids[new]], self._first[ids[new]] = frame, boxes_xywh[new]
        aged = frame - self._born[ids] >= SETTLED
        if aged.any():
            aged &= paired_iou(self._first[ids], boxes_xywh) > STILL
        self.still[ids] = aged
        self.totals[ids] += 1


class _Scale:
    """The scores of one class, and what they mean."""

    def __init__(self, frame: int) -> None:
        self._since, self._frames, self._elapsed = frame, 0, 0
        self._parts: list[deque[tuple[Array, Array, Array]]] = [deque() for _ in HORIZONS]
        self._counts = [0] * len(HORIZONS)
        self._held = [0] * len(HORIZONS)  # of them, those in the parts
        self._due = 1.0
        self._first: float | None = None
        self._varied = False
        self._sorted = self._ranks = self._values = np.zeros(0)
        self._mean = 1.0

    @property
    def ready(self) -> bool:
        """Return whether there are enough observations."""
        least = WAIT if self._varied else HORIZONS[0]
        seen = self._counts[0] >= READY or self._frames >= least
        return seen or self._elapsed >= LONGEST

    @property
    def purity(self) -> float:
        """Return the mean P(object)."""
        if not self._varied:
            return 1.0
        return self._mean if self.ready else ASSUMED

    def elapsed(self, frame: int) -> None:
        """Take note of how far the video is, whether or not the class is in the frame."""
        self._elapsed = frame - self._since

    def see(self, frame: int, scores: Array) -> None:
        """Take note of how long the class is known, and of whether its scores differ."""
        self._frames = frame - self._since
        if not self._varied:
            self._first = float(scores[0]) if self._first is None else self._first
            self._varied = bool((scores != self._first).any())

    def add(self, place: int, scores: Array, shares: Array, still: Array) -> None:
        """Add (k,) scores, the shares of a horizon in which they went on, and who stood still."""
        parts = self._parts[place]
        parts.append((scores, shares, still))
        self._counts[place] += len(scores)
        self._held[place] += len(scores)
        while self._held[place] - len(parts[0][0]) >= KEPT:
            self._held[place] -= len(parts.popleft()[0])
        if place == 0 and self._counts[0] >= self._due:
            self._due = self._counts[0] + min((GROWTH - 1) * self._counts[0], KEPT / 4)
            self._evaluate()

    def _evaluate(self) -> None:
        """Find the horizon, and P(object) by rank."""
        if not self._varied and self._goes_on():
            # Scores that are all alike have one rank, at which P(object) is 1.
            self._sorted = np.array([self._first])
            self._ranks, self._values, self._mean = np.full(1, 0.5), np.ones(1), 1.0
            return
        for place, parts in enumerate(self._parts):
            if place and self._counts[place] < READY:
                return
            scores, shares, still = (np.concatenate(column) for column in zip(*parts, strict=True))
            order = np.argsort(scores)
            self._sorted = scores[order]
            ascending, every = self._ranks_of_sorted(), np.empty(len(scores))
            every[order] = ascending
            ranks = every
            if (~still[ranks >= _quantile(ascending, BEST)]).mean() >= MOVING:
                ranks, shares = ranks[~still], shares[~still]
            bins = int(np.clip(len(ranks) // PER_BIN, 1, BINS))
            of = np.minimum((ranks * bins).astype(int), bins - 1)
            number = np.bincount(of, minlength=bins)
            used = np.flatnonzero(number)
            number = number[used]
            total = np.bincount(of, shares, minlength=bins)[used] + PRIOR * shares.mean()
            rising = isotonic_regression(total / (number + PRIOR), weights=number).x
            chance = CHANCE * rising[-1]
            fallen = rising[0] <= chance
            chance = min(rising[0], chance)
            self._ranks = np.bincount(of, ranks, minlength=bins)[used] / number
            self._values = (rising - chance) / max(rising[-1] - chance, 1e-9)
            self._mean = float(np.interp(every, self._ranks, self._values).mean())
            if fallen:
                return

    def _goes_on(self) -> bool:
        """Return whether something that moves went on, over every horizon that is known."""
        known = [p for p, count in enumerate(self._counts) if not p or count >= READY]
        return all(
            any(((shares > 0) & ~still).any() for _, shares, still in reversed(self._parts[place]))
            for place in known
        )

    def _ranks_of_sorted(self) -> Array:
        """Return what `_rank` does of all known scores, which are sorted."""
        first = np.flatnonzero(np.append(True, self._sorted[1:] != self._sorted[:-1]))
        after = np.append(first[1:], len(self._sorted))
        return np.repeat((first + after) / (2 * len(self._sorted)), after - first)

    def _rank(self, scores: Array) -> Array:
        """Return the share of known scores below each, those equal to it counted half."""
        left, right = (np.searchsorted(self._sorted, scores, side) for side in ("left", "right"))
        ranks: Array = (left + right) / (2 * len(self._sorted))
        return ranks

    def probability(self, scores: Array) -> Array:
        """Return (k,) P(object | score)."""
        if not len(self._sorted):
            return np.ones(len(scores))
        return np.interp(self._rank(scores), self._ranks, self._values)


def _quantile(ascending: Array, share: float) -> float:
    """Return what np.quantile does of sorted values, for which it would sort them again."""
    place = share * (len(ascending) - 1)
    low = int(place)
    a, b = ascending[low], ascending[min(low + 1, len(ascending) - 1)]
    part = place - low
    return float(a + (b - a) * part if part < 0.5 else b - (b - a) * (1 - part))
