import numpy as np
import pytest

from tests.conftest import box_mask
from utils import masks
from utils.boxes import xywh_to_xyxy
from utils.mask_grids import SIDE, grids, moved_iou


def test_a_grid_holds_the_mask_within_its_box():
    # A 32 x 32 box whose left half is set: the grid has two pixels per cell.
    mask = np.zeros((40, 60), np.uint8)
    mask[4:36, 10:26] = 1
    boxes = np.array([[10, 4, 42, 36], [0, 0, 60, 40]])
    grid = grids([masks.encode(mask), box_mask(0, 0, 60, 40)], boxes, 40, 60)
    assert grid[0, :, : SIDE // 2].all() and not grid[0, :, SIDE // 2 :].any()
    assert grid[1].all()
    assert grids([], np.zeros((0, 4)), 40, 60).shape == (0, SIDE, SIDE)


def test_beyond_the_frame_there_is_no_mask():
    grid = grids([box_mask(0, 0, 60, 40)], np.array([[-60, -40, 60, 40]]), 40, 60)
    half = SIDE // 2
    assert grid[0, half:, half:].all() and grid.sum() == half * half


def test_grids_equal_the_decoded_pixels():
    rng = np.random.default_rng(0)
    images = rng.random((5, 30, 50)) < 0.5
    boxes = np.array([[3, 2, 3 + 20, 2 + 17]] * 5)
    grid = grids([masks.encode(image) for image in images], boxes, 30, 50)
    share = (np.arange(SIDE) + 0.5) / SIDE
    rows, columns = (2 + share * 17).astype(int), (3 + share * 20).astype(int)
    assert (grid == images[:, rows][:, :, columns]).all()


def test_moved_masks_overlap_where_they_are_moved_to():
    full = np.ones((1, SIDE, SIDE), bool)
    here, right, far = (xywh_to_xyxy([[x, 0, 8, 8]]) for x in (0, 4, 20))
    assert moved_iou(full, here, full, here).tolist() == [1]
    assert moved_iou(full, here, full, right) == pytest.approx(1 / 3, abs=0.05)  # 4 of 12 columns
    assert moved_iou(full, here, full, far).tolist() == [0]
    left_half = full.copy()
    left_half[:, :, SIDE // 2 :] = False
    # The same box, but halves of the mask that do not meet.
    assert moved_iou(left_half, here, ~left_half, here).tolist() == [0]
