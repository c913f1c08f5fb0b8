"""A whole run: files in; tracks, pictures, scores and a summary out, by one Pipeline."""

from __future__ import annotations

import json
import platform
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from models.pipeline import Pipeline, Stopwatch, Tracked, frames_of
from models.settings import Settings
from models.tracking import COLOURS, EMBEDDINGS, IDS, tracker_class
from utils import evaluation
from utils.cli import check_backend, say
from utils.detections import Detections
from utils.files import atomic_path, check_writable
from utils.formats.mot import read_mot
from utils.frames import FrameFolder
from utils.inputs import Inputs, read_inputs

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

    @property
    def settings(self) -> Settings:
        """Return the settings that were asked for."""
        return self.request.settings


def begin(request: Request) -> Run:
    """Read and check everything before anything slow is imported.

    Raises:
        ValueError: bad input; nothing is written then.
    """
    watch, settings = Stopwatch(), request.settings
    check_output(request)
    with watch("read"):
        inputs = read_inputs(request.detections, request.ground_truth, request.sequences)
    pipeline = Pipeline(settings, request.weights, watch=watch)
    made = Run(request, pipeline, inputs, {}, list(inputs.notes))
    of = settings.data_set
    if of.box_truth and request.ground_truth:
        names = [s.sequence for s in inputs.sequences]
        made.boxes = evaluation.find_box_truth(request.ground_truth, names, of.box_truth)
        for file in made.boxes.values():
            read_mot(file)
    check_sequences(made)
    meaning = tracker_class(settings.name).meaning
    say(f"tracker {settings.name} ({meaning}), data set {of.name}")
    return made


def check_output(request: Request) -> None:
    """Refuse an output folder that cannot be written, or holds what is not ours."""
    data = request.output / "data"
    check_writable(request.output)
    for path in request.detections:
        folder = path if path.is_dir() else path.parent
        if data.exists() and folder.resolve() == data.resolve():
            raise ValueError(f"--output must not be where the detections are, got {request.output}")
    foreign = sorted(data.glob("*.txt")) if data.is_dir() else []
    if foreign and earlier_files(request.output) is None:
        rule = "must be a new folder, or one with the results of an earlier run"
        got = f"{foreign[0]} and no summary.json of one"
        raise ValueError(f"{request.output}: {rule}, got {got}")


def earlier_files(output: Path) -> list[str] | None:
    """Return the files that an earlier run left in a folder, None where there was none.

    Runs before summaries named their files wrote one text per sequence, which they did not name.
    """
    try:
        summary = json.loads((output / "summary.json").read_text())
        known = {"dataset", "counts", "seconds", "rules"} <= summary.keys()
        files = summary.get("files", [f"data/{f.name}" for f in (output / "data").glob("*.txt")])
        names = [name for name in files if Path(name).parent.as_posix() == "data"]
    except (OSError, ValueError, TypeError, AttributeError):
        return None
    return names if known else None


def check_sequences(made: Run) -> None:
    """Check what each sequence needs: weights, the backend, frames; say what is missing."""
    pipeline, request = made.pipeline, made.request
    if request.weights:
        _ = pipeline.embedder  # what is named is checked, be it needed or not
    if made.settings.refine:
        check_backend()
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
            if not missing:
                made.complete.add(detections.sequence)
            else:
                shown = ", ".join(map(str, missing[:3])) + ", ..." * (len(missing) > 3)
                made.notes.append(
                    f"{detections.sequence}: no picture of {len(missing)} frames ({shown}): they "
                    "are drawn grey, and colours of this sequence are not used"
                )
        if len(prepared) and pipeline.needs_embeddings(prepared, images is not None):
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


def track_all(made: Run) -> list[Tracked]:
    """Track every sequence."""
    tracked = []
    for detections in tqdm(made.inputs.sequences, desc="tracking", unit="seq", disable=None):
        name = detections.sequence
        images = made.images[name] if name in made.complete else None
        tracked.append(made.pipeline.track(detections, images))
        made.notes += tracked[-1].notes
        truth = made.inputs.truth.get(detections.sequence)
        if truth is not None:
            found = evaluation.truth_notes(truth, detections, tracked[-1].keep)
            made.notes += [f"{detections.sequence}: {text}" for text in found]
    return tracked


def write_all(made: Run, tracked: Sequence[Tracked], counts: Counter[str]) -> list[Detections]:
    """Write the results, and pictures where they are asked for, once all sequences are tracked."""
    output, results = made.request.output, []
    files = [f"data/{t.detections.sequence}.txt" for t in tracked]
    remove_stale(made, files)
    for one in tqdm(tracked, desc="writing", disable=None):
        result, hidden = made.pipeline.write(one, output / "data")
        counts["dropped_hidden"] += len(hidden)
        counts["written"] += int((result.ids > 0).sum())
        counts["tracks"] += len(np.unique(result.ids[result.ids > 0]))
        results.append(result)
        if made.request.visualize:
            visualize(made, one, result)
    return results


def remove_stale(made: Run, files: Sequence[str]) -> None:
    """Remove what an earlier run left and this one does not write again."""
    output = made.request.output
    old = set(earlier_files(output) or ())
    ends = (".mp4", ".png", "_tsne.png")
    old |= {f"pictures/{Path(name).stem}{end}" for name in old for end in ends}
    stale = sorted(name for name in old - set(files) if (output / name).is_file())
    for name in stale:
        (output / name).unlink()
    if stale:
        made.notes.append(f"{output}: {len(stale)} files of an earlier run removed ({stale[0]})")


def visualize(made: Run, tracked: Tracked, result: Detections) -> None:
    """Write SEQ.mp4, its fullest frame as SEQ.png and a t-SNE picture of the frames around it."""
    from utils import visualization

    name, written = result.sequence, np.flatnonzero(result.ids)
    if not len(written):
        return
    folder = made.request.output / "pictures"
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
) -> dict[str, dict[str, dict[str, Any]]]:
    """Return {kind of score: {row: {column: value}}}, empty without ground truth."""
    truth, of = made.inputs.truth, made.settings.data_set
    if not truth:
        return {}
    classes = made.pipeline.scored_classes([*truth.values(), *results])
    only = made.request.annotated_only
    parts = [
        made.pipeline.counts(truth[result.sequence], result, classes, only)
        for result in tqdm(results, desc="scoring", unit="seq", disable=None)
        if result.sequence in truth
    ]
    scores = {"masks": evaluation.combine_masks(parts)}
    if made.boxes:
        by_name = {t.detections.sequence: (t.detections, t.track_ids) for t in tracked}
        with made.pipeline.watch("score"):
            scores["boxes"] = {of.name: evaluation.score_boxes(made.boxes, by_name)}
    return scores


def execute(request: Request) -> dict[str, Any]:
    """Read, track, write, score; return the summary that DIR/summary.json holds.

    Raises:
        ValueError: bad input; nothing is written then.
    """
    made = begin(request)
    tracked = track_all(made)
    counts = count(tracked)
    results = write_all(made, tracked, counts)
    scores = score(made, tracked, results)
    summary = summarise(made, tracked, counts, scores)
    with atomic_path(request.output / "summary.json") as temporary:
        temporary.write_text(json.dumps(summary, indent=2, allow_nan=False) + "\n")
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
    used = embedder is not None
    settings = made.settings.summary()
    classes = made.pipeline.scored_classes([t.detections.select(t.keep) for t in tracked])
    return {
        **settings,
        **request.asked,
        "detections": [str(path) for path in request.detections],
        "sequences": len(tracked),
        "files": [f"data/{name}.txt" for name in names],
        "steps": {t.detections.sequence: t.step for t in tracked},
        "classes": list(classes.values()),
        "class_names": {str(cls): of.name_of(cls) for cls in classes},
        "seed": request.seed,
        "weights": {n: embedder.weights_of(n).name for n in names} if embedder else {},
        "weights_sha256": embedder.digests() if embedder else {},
        "colours": [t.detections.sequence for t in tracked if COLOURS in t.columns],
        "versions": {
            "python": platform.python_version(),
            **{p: version(p) for p in PACKAGES if used or p not in PACKAGES[:2]},
        },
        "counts": dict(counts),
        "scores": scores,
        "notes": made.notes,
        "seconds": {stage: round(v, 3) for stage, v in made.pipeline.watch.seconds.items()},
    }
