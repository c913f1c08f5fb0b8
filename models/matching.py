"""Matching detections to the last ones of recent tracks: what four associations share.

Mask IoU, TrackR-CNN's, MOTSNet's and pixel embeddings' each say what a pair costs; who is matched
is solved exactly, unless one of them does otherwise.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from models.assignment import assign_exactly
from models.tracking import Array, Finished, Frame, Tracker, track
from utils.config import (
    ByClass,
    at_least_one,
    by_class,
    check_settings,
    limit_of,
    limits_of,
    setting,
)
from utils.detections import Detections


@dataclass(frozen=True)
class MatchingConfig:
    """Settings that all matchings share."""

    limit: float = setting(1.0, "cost at which, and above, nothing is matched")
    window: int = setting(3, "frames in which a track's last detection must lie (beta, N_w)")
    min_score: ByClass = by_class("score below which a detection takes no part, by class (gamma)")
    min_track_length: ByClass = by_class(
        "tracks with fewer detections are dropped, by class (N_t)", 1
    )

    def __post_init__(self) -> None:
        """Refuse settings without a meaning."""
        rules = (
            ("limit", bool(np.isfinite(self.limit)), "finite"),
            ("window", self.window >= 1, "at least 1 frame"),
            ("min_track_length", at_least_one(self.min_track_length), "at least 1 detection"),
        )
        check_settings(self, rules)


@dataclass(frozen=True)
class VectorConfig(MatchingConfig):
    """Settings of matchings that compare embeddings."""

    scale: float = setting(1.0, "of distances between embeddings, in units of `unit`")
    unit: float | None = setting(
        None,
        "of distances; none: the sequence's own mean distance to the mean, so that ids come at "
        "its end",
    )

    def __post_init__(self) -> None:
        """Refuse settings without a meaning."""
        super().__post_init__()
        check_settings(self, (("unit", self.unit is None or self.unit > 0, "above 0, or none"),))


class Matching(Tracker):
    """Assigns the detections of a frame to the last detections of recent tracks.

    Args:
        config: MatchingConfig.

    Attributes:
        report: Counter: `tracks` started, `short` detections of tracks that were too short, `weak`
            detections below `min_score`.
    """

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.config = config
        self._next_id = 1
        self._forget()

    def _forget(self) -> None:
        # Of each recent track: (frame, detection's place in it, id), oldest first.
        self._live: list[tuple[Frame, int, int]] = []
        self._pending: dict[int, Finished] = {}
        self._begun: dict[int, int] = {}  # frame in which a pending track began
        self._last = None

    @abstractmethod
    def cost(self, last: Sequence[tuple[Frame, int]], frame: Frame, rows: Array) -> Array:
        """Return the (m, k) costs of m last detections and the k rows of a frame."""

    def assign(self, costs: Array) -> tuple[Array, Array]:
        """Return the (k,) rows and (k,) columns of (m, n) costs that are matched, exactly."""
        return assign_exactly(-costs, -self.config.limit)

    def update(self, frame: Frame) -> Finished:
        """Take the next frame, see `Tracker`."""
        self._follow(frame)
        return self._match(frame)

    def _match(self, frame: Frame) -> Finished:
        weak = frame.scores < limits_of(frame.classes, self.config.min_score)
        self.report["weak"] += int(weak.sum())
        rows = np.flatnonzero(~weak)
        live = [t for t in self._live if frame.number - t[0].number <= self.config.window]
        self._lose({t[2] for t in self._live} - {t[2] for t in live})
        costs = self.cost([(f, i) for f, i, _ in live], frame, rows)
        classes = np.array([f.classes[i] for f, i, _ in live], np.int64)
        same = classes[:, None] == frame.classes[rows]
        tracks, columns = self.assign(np.where(same, costs, np.inf))
        ids = np.zeros(len(rows), np.int64)
        ids[columns] = [live[k][2] for k in tracks.tolist()]
        new = ids == 0
        ids[new] = self._next_id + np.arange(new.sum())
        self._next_id += int(new.sum())
        self.report["tracks"] += int(new.sum())
        taken = set(tracks.tolist())
        self._live = [t for k, t in enumerate(live) if k not in taken]
        pairs = list(zip(rows.tolist(), ids.tolist(), strict=True))
        self._live += [(frame, i, identity) for i, identity in pairs]
        self._pending |= {identity: [] for identity in ids[new].tolist()}
        self._begun |= dict.fromkeys(ids[new].tolist(), frame.number)
        return self._release(frame, pairs)

    def _release(self, frame: Frame, pairs: Finished) -> Finished:
        """Return what is final: rows of tracks that are long enough."""
        finished: Finished = []
        for i, identity in pairs:
            row, cls = int(frame.rows[i]), int(frame.classes[i])
            waiting = self._pending.get(identity)
            if waiting is None:
                finished.append((row, identity))
                continue
            waiting.append((row, identity))
            if len(waiting) >= limit_of(cls, self.config.min_track_length):
                finished += self._pending.pop(identity)
                del self._begun[identity]
        return finished

    def _lose(self, identities: set[int]) -> None:
        for identity in identities:
            self.report["short"] += len(self._pending.pop(identity, ()))
            self._begun.pop(identity, None)

    def open_since(self) -> int | None:
        """Return the earliest frame with an open detection, see `Tracker`."""
        return min(self._begun.values(), default=None)

    def flush(self) -> Finished:
        """Forget the sequence; see `Tracker`."""
        self._lose(set(self._pending))
        self._forget()
        return []


class VectorMatching(Matching):
    """A matching by embeddings, whose distances have no unit of their own.

    Without a `unit` in the settings the sequence's spread is the unit, which is known at its end:
    frames are kept until `flush`, and ids come then.
    """

    column: str

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self._unit: float | None = config.unit
        self._waiting: list[Frame] = []

    def update(self, frame: Frame) -> Finished:
        """Take the next frame, see `Tracker`."""
        if self.config.unit is not None:
            return super().update(frame)
        self._follow(frame)
        self._waiting.append(frame)
        return []

    def open_since(self) -> int | None:
        """Return the earliest frame with an open detection, see `Tracker`."""
        return self._waiting[0].number if self._waiting else super().open_since()

    def flush(self) -> Finished:
        """Return [(row, id)] of what waited for the unit, and forget the sequence."""
        finished: Finished = []
        if self.config.unit is None:
            self._unit = self._spread()
            for frame in self._waiting:
                finished += self._match(frame)
            self._waiting = []
        return finished + super().flush()

    def _spread(self) -> float:
        """Return the mean distance of embeddings to their mean; 1 where there is none."""
        if not self._waiting:
            return 1.0
        rows = np.concatenate([f.rows for f in self._waiting])
        vectors = np.concatenate([f[self.column] for f in self._waiting])[np.argsort(rows)]
        sample = vectors[:: max(1, len(vectors) // 500)]
        if not len(sample):
            return 1.0
        return float(np.linalg.norm(sample - sample.mean(axis=0), axis=1).mean()) or 1.0

    def distances(self, last: Sequence[tuple[Frame, int]], frame: Frame, rows: Array) -> Array:
        """Return the (m, k) Euclidean distances of vectors times `scale`, in `unit`s."""
        now = frame[self.column][rows] / self._unit
        before = np.array([f[self.column][i] / self._unit for f, i in last])
        differences = before.reshape(len(last), 1, now.shape[-1]) - now[None]
        scaled: Array = self.config.scale * np.sqrt((differences**2).sum(axis=2))
        return scaled


def random_search(
    sequences: Sequence[tuple[Detections, Array]],
    make: Callable[[Any], Tracker],
    config: Any,
    accuracy: Callable[[list[tuple[Detections, Array]]], float],
    trials: int = 1000,
    seed: int = 0,
    scores: bool = False,
) -> tuple[Any, float]:
    """Return the best of randomly drawn settings (thesis, section 4.1), and its accuracy.

    `limit` (up to that of the settings) or `scale`, `window` and `overlap_weight` are drawn, and
    `min_score` if asked for.
    MOTSNet's authors do not tune (tau = 1, N_w the training batch, N_t = 5), but their embeddings
    are of images.

    Args:
        sequences: [(Detections, embeddings)] to tune on.
        make: settings -> Tracker.
        config: settings to start from.
        accuracy: function [(Detections, track_ids)] -> float, larger is better.
        trials: how many to draw; seed: of the draws.
        scores: whether detections have scores, of which the least (gamma) is drawn, too.
    """
    rng = np.random.default_rng(seed)

    def measured(candidate: Any) -> float:
        columns = [{"embeddings": e, "vectors": e} for _, e in sequences]
        scenes = [d for d, _ in sequences]
        tracked = [
            (d, track(d, make(candidate), c)[0]) for d, c in zip(scenes, columns, strict=True)
        ]
        return accuracy(tracked)

    best, value = config, measured(config)
    for _ in range(trials):
        changes: dict[str, Any] = {
            "window": int(rng.integers(1, 31)),
            "limit": config.limit * float(rng.uniform(0.05, 1)),
        }
        if hasattr(config, "scale"):
            changes |= {"limit": 1.0, "scale": float(10 ** rng.uniform(-1, 1.5))}
        if getattr(config, "overlap_weight", 0):
            changes["overlap_weight"] = float(10 ** rng.uniform(-1, 1))
        if scores:
            changes["min_score"] = {0: float(rng.uniform(0, 0.95))}
        candidate = replace(config, **changes)
        if (result := measured(candidate)) > value:
            best, value = candidate, result
    return best, value
