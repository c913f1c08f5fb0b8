"""Masks as grids of cells: what they hold, and how much of two moved ones is shared."""

import numpy as np
import pytest

from models.best.cells import SIDE, cells_of, moved_iou
from tests.conftest import box_mask
from utils import masks
from utils.boxes import xywh_to_xyxy


def grids(rles, boxes, height=40, width=60):
    runs, offsets = masks.decode_runs(rles, height * width)
    return cells_of(runs, offsets, np.asarray(boxes, float), height, width)


def test_a_grid_holds_the_mask_within_its_box():
    # A 32 x 32 box whose left half is set: the grid has two pixels per cell.
    mask = np.zeros((40, 60), np.uint8)
    mask[4:36, 10:26] = 1
    grid = grids([masks.encode(mask), box_mask(0, 0, 60, 40)], [[10, 4, 42, 36], [0, 0, 60, 40]])
    assert grid[0, :, : SIDE // 2].all() and not grid[0, :, SIDE // 2 :].any()
    assert grid[1].all()
    assert grids([], np.zeros((0, 4))).shape == (0, SIDE, SIDE)


def test_beyond_the_frame_there_is_no_mask():
    grid = grids([box_mask(0, 0, 60, 40)], [[-60, -40, 60, 40]])
    half = SIDE // 2
    assert grid[0, half:, half:].all() and grid.sum() == half * half


def test_grids_equal_the_decoded_pixels():
    rng = np.random.default_rng(0)
    images = rng.random((5, 30, 50)) < 0.5
    grid = grids([masks.encode(image) for image in images], [[3, 2, 23, 19]] * 5, 30, 50)
    share = (np.arange(SIDE) + 0.5) / SIDE
    rows, columns = (2 + share * 17).astype(int), (3 + share * 20).astype(int)
    assert (grid == images[:, rows][:, :, columns]).all()


def test_moved_masks_overlap_where_they_are_moved_to():
    # A whole square of 16 px, its left half, its right half.
    rles = [box_mask(x, 10, w, 16) for x, w in ((10, 16), (10, 8), (18, 8))]
    cells = grids(rles, xywh_to_xyxy([[10, 10, 16, 16]] * 3))
    here, right, far, beside = (xywh_to_xyxy([[x, 0, 8, 8]])[0] for x in (0, 4, 20, 8))

    def overlap(first, first_box, second, second_box):
        return pytest.approx(moved_iou(cells[first], first_box, cells[second], second_box), abs=0.05)

    assert overlap(0, here, 0, here) == 1
    assert overlap(0, here, 0, right) == 1 / 3  # 4 of 12 columns
    assert overlap(0, here, 0, far) == overlap(0, here, 0, beside) == 0
    assert overlap(1, here, 2, here) == 0  # the same box, but halves that do not meet
    assert overlap(0, here, 1, here) == 1 / 2


def test_moved_overlaps_are_those_of_pixels():
    """Against masks painted at a hundredth of the grids' size: an oracle by NumPy."""
    rng = np.random.default_rng(3)
    for _ in range(30):
        cells = rng.random((2, SIDE, SIDE)) < rng.uniform(0.2, 0.9)
        boxes = np.sort(rng.uniform(0, 30, (2, 2, 2)), axis=1).reshape(2, 4)
        boxes[:, 2:] += 3
        low, high = boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)
        share = (np.arange(SIDE) + 0.5) / SIDE
        x, y = low[0] + share * (high[0] - low[0]), low[1] + share * (high[1] - low[1])
        painted = []
        for grid, (left, top, right, bottom) in zip(cells, boxes, strict=True):
            column = np.floor((x - left) * (SIDE / (right - left))).astype(int)
            row = np.floor((y - top) * (SIDE / (bottom - top))).astype(int)
            inside = ((row >= 0) & (row < SIDE))[:, None] & (column >= 0) & (column < SIDE)
            painted.append(grid[row.clip(0, SIDE - 1)][:, column.clip(0, SIDE - 1)] & inside)
        a, b = painted
        meet = (boxes[0, :2] < boxes[1, 2:]).all() and (boxes[1, :2] < boxes[0, 2:]).all()
        expected = (a & b).sum() / max((a | b).sum(), 1) if meet else 0.0
        assert moved_iou(cells[0], boxes[0], cells[1], boxes[1]) == pytest.approx(expected)
