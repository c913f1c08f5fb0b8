"""A video as a run's source: frames in order, each with its masks; it can be stopped and resumed.

First all frames are tracked. Then they are read once more (a camera's are recorded), for the sinks,
with final identities. A segmenter's masks and parts of the drawn video are kept on disk: a run that
goes on tracks the masks anew, so that its files are those of a run that was never stopped.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from pipeline.drawn_video import DrawnVideoSink
from pipeline.frame_masks import FrameMasks, Stop, interrupted_by, signature
from pipeline.live import Live
from pipeline.request import Request, Video, shown
from pipeline.segmenters import find_segmenter, learn
from pipeline.sinks import Sink
from pipeline.source import Source, division_note
from pipeline.spool import Spool
from pipeline.stages import Pipeline
from pipeline.tracked import FrameResult, Outcome, find_step, frames_of
from pipeline.watching import Watchers
from utils.class_names import named_after, own_names
from utils.cli import check_backend, say
from utils.detections import Detections
from utils.files import FormatError, instances_folder
from utils.formats.base import Classes, Options
from utils.frames import on_pictures
from utils.inputs import read_inputs
from utils.rescaling import same_aspect, scaled
from utils.results import disjoint
from utils.truth import check_truth, truth_notes
from utils.video import Frames
from utils.video_writing import VideoWriter

RECORDED = "recorded.mp4"  # of the work folder: a camera's frames


class VideoSource(Source):
    """One video, tracked as its frames come.

    Args:
        request: Request of a `Video`. stop: ends the run at the next frame, as Ctrl-C does.

    Raises:
        ValueError: bad input; nothing was written then.
    """

    def __init__(self, request: Request, stop: Stop) -> None:
        super().__init__(request)
        assert isinstance(request.source, Video)
        self.video, self.stop = request.source, stop
        self.frames = Frames(self.video.source, self.video.rate)
        base = request.settings.data_set
        self.classes = Classes(own_names(base))
        self._segmenter = None
        if self.video.segmenter:
            batch = 1 if self.frames.live or self.video.live_csv else self.video.batch
            self._segmenter = find_segmenter(self.video.segmenter, batch)
        if self.video.resume and self.frames.live:
            raise ValueError(f"--resume needs a video or folder, got {self.frames.name}")
        options = Options(self.frames.size, classes=self.classes)
        detections, self.truth = self._read(options), self._read_truth(options)
        if detections is not None and self.truth is not None:
            every = np.ones(len(detections), bool)
            self.notes += truth_notes(self.truth, detections, every)
        known = [d for d in (detections, self.truth) if d is not None]
        if self._segmenter is not None:
            known.append(replace(Detections.empty(""), class_names=dict(self.classes.names)))
        self.pipeline = Pipeline(request.settled(named_after(base, known)))
        self.pipeline.settings.check_online()
        self._by_frame: dict[int, Detections] = {}
        if detections is not None:
            self._by_frame = dict(frames_of(self._prepared(detections)))
        if self.pipeline.needs_embeddings(Detections.empty("")):
            check_backend()
        self.step = self._number()
        scores = self.pipeline.settings.summary()["score_curves"]
        marks = signature(self.video, self.frames, request.ground_truth, scores)
        self._spool = Spool(request.output, marks, self.video.resume)
        for number, name in self._spool.names.items():
            self.classes.number(name, number)
        self._scored = self._stopped = False
        self._numbers: list[int] = []

    def _read(self, options: Options) -> Detections | None:
        """Read the masks that are on disk, those of one sequence."""
        video = self.video
        if not video.detections:
            return None
        inputs = read_inputs(video.detections, options=options, format_name=video.format_name)
        self.notes += inputs.notes
        if len(inputs.sequences) != 1:
            names = ", ".join(s.sequence for s in inputs.sequences)
            raise ValueError(f"--detections must hold one sequence for a video, got {names}")
        return self._on_frames(inputs.sequences[0])

    def _on_frames(self, detections: Detections) -> Detections:
        """Return masks on the numbers of the frames, where these are pictures with names."""
        if not self.frames.numbered:
            return detections
        found, notes = on_pictures(detections, self.frames.pictures)
        self.notes += notes
        return found

    def _read_truth(self, options: Options) -> Detections | None:
        """Read the masks to score against: the only ones there, or those of the video's name."""
        path = self.request.ground_truth
        if path is None:
            return None
        inputs = read_inputs([path if path.is_file() else instances_folder(path)], options=options)
        truths = inputs.sequences
        self.notes += inputs.notes
        named = [t for t in truths if len(truths) == 1 or t.sequence == self.frames.name]
        if not named:
            rule = f"must hold the video's sequence {self.frames.name}"
            raise FormatError(path, None, rule, ", ".join(t.sequence for t in truths))
        truth = self._on_frames(named[0])
        if truth.sequence != self.frames.name:
            self.notes.append(f"{self.frames.name}: scored against {truth.sequence}")
        check_truth(truth, Detections.empty("", *self.frames.size), path)
        if truth.size != self.frames.size:
            rule = f"ground truth must have the video's frame size {self.frames.size}"
            raise FormatError(path, None, rule, truth.size)
        return truth

    def _prepared(self, detections: Detections) -> Detections:
        """Return the masks that were read, which must be of the video's size."""
        if len(detections) and detections.size != self.frames.size:
            size, got = self.frames.size, detections.size
            if self.video.fit_masks and same_aspect(size, got):
                self.notes.append(
                    f"masks of {got[0]} x {got[1]} are scaled to {size[0]} x {size[1]}"
                )
                return self.pipeline.prepare(scaled(detections, size))
            rule = f"masks must have the video's frame size {size} (height, width)"
            if same_aspect(size, got):
                rule += " (--fit-masks scales them)"
            raise FormatError(self.video.detections[0], None, rule, got)
        return self.pipeline.prepare(detections)

    def _number(self) -> int:
        """Find the number of the video's first frame; return the step from frame to frame."""
        if self.frames.numbered:
            if self.video.first_frame is not None:
                rule = "--first-frame is for a video: pictures have their numbers in their names"
                raise ValueError(f"{rule}, got {self.video.first_frame} for {self.frames.name}")
            step = find_step(np.array(self.frames.numbers))
            if step > 1:
                self.notes.append(f"frames come in steps of {step}: tracked in such steps")
            self.notes += self.frames.notes
            return step
        first, count = self.video.first_frame, self.frames.count
        if first is None:
            first = 0
            if self._by_frame and min(self._by_frame) > 0:
                starts, ends = min(self._by_frame), max(self._by_frame)
                first = int(ends == count)
                length = f"the video has {count}" if count else "the video does not say how many"
                self.notes.append(
                    f"the masks' frames are {starts} to {ends}, {length}: its first frame is taken "
                    f"as number {first} (--first-frame {1 - first} otherwise)"
                )
        self.frames.first = first
        return 1

    def sinks(self, folder: Path) -> list[Sink]:
        """Return the sink that draws the video."""
        frames = self.frames
        shape = frames.rate, frames.size, lambda: frames.times
        self._drawn = DrawnVideoSink(self._spool, folder, *shape, self._name_of)
        return [self._drawn]

    def _name_of(self, cls: int) -> str:
        """Return the name of a class, of those too that a segmenter has just found."""
        return self.classes.names.get(cls) or self.pipeline.settings.data_set.name_of(cls)

    def outcomes(self) -> Iterator[Outcome]:
        """Track all frames; yield the one sequence. Ctrl-C ends either at the next frame."""
        masks = FrameMasks(
            self._by_frame, self._segmenter, self.video.segmenter or "", self.classes, self._spool
        )
        with interrupted_by(self.stop):
            live = Live(self.pipeline, self.step)
            learn(self._segmenter, self.frames)
            try:
                self._follow(masks, live)
            except ValueError:
                if not self._spool.parts() and self._segmenter is None:
                    self._spool.remove()  # nothing in it is worth keeping
                raise
            self._stopped = self.stop.asked
            ids, parents = self._final(masks, live)
            self._note(masks, live)
            self._drawn.frames, self._drawn.for_good = len(self._numbers), not self._stopped
            self.stop.asked = False  # from now on Ctrl-C ends the drawing
            yield Outcome(
                self.frames.name,
                self.frames.size,
                self.step,
                lambda: self._results(masks, ids, live.tracker.in_front),
                lambda: self._scored,
                self.truth,
                rate=self.frames.rate,
                parents=parents,
            )
            hint = "" if self.frames.live else " (--resume goes on)"
            if self._stopped:
                self.notes.append(f"stopped after {len(self._numbers)} frames{hint}")
            elif self.stop.asked:
                self.notes.append(f"stopped while the video was drawn{hint}")
            elif not self._numbers:
                raise FormatError(self.video.source, None, "must have frames", "none")
            self._stopped |= self.stop.asked

    def _final(self, masks: FrameMasks, live: Live) -> tuple[Any, Mapping[int, int] | None]:
        """Return the identities of all masks, and {daughter: mother} if divisions are wanted."""
        ids = live.flush()
        if not self.pipeline.settings.divisions:
            return ids, None
        whole = masks.divided(self._numbers, self.frames, ids, self.step)
        self.notes.append(division_note(whole))
        return whole.ids, whole.parents

    def _follow(self, masks: FrameMasks, live: Live) -> None:
        """Track frame by frame until the end, or until the run is stopped."""
        record = None
        rate = None if self.frames.live else float(self.frames.rate)
        watchers = Watchers(self.video, self._name_of, self.stop, rate)
        if self.frames.live:
            record = VideoWriter(self._spool.folder / RECORDED, self.frames.size, self.frames.rate)
        bar = tqdm(self.frames, total=self.frames.count, unit="frame", disable=None)
        for number, image, detections in masks.each(bar):
            if self.stop.asked:
                break
            self._numbers.append(number)
            self.counts["frames"] += 1
            self.counts["read"] += len(detections)
            self._scored |= detections.scored and len(detections) > 0
            ids = live.update(number, detections, image)
            if record is not None:
                record.write(image)
            watchers.take(number, image, replace(detections, ids=ids))
        watchers.close()
        if record is not None:
            record.close()

    def _note(self, masks: FrameMasks, live: Live) -> None:
        """Count what was tracked; say which masks belong to no frame of the video."""
        self.counts.update({f"dropped_{rule}": n for rule, n in live.dropped.items()})
        self.counts.update({f"tracker_{name}": n for name, n in live.tracker.report.items()})
        self.counts["dropped_empty"] += masks.emptied
        left = {n: len(part) for n, part in self._by_frame.items() if len(part)}
        for number in self._numbers:
            left.pop(number, None)
        if left and not self._stopped:
            hint = "--first-frame moves the numbers"
            if self.frames.numbered:
                hint = "is one numbered from 0, the other from 1?"
            self.notes.append(
                f"{sum(left.values())} masks are of {len(left)} frames that the video has not "
                f"({shown(sorted(left))}): left out ({hint})"
            )
        self.notes += [] if self.frames.numbered else self.frames.notes
        self.notes += getattr(self._segmenter, "notes", [])
        settings, data_set = self.pipeline.settings, self.pipeline.settings.data_set
        if data_set.any_class:  # a segmenter names classes as it finds them
            names = {**data_set.class_names, **self.classes.names}
            data_set = replace(data_set, class_names=names)
        self.pipeline.settings = replace(settings, data_set=data_set)

    def _results(
        self, masks: FrameMasks, ids: npt.NDArray[np.int32], in_front: bool
    ) -> Iterator[FrameResult]:
        """Yield the frames that were tracked once more, with their final identities."""
        if not self._numbers:
            return
        recorded = str(self._spool.folder / RECORDED)
        images = iter(Frames(recorded if self.frames.live else self.video.source, self.frames.rate))
        self._seen: set[int] = set()
        start, again = 0, masks.again(self._numbers, self.frames.size)
        bar = tqdm(self._numbers, "drawing", unit="frame", disable=None)
        for number, detections in zip(bar, again, strict=True):
            image = None if self.stop.asked else next(images)[1]
            detections = replace(detections, sequence=self.frames.name)
            mine = ids[start : start + len(detections)]
            start += len(detections)
            result, hidden = disjoint(detections, mine, in_front)
            self.counts["dropped_hidden"] += len(hidden)
            self._seen |= set(result.classes[result.ids > 0].tolist())
            yield number, result, image

    def facts(self) -> dict[str, Any]:
        """Return what the summary says of a video; the same for a run that was stopped."""
        video, name_of = self.video, self.pipeline.settings.data_set.name_of
        names = {c: name_of(c) for c in sorted(getattr(self, "_seen", ()))}
        return {
            "source": video.source,
            "detections": [str(p) for p in video.detections],
            "segmenter": video.segmenter,
            "stopped": self._stopped,
            "frames_per_second": str(self.frames.rate),
            "steps": {self.frames.name: self.step},
            "classes": list(names.values()),
            "class_names": {str(c): name for c, name in names.items()},
            "counts": {k: v for k, v in sorted(self.counts.items()) if v},
        }

    def close(self) -> None:
        """Remove what was kept for going on, unless the run was stopped."""
        if not self._stopped or self.frames.live:  # a camera's run cannot be resumed
            self._spool.remove()
        if self._stopped:
            say(f"stopped; {self.request.output} holds what was tracked until then")
