"""What an object's pixels look like: colour histograms of horizontal bands of its mask."""

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from utils.detections import Detections
from utils.masks import Images, crop_patches

BANDS = 3  # head, body, legs; roof, windows, wheels
BINS = (4, 6, 6)  # of L, a, b
RANGES = ((0, 256), (88, 168), (88, 168))  # of 8-bit Lab; what is more colourful is at the ends
SIDE = 64  # px of the patch that is counted
CHUNK = 1024  # detections whose patches are in memory at once


def colour_histograms(
    detections: Detections, images: Images, keep: npt.NDArray[np.bool_] | None = None
) -> npt.NDArray[np.float32]:
    """Return (n, BANDS * prod(BINS)) float32, square roots of shares, so that L2 is Hellinger's.

    Each third of the mask's height has its own histogram of CIE Lab under the mask. Pixels of pure
    black count as outside, as in the patch.

    Args:
        detections: n Detections; those to keep have non-empty masks.
        images: function frame -> (height, width, 3) uint8 RGB.
        keep: (n,) bool, rows to look at, the others get zeros; None takes all.
    """
    result = np.zeros((len(detections), BANDS * int(np.prod(BINS))), np.float32)
    chosen = np.arange(len(detections)) if keep is None else np.flatnonzero(keep)
    # By frame, so that a frame is read once or twice.
    order = chosen[np.argsort(detections.frames[chosen], kind="stable")]
    for start in range(0, len(order), CHUNK):
        rows = order[start : start + CHUNK]
        patches = crop_patches(detections.select(rows), SIDE, images)
        for row, patch in zip(rows, patches, strict=True):
            result[row] = _histogram(patch)
    return result


def _histogram(patch: npt.NDArray[np.uint8]) -> npt.NDArray[Any]:
    """Return the histogram of one (SIDE, SIDE, 3) RGB patch, black outside the mask."""
    inside = np.any(patch, axis=2)
    lines = np.flatnonzero(np.any(inside, axis=1))
    if not len(lines):
        return np.zeros(BANDS * int(np.prod(BINS)))
    lab = cv2.cvtColor(patch, cv2.COLOR_RGB2LAB).astype(np.int64)
    cells = [
        np.clip((lab[..., c] - low) * bins // (high - low), 0, bins - 1)
        for c, (bins, (low, high)) in enumerate(zip(BINS, RANGES, strict=True))
    ]
    cell = np.ravel_multi_index(cells, BINS)
    band = (np.arange(len(patch)) - lines[0]) * BANDS // (lines[-1] - lines[0] + 1)
    cell += np.clip(band, 0, BANDS - 1)[:, None] * np.prod(BINS)
    counts = np.bincount(cell[inside], minlength=BANDS * int(np.prod(BINS))).reshape(BANDS, -1)
    shares: npt.NDArray[Any] = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    roots: npt.NDArray[Any] = np.sqrt(shares).ravel()
    return roots
