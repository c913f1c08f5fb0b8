"""Boxes as tensors: their coder, overlaps and clipping; (x1, y1, x2, y2) in pixels throughout."""

from __future__ import annotations

import math

from keras import ops

LARGEST = math.log(1000 / 16)  # of a predicted log ratio of sides
RPN_WEIGHTS = (1.0, 1.0, 1.0, 1.0)
HEAD_WEIGHTS = (10.0, 10.0, 5.0, 5.0)


def _centred(boxes):
    """Return widths, heights, centres' x and y, each (...)."""
    x1, y1, x2, y2 = (boxes[..., i] for i in range(4))
    w, h = x2 - x1, y2 - y1
    return w, h, x1 + 0.5 * w, y1 + 0.5 * h


def encode(boxes, references, weights):
    """Return what takes references to boxes: (..., 4) dx, dy, dw, dh (R-CNN, appendix C).

    Args:
        boxes: (..., 4) with positive sides. references: (..., 4), likewise.
        weights: 4 factors.
    """
    w, h, x, y = _centred(references)
    to_w, to_h, to_x, to_y = _centred(boxes)
    deltas = ((to_x - x) / w, (to_y - y) / h, ops.log(to_w / w), ops.log(to_h / h))
    return ops.stack([k * d for k, d in zip(weights, deltas, strict=True)], axis=-1)


def decode(deltas, references, weights):
    """Return boxes (..., 4), the reverse of `encode`; growth is limited to 1000 / 16."""
    w, h, x, y = _centred(references)
    dx, dy, dw, dh = (deltas[..., i] / k for i, k in enumerate(weights))
    to_x, to_y = dx * w + x, dy * h + y
    half_w = 0.5 * (ops.exp(ops.minimum(dw, LARGEST)) * w)
    half_h = 0.5 * (ops.exp(ops.minimum(dh, LARGEST)) * h)
    return ops.stack([to_x - half_w, to_y - half_h, to_x + half_w, to_y + half_h], axis=-1)


def clip(boxes, sizes):
    """Return boxes (B, ..., 4) cut at their pictures' sizes (B, 2), height and width."""
    shape = (-1, *([1] * (len(boxes.shape) - 2)))
    h, w = ops.reshape(sizes[:, 0], shape), ops.reshape(sizes[:, 1], shape)
    x1, y1, x2, y2 = (ops.maximum(boxes[..., i], 0.0) for i in range(4))
    cut = ops.minimum(x1, w), ops.minimum(y1, h), ops.minimum(x2, w), ops.minimum(y2, h)
    return ops.stack(cut, axis=-1)


def sides_at_least(boxes, least):
    """Return (...) bool: whether both sides are that long."""
    w, h, _, _ = _centred(boxes)
    return ops.logical_and(w >= least, h >= least)


def area(boxes):
    """Return (...) areas."""
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def intersection(a, b):
    """Return (..., m, n) areas that boxes (..., m, 4) and (..., n, 4) share."""
    a, b = ops.expand_dims(a, -2), ops.expand_dims(b, -3)
    w = ops.minimum(a[..., 2], b[..., 2]) - ops.maximum(a[..., 0], b[..., 0])
    h = ops.minimum(a[..., 3], b[..., 3]) - ops.maximum(a[..., 1], b[..., 1])
    return ops.maximum(w, 0.0) * ops.maximum(h, 0.0)


def iou(a, b):
    """Return (..., m, n) intersection over union; 0 where both are empty."""
    shared = intersection(a, b)
    union = ops.expand_dims(area(a), -1) + ops.expand_dims(area(b), -2) - shared
    return ops.where(union > 0, shared / ops.where(union > 0, union, 1.0), 0.0)


def covered(boxes, masks):
    """Return (B, n) the share of each box (B, n, 4) that a mask (B, H, W) of 0 and 1 covers.

    Boxes are taken to whole pixels.
    """
    height, width = masks.shape[1:]
    sums = ops.cumsum(ops.cumsum(ops.cast(masks, "float32"), axis=1), axis=2)
    sums = ops.reshape(ops.pad(sums, ((0, 0), (1, 0), (1, 0))), (-1,))
    start = ops.arange(ops.shape(masks)[0], dtype="int32")[:, None] * ((height + 1) * (width + 1))
    x1, x2 = (ops.clip(ops.round(boxes[..., i]), 0, width) for i in (0, 2))
    y1, y2 = (ops.clip(ops.round(boxes[..., i]), 0, height) for i in (1, 3))

    def until(y, x):
        return ops.take(sums, start + ops.cast(y * (width + 1) + x, "int32"))

    inside = until(y2, x2) - until(y1, x2) - until(y2, x1) + until(y1, x1)
    return inside / ops.maximum((x2 - x1) * (y2 - y1), 1.0)
