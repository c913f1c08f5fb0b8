"""Offline merging of tracklets, after ReMOTS (Yang et al., 2020): any tracker's output goes in.

Descriptors are adapted to the video by triplets that need no identities (its sections 2.2 and 2.4),
the threshold of the hierarchical clustering is read off the video, too (section 2.5).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import norm

from models.remots.config import RefinementConfig
from utils.detections import Detections

Array = npt.NDArray[Any]
Groups = tuple[Array, Array, Array, Array]

MIN_HALVES = 10  # tracklets to measure what one object's two halves look like
MIN_LENGTH = 10  # detections of a tracklet that is split in halves for that
THRESHOLDS = np.linspace(0, 2, 801)  # of a cosine distance
FLAT = 0.01  # errors by which a threshold may miss the least; the middle of those is taken


def refine(
    detections: Detections,
    track_ids: Array,
    descriptors: Sequence[Array],
    config: RefinementConfig | None = None,
) -> tuple[npt.NDArray[np.int32], Counter[str]]:
    """Merge tracklets of one sequence that look like one object.

    Args:
        detections: n Detections.
        track_ids: (n,) int, 0 for none; of any tracker.
        descriptors: list of (n, F) float arrays, what the detections look like.
        config: RefinementConfig.

    Returns:
        (n,) int32: the ids, those of merged tracklets replaced by the earliest one's.
        report: Counter: `joined` tracklets, `unclear` classes in which nothing could be decided.
    """
    config = config or RefinementConfig()
    refined, report = np.array(track_ids, np.int32), Counter[str]()
    for cls in np.unique(detections.classes[refined > 0]).tolist():
        rows = np.flatnonzero((detections.classes == cls) & (refined > 0))
        frames = detections.frames[rows].astype(np.int64)
        inputs = standardised([d[rows] for d in descriptors])
        threshold, error = find_threshold(inputs, frames, refined[rows], config)
        if error > config.max_error:
            report["unclear"] += 1
            continue
        embeddings = adapt(inputs, frames, refined[rows], config)
        merged = merge(embeddings, frames, refined[rows], threshold, config.horizon)
        report["joined"] += len(np.unique(refined[rows])) - len(np.unique(merged))
        refined[rows] = merged
    return refined, report


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
    from utils.cli import import_keras

    keras = import_keras()
    known, frames, track_ids = inputs[learn], frames[learn], track_ids[learn]
    size = min(config.dimensions, *known.shape)
    basis = np.linalg.svd(known[:: max(1, len(known) // 4000)], full_matrices=False)[2][:size]
    rng = np.random.default_rng(config.seed)
    by_frame = grouped(frames)
    by_tracklet = grouped(frames, short_tracklets(frames, track_ids))
    rounds: tuple[tuple[int, Callable[[], Array | None]], ...] = (
        (config.intra_frame_steps, lambda: _intra_frame(known, by_frame, config, rng)),
        (config.tracklet_steps, lambda: _inter_tracklet(known, by_frame, by_tracklet, config, rng)),
    )
    keras.utils.set_random_seed(config.seed)
    layer = keras.layers.Dense(size, use_bias=False)
    model = keras.Sequential([keras.Input((3, inputs.shape[1])), layer])
    layer.set_weights([np.ascontiguousarray(basis.T, np.float32)])

    def triplet_loss(_: Any, mapped: Any) -> Any:
        anchor, positive, negative = keras.ops.unstack(
            keras.ops.normalize(mapped, axis=-1), 3, axis=1
        )
        nearer = keras.ops.sum(anchor * (negative - positive), axis=-1)
        return keras.ops.relu(config.margin + nearer)

    model.compile(keras.optimizers.Adam(config.learning_rate), loss=triplet_loss)
    for steps, draw in rounds:
        for _ in range(steps):
            triplets = draw()
            if triplets is None:
                continue
            model.train_on_batch(triplets, np.zeros(len(triplets), np.float32))
    mapped = inputs @ np.asarray(layer.get_weights()[0])
    unit: Array = mapped / np.maximum(np.linalg.norm(mapped, axis=1, keepdims=True), 1e-9)
    return unit


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


def find_threshold(
    inputs: Array, frames: Array, track_ids: Array, config: RefinementConfig
) -> tuple[float, float]:
    """Return the cosine distance up to which tracklets are merged, and how often that is wrong.

    Section 2.5 parts the histograms of similarities within frames and within tracklets by eye;
    here both are normal fits, and the threshold makes the fewest errors.
    Two halves of a track are taken for one object, two tracks that share a frame for two; both
    distances are means over all pairs of detections, as those that are merged by. Each half of the
    tracks is measured with an embedding adapted to the other half, since what was adapted to a
    track parts it better than the next.

    Args:
        inputs: (n, F) float32, centred; frames: (n,) int; track_ids: (n,) int, above 0.
        config: RefinementConfig.

    Returns:
        threshold: float; a tracklet has several candidates, each of which may be wrong, so that
            others within it weigh as much as there are candidates.
        error: share of halves beyond the threshold plus weighted share of others within; 2 where
            there are too few of either.
    """
    tracks = tracks_of(frames, track_ids)
    halves: list[float] = []
    parts: list[Array] = []
    if sum(len(rows) >= MIN_LENGTH for rows in tracks) < MIN_HALVES:
        return 0.0, 2.0
    for part in (0, 1):
        mine, rest = tracks[part::2], tracks[1 - part :: 2]
        if not mine or not rest:
            continue
        embeddings = adapt(inputs, frames, track_ids, config, np.concatenate(rest))
        for rows in mine:
            if len(rows) >= MIN_LENGTH:
                early, late = np.array_split(embeddings[rows], 2)
                halves.append(1 - early.mean(axis=0) @ late.mean(axis=0))
        means = np.array([embeddings[rows].mean(axis=0) for rows in mine])
        parts.append((1 - means @ means.T)[np.triu(_overlap(frames, mine), 1)])
    others = np.concatenate(parts) if parts else np.zeros(0)
    if len(others) < MIN_HALVES:
        return 0.0, 2.0
    near = _near(frames, tracks, config.horizon) & ~_overlap(frames, tracks)
    candidates = max(near.sum() / len(tracks), 1)
    # Normal fits, since the smallest error of a few dozen halves as counted lies anywhere.
    beyond = norm.sf(THRESHOLDS, np.mean(halves), max(np.std(halves), 1e-6))
    within = norm.cdf(THRESHOLDS, np.mean(others), max(np.std(others), 1e-6))
    wrong = beyond + candidates * within
    least = float(wrong.min())
    return float(THRESHOLDS[wrong <= least + FLAT].mean()), least


def tracks_of(frames: Array, track_ids: Array) -> list[Array]:
    """Return the rows of each track, frames ascending; tracks by id."""
    order = np.lexsort((frames, track_ids))
    starts = np.flatnonzero(np.diff(track_ids[order]) != 0) + 1
    return np.split(order, starts)


def _presence(frames: Array, tracks: list[Array]) -> tuple[Array, Array]:
    """Return the (k,) numbers of all frames and (m, k) float32, 1 where a track has a detection."""
    numbers, column = np.unique(frames, return_inverse=True)
    present = np.zeros((len(tracks), len(numbers)), np.float32)
    for i, rows in enumerate(tracks):
        present[i, column[rows]] = 1
    return numbers, present


def _overlap(frames: Array, tracks: list[Array]) -> Array:
    """Return (m, m) bool: do two tracks share a frame."""
    _, present = _presence(frames, tracks)
    shared: Array = present @ present.T > 0
    return shared


def _near(frames: Array, tracks: list[Array], horizon: int) -> Array:
    """Return (m, m) bool: has one track a frame within `horizon` frames of one of the other's."""
    numbers, present = _presence(frames, tracks)
    reached = np.zeros_like(present)
    for i, rows in enumerate(tracks):
        track_frames = frames[rows]
        after = np.searchsorted(track_frames, numbers).clip(max=len(track_frames) - 1)
        before = (after - 1).clip(0)
        away = np.minimum(
            np.abs(track_frames[after] - numbers), np.abs(track_frames[before] - numbers)
        )
        reached[i] = away <= horizon
    near: Array = reached @ present.T > 0
    return near


def merge(
    embeddings: Array, frames: Array, track_ids: Array, threshold: float, horizon: int
) -> Array:
    """Merge by hierarchical clustering (section 2.5).

    The distance of two tracks, and of what is merged, is the mean cosine distance over all pairs of
    their detections; infinite if they share a frame, or are nowhere within `horizon` frames.

    Args:
        embeddings: (n, F) of norm 1; frames: (n,) int; track_ids: (n,) int, above 0.
        threshold: distance at which clustering stops; horizon: frames.

    Returns:
        (n,) int ids; merged tracks have the id of the one that starts first.
    """
    if not len(frames):
        return np.array(track_ids)
    tracks = tracks_of(frames, track_ids)
    counts = np.array([len(rows) for rows in tracks], float)
    means = np.array([embeddings[rows].mean(axis=0) for rows in tracks])
    first = np.array([frames[rows[0]] for rows in tracks])
    near = _near(frames, tracks, horizon)
    apart = _overlap(frames, tracks)
    group = np.arange(len(tracks))
    distances = np.where(near & ~apart, 1 - means @ means.T, np.inf)
    while distances.size and distances.min() < threshold:
        i, j = np.unravel_index(np.argmin(distances), distances.shape)
        i, j = (i, j) if first[i] <= first[j] else (j, i)
        means[i] = (counts[i] * means[i] + counts[j] * means[j]) / (counts[i] + counts[j])
        counts[i] += counts[j]
        for relation in (near, apart):
            relation[i] |= relation[j]
            relation[:, i] = relation[i]
        group[group == j] = i
        distances[j], distances[:, j] = np.inf, np.inf
        alive = np.isin(np.arange(len(tracks)), group)
        linked = near[i] & ~apart[i] & alive
        linked[i] = False
        distances[i] = np.where(linked, 1 - means @ means[i], np.inf)
        distances[:, i] = distances[i]
    merged = np.array(track_ids)
    for rows, target in zip(tracks, group.tolist(), strict=True):
        merged[rows] = track_ids[tracks[target][0]]
    return merged
