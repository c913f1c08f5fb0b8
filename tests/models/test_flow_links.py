"""Masks carried by flow, and chains of links, by hand."""

import numpy as np

from models.flow_links import chained, frame_pairs
from tests.conftest import make_detections


def test_chains_are_numbered_as_they_begin():
    # Rows: a0 (frame 2), b0 (1), a1 (3, after a0), c (1), b1 (2, after b0).
    frames = np.array([2, 1, 3, 1, 2])
    assert chained({2: 0, 4: 1}, frames).tolist() == [3, 1, 3, 2, 1]


def test_neighbouring_frames_are_paired_and_others_passed_over():
    objects = [(0, 1, 1, 0.9, (0, 0, 8, 8)), (2, 1, 1, 0.9, (1, 0, 8, 8)),
               (6, 1, 1, 0.9, (3, 0, 8, 8)), (8, 1, 1, 0.9, (4, 0, 8, 8))]  # fmt: skip
    pairs = list(frame_pairs(make_detections(objects), None, 2))
    assert [(p[0].tolist(), p[1].tolist()) for p in pairs] == [([0], [1]), ([2], [3])]
    assert (pairs[0][2] >= 0).sum() == (pairs[0][3] >= 0).sum() == 64
    assert np.flatnonzero(pairs[0][3][0] >= 0).tolist() == list(range(8))  # nothing is carried


def test_flow_carries_the_earlier_mask():
    rng = np.random.default_rng(0)
    ground = rng.integers(0, 255, (40, 80, 3)).astype(np.uint8)
    images = {n: np.ascontiguousarray(np.roll(ground, 3 * n, axis=1)[:, 10:70]) for n in (0, 1)}
    objects = [(0, 1, 1, 0.9, (20, 10, 12, 12)), (1, 1, 1, 0.9, (23, 10, 12, 12))]
    ((_, _, labels, moved),) = frame_pairs(make_detections(objects), images.get, 1)
    shared = ((labels >= 0) & (moved >= 0)).sum() / ((labels >= 0) | (moved >= 0)).sum()
    assert shared > 0.9  # unmoved, it would be 9 / 15
