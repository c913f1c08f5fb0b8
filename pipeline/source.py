"""Where a run's sequences come from; files of detections are the first kind."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from models.tracking import COLOURS, IDS, tracker_class
from models.usc_mots.embedding import KERAS, runtime_of
from pipeline.parts import track_beside
from pipeline.request import Files, Request, shown
from pipeline.sinks import Sink
from pipeline.stages import Pipeline, reader_of
from pipeline.tracked import Outcome, Stopwatch, Tracked, frames_of
from utils import evaluation
from utils.class_names import named_after, own_names
from utils.cli import check_backend, counted, say
from utils.detections import Detections
from utils.divisions import divided
from utils.files import FormatError
from utils.formats.base import Classes
from utils.formats.mot import read_mot
from utils.frames import FrameFolder
from utils.inputs import Choice, read_inputs
from utils.truth import truth_notes
from utils.video_names import repeated


def division_note(result: Detections) -> str:
    """Return how many divisions were found in a sequence."""
    count = len(set((result.parents or {}).values()))
    return f"{result.sequence}: {counted(count, 'division')} found"


class Source(ABC):
    """The sequences of a run: read and checked when it is made, tracked when it is asked.

    Attributes:
        request: Request. pipeline: Pipeline with the final settings.
        notes: what was dropped, guessed or overridden. counts: of detections.
        failed: {sequence: why it was not tracked}.
    """

    request: Request
    pipeline: Pipeline

    def __init__(self, request: Request) -> None:
        self.request = request
        self.notes: list[str] = []
        self.counts: Counter[str] = Counter()
        self.failed: dict[str, str] = {}

    @abstractmethod
    def outcomes(self) -> Iterator[Outcome]:
        """Yield the tracked sequences, one after another.

        Raises:
            ValueError: input that breaks a rule.
        """

    @abstractmethod
    def facts(self) -> dict[str, Any]:
        """Return what the summary says of this kind of source."""

    def sinks(self, folder: Path) -> list[Sink]:
        """Return sinks that only this kind of source has; they write into a folder."""
        return []

    def close(self) -> None:  # noqa: B027 (most sources keep nothing)
        """Tidy up, once all results are in place."""


class FileSource(Source):
    """Detections in files: each sequence is in memory as a whole.

    Args:
        request: Request of `Files`.

    Raises:
        ValueError: bad input; nothing was written then.
    """

    def __init__(self, request: Request) -> None:
        super().__init__(request)
        assert isinstance(request.source, Files)
        self.files: Files = request.source
        watch = Stopwatch()
        base = request.settings.data_set
        options = replace(self.files.options, classes=Classes(own_names(base)))
        with watch("read"):
            inputs = read_inputs(
                self.files.detections,
                request.ground_truth,
                Choice(self.files.sequences, self.files.split, base),
                options,
                self.files.format_name,
            )
        self.sequences, self.truth = inputs.sequences, inputs.truth
        self.notes += inputs.notes + options.classes.moved
        data_set = named_after(base, [*inputs.sequences, *inputs.truth.values()])
        self.pipeline = Pipeline(request.settled(data_set), self.files.weights, watch=watch)
        self.readers: dict[str, FrameFolder] = {}  # of the frames that have a picture
        self._without: dict[str, tuple[Path, int]] = {}  # and of those that have none
        self.complete: set[str] = set()  # sequences with a picture of every frame
        self.box_truth = self._box_truth()
        self._untracked: list[Tracked] = []
        self._check()
        settings = self.pipeline.settings
        say(f"tracker {settings.name} ({tracker_class(settings.name).meaning}), "
            f"data set {settings.data_set.name}")  # fmt: skip
        self._steps: dict[str, int] = {}
        self._coloured: list[str] = []
        self._classes: set[int] = set()

    def _box_truth(self) -> dict[str, Path]:
        """Return the boxes' ground truth of each sequence, where the data set has some."""
        pattern, truth = self.pipeline.settings.data_set.box_truth, self.request.ground_truth
        if not pattern or truth is None:
            return {}
        names = [s.sequence for s in self.sequences]
        files = evaluation.find_box_truth(truth, names, pattern)
        for file in files.values():
            read_mot(file)
        return files

    def _check(self) -> None:
        """Check what each sequence needs, before anything slow is imported."""
        if self.files.weights:
            _ = self.pipeline.embedder  # what is named is checked, be it needed or not
        if self.pipeline.settings.refine:
            check_backend()
        for detections in self.sequences:
            self._check_frames(detections)
        self._note_frames()
        for detections in self.sequences:
            whole = self.pipeline.untracked(detections)
            self._check_embeddings(whole.detections)
            if IDS in self.pipeline.tracker().needs:
                self._check_ids(whole)
            self._untracked.append(whole)

    def _note_frames(self) -> None:
        """Say which sequences have no picture of any frame.

        Raises:
            ValueError: none has any, one needs them, or two have the same.
        """
        for name, (folder, count) in self._without.items():
            if self.pipeline.settings.refine or not self.readers:
                got = f"none of the {count} frames that have detections"
                raise ValueError(f"{folder}: must hold the frames' pictures, got {got}")
            self.notes.append(f"{name}: no picture of its frames in {folder}: they are drawn grey")
        first = {name: str(min(r.files.values())) for name, r in self.readers.items()}
        if again := repeated(list(first.values())):
            names = ", ".join(name for name, path in first.items() if path == again[0])
            rule = "must hold a folder of pictures for each sequence"
            raise FormatError(self.files.images or "", None, rule, f"{again[0]} for {names}")

    def _check_frames(self, detections: Detections) -> None:
        """Find the pictures of a sequence's frames; say which are missing.

        Raises:
            ValueError: none is there, or one that is needed is missing or of another size.
        """
        images = reader_of(self.files.images, detections)
        if images is None:
            return
        numbers = np.unique(detections.frames).tolist()
        self.readers[detections.sequence] = images
        images.check(numbers)
        missing = images.missing(numbers)
        if len(missing) == len(numbers):
            self._without[detections.sequence] = images.folder, len(numbers)
            del self.readers[detections.sequence]
            return
        if missing and self.pipeline.settings.refine:
            raise FormatError(images.folder, None, "must hold every frame", f"no {missing[0]}")
        if not missing:
            self.complete.add(detections.sequence)
            return
        self.notes.append(
            f"{detections.sequence}: no picture of {len(missing)} frames ({shown(missing)}): they "
            "are drawn grey"
        )

    def _check_embeddings(self, detections: Detections) -> None:
        """Check what embedding a sequence needs: a backend, weights and, for some, all frames.

        Raises:
            ValueError: it is missing.
        """
        if not len(detections) or not self.pipeline.needs_embeddings(detections):
            return
        if runtime_of(self.pipeline.settings.runtime) == KERAS:
            check_backend()
        name = detections.sequence
        if self.pipeline.embedder.needs_images(name) and name not in self.complete:
            images = self.readers.get(name)
            got = "none" if images is None else f"frames missing in {images.folder}"
            raise ValueError(
                f"--images must name the frames' folder for appearance weights, got {got}"
            )

    def _check_ids(self, whole: Tracked) -> None:
        """Refuse detections without an id, for trackers that read them.

        Raises:
            ValueError: there are some.
        """
        detections = whole.detections
        without = (detections.ids == 0) & whole.keep
        if without.any():
            rule = f"tracker {self.pipeline.settings.name} needs MOTS txt with ids"
            got = f"{without.sum()} of {len(detections)} without"
            raise ValueError(f"{rule}, got {got} in {detections.sequence}")

    def outcomes(self) -> Iterator[Outcome]:
        """Yield the tracked sequences; those that fail beside others are left out and named."""
        for tracked in self._tracked():
            detections, name = tracked.detections, tracked.detections.sequence
            truth = self.truth.get(name)
            self.notes += tracked.notes
            if truth is not None:
                texts = truth_notes(truth, detections, tracked.keep)
                self.notes += [f"{name}: {text}" for text in texts]
            self._note(tracked)
            result, hidden = tracked.result()
            if self.pipeline.settings.divisions:
                result = divided(result, tracked.step)
                self.notes.append(division_note(result))
            self.counts["dropped_hidden"] += len(hidden)
            yield self._outcome(tracked, result, truth)

    def _outcome(self, tracked: Tracked, result: Detections, truth: Detections | None) -> Outcome:
        reader = self.readers.get(result.sequence)
        # Of frames in steps, pictures between the steps are none.
        first = int(min(result.frames, default=0))
        shown = [n for n in (reader.files if reader else ()) if (n - first) % tracked.step == 0]
        return Outcome(
            result.sequence,
            result.size,
            tracked.step,
            lambda: ((n, part, None) for n, part in frames_of(result, shown)),
            lambda: tracked.detections.scored,
            truth,
            None if reader is None else reader.drawn,
            result,
            tracked,
            parents=result.parents,
        )

    def _tracked(self) -> Iterable[Tracked]:
        """Return the tracks of all sequences."""
        complete = {name: self.readers[name] for name in self.complete}
        if self.files.means.alone and self.files.chunk is None:
            return (
                self.pipeline.follow(whole, complete.get(whole.detections.sequence))
                for whole in tqdm(self._untracked, "tracking", unit="seq", disable=None)
            )
        results, self.failed = track_beside(
            self.pipeline,
            self._untracked,
            complete,
            self.files.weights,
            self.files.means,
            self.files.chunk,
        )
        if self.failed and not results:
            name, reason = next(iter(self.failed.items()))
            raise ValueError(f"no sequence could be tracked: {name}: {reason}")
        return results

    def _note(self, tracked: Tracked) -> None:
        """Count a sequence, and note what the summary says of it."""
        name, detections = tracked.detections.sequence, tracked.detections
        self.counts.update(tracked.counts())
        self._steps[name] = tracked.step
        if COLOURS in tracked.columns:
            self._coloured.append(name)
        self._classes |= set(np.unique(detections.classes[tracked.keep]).tolist())

    def facts(self) -> dict[str, Any]:
        """Return what the summary says of files."""
        settings = self.pipeline.settings
        numbers = settings.classes or sorted(self._classes - {settings.data_set.ignore or 0})
        names = {c: settings.data_set.name_of(c) for c in numbers}
        return {
            "detections": [str(path) for path in self.files.detections],
            "steps": self._steps,
            "classes": list(names.values()),
            "class_names": {str(c): name for c, name in names.items()},
            "seed": self.request.seed,
            "colours": self._coloured,
            "seconds": {k: round(v, 3) for k, v in self.pipeline.watch.seconds.items()},
        }
