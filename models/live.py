"""Tracking while the video runs: frames in, and out again, in order, once their ids are final."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from models.pipeline import Pipeline
from models.tracking import Finished, Tracker
from utils.detections import Detections
from utils.results import Numbering, disjoint


@dataclass(frozen=True)
class Final:
    """A frame whose identities are final.

    Attributes:
        frame: its number. given: its k Detections as they were given. keep: (k,) bool, those that
            took part.
        result: the same k rows as they are written: masks disjoint, ids of the benchmark's form, 0
            for what belongs to no track. hidden: (k,) bool, those of which nothing was left.
        image: the picture that came with it, or None.
    """

    frame: int
    given: Detections
    keep: npt.NDArray[np.bool_]
    result: Detections
    hidden: npt.NDArray[np.bool_]
    image: Any = None

    @property
    def ids(self) -> npt.NDArray[np.int32]:
        """Return the (k,) identities of the detections as they were given, 0 for none."""
        return self.result.ids


@dataclass
class _Held:
    """A frame on its way."""

    frame: int  # number
    counted: int  # in steps
    first: int  # row
    detections: Detections
    keep: npt.NDArray[np.bool_]
    ids: npt.NDArray[np.int32]
    image: Any


class Live:
    """Tracks one video frame by frame. Memory holds the frames that are not final, no more.

    Args:
        pipeline: Pipeline, which says how. step: frame numbers from one frame to the next.

    Raises:
        ValueError: what needs the whole video (refining, calibrating) is asked for.
    """

    def __init__(self, pipeline: Pipeline, step: int = 1) -> None:
        pipeline.check_online()
        self.pipeline, self.step = pipeline, step
        self.tracker: Tracker = pipeline.tracker()
        self.dropped: dict[str, int] = {}
        self._held: deque[_Held] = deque()
        self._rows = 0
        self._numbering = Numbering()
        self._last: int | None = None

    def update(self, detections: Detections, image: Any = None, back: Any = None) -> list[Final]:
        """Take the next frame's k Detections; return the frames that are final by now, in order.

        Args:
            detections: of one frame; the sequence's size where there are none.
            image: (height, width, 3) uint8 RGB, for colours, and given back; or None.
            back: what is given back in its place.

        Raises:
            ValueError: several frames, or one that is not after the last.
        """
        numbers = np.unique(detections.frames)
        if len(numbers) > 1:
            raise ValueError(f"a stream must come frame by frame, got {numbers}")
        if not len(numbers):
            raise ValueError("a frame without detections has no number: use `empty(number)`")
        return self._take(int(numbers[0]), detections, image, back)

    def empty(
        self, number: int, size: tuple[int, int], image: Any = None, back: Any = None
    ) -> list[Final]:
        """Take a frame without detections; see `update`."""
        return self._take(number, Detections.empty("", *size), image, back)

    def _take(self, number: int, detections: Detections, image: Any, back: Any) -> list[Final]:
        if self._last is not None and number <= self._last:
            raise ValueError(f"frames must ascend: got frame {number} after {self._last}")
        self._last = number
        boxes = self.pipeline.settings.boxes
        part = self.pipeline.prepare(detections) if boxes == "mask" else detections
        keep, dropped = self.pipeline.mark(part)
        for rule, count in dropped.items():
            self.dropped[rule] = self.dropped.get(rule, 0) + count
        counted = round(number / self.step)
        ids = np.zeros(len(part), np.int32)
        self._held.append(
            _Held(
                number, counted, self._rows, detections, keep, ids, image if back is None else back
            )
        )
        rows = np.arange(self._rows, self._rows + len(part))
        self._rows += len(part)
        images = None if image is None else lambda _: image
        self._note(self.pipeline.step(self.tracker, part, rows, keep, self.step, images))
        return list(self._settled(self.tracker.open_since()))

    def flush(self) -> list[Final]:
        """Return the frames that are left, at the end of the video."""
        self._note(self.tracker.flush())
        return list(self._settled(None))

    @property
    def waiting(self) -> int:
        """Return how many frames are not final."""
        return len(self._held)

    def _note(self, finished: Finished) -> None:
        """Write identities into the frames that are held."""
        if not finished:
            return
        starts = [held.first for held in self._held]
        places = np.searchsorted(starts, [row for row, _ in finished], side="right") - 1
        for (row, identity), place in zip(finished, places.tolist(), strict=True):
            held = self._held[place]
            held.ids[row - held.first] = identity

    def _settled(self, open_since: int | None) -> Iterator[Final]:
        """Yield the frames before the first that is open."""
        while self._held and (open_since is None or self._held[0].counted < open_since):
            held = self._held.popleft()
            ids = self._numbering.ids(held.ids, held.detections.classes)
            result, dropped = disjoint(held.detections, ids, self.tracker.in_front)
            hidden = np.zeros(len(ids), bool)
            hidden[dropped] = True
            yield Final(held.frame, held.detections, held.keep, result, hidden, held.image)
