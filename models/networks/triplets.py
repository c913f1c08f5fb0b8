"""Losses by which association heads learn: triplets (Hermans et al., 2017) and pairs."""

from __future__ import annotations

from keras import ops

from models.networks.losses import rows_of


def tracks_of(inputs, objects):
    """Return (B, S) int32 ids of the chosen boxes' tracks, 0 for rows that are no object.

    Args:
        inputs: of a network, with `tracks` (B, G). objects: see `choose_boxes`.
    """
    tracks = rows_of(ops.cast(inputs["tracks"], "int32"), objects["truth"])
    return ops.where(objects["labels"] > 0, tracks, 0)


def batch_hard(vectors, tracks, margin, classes=None):
    """Return the mean over detections of max(furthest same - nearest other + margin, 0).

    TrackR-CNN's (thesis, Eq. 2.7) compares all, MOTSNet's (section 4.2) those of one class.

    Args:
        vectors: (n, F) of the detections of adjacent frames.
        tracks: (n,) int32 ids of their tracks, 0 for rows that are no detection.
        margin: alpha. classes: (n,) int32 that must be the same, or None.

    Returns:
        Mean over the detections that have another track beside them, 0 if none has.
    """
    apart, same, other = _pairs(vectors, tracks, classes)
    furthest = ops.max(ops.where(same, apart, 0.0), axis=1)
    nearest = ops.min(ops.where(other, apart, float("inf")), axis=1)
    counts = ops.any(other, axis=1)
    nearest = ops.where(counts, nearest, 0.0)
    each = ops.where(counts, ops.maximum(furthest - nearest + margin, 0.0), 0.0)
    return ops.sum(each) / ops.maximum(ops.sum(ops.cast(counts, "float32")), 1.0)


def _pairs(vectors, tracks, classes):
    """Return (n, n) distances, and which pairs are of one track and which of two."""
    real = tracks > 0
    pair = ops.logical_and(real[:, None], real[None, :])
    if classes is not None:
        pair = ops.logical_and(pair, classes[:, None] == classes[None, :])
    same = ops.logical_and(tracks[:, None] == tracks[None, :], pair)
    other = ops.logical_and(tracks[:, None] != tracks[None, :], pair)
    square = ops.sum((vectors[:, None] - vectors[None]) ** 2, axis=-1)
    # A root has no slope at 0; where two vectors are equal none is wanted.
    apart = ops.where(square > 0, ops.sqrt(ops.where(square > 0, square, 1.0)), 0.0)
    return apart, same, other


def _triplets(vectors, tracks, margin):
    """Return (n, n, n) losses of (anchor, positive, negative), and which of them are triplets."""
    apart, same, other = _pairs(vectors, tracks, None)
    itself = ops.eye(vectors.shape[0] or ops.shape(vectors)[0], dtype="bool")
    positive = ops.logical_and(same, ops.logical_not(itself))
    valid = ops.logical_and(positive[:, :, None], other[:, None, :])
    each = ops.maximum(apart[:, :, None] - apart[:, None, :] + margin, 0.0)
    return ops.where(valid, each, 0.0), valid


def batch_all(vectors, tracks, margin):
    """Return the mean of max(|a - p| - |a - n| + margin, 0) over all triplets (thesis, Eq. 2.6).

    Args: see `batch_hard`; 0 where there is no triplet.
    """
    each, valid = _triplets(vectors, tracks, margin)
    return ops.sum(each) / ops.maximum(ops.sum(ops.cast(valid, "float32")), 1.0)


def quantile(vectors, tracks, margin, hardest):
    """Return the mean over the hardest share of all triplets (thesis, section 2.4.2).

    Args:
        vectors, tracks, margin: see `batch_hard`. hardest: 1 / p of the p-quantile; at least one
            triplet counts.
    """
    each, valid = _triplets(vectors, tracks, margin)
    count = ops.sum(ops.cast(valid, "float32"))
    taken = ops.maximum(ops.ceil(count * hardest), 1.0)
    falling = -ops.sort(-ops.reshape(each, (-1,)))
    chosen = ops.cast(ops.arange(falling.shape[0] or ops.shape(falling)[0]), "float32") < taken
    return ops.sum(ops.where(chosen, falling, 0.0)) / taken


def contrastive_pairs(vectors, tracks, margin):
    """Return Eq. 2.5 of the thesis over detections: squares within tracks, pushes between them."""
    apart, same, other = _pairs(vectors, tracks, None)
    pushed = ops.maximum(margin - apart, 0.0) ** 2
    count = ops.sum(ops.cast(tracks > 0, "float32"))
    total = ops.sum(ops.where(same, apart**2, 0.0)) + ops.sum(ops.where(other, pushed, 0.0))
    return total / ops.maximum(count, 1.0)
