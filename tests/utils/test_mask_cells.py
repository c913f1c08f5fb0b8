"""Masks as grids of cells: what they hold, and how much of two moved ones is shared."""

import numpy as np
import pytest

from tests.conftest import box_mask
from utils import mask_cells, masks
from utils.boxes import xywh_to_xyxy
from utils.mask_cells import SIDE, moved_iou

FULL = np.uint64(2**64 - 1)


def unpacked(cells):
    """Return (n, SIDE, SIDE) bool of (n,) uint64."""
    bits = np.arange(SIDE**2, dtype=np.uint64).reshape(SIDE, SIDE)
    return (np.asarray(cells)[:, None, None] >> bits & np.uint64(1)).astype(bool)


def packed(grid):
    return np.uint64(sum(1 << k for k in np.flatnonzero(grid).tolist()))


def cells(rles, boxes_xywh, height=40, width=60):
    return mask_cells.mask_cells(rles, np.asarray(boxes_xywh, float), (height, width))


def test_a_grid_holds_the_mask_within_its_box():
    # A 32 x 32 box whose left half is set: each cell has 4 x 4 pixels.
    mask = np.zeros((40, 60), np.uint8)
    mask[4:36, 10:26] = 1
    found = cells([masks.encode(mask), box_mask(0, 0, 60, 40)], [[10, 4, 32, 32], [0, 0, 60, 40]])
    grid = unpacked(found)
    assert grid[0, :, : SIDE // 2].all() and not grid[0, :, SIDE // 2 :].any()
    assert found[1] == FULL
    assert cells([], np.zeros((0, 4))).shape == (0,)


def test_beyond_the_frame_there_is_no_mask():
    grid = unpacked(cells([box_mask(0, 0, 60, 40)], [[-60, -40, 120, 80]]))
    half = SIDE // 2
    assert grid[0, half:, half:].all() and grid.sum() == half * half


@pytest.mark.parametrize("box", [(3, 2, 20, 17), (10, 5, 3, 2), (-4, 20, 60, 25)])
def test_cells_equal_the_decoded_pixels(box):
    """More masks than are read at once, of one pixel a run; boxes narrower than cells, too."""
    rng = np.random.default_rng(0)
    images = rng.random((30, 30, 50)) < rng.uniform(0.02, 0.98, (30, 1, 1))
    rles = [masks.encode(image) for image in images]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mask_cells, "CHUNK", 7)
        grid = unpacked(cells(rles, [box] * 30, 30, 50))
    share = (np.arange(SIDE) + 0.5) / SIDE
    rows = np.floor(box[1] + share * box[3]).astype(int)
    columns = np.floor(box[0] + share * box[2]).astype(int)
    inside = ((rows >= 0) & (rows < 30))[:, None] & ((columns >= 0) & (columns < 50))
    seen = images[:, rows.clip(0, 29)][:, :, columns.clip(0, 49)]
    assert (grid == (seen & inside)).all() and 0 < grid.mean() < 1


def test_moved_masks_overlap_where_they_are_moved_to():
    # A whole square of 16 px, its left half, its right half.
    rles = [box_mask(x, 10, w, 16) for x, w in ((10, 16), (10, 8), (18, 8))]
    held = cells(rles, [[10, 10, 16, 16]] * 3)
    here, right, far, beside = (xywh_to_xyxy([[x, 0, 8, 8]])[0] for x in (0, 4, 20, 8))

    def overlap(first, first_box, second, second_box):
        return pytest.approx(moved_iou(held[first], first_box, held[second], second_box), abs=0.1)

    assert overlap(0, here, 0, here) == 1
    assert overlap(0, here, 0, right) == 1 / 3  # 4 of 12 columns
    assert overlap(0, here, 0, far) == overlap(0, here, 0, beside) == 0
    assert overlap(1, here, 2, here) == 0  # the same box, but halves that do not meet
    assert overlap(0, here, 1, here) == 1 / 2


def test_moved_overlaps_are_those_of_pixels():
    """Against masks painted at a hundredth of the grids' size: an oracle by NumPy."""
    rng = np.random.default_rng(3)
    for _ in range(30):
        grids = rng.random((2, SIDE, SIDE)) < rng.uniform(0.2, 0.9)
        boxes = np.sort(rng.uniform(0, 30, (2, 2, 2)), axis=1).reshape(2, 4)
        boxes[:, 2:] += 3
        low, high = boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)
        share = (np.arange(SIDE) + 0.5) / SIDE
        x, y = low[0] + share * (high[0] - low[0]), low[1] + share * (high[1] - low[1])
        painted = []
        for grid, (left, top, right, bottom) in zip(grids, boxes, strict=True):
            column = np.floor((x - left) * (SIDE / (right - left))).astype(int)
            row = np.floor((y - top) * (SIDE / (bottom - top))).astype(int)
            inside = ((row >= 0) & (row < SIDE))[:, None] & (column >= 0) & (column < SIDE)
            painted.append(grid[row.clip(0, SIDE - 1)][:, column.clip(0, SIDE - 1)] & inside)
        a, b = painted
        meet = (boxes[0, :2] < boxes[1, 2:]).all() and (boxes[1, :2] < boxes[0, 2:]).all()
        expected = (a & b).sum() / max((a | b).sum(), 1) if meet else 0.0
        found = moved_iou(packed(grids[0]), boxes[0], packed(grids[1]), boxes[1])
        assert found == pytest.approx(expected)
