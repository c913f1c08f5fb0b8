"""Mask IoU and the Hungarian method, by hand."""

import numpy as np
import pytest

from models.baselines.mask_iou import MaskIouTracker
from models.matching import MatchingConfig
from models.tracking import MASKS, Frame
from tests.conftest import box_mask, make_detections, track_with

LOOSE = MatchingConfig(min_track_length={0: 1})


def frame(number, *boxes):
    rles = np.empty(len(boxes), object)
    rles[:] = [box_mask(*box) for box in boxes]
    rows, ones = np.arange(len(boxes)), np.ones(len(boxes), np.int64)
    return Frame(number, rows, ones, ones.astype(float), (40, 60), {MASKS: rles})


def test_the_cost_is_what_masks_do_not_share():
    tracker = MaskIouTracker(LOOSE)
    before, now = frame(0, (0, 0, 10, 10), (20, 0, 4, 4)), frame(1, (5, 0, 10, 10))
    cost = tracker.cost([(before, 0), (before, 1)], now, np.array([0]))
    # 50 of 150 pixels are shared; nothing is.
    assert cost == pytest.approx(np.array([[1 - 50 / 150], [1.0]]))
    assert tracker.cost([], now, np.array([0])).shape == (0, 1)
    assert tracker.cost([(before, 0)], now, np.zeros(0, int)).shape == (1, 0)


def test_the_larger_overlap_in_sum_wins():
    # Detection A of frame 1 lies over both tracks; B only over the first: A goes to the second.
    objects = [(0, 1, 1, 1.0, (0, 0, 10, 10)), (0, 2, 1, 1.0, (10, 0, 10, 10))]
    objects += [(1, 0, 1, 1.0, (4, 0, 10, 10)), (1, 0, 1, 1.0, (1, 0, 10, 10))]
    ids, _ = track_with(LOOSE, make_detections(objects), None)
    assert ids[2] == ids[1] and ids[3] == ids[0] and ids[0] != ids[1]
