"""Which detections of a track are written, and when: those more likely objects than not."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from models.best.confidence import Confidence
from models.tracking import Finished
from utils.config import BestConfig, limit_of

OWN = 0.3  # share of a detection's own P(object) in its verdict; its track's has the rest
ROUNDING = 1e-6

Array = npt.NDArray[Any]


@dataclass
class _Waiting:
    """A detection without a verdict; passed: it has one, those before it have none."""

    row: int
    frame: int
    score: float
    probability: float
    passed: bool


@dataclass
class _Queue:
    """What waits of one track, oldest first, and how many detections the track had."""

    cls: int
    taken: int = 0
    waiting: deque[_Waiting] = field(default_factory=deque)


class Release:
    """Holds detections back until their track has shown that they are objects.

    A detection passes if OWN of its P(object) and the rest of its track's, the running mean of its
    latest detections', reach `written`. What does not pass at once has `patience` frames in which
    the track may rise. The detections of a track leave in order, once it has `min_track_length`.
    Until enough was seen of a class to know what its scores mean, all wait, to be judged together.

    Args:
        confidence: what scores mean. config: BestConfig.
        report: Counter, in which what is dropped is counted: `tentative` detections that no second
            one joined, `short` ones of tracks that were too short, `doubtful` ones that are less
            likely objects.
    """

    def __init__(self, confidence: Confidence, config: BestConfig, report: Counter[str]) -> None:
        self._confidence, self._config, self._report = confidence, config, report
        self._queues: dict[int, _Queue] = {}
        self._ended: dict[int, list[tuple[int, _Queue]]] = {}  # by class, before it was ready
        self._ready: set[int] = set()
        self._unknown: set[int] = set()  # classes that are not ready
        # Tracks of which nothing waits, so that what passes leaves at once.
        self._flowing: set[int] = set()

    def start(self, ids: Array, classes: Array) -> None:
        """Expect detections of new tracks."""
        for identity, cls in zip(ids.tolist(), classes.tolist(), strict=True):
            self._queues[identity] = _Queue(cls)
            if cls not in self._ready:
                self._unknown.add(cls)

    def take(
        self, frame: int, rows: Array, ids: Array, scores: Array, probability: Array, belief: Array
    ) -> Finished:
        """Take (k,) detections of a frame; return what is released, [(row, id)].

        Args:
            frame: number; rows: what the caller calls them; ids: their tracks; scores: theirs;
            probability: P(object) of each; belief: that of their tracks, them included.
        """
        finished: Finished = []
        passes, flowing = self._verdict(probability, belief).tolist(), self._flowing
        own = ids.tolist()
        pairs = list(zip(rows.tolist(), own, strict=True))
        if all(passes) and flowing.issuperset(own):
            return pairs
        for k, pair in enumerate(pairs):
            if passes[k] and pair[1] in flowing:
                finished.append(pair)
            else:
                held = _Waiting(pair[0], frame, float(scores[k]), float(probability[k]), passes[k])
                finished += self._queued(pair[1], held, float(belief[k]))
        return finished

    def _queued(self, identity: int, held: _Waiting, belief: float) -> Finished:
        """Put a detection at the end of its track's queue; return what leaves it."""
        queue = self._queues[identity]
        queue.taken += 1
        queue.waiting.append(held)
        self._flowing.discard(identity)
        if queue.cls not in self._ready:
            held.passed = False
            return []
        finished = self._leave(identity, queue, belief, held.frame)
        if not queue.waiting and self._long_enough(queue):
            self._flowing.add(identity)
        return finished

    def _verdict(self, probability: Any, belief: Any) -> Any:
        """Return whether detections of (k,) P(object), or one, pass, given their tracks'."""
        return OWN * probability + (1 - OWN) * belief >= self._config.written - ROUNDING

    def _long_enough(self, queue: _Queue) -> bool:
        return queue.taken >= limit_of(queue.cls, self._config.min_track_length)

    def _leave(self, identity: int, queue: _Queue, belief: float, frame: int) -> Finished:
        """Return what leaves a queue: what passed, up to the first that may still do."""
        finished: Finished = []
        for held in queue.waiting:
            held.passed |= self._verdict(held.probability, belief)
        while queue.waiting:
            held = queue.waiting[0]
            if held.passed and self._long_enough(queue):
                finished.append((held.row, identity))
            elif held.frame + self._config.patience > frame:
                break
            else:
                self._report["doubtful"] += 1
            queue.waiting.popleft()
        return finished

    def learn(self) -> tuple[Finished, dict[int, float]]:
        """Judge what waited for classes of which enough is known now.

        Returns:
            finished: [(row, id)] of tracks that have ended; {id: P(object)} of those that have not.
        """
        finished: Finished = []
        beliefs: dict[int, float] = {}
        for cls in sorted(self._unknown):
            if not self._confidence.ready(cls):
                continue
            self._ready.add(cls)
            self._unknown.remove(cls)
            ended = self._ended.pop(cls, [])
            self._judge(cls, [queue for _, queue in ended])
            for identity, queue in ended:
                finished += self._close(identity, queue)
            of = {i: queue for i, queue in self._queues.items() if queue.cls == cls}
            open_ = {i: queue for i, queue in of.items() if queue.waiting}
            beliefs |= zip(open_, self._judge(cls, list(open_.values())), strict=True)
        return finished, beliefs

    def _judge(self, cls: int, queues: list[_Queue]) -> list[float]:
        """Give all that waits a verdict by what is known now; return the tracks' P(object).

        Args:
            queues: of tracks of a class, in each of which something waits.
        """
        if not queues:
            return []
        scores = np.array([held.score for queue in queues for held in queue.waiting])
        known = self._confidence.probability(np.full(len(scores), cls), scores)
        lengths = np.array([len(queue.waiting) for queue in queues])
        belief = np.add.reduceat(known, np.cumsum(lengths) - lengths) / lengths
        passed = self._verdict(known, np.repeat(belief, lengths)).tolist()
        held = (one for queue in queues for one in queue.waiting)
        for one, p, verdict in zip(held, known.tolist(), passed, strict=True):
            one.probability, one.passed = p, verdict
        beliefs: list[float] = belief.tolist()
        return beliefs

    def _close(self, identity: int, queue: _Queue) -> Finished:
        """Return what is left of a track that has ended; count what is dropped."""
        if not self._long_enough(queue):
            self._report["tentative" if queue.taken == 1 else "short"] += len(queue.waiting)
            return []
        finished = [(held.row, identity) for held in queue.waiting if held.passed]
        self._report["doubtful"] += len(queue.waiting) - len(finished)
        return finished

    def end(self, ids: list[int]) -> Finished:
        """Return what is released of tracks that have ended."""
        finished: Finished = []
        for identity in ids:
            queue = self._queues.pop(identity)
            self._flowing.discard(identity)
            if queue.cls in self._ready:
                finished += self._close(identity, queue)
            elif queue.waiting:
                self._ended.setdefault(queue.cls, []).append((identity, queue))
        return finished

    def open_since(self) -> int | None:
        """Return the number of the earliest frame with a detection that waits."""
        ended = [queue for pairs in self._ended.values() for _, queue in pairs]
        queues = [*ended, *self._queues.values()]
        return min((q.waiting[0].frame for q in queues if q.waiting), default=None)

    def flush(self) -> Finished:
        """Return what is released at the end of the video, judged by what is known then."""
        finished: Finished = []
        ended = [pair for pairs in self._ended.values() for pair in pairs]
        for identity, queue in [*ended, *self._queues.items()]:
            if queue.cls not in self._ready and queue.waiting:
                self._judge(queue.cls, [queue])
            finished += self._close(identity, queue)
        self._queues, self._ended, self._flowing = {}, {}, set()
        return finished
