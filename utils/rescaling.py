"""Masks of another resolution than the frames, scaled to them."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
from pycocotools import mask as coco_mask

from utils import masks
from utils.detections import Detections

Size = tuple[int, int]

ROUNDED = 0.01  # by which the shapes of two sizes may differ: 540 x 961 is one of 1080 x 1920


def same_aspect(first: Size, second: Size) -> bool:
    """Return whether two sizes (height, width) are of one shape, but for what rounding makes."""
    ratio = first[0] * second[1] / (first[1] * second[0])
    return abs(ratio - 1) < ROUNDED


def scaled(detections: Detections, size: Size) -> Detections:
    """Return detections with masks and boxes scaled to another frame size (height, width) in px.

    Each pixel takes the value of the nearest one; a mask may lose what is thinner than a pixel.
    """
    rles = np.empty(len(detections), object)
    for i, rle in enumerate(detections.coco()):
        mask = cv2.resize(coco_mask.decode(rle), size[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
        rles[i] = masks.encode(mask)
    factors = np.array([size[1] / detections.width, size[0] / detections.height] * 2)
    boxes = detections.boxes_xywh * factors
    return replace(detections, height=size[0], width=size[1], rles=rles, boxes_xywh=boxes)
