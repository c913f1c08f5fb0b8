"""The paper's figures: thresholds (5), windows and their latent space (3), tracked frames (4)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from matplotlib import pyplot as plt

from utils.visualization import draw_identities, save  # chooses the backend

Array = npt.NDArray[Any]
Shown = Sequence[tuple[int, Array]]  # (frame number, (h, w, 3) uint8 RGB)
Panel = tuple[str, Shown, Array, Array, Array]

MARKERS = "osD^vP*X<>"


def plot_thresholds(path: Path, lines: Sequence[tuple[Any, ...]]) -> None:
    """Write Figure 5: sMOTSA against the least score a detection needs.

    Args:
        path: the PNG to write.
        lines: [(threshold, curve and metric, sMOTSA in percent or None, ...)].
    """
    figure, axes = plt.subplots(figsize=(4.2, 3.0), layout="constrained")
    for i, column in enumerate(dict.fromkeys(line[1] for line in lines)):
        points = [(float(r), v) for r, c, v, *_ in lines if c == column and v is not None]
        if points:
            label = column.removesuffix(" sMOTSA")
            axes.plot(*zip(*points, strict=True), f"-{MARKERS[i]}", markersize=4, label=label)
    axes.set(xlabel="least detection score", ylabel="sMOTSA (%)")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    save(figure, path)


def plot_windows(path: Path, panels: Sequence[Panel]) -> None:
    """Write Figure 3: the frames of a window above, its latent space below, one column per set.

    Args:
        path: the PNG to write.
        panels: [(title, [(frame number, (h, w, 3) uint8 RGB)], (n, 2) float points, (n,) int
            frames, (n,) int ids)].
    """
    figure = plt.figure(figsize=(4.6 * len(panels), 5.2), layout="constrained")
    halves = figure.subfigures(1, len(panels), squeeze=False)[0]
    for half, (title, shown, points, frames, ids) in zip(halves, panels, strict=True):
        half.suptitle(title, fontsize=10)
        grid = half.add_gridspec(2, len(shown), height_ratios=(1, 2))
        for i, (number, image) in enumerate(shown):
            axes = half.add_subplot(grid[0, i])
            axes.imshow(image)
            axes.set_title(f"frame {number}", fontsize=7)
            axes.axis("off")
        _scatter(half.add_subplot(grid[1, :]), points, frames, ids)
    save(figure, path)


def _scatter(axes: Any, points: Array, frames: Array, ids: Array) -> None:
    """Draw embeddings: a colour per identity, a line along its frames."""
    draw_identities(axes, points, frames, ids, "{}", 0.5, s=26)
    axes.set_xlabel("t-SNE 1 (no unit)", fontsize=8)
    axes.set_ylabel("t-SNE 2 (no unit)", fontsize=8)
    axes.tick_params(labelsize=7)
    axes.legend(
        title="id", fontsize=7, title_fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5)
    )


def plot_frames(path: Path, rows: Sequence[tuple[str, Shown]]) -> None:
    """Write Figure 4: a row of tracked frames per data set.

    Args:
        path: the PNG to write.
        rows: [(label, [(frame number, (h, w, 3) uint8 RGB)])], as many frames in each.
    """
    count = max(len(frames) for _, frames in rows)
    ratios = [max(im.shape[0] / im.shape[1] for _, im in frames) for _, frames in rows]
    size = 3.4 * count, sum(3.4 * r + 0.35 for r in ratios)
    figure, grid = plt.subplots(
        len(rows),
        count,
        figsize=size,
        squeeze=False,
        layout="constrained",
        gridspec_kw={"height_ratios": ratios},
    )
    for line, (label, frames) in zip(grid, rows, strict=True):
        for i, (number, image) in enumerate(frames):
            line[i].imshow(image)
            line[i].set_title(f"{f'{label}, ' * (i == 0)}frame {number}", fontsize=8)
        for axes in line:
            axes.axis("off")
    save(figure, path)


def enlarged(image: Array, least: int) -> Array:
    """Return an image enlarged by a whole factor so that its shorter side has `least` px."""
    scale = max(1, -(-least // min(image.shape[:2])))
    return np.asarray(cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_NEAREST))
