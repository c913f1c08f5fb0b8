"""What a run leaves behind: files, pictures, scores, its summary and its page."""

from __future__ import annotations

import contextlib
import platform
from collections import Counter
from collections.abc import Iterable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from models.output import PICTURES
from models.pipeline import Tracked
from models.request import Run
from models.tracking import COLOURS, EMBEDDINGS
from models.usc_mots.embedding import KERAS
from utils import evaluation
from utils.detections import Detections
from utils.formats.base import Output
from utils.formats.writing import MOTS, WRITERS
from utils.review import Review

PACKAGES = ("tensorflow", "keras", "numpy", "scipy", "pycocotools", "opencv-python", "trackeval")


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
