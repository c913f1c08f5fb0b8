"""Masks as small grids of points within their boxes: the overlap of masks moved elsewhere."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from utils.compiling import compiled, solid
from utils.masks import decode_runs

Array = npt.NDArray[Any]
SIDE = 16  # points along each side of a box
CENTRES = (np.arange(SIDE) + 0.5) / SIDE  # of cells, as shares of a side


def grids(
    rles: Sequence[bytes], boxes_xyxy: Array, height: int, width: int
) -> npt.NDArray[np.bool_]:
    """Return (n, SIDE, SIDE) bool: is the mask set at the centre of each cell of its box.

    Args:
        rles: n COCO-compressed run lengths of frames of height * width pixels.
        boxes_xyxy: (n, 4) px; beyond the frame there is no mask.
    """
    n = len(rles)
    if not n:
        return np.zeros((0, SIDE, SIDE), bool)
    pixels = height * width
    runs, offsets = decode_runs(rles, pixels)
    # Run ends of all masks in one ascending row: mask i has the numbers from i * pixels on.
    ends = np.cumsum(runs)
    x = boxes_xyxy[:, :1] + CENTRES * (boxes_xyxy[:, 2:3] - boxes_xyxy[:, :1])
    y = boxes_xyxy[:, 1:2] + CENTRES * (boxes_xyxy[:, 3:] - boxes_xyxy[:, 1:2])
    x, y = np.floor(x).astype(np.int64), np.floor(y).astype(np.int64)
    inside = ((x >= 0) & (x < width))[:, None, :] & ((y >= 0) & (y < height))[:, :, None]
    points = x[:, None, :] * height + y[:, :, None] + (np.arange(n) * pixels)[:, None, None]
    run = np.searchsorted(ends, points, side="right") - offsets[:-1, None, None]
    return (run % 2 == 1) & inside


def moved_iou(
    rles: Sequence[bytes],
    boxes_xyxy: Array,
    first: Array,
    first_xyxy: Array,
    second: Array,
    second_xyxy: Array,
    size: tuple[int, int],
) -> Array:
    """Return the (p,) IoU of pairs of masks, each stretched over a box.

    Args:
        rles: n masks; boxes_xyxy: (n, 4) px, around them.
        first, second: (p,) int, which of them make a pair.
        first_xyxy, second_xyxy: (p, 4) px, where the masks are taken to be.
        size: (height, width) of a frame in pixels.
    """
    fast = compiled("utils.compiled_overlap")
    if fast is not None:
        runs, offsets = decode_runs(rles, size[0] * size[1])
        cells = fast.grids(runs, offsets, solid(boxes_xyxy), *size, SIDE)
        pairs = solid(first, np.int64), solid(first_xyxy), solid(second, np.int64)
        found: Array = fast.moved_iou(cells, *pairs, solid(second_xyxy))
        return found
    cells = grids(rles, boxes_xyxy, *size)
    low = np.minimum(first_xyxy[:, :2], second_xyxy[:, :2])
    high = np.maximum(first_xyxy[:, 2:], second_xyxy[:, 2:])
    points = low[:, None] + CENTRES[:, None] * (high - low)[:, None]
    a, b = _sample(cells[first], first_xyxy, points), _sample(cells[second], second_xyxy, points)
    a, b = a.reshape(len(a), -1), b.reshape(len(b), -1)
    shared, either = np.count_nonzero(a & b, axis=1), np.count_nonzero(a | b, axis=1)
    return shared / np.maximum(either, 1)


def _sample(grid: Array, boxes_xyxy: Array, points: Array) -> npt.NDArray[np.bool_]:
    """Return (p, SIDE, SIDE) bool: the masks at the (p, SIDE, 2) x and y of points."""
    low = boxes_xyxy[:, None, :2]
    cell = np.floor((points - low) * (SIDE / (boxes_xyxy[:, None, 2:] - low))).astype(np.int64)
    outside = (cell < 0) | (cell >= SIDE)
    cell[outside] = SIDE  # a border of cells without a mask
    padded = np.zeros((len(grid), SIDE + 1, SIDE + 1), bool)
    padded[:, :SIDE, :SIDE] = grid
    return padded[np.arange(len(grid))[:, None, None], cell[:, :, None, 1], cell[:, None, :, 0]]
