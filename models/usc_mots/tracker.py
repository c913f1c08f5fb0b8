"""Spatio-temporal clustering over a sliding window (paper, Alg. 1 and section 3.4)."""

from __future__ import annotations

import itertools

import numpy as np

from models.tracking import (
    EMBEDDINGS,
    IDS,
    MASKS,
    Array,
    Final,
    Frame,
    Ledger,
    Tracker,
    register,
)
from models.usc_mots.algorithm import Window
from models.usc_mots.config import AuthorsConfig, UscMotsConfig

ALL = 0  # the key of the one window of all classes


@register
class UscMotsTracker(Tracker):
    """Gives detections identities, one frame at a time (section 3.4); holds only the window.

    Args:
        config: UscMotsConfig.

    Attributes:
        report: Counter of what happened: `tracks` started, `tentative` detections that left the
            window without an identity, `low_score` clusters below lambda, `short` detections of
            tracks below the minimum length, `contradictions` among must-links, `merged` detections
            that plain k-means gave the identity of another one of their frame, which is written.

    Example:
        >>> tracker = UscMotsTracker(UscMotsConfig())
        >>> now = [tracker.update(frame) for frame in frames]
        >>> rows, ids = tracker.flush()
    """

    name = "paper"
    meaning = "the paper's constrained k-means of embeddings over a sliding window"
    settings = UscMotsConfig
    in_front = False  # of which the paper says nothing

    def __init__(self, config: UscMotsConfig | None = None) -> None:
        super().__init__()
        self.config = config or self.settings()
        by_masks = self.config.use_graph and self.config.gate == "mask_iou"
        self.needs = (EMBEDDINGS, *(MASKS,) * by_masks, *(IDS,) * self.config.known_clusters)
        self._numbers = itertools.count(1)
        self._windows: dict[int, Window] = {}  # by class, or one
        self._ledger = Ledger()

    def update(self, frame: Frame) -> Array:
        """Take the next frame, see `Tracker`.

        Raises:
            ValueError: frame numbers out of order, or |K| is to be known and a detection has no
                true id.
        """
        self._follow(frame)
        if len(frame) and self.config.known_clusters:
            missing = int((frame[IDS] <= 0).sum())
            if missing:
                rule = "known_clusters needs detections with true ids"
                raise ValueError(f"{rule}, got {missing} without in frame {frame.number}")
        keys = np.unique(frame.classes).tolist() if self.config.classes_apart else [ALL]
        for key in keys:
            if key not in self._windows:
                self._windows[key] = Window(self.config, self._numbers, self.report, self._ledger)
        labels = np.zeros(len(frame), np.int64)
        for key in sorted(self._windows):
            mine = np.full(len(frame), True) if key == ALL else frame.classes == key
            part = frame if key == ALL else frame.part(mine)
            labels[mine] = self._windows[key].update(part)
        return labels

    def flush(self) -> Final:
        """Empty the window; return what has a final identity, see `Tracker`."""
        for key in sorted(self._windows):
            self._windows[key].flush()
        self._windows.clear()
        self._last = None
        return self._ledger.written(self.config.min_track_length, self.report)


@register
class AuthorsTracker(UscMotsTracker):
    """The same by the rules of the authors' code, see `AuthorsConfig` and docs/differences.md."""

    name = "authors"
    meaning = "the same by the rules of the authors' code, where they differ from the paper's"
    settings = AuthorsConfig
