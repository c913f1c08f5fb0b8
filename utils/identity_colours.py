"""A colour for each identity, the same in pictures, videos, reports and palettes."""

from __future__ import annotations

import cv2
import numpy as np


def colour_of(identity: int) -> tuple[int, ...]:
    """Return a distinct RGB colour in 0..255 for an identity: hues by the golden ratio.

    1000 times the ratio is nearly whole, so that ids 1001 and 2001 would look alike without a step
    per thousand.
    """
    hue = (identity * 0.618034 + identity // 1000 * 0.31) % 1
    hsv = np.array([[[180 * hue, 200, 255]]], np.uint8)
    return tuple(int(v) for v in cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[0, 0])
