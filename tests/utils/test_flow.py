"""Masks carried by optical flow: they go where the pixels went."""

import numpy as np

from tests.models.motsnet.scene import moving
from utils.flow import Flow, areas, carried, label_map, shared


def test_a_mask_is_carried_to_where_its_pixels_went():
    images, detections = moving(steps=((7, 3), (-6, 2)), frames=2)
    rows = dict(detections.rows_by_frame())
    before, now = (label_map(detections, rows[n]) for n in (1, 2))
    way = Flow().back(images[2], images[1])
    assert way.shape == (*detections.size, 2)
    overlap = shared(carried(before, way), now, (2, 2))
    union = areas(now, 2) + areas(carried(before, way), 2) - np.diag(overlap)
    assert (np.diag(overlap) / union > 0.85).all()
    still = shared(before, now, (2, 2))
    assert (np.diag(still) < 0.9 * np.diag(overlap)).all()


def test_nothing_is_carried_from_beyond_the_picture():
    labels = np.zeros((4, 5), np.int32)
    way = np.zeros((4, 5, 2), np.float32)
    way[..., 0] = 2  # every pixel was two columns further right
    moved = carried(labels, way)
    assert (moved[:, :3] == 0).all() and (moved[:, 3:] == -1).all()
    way[..., 1] = -1
    assert (carried(labels, way)[0] == -1).all()


def test_common_pixels_are_counted():
    first = np.array([[0, 0, 1], [-1, 1, 1]])
    second = np.array([[1, 0, 0], [0, 0, -1]])
    assert shared(first, second, (2, 3)).tolist() == [[1, 1, 0], [2, 0, 0]]
    assert areas(first, 3).tolist() == [2, 3, 0]
