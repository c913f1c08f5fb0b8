"""Textured squares that move before a textured ground."""

import cv2
import numpy as np

from utils import masks
from utils.detections import Detections

SIDE, STARTS = 48, ((30, 30), (230, 130))


def moving(steps, frames, starts=STARTS, classes=None, size=(240, 320), side=SIDE):
    """Return {frame: picture} and Detections with ids of squares that move by (x, y) a frame."""
    rng = np.random.default_rng(0)
    ground = smooth(rng, size)
    textures = [smooth(rng, (side, side)) for _ in steps]
    images, rows = {}, []
    for frame in range(1, frames + 1):
        picture = ground.copy()
        for k, ((x, y), (dx, dy)) in enumerate(zip(starts, steps, strict=True)):
            left, top = x + dx * (frame - 1), y + dy * (frame - 1)
            picture[top : top + side, left : left + side] = textures[k]
            rle = masks.encode_at(np.ones((side, side)), left, top, *size)
            rows.append((frame, (classes or [2] * len(steps))[k], rle, k + 1))
        images[frame] = picture
    n = len(rows)
    rles = np.empty(n, object)
    rles[:] = [r[2] for r in rows]
    return images, Detections(
        "0001", *size, np.int32([r[0] for r in rows]), np.int16([r[1] for r in rows]),
        np.ones(n, np.float32), masks.tight_boxes_xywh(rles, *size), rles,
        np.int32([r[3] for r in rows]),
    )  # fmt: skip


def smooth(rng, size):
    """Return a picture of blotches of a few pixels."""
    noise = rng.integers(0, 256, (*size, 3)).astype(np.uint8)
    blurred = cv2.GaussianBlur(noise, (0, 0), 2.5).astype(np.float32)
    return ((blurred - blurred.min()) * 255 / np.ptp(blurred)).astype(np.uint8)
