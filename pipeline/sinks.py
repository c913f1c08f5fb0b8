"""What a run writes: each sink takes a sequence's frames in order, then its whole result."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from models.tracking import EMBEDDINGS
from pipeline.results import FRAMES_END, PICTURES, REPORT
from pipeline.stages import Pipeline
from pipeline.tracked import Image, Outcome
from utils import evaluation
from utils.detections import Detections
from utils.formats.base import Output
from utils.formats.mots_txt import lines_of
from utils.formats.writing import MOTS, WRITERS
from utils.page.video import PageVideo
from utils.review import Review


class Sink:
    """Takes the results of a run; each method may do nothing.

    Attributes:
        whole: whether `end` needs the whole result of a sequence in memory.
    """

    whole: ClassVar[bool] = False

    def begin(self, outcome: Outcome) -> None:
        """Take a sequence before its first frame."""

    def take(self, number: int, part: Detections, image: Image | None) -> None:
        """Take the next frame: its number, its detections with final ids, its picture if any."""

    def end(self, outcome: Outcome, result: Detections) -> None:
        """Take a sequence after its last frame; `result` is empty unless some sink wants it."""

    def finish(self, summary: dict[str, Any]) -> None:
        """Take the summary, after all sequences; a sink may add to it."""


class MotsSink(Sink):
    """Writes MOTS txt as frames come; counts what was written.

    Args:
        folder: of the run. counts: Counter to add to. watch: of the stages.
    """

    def __init__(self, folder: Path, counts: Counter[str], pipeline: Pipeline) -> None:
        self.folder, self.counts, self.watch = folder, counts, pipeline.watch

    def begin(self, outcome: Outcome) -> None:
        """Open the sequence's file."""
        path = self.folder / WRITERS[MOTS].place(outcome.name)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("wb")
        self._ids: set[int] = set()

    def take(self, number: int, part: Detections, image: Image | None) -> None:
        """Write a frame's tracks."""
        with self.watch("write"):
            ids = part.ids[part.ids > 0]
            self.counts["written"] += len(ids)
            self._ids.update(ids.tolist())
            self._file.writelines(lines_of(part))

    def end(self, outcome: Outcome, result: Detections) -> None:
        """Close the file."""
        self._file.close()
        self.counts["tracks"] += len(self._ids)


class FormatsSink(Sink):
    """Writes further formats; says which cannot hold a result.

    Args:
        folder: of the run. formats: names of WRITERS. notes: list to add to. pipeline: Pipeline.
    """

    whole = True

    def __init__(
        self, folder: Path, formats: Sequence[str], notes: list[str], pipeline: Pipeline
    ) -> None:
        self.folder, self.notes, self.pipeline = folder, notes, pipeline
        self.formats = [name for name in dict.fromkeys(formats) if name != MOTS]

    def end(self, outcome: Outcome, result: Detections) -> None:
        """Write a sequence in each format."""
        data_set = self.pipeline.settings.data_set
        classes = [c for c in np.unique(result.classes).tolist() if c != data_set.ignore]
        output = Output(result, {c: data_set.name_of(c) for c in classes}, outcome.scored())
        with self.pipeline.watch("write"):
            self.notes += write_formats(self.folder, self.formats, outcome.name, output)


def write_formats(folder: Path, formats: Sequence[str], sequence: str, output: Output) -> list[str]:
    """Write a sequence in some formats; return notes of those that cannot hold it."""
    notes = []
    for name in formats:
        path = folder / WRITERS[name].place(sequence)
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            WRITERS[name].write(path, output)
        except ValueError as error:
            notes.append(f"{sequence}: not written as {name}: {error}")
    return notes


class ScoresSink(Sink):
    """Scores sequences that have ground truth; the summary gets `scores` and `by_sequence`.

    Args:
        pipeline: Pipeline. annotated_only: see `Request`.
        boxes: {sequence: MOT ground truth} of sets whose boxes are scored, too.
    """

    whole = True

    def __init__(self, pipeline: Pipeline, annotated_only: bool, boxes: dict[str, Path]) -> None:
        self.pipeline, self.annotated_only, self.boxes = pipeline, annotated_only, boxes
        self.results: list[tuple[Detections, Detections]] = []
        self.tracked: dict[str, Any] = {}

    def end(self, outcome: Outcome, result: Detections) -> None:
        """Keep a sequence's result: classes are scored alike in all sequences."""
        if outcome.truth is not None:
            self.results.append((outcome.truth, result))
        if outcome.tracked is not None:
            self.tracked[outcome.name] = outcome.tracked.detections, outcome.tracked.track_ids

    def finish(self, summary: dict[str, Any]) -> None:
        """Add the scores to the summary."""
        if not self.results:
            return
        pipeline = self.pipeline
        classes = pipeline.scored_classes([d for pair in self.results for d in pair])
        parts = {
            result.sequence: pipeline.counts(truth, result, classes, self.annotated_only)
            for truth, result in self.results
        }
        summary["scores"]["masks"] = evaluation.combine_masks([*parts.values()])
        each = {name: evaluation.combine_masks([part]) for name, part in parts.items()}
        summary["by_sequence"] = each
        if self.boxes:
            with pipeline.watch("score"):
                row = evaluation.score_boxes(self.boxes, self.tracked)
            summary["scores"]["boxes"] = {pipeline.settings.data_set.name: row}


class PicturesSink(Sink):
    """Draws sequences of files: SEQ.mp4, its fullest frame, and a t-SNE picture of embeddings.

    Args:
        folder: of the run. seed: of t-SNE. notes: list to add to. pipeline: Pipeline.
    """

    whole = True

    def __init__(self, folder: Path, seed: int, notes: list[str], pipeline: Pipeline) -> None:
        self.folder, self.seed, self.notes = folder / PICTURES, seed, notes
        self.settings = pipeline.settings

    def end(self, outcome: Outcome, result: Detections) -> None:
        """Draw a sequence, if anything of it was tracked."""
        from utils import visualization

        name, written = outcome.name, np.flatnonzero(result.ids)
        if not len(written):
            return
        video = self.folder / f"{name}.mp4"
        name_of = self.settings.data_set.name_of
        still = visualization.write_video(
            video, result, outcome.images, step=outcome.step, name_of=name_of
        )
        if still is not None:
            visualization.write_picture(self.folder / f"{name}.png", still)
        embeddings = outcome.tracked.columns.get(EMBEDDINGS) if outcome.tracked else None
        if embeddings is None:
            self.notes.append(f"{name}: no t-SNE picture: {self.settings.name} needs no embeddings")
            return
        # Long enough for tracks to show as paths: ten windows around the fullest frame.
        frames = result.frames
        numbers, sizes = np.unique(frames[written], return_counts=True)
        reach = 5 * getattr(self.settings.tracker, "t_lag", 3) * outcome.step
        window = written[np.abs(frames[written] - numbers[sizes.argmax()]) <= reach]
        title = f"{name}, frames {frames[window].min()} to {frames[window].max()}"
        path, columns = self.folder / f"{name}_tsne.png", (embeddings, frames, result.ids)
        points, times, ids = (column[window] for column in columns)
        visualization.plot_embeddings(path, points, times, ids, title, self.seed)


class ReportSink(Sink):
    """Gathers what the page shows, and writes it last.

    Args:
        folder: of the run. pipeline: Pipeline.
    """

    def __init__(self, folder: Path, pipeline: Pipeline) -> None:
        self.folder, self.pipeline = folder, pipeline
        self.reviews: list[Review] = []
        self.videos: dict[str, PageVideo] = {}

    def begin(self, outcome: Outcome) -> None:
        """Begin a sequence's part of the page."""
        self.reviews.append(
            Review(outcome.name, outcome.size, {}, outcome.step, truth=outcome.truth)
        )
        self._images, self.reviews[-1].parents = outcome.images, dict(outcome.parents or {})
        path = self.folder / PICTURES / f"{outcome.name}{FRAMES_END}"
        self.videos[outcome.name] = self._video = PageVideo(path, outcome.rate, outcome.video)

    def take(self, number: int, part: Detections, image: Image | None) -> None:
        """Look at a frame."""
        with self.pipeline.watch("report"):
            if image is None and self._images is not None:
                image = self._images(number)
            if image is not None:
                self._video.write(image)
            self.reviews[-1].take(number, part, image)

    def end(self, outcome: Outcome, result: Detections) -> None:
        """End the sequence's video."""
        self._video.close()

    def finish(self, summary: dict[str, Any]) -> None:
        """Write the page."""
        from utils.page.writing import Shown, write_page

        with self.pipeline.watch("report"):
            shown = []
            for review in self.reviews:
                data_set = self.pipeline.settings.data_set
                classes = data_set.class_names.keys() - {data_set.ignore}
                classes |= {track.cls for track in review.tracks.values()}
                review.names = {c: data_set.name_of(c) for c in sorted(classes)}
                if review.rows.boxes_from is not None:
                    text = f"{review.sequence}: the page shows boxes from frame "
                    text += f"{review.rows.boxes_from} on: outlines would make it too large"
                    summary["notes"].append(text)
                video = self.videos[review.sequence]
                path = video.path.relative_to(self.folder).as_posix() if video.there else None
                digest = digest_of(self.folder / WRITERS[MOTS].place(review.sequence))
                shown.append(Shown(review, digest, path, float(video.rate)))
            write_page(self.folder / REPORT, summary, shown)


def digest_of(path: Path) -> str:
    """Return what tells a sequence's result from others: corrections name it."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:32]
