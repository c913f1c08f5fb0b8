"""Looks adapted to a video by triplets that need no identities (ReMOTS, sections 2.2 and 2.4)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from models.remots.config import RefinementConfig

Array = npt.NDArray[Any]
Groups = tuple[Array, Array, Array, Array]


def standardised(descriptors: Sequence[Array]) -> Array:
    """Return one (n, F) float32 array in which each descriptor weighs the same."""
    parts = []
    for values in descriptors:
        centred = values - values.mean(axis=0)
        parts.append(centred / max(np.sqrt((centred**2).sum(axis=1).mean()), 1e-9))
    return np.concatenate(parts, axis=1).astype(np.float32)


def adapt(
    inputs: Array,
    frames: Array,
    track_ids: Array,
    config: RefinementConfig,
    learn: Array | slice = slice(None),
) -> Array:
    """Return (n, dimensions) float32 of norm 1: the inputs mapped so that identities part.

    A linear map, by the triplet loss on cosine distances: first with augmented copies as positives
    and other detections of the frame as negatives (section 2.2; augmentation is dropout, since the
    DHAE that made the inputs stays as it is), then with detections of the same short tracklet as
    positives and of tracklets in the same frame as negatives (section 2.4).

    Args:
        inputs: (n, F) float32, centred; frames: (n,) int; track_ids: (n,) int, above 0.
        config: RefinementConfig.
        learn: rows to learn from; all are mapped.
    """
    known, frames, track_ids = inputs[learn], frames[learn], track_ids[learn]
    rng = np.random.default_rng(config.seed)
    by_frame = grouped(frames)
    by_tracklet = grouped(frames, short_tracklets(frames, track_ids))
    model, layer = _linear_map(known, config)
    for _ in range(config.intra_frame_steps):
        _train_on(model, _intra_frame(known, by_frame, config, rng))
    for _ in range(config.tracklet_steps):
        _train_on(model, _inter_tracklet(known, by_frame, by_tracklet, config, rng))
    mapped = inputs @ np.asarray(layer.get_weights()[0])
    unit: Array = mapped / np.maximum(np.linalg.norm(mapped, axis=1, keepdims=True), 1e-9)
    return unit


def _linear_map(known: Array, config: RefinementConfig) -> tuple[Any, Any]:
    """Return a model of triplets (t, 3, F) and its one layer, which begins as a PCA."""
    from utils.cli import import_keras

    keras = import_keras()
    size = min(config.dimensions, *known.shape)
    # Of a few thousand rows: more do not change the basis, but take seconds.
    basis = np.linalg.svd(known[:: max(1, len(known) // 4000)], full_matrices=False)[2][:size]
    keras.utils.set_random_seed(config.seed)
    layer = keras.layers.Dense(size, use_bias=False)
    model = keras.Sequential([keras.Input((3, known.shape[1])), layer])
    layer.set_weights([np.ascontiguousarray(basis.T, np.float32)])

    def triplet_loss(_: Any, mapped: Any) -> Any:
        anchor, positive, negative = keras.ops.unstack(
            keras.ops.normalize(mapped, axis=-1), 3, axis=1
        )
        nearer = keras.ops.sum(anchor * (negative - positive), axis=-1)
        return keras.ops.relu(config.margin + nearer)

    model.compile(keras.optimizers.Adam(config.learning_rate), loss=triplet_loss)
    return model, layer


def _train_on(model: Any, triplets: Array | None) -> None:
    """Do one step, unless there are no triplets."""
    if triplets is not None:
        model.train_on_batch(triplets, np.zeros(len(triplets), np.float32))


def short_tracklets(frames: Array, track_ids: Array) -> Array:
    """Return (n,) int labels: tracks cut at missing frames, after which errors are likely."""
    order = np.lexsort((frames, track_ids))
    new_track = np.diff(track_ids[order], prepend=-1) != 0
    starts = new_track | (np.diff(frames[order], prepend=0) > 1)
    labels = np.empty(len(frames), np.int64)
    labels[order] = np.cumsum(starts)
    return labels


def grouped(*keys: Array) -> Groups:
    """Sort n rows by keys, the last one first; rows with the same last key are a group.

    Returns:
        order: (n,) rows, sorted; place: (n,) of each row therein.
        first, end: (n,) places at which each row's group starts and has ended.
    """
    order = np.lexsort(keys)
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    labels = keys[-1]
    first = np.searchsorted(labels[order], labels)
    return order, place, first, np.searchsorted(labels[order], labels, side="right")


def other_in_frame(by_frame: Groups, rows: Array, rng: np.random.Generator) -> Array:
    """Return for each row another one of its frame, -1 where it is alone."""
    order, (place, first, end) = by_frame[0], (column[rows] for column in by_frame[1:])
    count = end - first
    shift = 1 + (rng.random(len(rows)) * (count - 1)).astype(np.int64)
    other = order[first + (place - first + shift) % count]
    return np.where(count > 1, other, -1)


def near_in_tracklet(
    by_tracklet: Groups, rows: Array, span: int, rng: np.random.Generator
) -> Array:
    """Return for each row one of its tracklet, at most `span` of its detections away."""
    order, (place, first, end) = by_tracklet[0], (column[rows] for column in by_tracklet[1:])
    low, high = np.maximum(first, place - span), np.minimum(end - 1, place + span)
    near: Array = order[low + (rng.random(len(rows)) * (high - low + 1)).astype(np.int64)]
    return near


def _intra_frame(
    inputs: Array, by_frame: Groups, config: RefinementConfig, rng: np.random.Generator
) -> Array | None:
    """Return (t, 3, F) triplets of section 2.2, or None where there are none."""
    anchors = rng.integers(0, len(inputs), config.batch_size)
    negatives = other_in_frame(by_frame, anchors, rng)
    anchors, negatives = anchors[negatives >= 0], negatives[negatives >= 0]
    if not len(anchors):
        return None
    kept = rng.random((2, len(anchors), inputs.shape[1])) < 0.7
    return np.stack([inputs[anchors] * kept[0], inputs[anchors] * kept[1], inputs[negatives]], 1)


def _inter_tracklet(
    inputs: Array,
    by_frame: Groups,
    by_tracklet: Groups,
    config: RefinementConfig,
    rng: np.random.Generator,
) -> Array | None:
    """Return (t, 3, F) triplets of section 2.4, or None where there are none."""
    anchors = rng.integers(0, len(inputs), config.batch_size)
    positives = near_in_tracklet(by_tracklet, anchors, config.span, rng)
    negatives = other_in_frame(by_frame, anchors, rng)
    usable = (negatives >= 0) & (positives != anchors)
    if not usable.any():
        return None
    chosen: Array = inputs[np.stack([anchors, positives, negatives], axis=1)[usable]]
    return chosen


def tracks_of(frames: Array, track_ids: Array) -> list[Array]:
    """Return the rows of each track, frames ascending; tracks by id."""
    order = np.lexsort((frames, track_ids))
    starts = np.flatnonzero(np.diff(track_ids[order]) != 0) + 1
    return np.split(order, starts)
