"""Figures 3 and 4 of the paper: what a window's latent space and tracked frames look like."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from models.tracking import EMBEDDINGS
from pipeline.settings import settings_for
from pipeline.stages import Pipeline
from reproduction.experiments import Experiments, track_sequence
from reproduction.figures import Panel, enlarged, plot_frames, plot_windows
from reproduction.runs import Run
from reproduction.sources import Missing
from utils import synthetic, synthetic_pictures
from utils.cli import say
from utils.data_sets import data_set
from utils.detections import Detections
from utils.drawing import TRAIL, Painter
from utils.frames import GREY

Array = npt.NDArray[Any]
Image = npt.NDArray[np.uint8]

WINDOW, SHOWN = 8, 4  # frames whose embeddings are shown, and how many of them as pictures
DIGITS, SEED = 5, 3  # |O| of Fig. 3a
NEIGHBOURS = 3  # pedestrians of Fig. 3c
FRAMES = 4  # of Fig. 4, in a row


def figure_3(experiments: Experiments, path: Path) -> None:
    """Write Figure 3: frames of MNIST-MOT and MOTSChallenge, and the embeddings of their objects.

    Args:
        experiments: Experiments; its data holds `mots_challenge` and, for the paper's digits,
            `mnist/mnist.npz` (else those of Keras or scikit-learn are taken).
        path: the PNG to write.
    """
    panels = [_digits(experiments)]
    try:
        panels.append(_pedestrians(experiments))
    except Missing as reason:
        say(f"Figure 3 (c, d) not run: {reason}")
    plot_windows(path, panels)
    say(f"{path}: {len(panels)} of 2 windows")


def _digits(experiments: Experiments) -> Panel:
    """Return the panel of a window of MNIST-MOT with five digits."""
    file = experiments.sources.data / "mnist" / "mnist.npz"
    dataset = data_set("mnist")
    draw, _ = synthetic_pictures.source(dataset.name, "test", file if file.is_file() else None)
    rng = np.random.default_rng(SEED)
    frames, detections = synthetic.generate_sequence(
        "figure", draw, dataset.margin or 0, 150, DIGITS, rng
    )
    tracked = Pipeline(settings_for(dataset)).track(detections)
    embeddings, ids = tracked.columns[EMBEDDINGS], tracked.track_ids
    start = _longest_full_window(detections.frames, ids, DIGITS)
    inside = (detections.frames >= start) & (detections.frames < start + WINDOW)
    rows = np.flatnonzero((ids > 0) & inside)
    shown = [
        (int(n), _drawn(detections, ids, int(n), frames[int(n) - 1], 3))
        for n in np.linspace(start, start + WINDOW - 1, SHOWN).round()
    ]
    title = f"{dataset.title}, |O| = {DIGITS}"
    return title, shown, _tsne(embeddings[rows]), detections.frames[rows], ids[rows]


def _longest_full_window(frames: Array, ids: Array, count: int) -> int:
    """Return the first frame of a window of WINDOW frames that has most of `count` objects."""
    numbers = np.arange(frames.min(), max(frames.min(), frames.max() - WINDOW + 1) + 1)
    full = [
        sum(min(count, int(((frames == n + i) & (ids > 0)).sum())) for i in range(WINDOW))
        for n in numbers
    ]
    return int(numbers[int(np.argmax(full))])


def _pedestrians(experiments: Experiments) -> Panel:
    """Return the panel of three pedestrians of MOTSChallenge that walk side by side."""
    dataset = data_set("mots")
    run = Run(dataset.name, dataset.weights, "truth", (("min_track_length", 1),))
    name, file, truth, stored = experiments.embed(run)[-1]
    tracked = track_sequence(run, name, file, truth, stored)
    detections, ids = tracked.detections, tracked.track_ids
    embeddings, frames = tracked.columns[EMBEDDINGS], detections.frames
    start, chosen = _neighbours(detections, ids)
    window = (frames >= start) & (frames < start + WINDOW) & np.isin(ids, chosen)
    rows = np.flatnonzero(window)
    boxes = detections.boxes_xywh[rows]
    x1, y1 = np.maximum(boxes[:, :2].min(axis=0) - 10, 0).astype(int)
    x2, y2 = ((boxes[:, :2] + boxes[:, 2:]).max(axis=0) + 10).astype(int)
    reader = experiments.sources.images(run, detections)
    kept = np.where(np.isin(ids, chosen), ids, 0)
    shown = []
    for number in np.linspace(start, start + WINDOW - 1, SHOWN).round().astype(int).tolist():
        image = reader(number) if reader else _blank(detections)
        drawn = _drawn(detections, kept, number, image, 1)
        shown.append((number, enlarged(drawn[y1:y2, x1:x2], 200)))
    title = f"{dataset.title} {name}, {NEIGHBOURS} pedestrians"
    return title, shown, _tsne(embeddings[rows]), frames[rows], ids[rows]


def _neighbours(detections: Detections, ids: Array) -> tuple[int, Array]:
    """Return (first frame, ids) of a window in which NEIGHBOURS large tracks are side by side."""
    frames = detections.frames
    best: tuple[float, int, Array] | None = None
    areas = detections.boxes_xywh[:, 2] * detections.boxes_xywh[:, 3]
    for start in range(int(frames.min()), int(frames.max()) - WINDOW + 2, WINDOW):
        inside = (frames >= start) & (frames < start + WINDOW) & (ids > 0)
        present, counts = np.unique(ids[inside], return_counts=True)
        whole = present[counts == WINDOW]
        if len(whole) < NEIGHBOURS:
            continue
        sizes = [areas[inside & (ids == identity)].mean() for identity in whole]
        largest = np.argsort(sizes)[::-1][:NEIGHBOURS]
        boxes = detections.boxes_xywh[inside & np.isin(ids, whole[largest])]
        spread = np.prod((boxes[:, :2] + boxes[:, 2:]).max(axis=0) - boxes[:, :2].min(axis=0))
        filled = sum(sizes[i] for i in largest) / spread
        if best is None or filled > best[0]:
            best = float(filled), start, whole[largest]
    if best is None:
        raise Missing(f"{detections.sequence}: no window has {NEIGHBOURS} tracks throughout")
    return best[1], best[2]


def figure_4(experiments: Experiments, path: Path) -> None:
    """Write Figure 4: tracked frames of KITTI MOTS and MOTSChallenge, in a row for each.

    Detections are tracked where there are some, else the ground-truth masks.
    """
    rows = []
    for dataset in (data_set("kitti"), data_set("mots")):
        run = Run(dataset.name, dataset.weights, "detections")
        try:
            if not experiments.sources.possible(run):
                run = Run(dataset.name, dataset.weights, "truth")
            rows.append(_row(experiments, run, dataset.title))
        except Missing as reason:
            say(f"Figure 4, {dataset.title}, not run: {reason}")
    if not rows:
        raise ValueError(
            f"{experiments.sources.data} must hold kitti_mots or mots_challenge, got neither"
        )
    plot_frames(path, rows)
    say(f"{path}: {len(rows)} of 2 data sets")


def _row(experiments: Experiments, run: Run, label: str) -> tuple[str, list[tuple[int, Image]]]:
    """Return (label, frames) of the sequence with most tracks in a frame."""
    tracked = []
    for name, file, truth, stored in experiments.embed(run):
        sequence = track_sequence(run, name, file, truth, stored)
        detections, ids = sequence.detections, sequence.track_ids
        numbers, counts = np.unique(detections.frames[ids > 0], return_counts=True)
        if len(numbers):
            tracked.append((counts.max(), name, detections, ids, numbers[counts.argmax()]))
    if not tracked:
        raise Missing("nothing was tracked")
    _, name, detections, ids, fullest = max(tracked, key=lambda item: item[:2])
    reader = experiments.sources.images(run, detections)
    if reader is None:
        say(f"Figure 4, {label}: no images, drawn on grey")
    numbers = np.unique(detections.frames[ids > 0])
    at = int(np.searchsorted(numbers, fullest))
    chosen = numbers[np.clip(at + 6 * (np.arange(FRAMES) - FRAMES // 2), 0, len(numbers) - 1)]
    frames = []
    for number in np.unique(chosen).tolist():
        image = reader(number) if reader else _blank(detections)
        frames.append((number, _drawn(detections, ids, number, image, 1)))
    source = "" if run.source == "detections" else " (ground-truth masks)"
    return f"{label} {name}{source}", frames


def _blank(detections: Detections) -> Image:
    return np.full((*detections.size, 3), GREY, np.uint8)


def _drawn(detections: Detections, ids: Array, number: int, image: Image, scale: int) -> Image:
    """Return one frame with the masks, ids and trails of its tracks."""
    painter, result = Painter(), replace(detections, ids=ids)
    drawn = image
    for earlier in range(number - TRAIL + 1, number + 1):
        rows = np.flatnonzero((detections.frames == earlier) & (ids > 0))
        drawn = painter.draw(image, result, rows, earlier, scale)
    return drawn


def _tsne(embeddings: Array, seed: int = 0) -> Array:
    """Return (n, 2) coordinates."""
    from sklearn.manifold import TSNE

    perplexity = max(1.0, min(10.0, (len(embeddings) - 1) / 3))
    points: Array = TSNE(perplexity=perplexity, init="pca", random_state=seed).fit_transform(
        embeddings
    )
    return points
