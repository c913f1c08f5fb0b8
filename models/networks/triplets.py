"""Batch-hard triplets, by which association heads learn (Hermans et al., 2017)."""

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
    real = tracks > 0
    pair = ops.logical_and(real[:, None], real[None, :])
    if classes is not None:
        pair = ops.logical_and(pair, classes[:, None] == classes[None, :])
    same = ops.logical_and(tracks[:, None] == tracks[None, :], pair)
    other = ops.logical_and(tracks[:, None] != tracks[None, :], pair)
    square = ops.sum((vectors[:, None] - vectors[None]) ** 2, axis=-1)
    # A root has no slope at 0; where two vectors are equal none is wanted.
    apart = ops.where(square > 0, ops.sqrt(ops.where(square > 0, square, 1.0)), 0.0)
    furthest = ops.max(ops.where(same, apart, 0.0), axis=1)
    nearest = ops.min(ops.where(other, apart, float("inf")), axis=1)
    counts = ops.any(other, axis=1)
    nearest = ops.where(counts, nearest, 0.0)
    each = ops.where(counts, ops.maximum(furthest - nearest + margin, 0.0), 0.0)
    return ops.sum(each) / ops.maximum(ops.sum(ops.cast(counts, "float32")), 1.0)
