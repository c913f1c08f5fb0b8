"""Masks carried from a frame to the next by optical flow (OpenCV's DIS, Kroeger et al., 2016)."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco_mask

from utils.detections import Detections
from utils.results import make_disjoint

Array = npt.NDArray[Any]
Image = npt.NDArray[np.uint8]


LEAST = 16  # px a side that OpenCV needs
LARGE = 1 << 20  # px above which the faster preset is taken, 4 times as fast


class Flow:
    """Finds where the pixels of a frame were in the one before."""

    def __init__(self) -> None:
        presets = cv2.DISOPTICAL_FLOW_PRESET_MEDIUM, cv2.DISOPTICAL_FLOW_PRESET_FAST
        self._small, self._large = (cv2.DISOpticalFlow.create(preset) for preset in presets)

    def back(self, image: Image, before: Image) -> npt.NDArray[np.float32]:
        """Return (H, W, 2) float32: for each pixel of `image` the way, x and y in px, to `before`.

        Args:
            image, before: (H, W, 3) RGB.

        Raises:
            ValueError: frames that are too small.
        """
        if min(image.shape[:2]) < LEAST:
            raise ValueError(
                f"frames must have {LEAST} px a side for optical flow, got {image.shape[:2]}"
            )
        now, then = (cv2.cvtColor(i, cv2.COLOR_RGB2GRAY) for i in (image, before))
        dis = self._large if now.size > LARGE else self._small
        start = np.zeros((*now.shape, 2), np.float32)
        return np.asarray(dis.calc(now, then, start), np.float32)


def carried(labels: Array, way: Array) -> npt.NDArray[np.int32]:
    """Return (H, W) labels of the frame before, as the flow carries them to a frame.

    Args:
        labels: (H, W) int, -1 for none. way: (H, W, 2), see `Flow.back`.
    """
    height, width = labels.shape
    x = np.rint(np.arange(width) + way[..., 0]).astype(np.int64)
    y = np.rint(np.arange(height)[:, None] + way[..., 1]).astype(np.int64)
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    moved = labels[y.clip(0, height - 1), x.clip(0, width - 1)]
    return np.where(inside, moved, -1).astype(np.int32)


def label_map(detections: Detections, rows: Array) -> npt.NDArray[np.int32]:
    """Return (H, W) int32: which of a frame's rows has each pixel, by place in `rows`, or -1.

    Masks are made disjoint first, see `make_disjoint`.
    """
    labels = np.full(detections.size, -1, np.int32)
    counts, _ = make_disjoint(detections, rows)
    for k, rle in enumerate(counts):
        coco = {"size": list(detections.size), "counts": rle}
        labels[coco_mask.decode(coco).astype(bool)] = k
    return labels


def shared(first: Array, second: Array, counts: tuple[int, int]) -> npt.NDArray[np.int64]:
    """Return (m, n) px that labels of two maps (H, W) have in common.

    Args:
        first, second: int, -1 for none. counts: m and n, how many labels each has.
    """
    both = (first >= 0) & (second >= 0)
    pairs = first[both].astype(np.int64) * counts[1] + second[both]
    counts_of_pairs: npt.NDArray[np.int64] = np.bincount(pairs, minlength=counts[0] * counts[1])
    return counts_of_pairs.reshape(counts)


def areas(labels: Array, count: int) -> npt.NDArray[np.int64]:
    """Return (count,) px of each label of a map."""
    counts: npt.NDArray[np.int64] = np.bincount(labels[labels >= 0], minlength=count)
    return counts
