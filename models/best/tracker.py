"""The preset `best`: each pair by its likelihood, exact assignment, tracks judged as a whole."""

from __future__ import annotations

import numpy as np

from models.best import step
from models.best.config import BestConfig
from models.best.table import Rules, empty_table
from models.tracking import (
    BOXES,
    CELLS,
    Array,
    Final,
    Frame,
    Ledger,
    Tracker,
    long_enough,
    register,
    typed,
)
from utils.detections import MAX_CLASS

ROOM = 64  # tracks that a new table has room for; it doubles when it is full
ROUNDING = 1e-6  # scores are float32: a mean of scores 0.6 must reach `written` 0.6


@register
class BestTracker(Tracker):
    """Gives detections identities, one frame at a time.

    A score is P(object). `models.best.step` weighs each pair of a live track and a detection; every
    detection continues a track or starts one, and stays in it for good. What is written is decided
    on whole tracks: those with a mean P of `written`, and of them the detections with a P of
    `part`. `update` answers by the same rule on what was seen so far, where one detection of P
    `part` is taken for granted before the first.

    Args:
        config: BestConfig.

    Attributes:
        report: Counter: `tracks` started; detections dropped: `tentative` ones that no second one
            joined, `short` ones of tracks that were too short, `doubtful` ones that are less likely
            objects.
    """

    name = "best"
    meaning = "each pair by its likelihood, exact assignment, tracks judged as a whole"
    settings = BestConfig
    needs = (BOXES, CELLS)

    def __init__(self, config: BestConfig | None = None) -> None:
        super().__init__()
        self.config = config or BestConfig()
        c = self.config
        self._rules = Rules(
            float(c.nearness),
            float(c.mask_weight),
            float(c.prior),
            float(c.clutter),
            float(c.smoothing),
            float(c.damping),
            int(c.memory),
            float(c.part) - ROUNDING,
            float(c.written) - ROUNDING,
        )
        self._ledger = Ledger()
        self._next_id = 1
        self._forget()

    def _forget(self) -> None:
        """Forget all tracks; identities go on."""
        self._tracks, self._count = empty_table(ROOM), 0
        self._births = np.full(MAX_CLASS + 1, float(self.config.assumed_births))
        self._first: int | None = None
        self._last = None

    def _make_room(self, tracks: int) -> None:
        """Make room for more tracks."""
        room = len(self._tracks.ids)
        larger = empty_table(max(tracks, 2 * room))
        for old, new in zip(self._tracks, larger, strict=True):
            new[:room] = old
        self._tracks = larger

    def update(self, frame: Frame) -> Array:
        """Take the next frame, see `Tracker`."""
        self._follow(frame)
        n = len(frame)
        if not n:
            return np.zeros(0, np.int64)
        first = self._first is None
        if self._first is None:
            self._first = frame.number
        if self._count + n > len(self._tracks.ids):
            self._make_room(self._count + n)
        self._count, self._next_id, ids, at_once = step.take(
            self._tracks, self._count,
            typed(frame[BOXES], np.float64), typed(frame.classes, np.int16),
            typed(frame.scores, np.float32), typed(frame[CELLS], np.uint64),
            frame.number, float(frame.size[0] * frame.size[1]), first,
            self._births, float(frame.number - self._first + self.config.assumed_frames),
            self._next_id, self._rules,
        )  # fmt: skip
        self._ledger.add(frame.rows, ids, frame.classes, frame.scores)
        return at_once

    def flush(self) -> Final:
        """Judge the tracks; return the rows that are written, and their ids."""
        rows, ids, classes, probability = self._ledger.close()
        self.report["tracks"] = self._next_id - 1
        lengths = np.bincount(ids)[ids] if len(ids) else np.zeros(0)
        means = np.bincount(ids, probability)[ids] / lengths if len(ids) else np.zeros(0)
        long = long_enough(ids, classes, self.config.min_track_length)
        good = (means >= self._rules.written) & (probability >= self._rules.part)
        self.report["tentative"] += int((~long & (lengths == 1)).sum())
        self.report["short"] += int((~long & (lengths > 1)).sum())
        self.report["doubtful"] += int((long & ~good).sum())
        self._forget()
        return rows[long & good], ids[long & good]
