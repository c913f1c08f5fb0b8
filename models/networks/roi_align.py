"""RoIAlign (Mask R-CNN, section 3): features and masks sampled in boxes, without rounding them."""

from __future__ import annotations

import math

from keras import ops

CANONICAL_LEVEL, CANONICAL_SIDE = 4, 224.0  # FPN, Eq. 1
SAMPLES = 2  # along each side of a bin
MOST_VALUES = 2**25  # floats gathered at once: 128 MiB


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
    batch, channels = ops.shape(boxes)[0], features[0].shape[-1]
    flat = ops.concatenate([ops.reshape(f, (batch, -1, channels)) for f in features], axis=1)
    flat = ops.reshape(flat, (-1, channels))
    cells = (2 * SAMPLES) ** 2  # that a bin's samples are mixed from

    def part(boxes):
        where, weights = _cells(features, boxes, scales, bins)
        where, weights = ops.reshape(where, (-1, cells)), ops.reshape(weights, (-1, 1, cells))
        # One small product per bin stores neither weighted cells nor samples. `* 1.0` makes each
        # part's gradient dense. Otherwise TensorFlow keeps the rows of all parts: 13 GiB for C4.
        values = ops.matmul(ops.cast(weights, flat.dtype), ops.take(flat * 1.0, where, axis=0))
        return ops.reshape(values, (batch, boxes.shape[1], bins, bins, channels))

    return in_parts(part, (boxes,), bins**2 * cells * channels * _known(features[0]))


def in_parts(function, values, size):
    """Apply a function to (B, R, ...) values, so many rows at once that memory holds them.

    Args:
        function: of the values' rows. values: tensors. size: floats that one row takes.
    """
    rows, step = int(values[0].shape[1]), max(1, MOST_VALUES // size)
    parts = [function(*(v[:, i : i + step] for v in values)) for i in range(0, rows, step)]
    return parts[0] if len(parts) == 1 else ops.concatenate(parts, axis=1)


def _known(values):
    """Return the pictures of a batch, 1 where a graph leaves them open."""
    return values.shape[0] or 1


def _cells(features, boxes, scales, bins):
    """Return which cells the samples of each bin lie between, and what each weighs.

    Args:
        features, boxes, bins: see `align`. scales: of `level_scales`.

    Returns:
        int32 rows of the levels one after another, picture by picture, and weights, both
        (B, R, bins, bins, 2 SAMPLES, 2 SAMPLES).
    """
    places = levels_of(boxes, scales)  # (B, R)
    heights = ops.take(ops.convert_to_tensor([f.shape[1] for f in features]), places)
    widths = ops.take(ops.convert_to_tensor([f.shape[2] for f in features]), places)
    counts = [f.shape[1] * f.shape[2] for f in features]
    starts = ops.take(ops.convert_to_tensor([sum(counts[:i]) for i in range(len(counts))]), places)
    picture = ops.arange(ops.shape(boxes)[0], dtype="int32")[:, None] * sum(counts)
    boxes = boxes * ops.expand_dims(ops.take(scales, places), -1)
    y, of_y = _corners(boxes[..., 1], boxes[..., 3], heights, bins)
    x, of_x = _corners(boxes[..., 0], boxes[..., 2], widths, bins)
    start = (ops.cast(starts, "int32") + picture)[..., None, None, None, None]
    width = ops.cast(widths, "int32")[..., None, None, None, None]
    where = start + y[..., :, None, :, None] * width + x[..., None, :, None, :]
    return where, of_y[..., :, None, :, None] * of_x[..., None, :, None, :] / SAMPLES**2


def _corners(first, last, lengths, bins):
    """Return the neighbours of the samples along one side.

    Args:
        first, last: (B, R) where the boxes start and end, in cells. lengths: (B, R) cells.

    Returns:
        The lower and the upper neighbour of each of a bin's samples, int32, and what they weigh,
        0 where a sample is outside, both (B, R, bins, 2 SAMPLES).
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
    inside = ops.cast(inside, "float32")
    room = (ops.shape(first)[0], first.shape[1], bins, 2 * SAMPLES)
    neighbours = ops.reshape(ops.stack([low, high], axis=-1), room)
    weights = ops.stack([(1.0 - share) * inside, share * inside], axis=-1)
    return ops.cast(neighbours, "int32"), ops.reshape(weights, room)


def crop_masks(masks, places, boxes, sizes, bins):
    """Return (B, S, bins, bins) shares of full masks in boxes: the targets of the mask head.

    Every pixel of a box counts: a bin has as many samples along a side as it has pixels.

    Args:
        masks: (B, G, H, W) 0 or 1. places: (B, S) int32, which mask. boxes: (B, S, 4) px.
        sizes: (B, 2) heights and widths of the pictures before padding, beyond which the last
            pixel goes on.
        bins: along each side.
    """
    count, height, width = masks.shape[1:]
    flat = ops.reshape(masks, (-1, height, width))
    picture = ops.arange(ops.shape(boxes)[0], dtype="int32")[:, None] * count

    def part(places, boxes):
        rows = _averages(boxes[..., 1], boxes[..., 3], sizes[:, :1], height, bins)
        columns = _averages(boxes[..., 0], boxes[..., 2], sizes[:, 1:], width, bins)
        chosen = ops.cast(ops.take(flat, places, axis=0), "float32")
        return ops.matmul(ops.matmul(rows, chosen), ops.swapaxes(columns, -1, -2))

    return in_parts(part, (places + picture, boxes), height * width * _known(masks))


def _averages(first, last, length, room, bins):
    """Return (B, S, bins, room) weights of the pixels along one side in each bin's mean.

    Args:
        first, last: (B, S) where the boxes start and end. length: (B, 1) pixels of the picture, of
            `room` that there are.
    """
    side = ops.maximum(last - first, 1.0)[..., None, None]
    count = ops.ceil(side / bins)
    sample = ops.arange(math.ceil(room / bins) + 1, dtype="float32")
    bin_start = first[..., None, None] + ops.arange(bins, dtype="float32")[:, None] * (side / bins)
    position = bin_start + (sample + 0.5) * (side / bins) / count  # (B, S, bins, samples)
    end = length[..., None, None]
    used = ops.logical_and(sample < count, position >= -1.0)
    used = ops.logical_and(used, position <= end)
    position = ops.clip(position, 0.0, end - 1.0)
    low = ops.floor(position)
    weights = ops.cast(used, "float32") / count
    every = ops.shape(first)[0] * first.shape[1] * bins
    line = ops.reshape(ops.arange(every, dtype="int32") * room, (-1, first.shape[1], bins, 1))
    total = 0.0
    for pixel, share in ((low, low + 1.0 - position), (low + 1.0, position - low)):
        where = line + ops.cast(ops.minimum(pixel, room - 1.0), "int32")
        share = ops.reshape(share * weights, (-1,))
        total += ops.segment_sum(share, ops.reshape(where, (-1,)), every * room)
    return ops.reshape(total, (-1, first.shape[1], bins, room))
