"""A whole run: files in; tracks, pictures, scores and a summary out, by one Pipeline."""

from __future__ import annotations

import contextlib
import platform
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from models.beside import track_beside
from models.output import PICTURES, REPORT, OutputFolder
from models.parallel import Means
from models.pipeline import Pipeline, Stopwatch, Tracked, frames_of
from models.settings import Settings
from models.tracking import COLOURS, EMBEDDINGS, IDS, tracker_class
from models.usc_mots.embedding import KERAS, runtime_of
from utils import evaluation
from utils.cli import check_backend, say
from utils.data_sets import DataSet, named_after, own_names
from utils.detections import Detections
from utils.files import FormatError
from utils.formats.base import Classes, Options, Output
from utils.formats.mot import read_mot
from utils.formats.writing import MOTS, WRITERS
from utils.frames import FrameFolder
from utils.inputs import Inputs, read_inputs
from utils.review import Review

PACKAGES = ("tensorflow", "keras", "numpy", "scipy", "pycocotools", "opencv-python", "trackeval")


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
            if missing and made.settings.refinement.retracks:
                raise FormatError(images.folder, None, "must hold every frame", f"no {missing[0]}")
            if not missing:
                made.complete.add(detections.sequence)
            else:
                shown = ", ".join(map(str, missing[:3])) + ", ..." * (len(missing) > 3)
                made.notes.append(
                    f"{detections.sequence}: no picture of {len(missing)} frames ({shown}): they "
                    "are drawn grey, and colours of this sequence are not used"
                )
        if len(prepared) and pipeline.needs_embeddings(prepared, images is not None):
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


def _here(made: Run) -> Iterable[Tracked]:
    """Yield the tracks of all sequences, made one after another."""
    for detections in tqdm(made.inputs.sequences, desc="tracking", unit="seq", disable=None):
        name = detections.sequence
        yield made.pipeline.track(detections, made.readers.get(name))


def track_all(made: Run) -> list[Tracked]:
    """Track every sequence; those that fail beside others are left out and named."""
    tracked = []
    request = made.request
    results: Iterable[Tracked] = _here(made)
    if not request.means.alone or request.chunk is not None:
        results, made.failed = track_beside(
            made.pipeline,
            made.inputs.sequences,
            made.readers,
            request.weights,
            request.means,
            request.chunk,
        )
        if made.failed and not results:
            name, reason = next(iter(made.failed.items()))
            raise ValueError(f"no sequence could be tracked: {name}: {reason}")
    for one in results:
        tracked.append(one)
        detections = one.detections
        made.notes += one.notes
        truth = made.inputs.truth.get(detections.sequence)
        if truth is not None:
            found = evaluation.truth_notes(truth, detections, one.keep)
            made.notes += [f"{detections.sequence}: {text}" for text in found]
    return tracked


def write_all(
    made: Run, tracked: Sequence[Tracked], counts: Counter[str], folder: Path
) -> list[Detections]:
    """Write the results, and pictures where they are asked for, once all sequences are tracked."""
    results = []
    for one in tqdm(tracked, desc="writing", disable=None):
        result, hidden = one.result()
        counts["dropped_hidden"] += len(hidden)
        counts["written"] += int((result.ids > 0).sum())
        counts["tracks"] += len(np.unique(result.ids[result.ids > 0]))
        results.append(result)
        with made.pipeline.watch("write"):
            write_formats(made, one, result, folder)
        if made.request.visualize:
            visualize(made, one, result, folder / PICTURES)
    return results


def write_formats(made: Run, tracked: Tracked, result: Detections, folder: Path) -> None:
    """Write one sequence in every format that is asked for; say which cannot hold it."""
    of = made.settings.data_set
    names = {c: of.name_of(c) for c in np.unique(result.classes).tolist() if c != of.ignore}
    output = Output(result, names, tracked.detections.scored)
    for name in dict.fromkeys((MOTS, *made.request.write)):
        writer = WRITERS[name]
        try:
            writer.write(folder / writer.place(result.sequence), output)
        except ValueError as error:
            made.notes.append(f"{result.sequence}: not written as {name}: {error}")


def visualize(made: Run, tracked: Tracked, result: Detections, folder: Path) -> None:
    """Write SEQ.mp4, its fullest frame as SEQ.png and a t-SNE picture of the frames around it."""
    from utils import visualization

    name, written = result.sequence, np.flatnonzero(result.ids)
    if not len(written):
        return
    images = made.images.get(name)
    reader = None if images is None else images.drawn
    still = visualization.write_video(folder / f"{name}.mp4", result, reader, step=tracked.step)
    if still is not None:
        visualization.write_picture(folder / f"{name}.png", still)
    embeddings = tracked.columns.get(EMBEDDINGS)
    if embeddings is None:
        made.notes.append(f"{name}: no t-SNE picture: {made.settings.name} needs no embeddings")
        return
    # Long enough for tracks to show as paths: ten windows around the fullest frame.
    frames = result.frames
    numbers, sizes = np.unique(frames[written], return_counts=True)
    reach = 5 * getattr(made.settings.tracker, "t_lag", 3) * tracked.step
    window = written[np.abs(frames[written] - numbers[sizes.argmax()]) <= reach]
    visualization.plot_embeddings(
        folder / f"{name}_tsne.png",
        embeddings[window],
        frames[window],
        result.ids[window],
        f"{name}, frames {frames[window].min()} to {frames[window].max()}",
        made.request.seed,
    )


def score(
    made: Run, tracked: Sequence[Tracked], results: Sequence[Detections]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return {kind of score: {row: {column: value}}}, and those of masks by sequence.

    Both are empty without ground truth.
    """
    truth, of = made.inputs.truth, made.settings.data_set
    if not truth:
        return {}, {}
    classes = made.pipeline.scored_classes([*truth.values(), *results])
    only = made.request.annotated_only
    parts = {
        result.sequence: made.pipeline.counts(truth[result.sequence], result, classes, only)
        for result in tqdm(results, desc="scoring", unit="seq", disable=None)
        if result.sequence in truth
    }
    scores: dict[str, Any] = {"masks": evaluation.combine_masks([*parts.values()])}
    each = {name: evaluation.combine_masks([part]) for name, part in parts.items()}
    if made.boxes:
        by_name = {t.detections.sequence: (t.detections, t.track_ids) for t in tracked}
        with made.pipeline.watch("score"):
            scores["boxes"] = {of.name: evaluation.score_boxes(made.boxes, by_name)}
    return scores, each


def execute(request: Request) -> dict[str, Any]:
    """Read, track, write, score; return the summary that DIR/summary.json holds.

    Raises:
        ValueError: bad input; nothing is written then.
    """
    given = [p for p in (request.ground_truth, request.images) if p is not None]
    with OutputFolder(request.output, [*request.detections, *given]) as output:
        made = begin(request)
        tracked = track_all(made)
        counts = count(tracked)
        results = write_all(made, tracked, counts, output.staged)
        scores, each = score(made, tracked, results)
        summary = summarise(made, tracked, counts, scores) | {"by_sequence": each}
        if request.report:
            with made.pipeline.watch("report"):
                report(made, tracked, results, summary, output.staged / REPORT)
            summary["seconds"] = seconds_of(made)
        output.install(summary)
    return summary


def count(tracked: Sequence[Tracked]) -> Counter[str]:
    """Return what was read, what each rule dropped and what the trackers counted."""
    counts: Counter[str] = Counter()
    for one in tracked:
        counts["read"] += len(one.detections)
        counts["frames"] += len(np.unique(one.detections.frames))
        counts.update({f"dropped_{rule}": n for rule, n in one.dropped.items()})
        counts.update({f"tracker_{what}": n for what, n in one.report.items()})
    return counts


def summarise(
    made: Run, tracked: Sequence[Tracked], counts: Counter[str], scores: dict[str, Any]
) -> dict[str, Any]:
    """Return all that made the results, for summary.json."""
    request, embedder, of = made.request, made.pipeline._embedder, made.settings.data_set
    names = [t.detections.sequence for t in tracked]
    with_keras = embedder is not None and embedder.runtime == KERAS
    packages = PACKAGES if with_keras else (*PACKAGES[2:], *(("onnxruntime",) if embedder else ()))
    settings = made.settings.summary()
    classes = made.pipeline.scored_classes([t.detections.select(t.keep) for t in tracked])
    return {
        **settings,
        **request.asked,
        "detections": [str(path) for path in request.detections],
        "sequences": len(tracked),
        "steps": {t.detections.sequence: t.step for t in tracked},
        "classes": list(classes.values()),
        "class_names": {str(cls): of.name_of(cls) for cls in classes},
        "seed": request.seed,
        "weights": {n: embedder.weights_of(n).name for n in names} if embedder else {},
        "weights_sha256": embedder.digests() if embedder else {},
        "colours": [t.detections.sequence for t in tracked if COLOURS in t.columns],
        "runtime": embedder.runtime if embedder else None,
        "versions": {"python": platform.python_version(), **versions_of(packages)},
        "counts": dict(counts),
        "scores": scores,
        "notes": made.notes,
        "failed": made.failed,
        "seconds": seconds_of(made),
    }


def versions_of(packages: Iterable[str]) -> dict[str, str]:
    """Return {package: version} of those that are installed."""
    found = {}
    for package in packages:
        with contextlib.suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def seconds_of(made: Run) -> dict[str, float]:
    """Return the seconds that each stage took."""
    return {stage: round(v, 3) for stage, v in made.pipeline.watch.seconds.items()}


def report(
    made: Run,
    tracked: Sequence[Tracked],
    results: Sequence[Detections],
    summary: dict[str, Any],
    path: Path,
) -> None:
    """Write the page that shows the run, see `utils.page`."""
    from utils.page import write_page

    of = made.settings.data_set
    reviews = []
    for one, result in zip(tracked, results, strict=True):
        name = result.sequence
        images = made.images.get(name)
        names = {c: of.name_of(c) for c in np.unique(result.classes).tolist()}
        review = Review(
            name,
            result.size,
            names,
            one.step,
            made.inputs.truth.get(name),
            None if images is None else images.drawn,
        )
        for frame, rows in result.rows_by_frame():
            review.take(frame, result.select(rows))
        reviews.append(review)
    write_page(path, summary, reviews)
