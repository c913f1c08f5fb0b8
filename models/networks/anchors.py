"""Anchors: the boxes that the region proposal network starts from (Faster R-CNN, section 3.1.1)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


def base_anchors(sizes: Sequence[float], ratios: Sequence[float]) -> Floats:
    """Return (len(ratios) * len(sizes), 4) anchors around 0, x1 y1 x2 y2, in whole pixels.

    Args:
        sizes: square roots of their areas, px. ratios: height / width.
    """
    high = np.sqrt(np.array(ratios, np.float32))
    heights = (high[:, None] * np.array(sizes, np.float32)).ravel()
    widths = ((1 / high)[:, None] * np.array(sizes, np.float32)).ravel()
    rounded: Floats = np.round(np.stack([-widths, -heights, widths, heights], axis=1) / 2)
    return rounded


def level_anchors(
    grid: tuple[int, int], padded: tuple[int, int], sizes: Sequence[float], ratios: Sequence[float]
) -> Floats:
    """Return (h * w * a, 4) anchors of a level: rows, columns, then the anchors of a cell.

    Args:
        grid: (h, w) cells of the level. padded: (H, W) of the padded picture, px; a cell's
            corner, not its middle, is its anchors' centre.
        sizes, ratios: see `base_anchors`.
    """
    ys = np.arange(grid[0], dtype=np.float32) * (padded[0] // grid[0])
    xs = np.arange(grid[1], dtype=np.float32) * (padded[1] // grid[1])
    y, x = np.meshgrid(ys, xs, indexing="ij")
    shifts = np.stack([x, y, x, y], axis=-1).reshape(-1, 1, 4)
    anchors: Floats = (shifts + base_anchors(sizes, ratios)).reshape(-1, 4)
    return anchors
