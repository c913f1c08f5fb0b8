"""Matching detections to the last ones of recent tracks: what four associations share.

Mask IoU, TrackR-CNN's, MOTSNet's and pixel embeddings' each say what a pair costs; who is matched
is solved exactly, unless one of them does otherwise.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from models.assignment import assign_exactly
from models.tracking import Array, Final, Frame, Ledger, Tracker
from utils.config import (
    ByClass,
    at_least_one,
    by_class,
    check_settings,
    limits_of,
    setting,
)


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
        self._ledger = Ledger()
        self._last = None

    @abstractmethod
    def cost(self, last: Sequence[tuple[Frame, int]], frame: Frame, rows: Array) -> Array:
        """Return the (m, k) costs of m last detections and the k rows of a frame."""

    def assign(self, costs: Array) -> tuple[Array, Array]:
        """Return the (k,) rows and (k,) columns of (m, n) costs that are matched, exactly."""
        return assign_exactly(-costs, -self.config.limit)

    def update(self, frame: Frame) -> Array:
        """Take the next frame, see `Tracker`."""
        self._follow(frame)
        return self._match(frame)

    def _match(self, frame: Frame) -> Array:
        weak = frame.scores < limits_of(frame.classes, self.config.min_score)
        self.report["weak"] += int(weak.sum())
        rows = np.flatnonzero(~weak)
        live = [t for t in self._live if frame.number - t[0].number <= self.config.window]
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
        pairs = zip(rows.tolist(), ids.tolist(), strict=True)
        self._live += [(frame, i, identity) for i, identity in pairs]
        now = np.zeros(len(frame), np.int64)
        now[rows] = ids
        self._ledger.add(frame.rows, now, frame.classes)
        return now

    def flush(self) -> Final:
        """Return the rows of tracks that are long enough, and forget the sequence."""
        final = self._ledger.written(self.config.min_track_length, self.report)
        self._forget()
        return final


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

    def update(self, frame: Frame) -> Array:
        """Take the next frame, see `Tracker`; without a `unit` no identity is known yet."""
        if self.config.unit is not None:
            return super().update(frame)
        self._follow(frame)
        self._waiting.append(frame)
        return np.zeros(len(frame), np.int64)

    def flush(self) -> Final:
        """Match the frames that waited for the unit; see `Tracker`."""
        if self.config.unit is None:
            self._unit = self._spread()
            for frame in self._waiting:
                self._match(frame)
            self._waiting = []
        return super().flush()

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
