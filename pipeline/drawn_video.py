"""The drawn video of a run that can be resumed: made in parts, which are kept and joined."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np

from pipeline.results import PICTURES
from pipeline.sinks import Sink
from pipeline.spool import PART, Spool
from pipeline.tracked import Image, Outcome
from utils.detections import Detections
from utils.drawing import Painter
from utils.video_writing import VideoWriter, join


class DrawnVideoSink(Sink):
    """Draws the video, PART frames at a time; parts that are there are not made again.

    Args:
        spool: keeps whole parts. folder: of the run. rate, size: of the video.
        times: returns seconds of the frames where their rate is not constant, once all are tracked.
        name_of: class number -> name.

    Attributes:
        frames: how many were tracked. for_good: whether parts may be kept: identities of a run that
            was stopped may change when it goes on.
    """

    def __init__(
        self,
        spool: Spool,
        folder: Path,
        rate: Fraction,
        size: tuple[int, int],
        times: Callable[[], list[float] | None] = lambda: None,
        name_of: Callable[[int], str] | None = None,
    ) -> None:
        self._spool, self._folder = spool, folder / PICTURES
        self._rate, self._size, self._times = rate, size, times
        self._ended: list[Path] = []
        self._count = 0
        self._writer: VideoWriter | None = None
        self.frames, self.for_good = 0, True
        self.painter = Painter(name_of)

    def begin(self, outcome: Outcome) -> None:
        """See which parts are there: an earlier run may have drawn more frames than these."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._done = min(len(self._spool.parts()), self.frames // PART)

    def take(self, number: int, part: Detections, image: Image | None) -> None:
        """Draw the next frame on its picture, unless it is in a part that is there."""
        if image is None:  # the user stopped the drawing
            return
        index, place = divmod(self._count, PART)
        self._count += 1
        rows = np.flatnonzero(part.ids)
        if index < self._done:
            self.painter.follow(part, rows, number)
            return
        drawn = self.painter.draw(image, part, rows, number)
        if self._writer is None:
            path = self._folder / f".{index:06d}.mp4"
            uneven = self._times() is not None
            self._writer = VideoWriter(path, self._size, self._rate, uneven)
        self._writer.write(drawn)
        if place == PART - 1:
            self._close(index, self.for_good)

    def _close(self, index: int, for_good: bool) -> None:
        """Close a part; a whole one is kept for good."""
        if self._writer is None:
            return
        self._writer.close()
        path, self._writer = self._writer.path, None
        if for_good:
            self._spool.keep(path, index)
        else:
            self._ended.append(path)

    def end(self, outcome: Outcome, result: Detections) -> None:
        """Join the parts to the whole video."""
        self._close((self._count - 1) // PART, for_good=False)
        parts = [*self._spool.parts()[: self._count // PART], *self._ended]
        if parts:
            join(parts, self._folder / f"{outcome.name}.mp4", self._times())
        for path in self._ended:
            path.unlink()
