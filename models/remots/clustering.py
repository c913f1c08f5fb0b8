"""Offline merging of tracklets, after ReMOTS (Yang et al., 2020): any tracker's output goes in.

The threshold of the hierarchical clustering is read off the video (section 2.5).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import norm

from models.remots.adaptation import adapt, standardised, tracks_of
from models.remots.config import RefinementConfig
from utils.detections import Detections

Array = npt.NDArray[Any]

THRESHOLDS = np.linspace(0, 2, 801)  # all that a cosine distance can be, in steps of 0.0025


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
    if sum(len(rows) >= config.min_length for rows in tracks) < config.min_halves:
        return 0.0, 2.0
    halves, others = _measured(inputs, frames, track_ids, tracks, config)
    if len(others) < config.min_halves:
        return 0.0, 2.0
    near = _near(frames, tracks, config.horizon) & ~_overlap(frames, tracks)
    candidates = max(near.sum() / len(tracks), 1)
    # Normal fits, since the smallest error of a few dozen halves as counted lies anywhere.
    beyond = norm.sf(THRESHOLDS, np.mean(halves), max(np.std(halves), 1e-6))
    within = norm.cdf(THRESHOLDS, np.mean(others), max(np.std(others), 1e-6))
    wrong = beyond + candidates * within
    least = float(wrong.min())
    return float(THRESHOLDS[wrong <= least + config.flat].mean()), least


def _measured(
    inputs: Array, frames: Array, track_ids: Array, tracks: list[Array], config: RefinementConfig
) -> tuple[list[float], Array]:
    """Return the distances of one object's two halves, and of two objects that share a frame."""
    halves: list[float] = []
    others: list[Array] = [np.zeros(0)]
    for part in (0, 1):
        measured, rest = tracks[part::2], tracks[1 - part :: 2]
        if not measured or not rest:
            continue
        embeddings = adapt(inputs, frames, track_ids, config, np.concatenate(rest))
        for rows in measured:
            if len(rows) >= config.min_length:
                early, late = np.array_split(embeddings[rows], 2)
                halves.append(1 - early.mean(axis=0) @ late.mean(axis=0))
        means = np.array([embeddings[rows].mean(axis=0) for rows in measured])
        others.append((1 - means @ means.T)[np.triu(_overlap(frames, measured), 1)])
    return halves, np.concatenate(others)


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
        (n,) ids; merged tracks have the id of the one that starts first.
    """
    if not len(frames):
        return np.array(track_ids)
    tracks = tracks_of(frames, track_ids)
    counts, group = np.array([len(rows) for rows in tracks], float), np.arange(len(tracks))
    means = np.array([embeddings[rows].mean(axis=0) for rows in tracks])
    first = np.array([frames[rows[0]] for rows in tracks])
    near, apart = _near(frames, tracks, horizon), _overlap(frames, tracks)
    distances = np.where(near & ~apart, 1 - means @ means.T, np.inf)
    while distances.size and distances.min() < threshold:
        i, j = np.unravel_index(np.argmin(distances), distances.shape)
        i, j = (i, j) if first[i] <= first[j] else (j, i)
        means[i] = (counts[i] * means[i] + counts[j] * means[j]) / (counts[i] + counts[j])
        counts[i] += counts[j]
        for relation in (near, apart):
            relation[i] = relation[:, i] = relation[i] | relation[j]
        group[group == j] = i
        distances[j], distances[:, j] = np.inf, np.inf
        linked = near[i] & ~apart[i] & np.isin(np.arange(len(tracks)), group)
        linked[i] = False
        distances[i] = np.where(linked, 1 - means @ means[i], np.inf)
        distances[:, i] = distances[i]
    merged = np.array(track_ids)
    for rows, target in zip(tracks, group.tolist(), strict=True):
        merged[rows] = track_ids[tracks[target][0]]
    return merged
