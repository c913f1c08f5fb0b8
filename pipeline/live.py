"""Tracking while the video runs: a frame in, its identities out at once, all of them at the end."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import numpy.typing as npt

from models.tracking import Tracker
from pipeline.stages import Pipeline
from utils.detections import Detections
from utils.results import Numbering

Ids = npt.NDArray[np.int32]


class Live:
    """Tracks one video frame by frame. Holds an identity for each detection, and no mask.

    Args:
        pipeline: Pipeline, which says how. step: frame numbers from one frame to the next.

    Attributes:
        dropped: {rule: detections that it dropped}.

    Raises:
        ValueError: what needs the whole video (refining) is asked for.
    """

    def __init__(self, pipeline: Pipeline, step: int = 1) -> None:
        pipeline.settings.check_online()
        self.pipeline, self.step = pipeline, step
        self.tracker: Tracker = pipeline.tracker()
        self.dropped: Counter[str] = Counter()
        self._begin()

    def _begin(self) -> None:
        """Forget the video; the next one's identities begin anew."""
        self._numbering = Numbering()
        self._classes: list[npt.NDArray[np.int16]] = []
        self._rows = 0
        self._last: int | None = None

    def update(self, number: int, detections: Detections, image: Any = None) -> Ids:
        """Take the next frame, with its k Detections.

        Args:
            number: of the frame, above the last one's. detections: of this frame, or none.
            image: (height, width, 3) uint8 RGB, for trackers that look at it, or None.

        Returns:
            (k,) int32 identities as they are written, as far as they are known now; 0 for none yet.

        Raises:
            ValueError: detections of another frame, or a frame that is not after the last.
        """
        other = detections.frames[detections.frames != number]
        if len(other):
            raise ValueError(f"a stream must come frame by frame, got {other[0]} with {number}")
        if self._last is not None and number <= self._last:
            raise ValueError(f"frames must ascend: got frame {number} after {self._last}")
        if self.pipeline.settings.boxes == "mask":
            detections = self.pipeline.prepare(detections)
        part = self.pipeline.marked(detections, self.step)
        images = None if image is None else lambda _: image
        _, ids = self.pipeline.update(self.tracker, part, self._rows, images)
        # Only now: a frame that was refused may be given again.
        self._last = number
        self._rows += len(detections)
        self._classes.append(detections.classes)
        self.dropped.update(part.dropped)
        return self._numbering.ids(ids, detections.classes)

    def flush(self) -> Ids:
        """Return the final identities of all detections, in their order; forget them.

        Identities that `update` returned are the same or 0.
        """
        ids = np.zeros(self._rows, np.int64)
        rows, final = self.tracker.flush()
        ids[rows] = final
        classes = np.concatenate([np.zeros(0, np.int16), *self._classes])
        numbered = self._numbering.ids(ids, classes)
        self._begin()
        return numbered
