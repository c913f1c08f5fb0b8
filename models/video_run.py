"""A video's run: frames in, in order; tracks, video and report out. It can be resumed.

First all frames are tracked. Then they are read once more, and drawn with the identities that are
final; a camera's frames are recorded for that. What is slow to make, the masks of a segmenter and
the parts of the drawn video, is kept on disk. A run that goes on tracks the kept masks anew, which
gives the same identities, so that its files are those of a run that was never stopped.
"""

from __future__ import annotations

import platform
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from models.live import Answer, Live
from models.output import PICTURES, REPORT, OutputFolder
from models.pipeline import Pipeline, find_step
from models.segmenters import find_segmenter
from models.settings import Settings
from models.spool import Spool
from models.video_parts import Masks, Parts, Stop, interrupted_by, stamp
from utils import evaluation
from utils.cli import check_backend, say
from utils.data_sets import DataSet, named_after, own_names
from utils.detections import Detections
from utils.drawing import Painter
from utils.files import FormatError
from utils.formats.base import Classes, Options, Output
from utils.formats.lines import numbered
from utils.formats.mots_txt import MOTS_TXT
from utils.formats.writing import MOTS, WRITERS
from utils.inputs import read_inputs
from utils.page import write_page
from utils.results import disjoint
from utils.review import Review
from utils.video import Frames, VideoWriter

Image = npt.NDArray[np.uint8]

TRACKS = "tracks.txt"  # of the work folder: frame id class height width score rle
RECORDED = "recorded.mp4"  # of the work folder: a camera's frames


@dataclass(frozen=True)
class VideoRequest:
    """What is asked of a video's run.

    Attributes:
        source: video, folder of pictures, or number of a camera. output: folder for the results.
        settings: Settings. named: makes them once the classes' names are known.
        detections: files or folders of masks; or `segmenter`: name of one.
        format_name: of the detections; None tells it by content.
        ground_truth: masks with ids to score against, or None.
        write: further formats. rate: frames per second where the source has none.
        first_frame: number of a video's first frame; None finds out.
        resume: whether to go on with a run that was stopped. show: on the screen.
        report: whether to make report.html. asked: settings as the user gave them, for resuming.
    """

    source: str
    output: Path
    settings: Settings
    named: Callable[[DataSet], Settings]
    detections: Sequence[Path] = ()
    segmenter: str | None = None
    format_name: str | None = None
    ground_truth: Path | None = None
    write: Sequence[str] = ()
    rate: Fraction | None = None
    first_frame: int | None = None
    resume: bool = False
    show: bool = False
    report: bool = True
    asked: Mapping[str, Any] = field(default_factory=dict)


class VideoRun:
    """One run over a video.

    Args:
        request: VideoRequest.

    Raises:
        ValueError: bad input; nothing is written then.
    """

    def __init__(self, request: VideoRequest) -> None:
        self.request = request
        self.counts: Counter[str] = Counter()
        self.notes: list[str] = []
        self.stop = Stop()

    def execute(self) -> dict[str, Any]:
        """Track the video; return the summary.

        Raises:
            ValueError: bad input.
        """
        request = self.request
        given = [Path(request.source), *request.detections]
        given += [request.ground_truth] if request.ground_truth else []
        with OutputFolder(request.output, given) as output:
            self._read()
            spool = Spool(request.output, self._signature(), request.resume)
            for number, name in spool.names.items():
                self.classes.number(name, number)
            try:
                stopped = self._track(spool, output.staged)
            except ValueError:
                if not spool.parts() and request.segmenter is None:
                    spool.remove()  # nothing in it is worth keeping
                raise
            summary = self._summary(stopped)
            self._write(spool, output.staged, summary)
            output.install(summary)
            if not stopped or self.frames.live:  # a camera's run cannot be resumed
                spool.remove()
        return summary

    def _read(self) -> None:
        """Open the video, and read the masks that are on disk."""
        request = self.request
        self.frames = Frames(request.source, request.rate)
        of = request.settings.data_set
        self.classes = Classes(own_names(of))
        self.segmenter = find_segmenter(request.segmenter) if request.segmenter else None
        if request.resume and self.frames.live:
            raise ValueError(f"--resume needs a video or folder, got {self.frames.name}")
        options = Options(self.frames.size, classes=self.classes)
        found: list[Detections] = []
        self.truth: Detections | None = None
        if request.detections:
            inputs = read_inputs(
                request.detections, options=options, format_name=request.format_name
            )
            self.notes += inputs.notes
            if len(inputs.sequences) != 1:
                names = ", ".join(s.sequence for s in inputs.sequences)
                raise ValueError(f"--detections must hold one sequence for a video, got {names}")
            found = inputs.sequences
        if request.ground_truth is not None:
            truths = read_inputs([request.ground_truth], options=options).sequences
            named = [t for t in truths if len(truths) == 1 or t.sequence == self.frames.name]
            if not named:
                rule = f"must hold the video's sequence {self.frames.name}"
                got = ", ".join(t.sequence for t in truths)
                raise FormatError(request.ground_truth, None, rule, got)
            self.truth = named[0]
            evaluation.check_truth(
                self.truth, Detections.empty("", *self.frames.size), request.ground_truth
            )
            if self.truth.size != self.frames.size:
                rule = f"ground truth must have the video's frame size {self.frames.size}"
                raise FormatError(request.ground_truth, None, rule, self.truth.size)
        known = [d for d in (*found, self.truth) if d is not None]
        if request.segmenter:
            known.append(replace(Detections.empty(""), class_names=dict(self.classes.names)))
        self.of = named_after(of, known)
        self.settings = request.named(self.of)
        self.pipeline = Pipeline(self.settings)
        self.pipeline.check_online()
        self.detections = self._checked(found[0]) if found else None
        if self.pipeline.needs_embeddings(Detections.empty("")):
            check_backend()
        self._number()

    def _checked(self, detections: Detections) -> Detections:
        """Return the masks that were read, which must be of the video's size."""
        if len(detections) and detections.size != self.frames.size:
            rule = f"masks must have the video's frame size {self.frames.size} (height, width)"
            raise FormatError(self.request.detections[0], None, rule, detections.size)
        return self.pipeline.prepare(detections)

    def _number(self) -> None:
        """Find the number of the video's first frame."""
        request, count = self.request, self.frames.count
        self.step = 1
        if self.frames.numbered:
            self.step = find_step(np.array(self.frames.numbers))
            if self.step > 1:
                self.notes.append(f"frames come in steps of {self.step}: tracked in such steps")
            self.notes += self.frames.notes
            return
        first = request.first_frame
        if first is None:
            first, known = 0, self.detections
            if known is not None and len(known) and known.frames.min() > 0:
                starts, ends = int(known.frames.min()), int(known.frames.max())
                first = int(ends == count)
                has = f"the video has {count}" if count else "the video does not say how many"
                self.notes.append(
                    f"the masks' frames are {starts} to {ends}, {has}: its first frame is taken as "
                    f"number {first} (--first-frame {1 - first} otherwise)"
                )
        self.frames.first = first

    def _signature(self) -> dict[str, Any]:
        """Return what must be the same for going on with a run."""
        request = self.request
        return {
            "source": request.source,
            "size": list(self.frames.size),
            "rate": str(self.frames.rate),
            "first frame": self.frames.first,
            "detections": [f"{p} {stamp(p)}" for p in request.detections],
            "scores": self.settings.summary()["score_curves"],
            "video": stamp(Path(request.source)),
            "ground truth": str(request.ground_truth),
            "segmenter": request.segmenter,
            "settings": str(sorted(map(str, request.asked.items()))),
        }

    def _track(self, spool: Spool, folder: Path) -> bool:
        """Track all frames, and draw them; return whether the run was stopped before the end."""
        source = Masks(
            self._by_frame(), self.segmenter, self.request.segmenter or "", self.classes, spool
        )
        self.detections = None
        self._work = spool.folder
        live = Live(self.pipeline, self.step)
        numbers = self._follow(source, live)
        stopped = self.stop.asked
        ids = live.flush()
        self.counts.update({f"dropped_{rule}": n for rule, n in live.dropped.items()})
        self.counts.update({f"tracker_{what}": n for what, n in live.tracker.report.items()})
        self.counts["dropped_empty"] += source.emptied
        self._left_over(source, numbers, stopped)
        self.notes += [] if self.frames.numbered else self.frames.notes
        work = folder / "parts"
        work.mkdir()
        video = Parts(spool, self.frames.rate, self.frames.size, work, len(numbers))
        video.stopped = stopped  # identities may change when the run goes on: draw them anew
        self.review = Review(self.frames.name, self.frames.size, {}, self.step, truth=self.truth)
        self.stop.asked = False  # from now on Ctrl-C ends the drawing
        with (spool.folder / TRACKS).open("wb") as tracks:
            if numbers:
                again = source.again(numbers, self.frames.size)
                self._draw(again, numbers, ids, live, video, tracks)
        hint = "" if self.frames.live else " (--resume goes on)"
        if stopped:
            self.notes.append(f"stopped after {len(numbers)} frames{hint}")
        elif self.stop.asked:
            self.notes.append(f"stopped while the video was drawn{hint}")
        (folder / PICTURES).mkdir()
        made = video.finish(folder / PICTURES / f"{self.frames.name}.mp4")
        if not made and not stopped and not self.stop.asked:
            raise FormatError(self.request.source, None, "must have frames", "none")
        shutil.rmtree(work, ignore_errors=True)
        return stopped or self.stop.asked

    def _by_frame(self) -> dict[int, Detections]:
        """Return the masks that were read, by frame."""
        if self.detections is None:
            return {}
        frames, parts = self.detections.frames, {}
        order = np.argsort(frames, kind="stable")
        numbers, starts = np.unique(frames[order], return_index=True)
        for number, rows in zip(numbers.tolist(), np.split(order, starts[1:]), strict=True):
            parts[number] = self.detections.select(rows)
        return parts

    def _follow(self, source: Masks, live: Live) -> list[int]:
        """Track frame by frame until the end, or until the run is stopped; return the numbers."""
        numbers: list[int] = []
        painter, record = Painter(), None
        if self.frames.live:
            record = VideoWriter(self._work / RECORDED, self.frames.size, self.frames.rate)
        bar = tqdm(self.frames, total=self.frames.count, unit="frame", disable=None)
        for number, image, found in source.each(bar):
            if self.stop.asked:
                break
            numbers.append(number)
            self.counts["frames"] += 1
            self.counts["read"] += len(found)
            self.scored |= found.scored and len(found) > 0
            answer = live.update(number, found, image)
            if record is not None:
                record.write(image)
            if self.request.show:
                self._show(painter, image, found, answer)
        if record is not None:
            record.close()
        return numbers

    def _draw(
        self,
        masks: Iterator[Detections],
        numbers: Sequence[int],
        ids: npt.NDArray[np.int32],
        live: Live,
        video: Parts,
        tracks: Any,
    ) -> None:
        """Write down and draw the frames that were tracked, with their final identities."""
        request, start = self.request, 0
        source = str(self._work / RECORDED) if self.frames.live else request.source
        images = iter(Frames(source, self.frames.rate))
        each = tqdm(
            zip(numbers, masks, strict=True), "drawing", len(numbers), unit="frame", disable=None
        )
        for number, found in each:
            image = None if self.stop.asked else next(images)[1]
            own = ids[start : start + len(found)]
            start += len(found)
            found = replace(found, sequence=self.frames.name)
            result, hidden = disjoint(found, own, live.tracker.in_front)
            self.counts["dropped_hidden"] += len(hidden)
            self._write_down(number, result, tracks)
            self.review.take(number, result, image)
            if image is not None:
                video.take(number, result, image)

    scored: bool = False

    def _left_over(self, source: Masks, numbers: Sequence[int], stopped: bool) -> None:
        """Say which masks belong to no frame of the video."""
        seen = set(numbers)
        left = {n: len(part) for n, part in source.by_frame.items() if n not in seen and len(part)}
        if left and not stopped:
            masks = sum(left.values())
            shown = ", ".join(map(str, sorted(left)[:3])) + ", ..." * (len(left) > 3)
            self.notes.append(
                f"{masks} masks are of {len(left)} frames that the video has not ({shown}): left "
                "out (--first-frame moves the numbers)"
            )

    def _write_down(self, frame: int, result: Detections, tracks: Any) -> None:
        """Add a frame's tracks to those of the work folder."""
        rows = np.flatnonzero(result.ids)
        self.counts["written"] += len(rows)
        size = f"{result.height} {result.width}"
        for row in rows.tolist():
            head = f"{frame} {result.ids[row]} {result.classes[row]} {size} "
            head += f"{result.scores[row]:.9g} "
            tracks.write(head.encode() + result.rles[row] + b"\n")

    def _show(self, painter: Painter, image: Image, found: Detections, answer: Answer) -> None:
        """Show a frame with the identities that are known now."""
        import cv2

        known = replace(found, ids=answer.ids)
        drawn = painter.draw(image, known, np.flatnonzero(answer.ids), answer.frame)
        cv2.imshow("tracks", np.ascontiguousarray(drawn[:, :, ::-1]))
        if cv2.waitKey(1) & 0xFF in (ord("q"), 27):
            self.stop.asked = True

    def _summary(self, stopped: bool) -> dict[str, Any]:
        """Return all that made the results; the same for a run that was stopped and went on."""
        request = self.request
        embedder = self.pipeline._embedder
        name = self.frames.name
        self.counts["tracks"] = len(self.review.tracks)
        of = self.settings.data_set
        if of.any_class:
            of = replace(of, class_names={**of.class_names, **self.classes.names})
        classes = sorted({t.cls for t in self.review.tracks.values()})
        self.review.names = {c: of.name_of(c) for c in classes}
        used = embedder is not None
        return {
            **self.settings.summary(),
            "source": request.source,
            "detections": [str(p) for p in request.detections],
            "segmenter": request.segmenter,
            "sequences": 1,
            "stopped": stopped,
            "frames_per_second": str(self.frames.rate),
            "steps": {name: self.step},
            "classes": list(self.review.names.values()),
            "class_names": {str(c): n for c, n in self.review.names.items()},
            "weights": {name: embedder.weights_of(name).name} if embedder else {},
            "weights_sha256": embedder.digests() if embedder else {},
            "versions": {
                "python": platform.python_version(),
                **{p: version(p) for p in ("keras",) * used + ("numpy", "av", "opencv-python")},
            },
            "counts": {k: v for k, v in sorted(self.counts.items()) if v},
            "scores": {},
            "notes": list(self.notes),
        }

    def _write(self, spool: Spool, folder: Path, summary: dict[str, Any]) -> None:
        """Write the tracks in every format that is asked for, the scores and the report."""
        name, file = self.frames.name, spool.folder / TRACKS
        path = folder / WRITERS[MOTS].place(name)
        path.parent.mkdir()
        with file.open("rb") as tracks, path.open("wb") as out:
            for line in tracks:  # as MOTS txt, without the score; never all at once
                fields = line.split(b" ")
                out.write(b" ".join((*fields[:5], fields[6])))
        wanted = [w for w in dict.fromkeys(self.request.write) if w != MOTS]
        if wanted or self.truth is not None:
            result = _whole(file, name, self.frames.size)
            output = Output(result, self.review.names, self.scored)
            for each in wanted:
                try:
                    WRITERS[each].write(folder / WRITERS[each].place(name), output)
                except ValueError as error:
                    summary["notes"].append(f"{name}: not written as {each}: {error}")
            if self.truth is not None:
                classes = self.pipeline.scored_classes([self.truth, result])
                counts = self.pipeline.counts(self.truth, result, classes)
                summary["scores"] = {"masks": evaluation.combine_masks([counts])}
        if self.request.report:
            write_page(folder / REPORT, summary, [self.review])


def _whole(file: Path, name: str, size: tuple[int, int]) -> Detections:
    """Return the tracks that were written down, with their scores."""
    lines = numbered(file.read_bytes())
    if not lines:
        return Detections.empty(name, *size)
    plain = [(n, [*fields[:5], fields[6]]) for n, fields in lines]
    scores = np.array([float(fields[5]) for _, fields in lines], np.float32)
    return replace(MOTS_TXT.read(file, name, plain), scores=scores)


def run_video(request: VideoRequest) -> dict[str, Any]:
    """Run over a video; Ctrl-C ends it at the next frame with valid files.

    Raises:
        ValueError: bad input.
    """
    run = VideoRun(request)
    with interrupted_by(run.stop):
        summary = run.execute()
    if summary["stopped"]:
        say(f"stopped; {request.output} holds what was tracked until then")
    return summary
