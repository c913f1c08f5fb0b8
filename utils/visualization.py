"""Pictures: overlay videos, embeddings by t-SNE, training curves."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import matplotlib
import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco_mask
from tqdm import tqdm

from utils.detections import Detections
from utils.files import atomic_path
from utils.frames import GREY

matplotlib.use("Agg")
from matplotlib import pyplot as plt

Array = npt.NDArray[Any]
Image = npt.NDArray[np.uint8]

TRAIL = 15  # frames of the past that a trail shows
LEAST_SIDE = 384  # px; smaller frames are enlarged so that ids stay legible


def colour_of(identity: int) -> tuple[int, ...]:
    """Return a distinct RGB colour in 0..255 for an identity: hues by the golden ratio.

    1000 times the ratio is nearly whole, so that ids 1001 and 2001 would look alike without a step
    per thousand.
    """
    hue = (identity * 0.618034 + identity // 1000 * 0.31) % 1
    hsv = np.array([[[180 * hue, 200, 255]]], np.uint8)
    return tuple(int(v) for v in cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[0, 0])


def draw_frame(
    image: Image,
    coco: Sequence[dict[str, Any]],
    ids: Sequence[int],
    trails: Mapping[int, Iterable[Any]],
    scale: int = 1,
) -> Image:
    """Return the frame with a coloured mask, an id and a trail per object.

    Args:
        image: (height, width, 3) uint8 RGB.
        coco: masks of pycocotools; ids: their identities.
        trails: {id: points (x, y) in px of the frame, oldest first}.
        scale: enlargement of the result.

    Returns:
        (height * scale, width * scale, 3) uint8 RGB.
    """
    image = image.copy()
    for mask, identity in zip(coco, ids, strict=True):
        inside = coco_mask.decode(mask) > 0
        image[inside] = (0.45 * image[inside] + 0.55 * np.array(colour_of(identity))).astype(
            np.uint8
        )
    image = np.asarray(
        cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_NEAREST), np.uint8
    )
    for identity in ids:
        points = (np.array(list(trails[identity])) * scale).round().astype(np.int32)
        cv2.polylines(image, [points], False, colour_of(identity), 2, cv2.LINE_AA)
        x, y = points[-1].tolist()
        text = str(identity)
        (w, h), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 0.5, 1)
        corner = (
            min(max(x - w // 2, 2), image.shape[1] - w - 2),
            min(max(y + h // 2, h + 2), image.shape[0] - 4),
        )
        for colour, thickness in (((0, 0, 0), 3), ((255, 255, 255), 1)):
            cv2.putText(
                image, text, corner, cv2.FONT_HERSHEY_SIMPLEX, 0.5, colour, thickness, cv2.LINE_AA
            )
    return image


def write_video(
    path: Path,
    result: Detections,
    images: Callable[[int], Image] | None = None,
    fps: int = 10,
    step: int = 1,
) -> Image | None:
    """Write an overlay video (mp4) of a tracked sequence: exactly what is written is drawn.

    Args:
        path: the file to write.
        result: n Detections as `utils.results.finished` makes them; rows of id 0 are not drawn.
        images: function frame -> (height, width, 3) uint8 RGB; None draws on dark grey.
        fps: frames per second.
        step: frame numbers from one frame of the video to the next.

    Returns:
        (height, width, 3) uint8 RGB, the drawn frame with most objects, as a still.

    Raises:
        ValueError: OpenCV cannot write mp4 here.
    """
    size, ids = result.size, result.ids
    scale = max(1, -(-LEAST_SIDE // max(1, min(size))))
    centres = result.boxes_xywh[:, :2] + result.boxes_xywh[:, 2:] / 2
    trails: dict[int, deque[Any]] = defaultdict(lambda: deque(maxlen=TRAIL))
    still, most = None, -1
    rows_of = dict(result.rows_by_frame())
    numbers = range(min(rows_of, default=0), max(rows_of, default=-1) + 1, step)
    with atomic_path(path) as temporary:
        shape = size[1] * scale, size[0] * scale
        code = cv2.VideoWriter.fourcc(*"mp4v")
        video = cv2.VideoWriter(str(temporary), code, fps, shape)
        if not video.isOpened():
            raise ValueError(f"{path}: OpenCV must be able to write mp4, got no encoder")
        for number in tqdm(numbers, desc=f"video {result.sequence}", disable=None):
            rows = [row for row in rows_of.get(number, ()) if ids[row]]
            shown = [int(ids[row]) for row in rows]
            for row, identity in zip(rows, shown, strict=True):
                trails[identity].append(centres[row])
            image = images(number) if images else np.full((*size, 3), GREY, np.uint8)
            drawn = draw_frame(image, result.coco(np.array(rows, int)), shown, trails, scale)
            video.write(np.ascontiguousarray(drawn[:, :, ::-1]))
            if len(rows) >= most:  # the last such frame has the longest trails
                still, most = drawn, len(rows)
        video.release()
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
    for i, (label, scale, names) in enumerate(curves):
        axes = (
            figure.add_subplot(grid[0, i] if i else grid[0, :2])
            if i < 1
            else (figure.add_subplot(grid[0, i + 1]))
        )
        for name in names:
            points = [(row["epoch"], row[name]) for row in history if name in row]
            if points:
                axes.plot(*zip(*points, strict=True), ".-", label=name)
        axes.axvline(best_epoch, color="grey", linestyle=":", label="kept")
        axes.set(xlabel="epoch", ylabel=label, yscale=scale)
        axes.legend(fontsize=7)
    if rebuilt is None:
        save(figure, path)
        return
    axes = figure.add_subplot(grid[1, :])
    top = np.concatenate(list(masks), axis=1).astype(float) / 255
    bottom = np.concatenate(list(rebuilt), axis=1)
    axes.imshow(np.concatenate([top, bottom]).squeeze(), cmap="gray", vmin=0, vmax=1)
    axes.set_title("masks (top) and their reconstructions (bottom)", fontsize=9)
    axes.axis("off")
    save(figure, path)


def save(figure: Any, path: Path) -> None:
    """Write a figure as PNG, whole or not at all."""
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=130, format="png")
    plt.close(figure)
