"""Pictures to what the network takes, and what it finds back to the pictures (NumPy)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from models.networks.config import FrameConfig

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float32]


def resized_shape(height: int, width: int, config: FrameConfig) -> tuple[int, int]:
    """Return (height, width) that a picture is resized to: whole pixels, rounded down."""
    short, long = min(height, width), max(height, width)
    scale = min(config.min_size / short, config.max_size / long)
    return max(1, int(height * scale)), max(1, int(width * scale))


def resize(image: Array, config: FrameConfig, gamma: float = 1.0) -> Floats:
    """Return a picture (H, W, 3), RGB uint8 or float in [0, 1], resized and normalised.

    Args:
        image: see above. config: FrameConfig. gamma: power of the values before.
    """
    height, width = resized_shape(image.shape[0], image.shape[1], config)
    if image.dtype == np.uint8:
        if gamma != 1:
            table = (np.arange(256, dtype=np.float32) / 255) ** np.float32(gamma) * 255
            image = table[image]
        full = np.float32(255)
    else:
        image, full = image.astype(np.float32) ** np.float32(gamma), np.float32(1)
    if (height, width) != image.shape[:2]:
        pixels = _bilinear(image, height, width, 0, height, 0, width)
    else:
        pixels = image.astype(np.float32)
    # The mean of normalised values is the normalised mean.
    mean, std = np.array(config.mean, np.float32), np.array(config.std, np.float32)
    pixels -= mean * full
    pixels *= 1 / (std * full)
    return pixels


def padded_shape(shapes: Sequence[tuple[int, int]], config: FrameConfig) -> tuple[int, int]:
    """Return the (height, width) that pictures of these resized shapes are padded to."""
    high, wide = (-(-max(n) // config.divisor) * config.divisor for n in zip(*shapes, strict=True))
    return high, wide


def batch_of(
    images: Sequence[Array], config: FrameConfig, padded: tuple[int, int] | None = None
) -> dict[str, Floats]:
    """Return `images` (B, H, W, 3), padded by 0 to one size, and `sizes` (B, 2) before padding.

    Args:
        images: (H, W, 3) each, see `resize`. config: FrameConfig.
        padded: the size; None takes the least that holds them all.
    """
    return padded_batch([resize(image, config) for image in images], config, padded)


def padded_batch(
    resized: Sequence[Floats], config: FrameConfig, padded: tuple[int, int] | None = None
) -> dict[str, Floats]:
    """Return the batch of pictures that are resized; see `batch_of`."""
    sizes = np.array([r.shape[:2] for r in resized], np.float32)
    padded = padded or padded_shape([(r.shape[0], r.shape[1]) for r in resized], config)
    result = np.zeros((len(resized), *padded, 3), np.float32)
    for row, image in zip(result, resized, strict=True):
        row[: image.shape[0], : image.shape[1]] = image
    return {"images": result, "sizes": sizes}


def resize_boxes(boxes: Array, old: Sequence[float], new: Sequence[float]) -> Floats:
    """Return boxes (n, 4) xyxy of a picture of size `old` (height, width) in one of size `new`."""
    by = np.array([new[1] / old[1], new[0] / old[0]] * 2, np.float32)
    return np.asarray(boxes, np.float32) * by


def resize_masks(masks: Array, shape: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Return masks (n, H, W) at another size, by the nearest pixel."""
    rows = _nearest(masks.shape[1], shape[0])
    columns = _nearest(masks.shape[2], shape[1])
    # Columns first: decoded run lengths lie column by column.
    chosen = masks.transpose(0, 2, 1)[:, columns][:, :, rows]
    return np.ascontiguousarray(chosen.transpose(0, 2, 1)).astype(np.uint8)


def _nearest(old: int, new: int) -> Array:
    scale = np.float32(old / new)
    result: Array = np.minimum(
        np.floor(np.arange(new, dtype=np.float32) * scale).astype(int), old - 1
    )
    return result


def paste(mask: Floats, box: Floats, height: int, width: int) -> tuple[Floats, int, int]:
    """Put the mask of a box where it belongs in its picture (torchvision's rule).

    The mask gets a border of one pixel, the box grows with it, and is cut to whole pixels.

    Args:
        mask: (m, m) in [0, 1]. box: (4,) xyxy px. height, width: of the picture.

    Returns:
        (h, w) float32 values inside the picture, and x, y of their top left; h or w may be 0.
    """
    side = mask.shape[0]
    framed = np.zeros((side + 2, side + 2), np.float32)
    framed[1:-1, 1:-1] = mask
    scale = np.float32((side + 2) / side)
    x1, y1, x2, y2 = np.asarray(box, np.float32)
    half_w, half_h = (x2 - x1) * np.float32(0.5), (y2 - y1) * np.float32(0.5)
    x, y = (x2 + x1) * np.float32(0.5), (y2 + y1) * np.float32(0.5)
    half_w, half_h = half_w * scale, half_h * scale
    left, top, right, bottom = (int(v) for v in (x - half_w, y - half_h, x + half_w, y + half_h))
    w, h = max(right - left + 1, 1), max(bottom - top + 1, 1)
    first_x, first_y = max(left, 0), max(top, 0)
    last_x, last_y = min(right + 1, width), min(bottom + 1, height)
    # Only what lies inside the picture is computed.
    values = _bilinear(framed, h, w, first_y - top, last_y - top, first_x - left, last_x - left)
    return values, first_x, first_y


def _bilinear(image: Array, h: int, w: int, y0: int, y1: int, x0: int, x1: int) -> Floats:
    """Return rows y0 to y1 and columns x0 to x1 of a picture enlarged to (h, w)."""
    top, bottom, down = _neighbours(image.shape[0], h, y0, y1)
    left, right, across = _neighbours(image.shape[1], w, x0, x1)
    unit, deep = np.float32(1), (1,) * (image.ndim - 2)
    down, across = down.reshape(-1, 1, *deep), across.reshape(-1, *deep)
    lines = (unit - down) * image[top] + down * image[bottom]
    result: Floats = (unit - across) * lines[:, left] + across * lines[:, right]
    return result


def _neighbours(old: int, new: int, first: int, last: int) -> tuple[Array, Array, Floats]:
    """Return lower and upper neighbour of each new pixel, and the upper's share."""
    # Rounded once, from a step that is rounded, too.
    step = np.float64(np.float32(old / new))
    at = step * (np.arange(first, max(first, last)) + 0.5) - 0.5
    at = np.maximum(at, 0).astype(np.float32)
    low = np.minimum(at.astype(int), old - 1)
    return low, np.minimum(low + 1, old - 1), (at - low.astype(np.float32)).astype(np.float32)


def sample_picture() -> npt.NDArray[np.uint8]:
    """Return a picture (240, 320, 3) that is the same everywhere: waves, a disc and a bar."""
    y, x = np.mgrid[:240, :320]
    waves = [(x * k + y * (4 - k)) // 2 % 256 for k in (1, 2, 3)]
    picture = np.stack(waves, axis=-1).astype(np.uint8)
    picture[(x - 100) ** 2 + (y - 120) ** 2 < 50**2] = (220, 60, 40)
    picture[60:200, 220:260] = (30, 60, 200)
    return picture
