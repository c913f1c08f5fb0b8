import numpy as np
import pytest

from tests.conftest import box_mask
from utils import mask_grids, masks
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


@pytest.mark.usefixtures("each_way")
def test_moved_masks_overlap_where_they_are_moved_to():
    # A whole square of 16 px, its left half, its right half.
    rles = [box_mask(x, 10, w, 16) for x, w in ((10, 16), (10, 8), (18, 8))]
    boxes = xywh_to_xyxy([[10, 10, 16, 16]] * 3)
    here, right, far = (xywh_to_xyxy([[x, 0, 8, 8]]) for x in (0, 4, 20))

    def overlap(first, first_box, second, second_box):
        one, other = np.array([first]), np.array([second])
        found = moved_iou(rles, boxes, one, first_box, other, second_box, (40, 60))
        return pytest.approx(found.item(), abs=0.05)

    assert overlap(0, here, 0, here) == 1
    assert overlap(0, here, 0, right) == 1 / 3  # 4 of 12 columns
    assert overlap(0, here, 0, far) == 0
    assert overlap(1, here, 2, here) == 0  # the same box, but halves that do not meet
    assert overlap(0, here, 1, here) == 1 / 2


def test_compiled_overlaps_are_those_of_numpy():
    compiled = pytest.importorskip("utils.compiled_overlap")
    rng = np.random.default_rng(0)
    images = [rng.random((30, 50)) < share for share in rng.uniform(0.05, 0.95, 40)]
    rles = [*map(masks.encode, images), box_mask(0, 0, 50, 30, 30, 50)]
    corners = rng.uniform(-9, 40, (41, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(1, 40, (41, 2))], axis=1)
    cells = compiled.grids(*masks.decode_runs(rles, 1500), boxes, 30, 50, SIDE)
    assert (cells == grids(rles, boxes, 30, 50)).all() and 0 < cells.mean() < 1
    first, second = rng.integers(0, 41, (2, 300))
    moved, others = boxes[rng.integers(0, 41, (2, 300))]
    found = compiled.moved_iou(cells, first, moved, second, others)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mask_grids, "compiled", lambda name: None)
        plain = mask_grids.moved_iou(rles, boxes, first, moved, second, others, (30, 50))
    assert (found == plain).all() and (found > 0).sum() > 20
