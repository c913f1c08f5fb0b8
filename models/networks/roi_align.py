"""RoIAlign (Mask R-CNN, section 3): features and masks sampled in boxes, without rounding them."""

from __future__ import annotations

import math

from keras import ops

CANONICAL_LEVEL, CANONICAL_SIDE = 4, 224.0  # FPN, Eq. 1
SAMPLES = 2  # along each side of a bin


def level_scales(features, sizes):
    """Return (L,) the scale of each level: the power of two nearest to its share of the picture.

    Args:
        features: L tensors (B, h, w, C). sizes: (B, 2) heights and widths before padding.
    """
    tallest = ops.max(sizes[:, 0])
    heights = ops.convert_to_tensor([float(f.shape[1]) for f in features])
    return 2.0 ** ops.round(ops.log2(heights / tallest))


def levels_of(boxes, scales):
    """Return (...) int32 places of the levels that boxes (..., 4) are sampled from (FPN, Eq. 1)."""
    side = ops.sqrt((boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1]))
    level = CANONICAL_LEVEL + ops.log2(ops.maximum(side, 1e-9) / CANONICAL_SIDE) + 1e-6
    first = -ops.log2(scales[0])
    last = -ops.log2(scales[-1])
    return ops.cast(ops.clip(ops.floor(level), first, last) - first, "int32")


def align(features, boxes, sizes, bins):
    """Sample features in boxes, each from the level that its size asks for.

    Args:
        features: L tensors (B, h, w, C), finest first.
        boxes: (B, R, 4) px of the padded picture. sizes: (B, 2), see `level_scales`.
        bins: along each side.

    Returns:
        (B, R, bins, bins, C).
    """
    scales = level_scales(features, sizes)
    places = levels_of(boxes, scales)  # (B, R)
    heights = ops.take(ops.convert_to_tensor([f.shape[1] for f in features]), places)
    widths = ops.take(ops.convert_to_tensor([f.shape[2] for f in features]), places)
    counts = [f.shape[1] * f.shape[2] for f in features]
    starts = ops.take(ops.convert_to_tensor([sum(counts[:i]) for i in range(len(counts))]), places)
    batch, channels = ops.shape(boxes)[0], features[0].shape[-1]
    flat = ops.concatenate([ops.reshape(f, (batch, -1, channels)) for f in features], axis=1)
    picture = ops.arange(batch, dtype="int32")[:, None] * sum(counts)
    flat = ops.reshape(flat, (-1, channels))
    boxes = boxes * ops.expand_dims(ops.take(scales, places), -1)
    y0, y1, fy, y_in = _corners(boxes[..., 1], boxes[..., 3], heights, bins)
    x0, x1, fx, x_in = _corners(boxes[..., 0], boxes[..., 2], widths, bins)
    inside = y_in[..., :, None] * x_in[..., None, :]
    start = (ops.cast(starts, "int32") + picture)[..., None, None]
    width = ops.cast(widths, "int32")[..., None, None]
    total = 0.0
    for y, wy in ((y0, 1.0 - fy), (y1, fy)):
        for x, wx in ((x0, 1.0 - fx), (x1, fx)):
            where = start + y[..., :, None] * width + x[..., None, :]
            weight = wy[..., :, None] * wx[..., None, :] * inside
            values = ops.take(flat, where, axis=0) * ops.cast(weight, flat.dtype)[..., None]
            total = total + _bin_sums(values, bins)
    return total / SAMPLES**2


def _bin_sums(values, bins):
    """Return (B, R, bins, bins, C) sums of (B, R, bins * s, bins * s, C) over the samples."""
    rooms = (ops.shape(values)[0], values.shape[1], bins, SAMPLES, bins, SAMPLES, values.shape[-1])
    return ops.sum(ops.reshape(values, rooms), axis=(3, 5))


def _corners(first, last, lengths, bins):
    """Return the neighbours of the samples along one side, (B, R, bins * SAMPLES) each.

    Args:
        first, last: (B, R) where the boxes start and end, in cells. lengths: (B, R) cells.

    Returns:
        Lower and upper neighbour int32, the upper's share, and 1.0 where a sample is inside.
    """
    bin_side = ops.maximum(last - first, 1.0) / bins
    at = (ops.arange(bins * SAMPLES, dtype="float32") + 0.5) / SAMPLES
    position = first[..., None] + bin_side[..., None] * at
    end = ops.cast(lengths, "float32")[..., None]
    inside = ops.logical_and(position >= -1.0, position <= end)
    position = ops.maximum(position, 0.0)
    low = ops.minimum(ops.floor(position), end - 1.0)
    high = ops.minimum(low + 1.0, end - 1.0)
    share = ops.where(low >= end - 1.0, 0.0, position - low)
    return ops.cast(low, "int32"), ops.cast(high, "int32"), share, ops.cast(inside, "float32")


def crop_masks(masks, places, boxes, sizes, bins):
    """Return (N, bins, bins) shares of full masks in boxes: the targets of the mask head.

    Every pixel of a box counts: a bin has as many samples along a side as it has pixels.

    Args:
        masks: (M, H, W) 0 or 1. places: (N,) int32, which mask. boxes: (N, 4) px.
        sizes: (N, 2) heights and widths of their pictures before padding, beyond which the last
            pixel goes on.
        bins: along each side.
    """
    height, width = masks.shape[1:]

    def crop(row):
        place, box, size = row
        rows = _averages(box[1], box[3], size[0], height, bins)
        columns = _averages(box[0], box[2], size[1], width, bins)
        mask = ops.cast(ops.take(masks, place, axis=0), "float32")
        return ops.matmul(ops.matmul(rows, mask), ops.transpose(columns))

    return ops.map(crop, (places, boxes, sizes))


def _averages(first, last, length, room, bins):
    """Return (bins, room) weights of the pixels along one side in each bin's mean.

    Args:
        first, last: where the box starts and ends. length: pixels of the picture, of `room` that
            there are.
    """
    side = ops.maximum(last - first, 1.0)
    count = ops.ceil(side / bins)
    sample = ops.arange(math.ceil(room / bins) + 1, dtype="float32")
    bin_start = first + ops.arange(bins, dtype="float32")[:, None] * (side / bins)
    position = bin_start + (sample + 0.5) * (side / bins) / count
    used = ops.logical_and(sample < count, position >= -1.0)
    used = ops.logical_and(used, position <= length)
    position = ops.clip(position, 0.0, length - 1.0)
    distance = ops.abs(position[..., None] - ops.arange(room, dtype="float32"))
    share = ops.maximum(1.0 - distance, 0.0) * ops.cast(used, "float32")[..., None]
    return ops.sum(share, axis=1) / count
