"""Keeps the identities that came with the file."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.tracking import IDS, Array, Final, Frame, Ledger, Tracker, register


@dataclass(frozen=True)
class GivenConfig:
    """Nothing to set."""


@register
class GivenTracker(Tracker):
    """Keeps given ids: one track per class and id.

    Attributes:
        report: Counter: `tracks`.
    """

    name = "given"
    meaning = "the ids of the file, to refine, draw or score"
    settings = GivenConfig
    needs = (IDS,)

    def __init__(self, config: GivenConfig | None = None) -> None:
        super().__init__()
        self._numbers: dict[tuple[int, int], int] = {}
        self._ledger = Ledger()

    def update(self, frame: Frame) -> Array:
        """Take the next frame, see `Tracker`.

        Raises:
            ValueError: a detection without an id, or an id twice.
        """
        self._follow(frame)
        ids = frame[IDS]
        if not (ids > 0).all():
            raise ValueError(f"tracker given needs ids, got 0 in frame {frame.number}")
        keys = list(zip(frame.classes.tolist(), ids.tolist(), strict=True))
        unique, counts = np.unique(np.array(keys).reshape(-1, 2), axis=0, return_counts=True)
        if (counts > 1).any():
            rule = f"id {unique[counts.argmax()][1]} must be given once in frame {frame.number}"
            raise ValueError(f"{rule} by all --detections together, got it {counts.max()} times")
        for key in keys:
            self._numbers.setdefault(key, len(self._numbers) + 1)
        self.report["tracks"] = len(self._numbers)
        given = np.array([self._numbers[key] for key in keys], np.int64)
        self._ledger.add(frame.rows, given)
        return given

    def flush(self) -> Final:
        """Return every row with its id, and forget the sequence."""
        self._numbers, self._last = {}, None
        rows, ids, *_ = self._ledger.close()
        return rows, ids
