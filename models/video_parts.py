"""Parts of a video's run: where masks come from, frames that wait, the video piece by piece."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import FrameType

import numpy as np
import numpy.typing as npt

from models.segmenters import BatchSegmenter, Segmenter, segmented
from models.spool import PART, Spool
from utils.detections import Detections
from utils.drawing import Painter
from utils.formats.base import Classes
from utils.video import VideoWriter, join

Image = npt.NDArray[np.uint8]
Segmented = tuple[int, Image, Detections]


class Stop:
    """Ends a run at the next frame: what Ctrl-C does the first time."""

    def __init__(self) -> None:
        self.asked = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Take a signal; one more before `asked` is reset ends the run at once."""
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True


@contextlib.contextmanager
def interrupted_by(stop: Stop) -> Iterator[None]:
    """Let Ctrl-C ask a run to stop, for as long as it lasts."""
    before = signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def stamp(path: Path) -> str:
    """Return what changes with a file, or any file of a folder: bytes, latest time in ns."""
    files = sorted(path.rglob("*")) if path.is_dir() else []
    found = [p.stat() for p in (path, *files) if p.exists()]
    if not found:
        return ""
    sizes = sum(f.st_size for f in found)
    return f"{sizes} {max(f.st_mtime_ns for f in found)} {len(found)}"


@dataclass
class Masks:
    """Where a frame's masks come from: detections that were read, or a segmenter.

    `emptied` counts masks without a pixel, which are left out.
    """

    by_frame: dict[int, Detections]
    segmenter: Segmenter | BatchSegmenter | None
    name: str
    classes: Classes
    spool: Spool
    emptied: int = 0

    def __post_init__(self) -> None:
        self._stored: Iterator[tuple[int, Detections]] = self.spool.stored()
        self._next = next(self._stored, None)

    def each(self, frames: Iterable[tuple[int, Image]]) -> Iterator[Segmented]:
        """Yield (number, image, Detections) of each frame, in order."""
        if isinstance(self.segmenter, BatchSegmenter):
            self.segmenter.use(self.classes)
            self.spool.save_names(self.classes.names)
            stored: set[int] = set()

            def known(frame: int) -> Detections | None:
                found = self._before(frame)
                stored.update(() if found is None else (frame,))
                return found

            for number, image, found in self.segmenter.stream(frames, known):
                kept = found if number in stored else self.spool.store(number, found)
                filled = kept.filled  # a network may find a box and no mask
                self.emptied += int((~filled).sum())
                yield number, image, kept.select(filled)
            return
        for number, image in frames:
            yield number, image, self._of(number, image)

    def _before(self, frame: int) -> Detections | None:
        """Return what was found in a frame before the run was stopped."""
        if self._next is not None and self._next[0] == frame:
            found = self._next[1]
            self._next = next(self._stored, None)
            return found
        self._next = None
        return None

    def _of(self, frame: int, image: Image) -> Detections:
        """Return the Detections of a frame."""
        if self.segmenter is None:
            return self.by_frame.get(frame, Detections.empty("", *image.shape[:2]))
        if (before := self._before(frame)) is not None:
            return before
        assert not isinstance(self.segmenter, BatchSegmenter)
        known = len(self.classes.names)
        found = segmented(self.segmenter, self.name, image, frame, self.classes)
        if len(self.classes.names) > known:
            self.spool.save_names(self.classes.names)
        return self.spool.store(frame, found)

    def again(self, numbers: Iterable[int], size: tuple[int, int]) -> Iterator[Detections]:
        """Yield the Detections of the frames that `each` went through, once more."""
        if self.segmenter is None:
            for number in numbers:
                yield self.by_frame.get(number, Detections.empty("", *size))
            return
        for _, (_, kept) in zip(numbers, self.spool.stored(), strict=False):
            yield kept.select(kept.filled)


class Parts:
    """The drawn video, a part of PART frames at a time; parts that are there are not made again.

    Args:
        spool: holds them. rate, size: of the video. stopped: parts that a stopped run ends with, to
            be made again when it goes on, are in `folder`. frames: how many there will be.
    """

    def __init__(
        self, spool: Spool, rate: Fraction, size: tuple[int, int], folder: Path, frames: int
    ) -> None:
        self._spool, self._rate, self._size, self._folder = spool, rate, size, folder
        # An earlier run may have drawn more frames than this one has tracked.
        self._done = min(len(spool.parts()), frames // PART)
        self._ended: list[Path] = []
        self._count = 0
        self._writer: VideoWriter | None = None
        self.stopped = False
        self.painter = Painter()

    def take(self, frame: int, result: Detections, image: Image) -> None:
        """Draw the next frame's result on its picture, unless it is in a part that is there."""
        part, place = divmod(self._count, PART)
        self._count += 1
        rows = np.flatnonzero(result.ids)
        if part < self._done:
            self.painter.follow(result, rows, frame)
            return
        drawn = self.painter.draw(image, result, rows, frame)
        if self._writer is None:
            self._writer = VideoWriter(self._folder / f"{part:06d}.mp4", self._size, self._rate)
        self._writer.write(drawn)
        if place == PART - 1:
            self._end(part)

    def _end(self, part: int) -> None:
        """Close a part; it is kept for good unless the run was stopped in it."""
        if self._writer is None:
            return
        self._writer.close()
        made, self._writer = self._writer.path, None
        if self.stopped:
            self._ended.append(made)
        else:
            self._spool.keep(made, part)

    def finish(self, path: Path) -> bool:
        """Write the whole video; return whether there was a frame."""
        self.stopped = True  # a part that is not full is not for good
        self._end((self._count - 1) // PART)
        whole = self._spool.parts()[: self._count // PART]
        parts = [*whole, *self._ended]
        if parts:
            join(parts, path)
        return bool(parts)
