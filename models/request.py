"""What is asked of a run, and all of it read and checked before anything slow begins."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from models.parallel import Means
from models.pipeline import Pipeline, Stopwatch, frames_of
from models.settings import Settings
from models.tracking import IDS, tracker_class
from models.usc_mots.embedding import KERAS, runtime_of
from utils import evaluation
from utils.cli import check_backend, say
from utils.data_sets import DataSet, named_after, own_names
from utils.files import FormatError
from utils.formats.base import Classes, Options
from utils.formats.mot import read_mot
from utils.frames import FrameFolder
from utils.inputs import Inputs, read_inputs


@dataclass(frozen=True)
class Request:
    """What is asked of a run.

    Attributes:
        settings: Settings.
        detections: files or folders of SEQ.txt, merged by sequence.
        output: folder for the results.
        ground_truth: folder of MOTS txt to score against, or None.
        images: folder of SEQ/000000.png or the like, or None.
        sequences: names; None takes all.
        weights: *.keras; None takes the data set's own.
        annotated_only: leave results in frames without truth out of the scores.
        visualize: whether to make videos and pictures; seed: of t-SNE.
        asked: further facts for the summary, as the user gave them.
        options: what files do not say of themselves. format_name: theirs; None tells it by content.
        write: further formats of results. report: whether to make report.html.
        named: makes the settings once the classes' names are known, which files may bring.
        means: what sequences are tracked with, one after another or beside each other.
        chunk: frames after which a sequence is cut, see `models.chunks`; None cuts none.
    """

    settings: Settings
    detections: Sequence[Path]
    output: Path
    ground_truth: Path | None = None
    images: Path | None = None
    sequences: Sequence[str] | None = None
    weights: Sequence[Path] | None = None
    annotated_only: bool = False
    visualize: bool = False
    seed: int = 0
    asked: Mapping[str, Any] = field(default_factory=dict)
    options: Options = field(default_factory=Options)
    format_name: str | None = None
    write: Sequence[str] = ()
    report: bool = False
    named: Callable[[DataSet], Settings] | None = None
    means: Means = field(default_factory=Means)
    chunk: int | None = None

    def __post_init__(self) -> None:
        """Refuse what does not go together."""
        if self.chunk is not None and self.settings.refine:
            raise ValueError(f"--refine needs the whole video, got --chunk {self.chunk}")


@dataclass
class Run:
    """A request on its way: what was read and found."""

    request: Request
    pipeline: Pipeline
    inputs: Inputs
    boxes: dict[str, Path]
    notes: list[str]
    images: dict[str, FrameFolder] = field(default_factory=dict)  # readers of the frames
    complete: set[str] = field(default_factory=set)  # sequences with a picture of every frame
    failed: dict[str, str] = field(default_factory=dict)  # sequences without tracks: why

    @property
    def settings(self) -> Settings:
        """Return the settings that were asked for."""
        return self.request.settings

    @property
    def readers(self) -> dict[str, FrameFolder]:
        """Return the readers of the sequences with a picture of every frame."""
        return {name: self.images[name] for name in self.complete}


def begin(request: Request) -> Run:
    """Read and check everything before anything slow is imported.

    Raises:
        ValueError: bad input; nothing is written then.
    """
    watch, settings = Stopwatch(), request.settings
    options = replace(request.options, classes=Classes(own_names(settings.data_set)))
    with watch("read"):
        inputs = read_inputs(
            request.detections,
            request.ground_truth,
            request.sequences,
            options,
            request.format_name,
        )
    of = named_after(settings.data_set, [*inputs.sequences, *inputs.truth.values()])
    settings = request.named(of) if request.named else replace(settings, data_set=of)
    request = replace(request, settings=settings)
    pipeline = Pipeline(settings, request.weights, watch=watch)
    made = Run(request, pipeline, inputs, {}, list(inputs.notes))
    if of.box_truth and request.ground_truth:
        names = [s.sequence for s in inputs.sequences]
        made.boxes = evaluation.find_box_truth(request.ground_truth, names, of.box_truth)
        for file in made.boxes.values():
            read_mot(file)
    check_sequences(made)
    meaning = tracker_class(settings.name).meaning
    say(f"tracker {settings.name} ({meaning}), data set {of.name}")
    return made


def check_sequences(made: Run) -> None:
    """Check what each sequence needs: weights, the backend, frames; say what is missing."""
    pipeline, request = made.pipeline, made.request
    if request.weights:
        _ = pipeline.embedder  # what is named is checked, be it needed or not
    if made.settings.refine:
        check_backend()
    keras = runtime_of(made.settings.runtime) == KERAS
    for detections in made.inputs.sequences:
        prepared = pipeline.prepare(detections)
        images = frames_of(request.images, detections)
        if images is not None:
            numbers = np.unique(detections.frames).tolist()
            made.images[detections.sequence] = images
            images.check(numbers)
            missing = images.missing(numbers)
            if len(missing) == len(numbers):
                got = f"none of the {len(numbers)} frames that have detections"
                raise ValueError(f"{images.folder}: must hold the frames' pictures, got {got}")
            if missing and made.settings.refine:
                raise FormatError(images.folder, None, "must hold every frame", f"no {missing[0]}")
            if not missing:
                made.complete.add(detections.sequence)
            else:
                shown = ", ".join(map(str, missing[:3])) + ", ..." * (len(missing) > 3)
                made.notes.append(
                    f"{detections.sequence}: no picture of {len(missing)} frames ({shown}): they "
                    "are drawn grey"
                )
        if len(prepared) and pipeline.needs_embeddings(prepared):
            if keras:
                check_backend()
            complete = detections.sequence in made.complete
            if pipeline.embedder.needs_images(detections.sequence) and not complete:
                got = "none" if images is None else f"frames missing in {images.folder}"
                raise ValueError(
                    f"--images must name the frames' folder for appearance weights, got {got}"
                )
        if IDS in pipeline.tracker().needs:
            without = (prepared.ids == 0) & pipeline.mark(prepared)[0]
            if without.any():
                rule = f"tracker {made.settings.name} needs MOTS txt with ids"
                got = f"{without.sum()} of {len(prepared)} without"
                raise ValueError(f"{rule}, got {got} in {detections.sequence}")
