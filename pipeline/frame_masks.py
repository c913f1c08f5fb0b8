"""Where the masks of a video's frames come from: detections that were read, or a segmenter."""

from __future__ import annotations

import contextlib
import hashlib
import signal
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Any

from pipeline.request import Video
from pipeline.segmenters import BatchSegmenter, Segmenter, segmented
from pipeline.spool import Spool
from pipeline.tracked import Image
from utils.detections import Detections
from utils.divisions import divided
from utils.formats.base import Classes
from utils.video import Frames

SAMPLED = 1 << 14  # bytes of each end of a file that its digest is of
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
    """Return what changes with a file, or any file of a folder: bytes, latest time, a digest.

    The digest is of names, sizes, times, and the first and last bytes of each file.
    """
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    digest, total, latest = hashlib.sha256(), 0, 0
    for file in files:
        if not file.is_file():
            return ""
        stat = file.stat()
        total, latest = total + stat.st_size, max(latest, stat.st_mtime_ns)
        digest.update(f"{file.relative_to(path.parent)} {stat.st_size} {stat.st_mtime_ns}".encode())
        with file.open("rb") as stream:
            digest.update(stream.read(SAMPLED))
            stream.seek(max(0, stat.st_size - SAMPLED))
            digest.update(stream.read(SAMPLED))
    return f"{total} {latest} {len(files)} {digest.hexdigest()[:16]}"


def segmenter_stamp(name: str | None) -> str:
    """Return what changes with the file of a segmenter: its weights, or the user's module."""
    if name is None:
        return ""
    module = name.partition(":")[0]
    for path in (
        Path(name),
        Path(module),
        Path(name.partition(":")[2] or name),
        Path(f"{module}.py"),
    ):
        if path.is_file():
            return stamp(path)
    return ""


def signature(
    video: Video, frames: Frames, ground_truth: Path | None, scores: Any
) -> dict[str, Any]:
    """Return what must be the same for going on with a run of a video.

    Args:
        video: Video. frames: Frames. scores: facts of the score curves, or None.
    """
    return {
        "source": video.source,
        "size": list(frames.size),
        "rate": str(frames.rate),
        "first frame": frames.first,
        "detections": [f"{p} {stamp(p)}" for p in video.detections],
        "scores": scores,
        "video": stamp(Path(video.source)),
        "ground truth": str(ground_truth),
        "segmenter": f"{video.segmenter} {segmenter_stamp(video.segmenter)}",
        "settings": str(sorted(map(str, video.marks.items()))),
    }


@dataclass
class FrameMasks:
    """The masks of a video's frames, in order.

    Attributes:
        by_frame: {number: Detections} that were read; or segmenter: what finds them, by its `name`.
        classes: numbers of classes by name. spool: keeps what a segmenter found.
        emptied: how many masks without a pixel were left out.
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
            yield from self._in_batches(self.segmenter, frames)
            return
        for number, image in frames:
            yield number, image, self._one(number, image)

    def _in_batches(
        self, segmenter: BatchSegmenter, frames: Iterable[tuple[int, Image]]
    ) -> Iterator[Segmented]:
        """Yield what a network of this repository finds, several frames at once."""
        segmenter.use(self.classes)
        self.spool.save_names(self.classes.names)
        stored: set[int] = set()

        def known(frame: int) -> Detections | None:
            before = self._before(frame)
            stored.update(() if before is None else (frame,))
            return before

        for number, image, detections in segmenter.stream(frames, known):
            kept = detections if number in stored else self.spool.store(number, detections)
            filled = kept.filled  # a network may find a box and no mask
            self.emptied += int((~filled).sum())
            yield number, image, kept.select(filled)

    def _before(self, frame: int) -> Detections | None:
        """Return what was found in a frame before the run was stopped."""
        if self._next is not None and self._next[0] == frame:
            before = self._next[1]
            self._next = next(self._stored, None)
            return before
        self._next = None
        return None

    def _one(self, frame: int, image: Image) -> Detections:
        """Return the Detections of a frame."""
        if self.segmenter is None:
            return self.by_frame.get(frame, Detections.empty("", *image.shape[:2]))
        before = self._before(frame)
        if before is not None:
            if getattr(self.segmenter, "stateful", False):
                self.segmenter(image)  # type: ignore[operator]  # it learns from every frame
            return before
        assert not isinstance(self.segmenter, BatchSegmenter)
        known = len(self.classes.names)
        detections = segmented(self.segmenter, self.name, image, frame, self.classes)
        if len(self.classes.names) > known:
            self.spool.save_names(self.classes.names)
        return self.spool.store(frame, detections)

    def divided(self, numbers: Sequence[int], frames: Frames, ids: Any, step: int) -> Detections:
        """Return all that `each` went through as one sequence, with divisions.

        Args:
            numbers: of the frames. frames: Frames. ids: (n,) final identities of all masks.
            step: frame numbers from frame to frame.
        """
        nothing = Detections.empty(frames.name, *frames.size)
        whole = Detections.joined([nothing, *self.again(numbers, frames.size)])
        return divided(replace(whole, ids=ids), step)

    def again(self, numbers: Iterable[int], size: tuple[int, int]) -> Iterator[Detections]:
        """Yield the Detections of the frames that `each` went through, once more."""
        if self.segmenter is None:
            for number in numbers:
                yield self.by_frame.get(number, Detections.empty("", *size))
            return
        for _, (_, kept) in zip(numbers, self.spool.stored(), strict=False):
            yield kept.select(kept.filled)
