"""Polygons of masks."""

import cv2
import numpy as np
from pycocotools import mask as coco_mask

from utils.outlines import one_polygon


def test_one_polygon_draws_to_the_same_pixels_with_parts_and_holes():
    rng = np.random.default_rng(0)
    for trial in range(300):
        height, width = rng.integers(1, 30, 2).tolist()
        mask = (rng.random((height, width)) < rng.random()).astype(np.uint8)
        if trial % 2:
            mask[:] = 0
            for fill in (1, 1, 0):
                centre = tuple(int(v) for v in rng.integers(0, (width, height)))
                axes = tuple(int(v) for v in rng.integers(1, 15, 2))
                cv2.ellipse(mask, centre, axes, 30, 0, 360, fill, -1)
        polygon = one_polygon(mask)
        if not mask.any():
            assert polygon == []
            continue
        drawn = coco_mask.decode(coco_mask.frPyObjects([polygon], height, width))[:, :, 0]
        assert (drawn == mask).all()
