"""A sequence that was tracked, whole or frame by frame, as sinks take it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt

from models.tracking import Array
from utils.detections import Detections
from utils.masks import Images
from utils.results import finished
from utils.video import DEFAULT_RATE

STAGES = ("read", "crop", "embed", "associate", "refine", "write", "score", "report")
Image = npt.NDArray[np.uint8]
FrameResult = tuple[int, Detections, Image | None]  # number, detections with final ids, picture


class Stopwatch:
    """Adds up seconds by stage in `seconds`."""

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(STAGES, 0.0)

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Time a block."""
        start = time.perf_counter()
        yield
        self.seconds[stage] += time.perf_counter() - start


@dataclass(frozen=True)
class Tracked:
    """One sequence in memory; row i of every column is row i of the file.

    Attributes:
        detections: n Detections as they came (boxes as the settings have them).
        keep: (n,) bool, rows that the rules leave. dropped: {rule: count}.
        step: frame numbers that made one step of the video.
        columns: {name: (n, ...)} of what was computed: embeddings, vectors, colours.
        track_ids: (n,) int32, 0 for rows of no track.
        report: what the tracker and refinement counted.
        notes: what was guessed or overridden, for the user.
        in_front: who gets a pixel, see `utils.results.make_disjoint`.
    """

    detections: Detections
    keep: npt.NDArray[np.bool_]
    dropped: Mapping[str, int]
    step: int
    columns: Mapping[str, Array]
    track_ids: npt.NDArray[np.int32]
    report: Counter[str]
    notes: tuple[str, ...] = ()
    in_front: bool = True

    def result(self) -> tuple[Detections, list[int]]:
        """Return what is written, see `utils.results.finished`."""
        return finished(self.detections, self.track_ids, self.in_front)

    def counts(self) -> Counter[str]:
        """Return what was read, what each rule dropped and what the tracker counted."""
        counts = Counter(read=len(self.detections), frames=len(np.unique(self.detections.frames)))
        counts.update({f"dropped_{rule}": n for rule, n in self.dropped.items()})
        counts.update({f"tracker_{name}": n for name, n in self.report.items()})
        return counts


@dataclass(frozen=True)
class Outcome:
    """One sequence's tracks on their way to the sinks.

    Attributes:
        name: of the sequence. size: (height, width) px. step: frame numbers from frame to frame.
        frames: yields FrameResults, frames ascending; can be called once.
        scored: returns whether the detections came with scores, after the last frame.
        truth: masks to score against, or None.
        images: function frame -> (height, width, 3) uint8 RGB, where `frames` gives no pictures.
        rate: frames per second. video: of these frames, made for a page before, or None.
        parents: {identity: that of its mother}, where divisions were looked for.
        result: all detections with final ids, where they are in memory at once.
        tracked: the sequence itself, likewise.
    """

    name: str
    size: tuple[int, int]
    step: int
    frames: Callable[[], Iterator[FrameResult]]
    scored: Callable[[], bool]
    truth: Detections | None = None
    images: Images | None = None
    result: Detections | None = None
    tracked: Tracked | None = None
    rate: Fraction = DEFAULT_RATE
    video: Path | None = None
    parents: Mapping[int, int] | None = None


def find_step(frames: Array) -> int:
    """Return the common step of a sequence's frame numbers, 1 where there is none to be seen.

    A step is believed if it divides all differences and at least half of them are just it; two
    frames have no common step.
    """
    gaps = np.diff(np.unique(frames))
    if len(gaps) < 2:
        return 1
    step = int(np.gcd.reduce(gaps))
    return step if 2 * int((gaps == step).sum()) >= len(gaps) else 1


def frames_of(detections: Detections, also: Iterable[int] = ()) -> Iterator[tuple[int, Detections]]:
    """Yield (number, Detections) of each frame, frames ascending, rows in the file's order.

    Args:
        also: numbers of frames that are yielded even without detections.
    """
    order = np.argsort(detections.frames, kind="stable")
    numbers, starts = np.unique(detections.frames[order], return_index=True)
    parts = dict(zip(numbers.tolist(), np.split(order, starts[1:]), strict=False))
    for number in sorted(parts.keys() | set(also)):
        yield number, detections.select(parts.get(number, order[:0]))
