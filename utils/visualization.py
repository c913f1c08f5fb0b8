"""Pictures: overlay videos, embeddings by t-SNE, training curves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import matplotlib
import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from utils.detections import Detections
from utils.drawing import Painter
from utils.files import atomic_path
from utils.frames import GREY
from utils.identity_colours import colour_of
from utils.video_writing import VideoWriter

matplotlib.use("Agg")
from matplotlib import pyplot as plt

Array = npt.NDArray[Any]
Image = npt.NDArray[np.uint8]

LEAST_SIDE = 384  # px; smaller frames are enlarged so that ids stay legible


def write_video(
    path: Path,
    result: Detections,
    images: Callable[[int], Image] | None = None,
    fps: int = 10,
    step: int = 1,
    name_of: Callable[[int], str] | None = None,
) -> Image | None:
    """Write an overlay video (mp4) of a tracked sequence: exactly what is written is drawn.

    Args:
        path: the file to write.
        result: n Detections as `utils.results.finished` makes them; rows of id 0 are not drawn.
        images: function frame -> (height, width, 3) uint8 RGB; None draws on dark grey.
        fps: frames per second.
        step: frame numbers from one frame of the video to the next.
        name_of: class number -> name, see `Painter`.

    Returns:
        (height, width, 3) uint8 RGB, the drawn frame with most objects, as a still.

    Raises:
        ValueError: FFmpeg cannot encode video here.
    """
    scale = max(1, -(-LEAST_SIDE // max(1, min(result.size))))
    painter, still, most = Painter(name_of), None, -1
    rows_of = dict(result.rows_by_frame())
    numbers = range(min(rows_of, default=0), max(rows_of, default=-1) + 1, step)
    shape = result.size[0] * scale, result.size[1] * scale
    nothing: Array = np.zeros(0, np.int64)
    with atomic_path(path) as temporary, VideoWriter(temporary, shape, Fraction(fps)) as video:
        for number in tqdm(numbers, desc=f"video {result.sequence}", disable=None):
            rows = rows_of.get(number, nothing)
            rows = rows[result.ids[rows] > 0]
            image = images(number) if images else np.full((*result.size, 3), GREY, np.uint8)
            drawn = painter.draw(image, result, rows, number, scale)
            video.write(drawn)
            if len(rows) >= most:  # the last such frame has the longest trails
                still, most = drawn, len(rows)
    return still


def write_picture(path: Path, image: Image) -> None:
    """Write an (h, w, 3) uint8 RGB image as PNG, whole or not at all."""
    with atomic_path(path) as temporary:
        cv2.imwrite(str(temporary), np.ascontiguousarray(image[:, :, ::-1]))


def draw_identities(
    axes: Any, points: Array, frames: Array, ids: Array, label: str, alpha: float, **dots: Any
) -> None:
    """Draw (n, 2) points: a colour per identity, a line of some alpha along its frames.

    Args:
        axes: of matplotlib. label: with {} for the identity. dots: further arguments of `scatter`.
    """
    for identity in np.unique(ids).tolist():
        rows = np.flatnonzero(ids == identity)
        rows = rows[np.argsort(frames[rows])]
        colour = np.array(colour_of(identity)) / 255
        axes.plot(*points[rows].T, "-", color=colour, alpha=alpha, linewidth=1)
        dots = {**dots, "color": colour, "label": label.format(identity)}
        axes.scatter(*points[rows].T, edgecolors="black", linewidths=0.4, **dots)


def plot_embeddings(
    path: Path, embeddings: Array, frames: Array, ids: Array, title: str, seed: int = 0
) -> None:
    """Write a t-SNE picture of one window's embeddings, coloured by identity (paper, Fig. 3).

    Args:
        path: the PNG to write.
        embeddings: (n, F) float; frames: (n,) int; ids: (n,) int.
        title: heading.
        seed: of t-SNE.
    """
    from sklearn.manifold import TSNE

    perplexity = max(1.0, min(10.0, (len(embeddings) - 1) / 3))
    points = TSNE(
        perplexity=perplexity, init="pca" if len(embeddings) > 2 else "random", random_state=seed
    ).fit_transform(embeddings)
    figure, axes = plt.subplots(figsize=(5, 4), layout="constrained")
    draw_identities(axes, points, frames, ids, "id {}", 0.4, s=28, zorder=3)
    axes.set(title=title, xlabel="t-SNE 1 (no unit)", ylabel="t-SNE 2 (no unit)")
    if len(np.unique(ids)) <= 12:
        axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    save(figure, path)


def plot_training(
    path: Path,
    history: Sequence[dict[str, Any]],
    best_epoch: int,
    masks: Array,
    rebuilt: Array | None,
) -> None:
    """Write the curves of a training run and some reconstructions.

    Args:
        path: the PNG to write.
        history: list of dicts, one per epoch; see `models.usc_mots.training.Trainer`.
        best_epoch: the epoch that was kept.
        masks: (n, M, M, D) uint8; rebuilt: (n, M, M, D) float in 0..1, or None.
    """
    figure = plt.figure(figsize=(10, 5.6), layout="constrained")
    grid = figure.add_gridspec(2, 4, height_ratios=(2, 1.3))
    curves = (
        ("squared error per value", "log", ("mask_mse", "val_mask_mse", "box_mse", "val_box_mse")),
        ("sigma", "log", ("sigma_mask", "sigma_box")),
        (
            "association accuracy",
            "linear",
            sorted({name for row in history for name in row if name.startswith("association")}),
        ),
    )
    cells = (grid[0, :2], grid[0, 2], grid[0, 3])
    for cell, (label, scale, names) in zip(cells, curves, strict=True):
        axes = figure.add_subplot(cell)
        for name in names:
            points = [(row["epoch"], row[name]) for row in history if name in row]
            if points:
                axes.plot(*zip(*points, strict=True), ".-", label=name)
        axes.axvline(best_epoch, color="grey", linestyle=":", label="kept")
        axes.set(xlabel="epoch", ylabel=label, yscale=scale)
        axes.legend(fontsize=7)
    if rebuilt is not None:
        _draw_masks(figure.add_subplot(grid[1, :]), masks, rebuilt)
    save(figure, path)


def _draw_masks(axes: Any, masks: Array, rebuilt: Array) -> None:
    top = np.concatenate(list(masks), axis=1).astype(float) / 255
    bottom = np.concatenate(list(rebuilt), axis=1)
    axes.imshow(np.concatenate([top, bottom]).squeeze(), cmap="gray", vmin=0, vmax=1)
    axes.set_title("masks (top) and their reconstructions (bottom)", fontsize=9)
    axes.axis("off")


def plot_network(
    path: Path,
    history: Sequence[dict[str, Any]],
    pictures: Sequence[tuple[str, Image]],
) -> None:
    """Write the curves of a network's training and some pictures.

    Args:
        path: the PNG to write.
        history: a dict for each epoch, with `loss`, the losses it sums and now and then AP
            (`box_ap50` and the like) or `auc`.
        pictures: (title, picture) each.
    """
    figure = plt.figure(figsize=(10, 6), layout="constrained")
    grid = figure.add_gridspec(2, max(2, len(pictures)), height_ratios=(1, 1.2))
    half = grid.ncols // 2
    names = list(dict.fromkeys(name for row in history for name in row))
    scores = [name for name in names if "_ap" in name or name == "auc"]
    terms = [name for name in names if name not in (*scores, "epoch", "seconds")]
    for place, chosen, label, scale in (
        (grid[0, :half], terms, "loss", "log"),
        (grid[0, half:], scores, "held back, percent", "linear"),
    ):
        axes = figure.add_subplot(place)
        for name in chosen:
            points = [(row["epoch"], row[name]) for row in history if name in row]
            axes.plot(*zip(*points, strict=True), ".-", label=name)
        axes.set(xlabel="epoch", ylabel=label, yscale=scale)
        if chosen:
            axes.legend(fontsize=7)
    for i, (title, image) in enumerate(pictures):
        axes = figure.add_subplot(grid[1, i])
        axes.imshow(image)
        axes.set_title(title, fontsize=9)
        axes.axis("off")
    save(figure, path)


def save(figure: Any, path: Path) -> None:
    """Write a figure as PNG, whole or not at all."""
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=130, format="png")
    plt.close(figure)
