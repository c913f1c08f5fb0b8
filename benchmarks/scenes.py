"""Crowded scenes for benchmarks and tests: ellipses that move at constant velocity."""

from typing import Any

import numpy as np
import numpy.typing as npt

from utils import masks
from utils.detections import PEDESTRIAN, Detections


def crowd(
    objects: int, frames: int, seed: int = 0, height: int = 1080, width: int = 1920, size: int = 24
) -> tuple[Detections, npt.NDArray[np.float32]]:
    """Simulate a crowd.

    Args:
        objects: in each frame; frames: length, numbered from 1; seed: int.
        height: of a frame in pixels; width: likewise.
        size: typical diameter of an object in pixels.

    Returns:
        detections: Detections with true ids; masks are whole and may overlap.
        embeddings: (n, 128) float32, boxes through a random projection, with noise.
    """
    rng = np.random.default_rng(seed)
    low, high, pairs = [size, size], [width - size, height - size], (objects, 2)
    centres, velocities = rng.uniform(low, high, pairs), rng.uniform(-4, 4, pairs)
    radii = rng.uniform(0.35, 0.65, pairs) * size
    column = np.empty(frames * objects, object)
    for start in range(0, len(column), objects):
        for i in range(objects):
            column[start + i] = _ellipse(centres[i], radii[i], height, width)
        centres += velocities
        velocities[(centres < low) | (centres > high)] *= -1
        centres = np.clip(centres, low, high)
    order = rng.permutation(len(column))
    detections = Detections(
        f"crowd{objects}",
        height,
        width,
        np.repeat(np.arange(1, frames + 1, dtype=np.int32), objects),
        np.full(len(column), PEDESTRIAN, np.int16),
        rng.uniform(0.7, 1, len(column)).astype(np.float32),
        masks.tight_boxes_xywh(column, height, width),
        column,
        np.tile(np.arange(1, objects + 1, dtype=np.int32), frames),
    ).select(order)
    projection = rng.normal(0, 1, (4, 128))
    embeddings = detections.boxes_xywh / [width, height, width, height] @ projection
    return detections, (embeddings + rng.normal(0, 0.002, embeddings.shape)).astype(np.float32)


def _ellipse(centre: Any, radii: Any, height: int, width: int) -> bytes:
    """Return the RLE of a filled ellipse without drawing the whole frame."""
    x0, x1 = int(centre[0] - radii[0]), int(centre[0] + radii[0])
    xs = np.arange(x0, x1 + 1)
    half = radii[1] * np.sqrt(np.maximum(0.0, 1 - ((xs - centre[0]) / radii[0]) ** 2))
    tops = np.clip(np.round(centre[1] - half), 0, height - 1).astype(int)
    bottoms = np.clip(np.round(centre[1] + half), 0, height - 1).astype(int) + 1
    starts, ends = xs * height + tops, xs * height + bottoms
    edges = np.concatenate([[0], np.stack([starts, ends], 1).ravel(), [height * width]])
    return masks.encode_runs(np.diff(edges).tolist(), height, width)
