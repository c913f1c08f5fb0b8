"""Triplets of patches that say who looks like whom, with identities or without (ReMOTS)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from models.remots.adaptation import (
    Groups,
    grouped,
    near_in_tracklet,
    other_in_frame,
    short_tracklets,
)

Array = npt.NDArray[Any]
Patches = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Seen:
    """What an encoder learns from: patches of one video.

    Attributes:
        patches: (n, S, S, 3) uint8. frames: (n,) int.
        tracklets: (n,) int labels of tracklets that may be believed.
    """

    patches: Patches
    frames: Array
    tracklets: Array

    @cached_property
    def by_frame(self) -> Groups:
        """Return the rows by frame."""
        return grouped(self.frames)

    @cached_property
    def by_tracklet(self) -> Groups:
        """Return the rows by tracklet without a missing frame, frames ascending."""
        return grouped(self.frames, short_tracklets(self.frames, self.tracklets))


def augmented(patches: Patches, rng: np.random.Generator) -> Array:
    """Return (n, S, S, 3) float32 in [0, 1]: each patch changed, not whose it is.

    Mirrored, moved and scaled, its colours shifted, a part of it hidden.
    """
    n, side = len(patches), patches.shape[1]
    changed = np.empty(patches.shape, np.float32)
    for k in range(n):
        scale, turn = rng.uniform(0.85, 1.2), rng.uniform(-0.08, 0.08)
        mirror = 1 if rng.random() < 0.5 else -1
        cos, sin = scale * np.cos(turn), scale * np.sin(turn)
        matrix = np.array([[mirror * cos, -sin, 0.0], [mirror * sin, cos, 0.0]])
        middle = np.full(2, (side - 1) / 2)
        matrix[:, 2] = middle - matrix[:, :2] @ middle + rng.uniform(-0.08, 0.08, 2) * side
        changed[k] = cv2.warpAffine(patches[k], matrix, (side, side))
        if rng.random() < 0.5:
            height, width = (rng.uniform(0.1, 0.4, 2) * side).astype(int)
            top, left = rng.integers(0, side - height), rng.integers(0, side - width)
            changed[k, top : top + height, left : left + width] = 0
    outside = changed.max(axis=-1, keepdims=True) == 0
    changed *= rng.uniform(0.85, 1.15, (n, 1, 1, 1)) * rng.uniform(0.97, 1.03, (n, 1, 1, 3)) / 255
    changed += rng.uniform(-0.03, 0.03, (n, 1, 1, 1)).astype(np.float32)
    changed[np.broadcast_to(outside, changed.shape)] = 0
    np.clip(changed, 0, 1, out=changed)
    return changed


def plain(patches: Patches) -> npt.NDArray[np.float32]:
    """Return (n, S, S, 3) float32 in [0, 1]."""
    return np.divide(patches, np.float32(255), dtype=np.float32)


def within_frames(seen: Seen, count: int, rng: np.random.Generator) -> Array | None:
    """Return (t, 3, S, S, 3): a patch, itself changed, another of its frame (section 2.2).

    Args:
        seen: the video. count: triplets that are tried. rng: chooses.

    Returns:
        None where there is no triplet.
    """
    anchors = rng.integers(0, len(seen.frames), count)
    negatives = other_in_frame(seen.by_frame, anchors, rng)
    usable = negatives >= 0
    return _stack(seen, rng, anchors[usable], anchors[usable], negatives[usable])


def between_tracklets(seen: Seen, count: int, span: int, rng: np.random.Generator) -> Array | None:
    """Return (t, 3, S, S, 3): a patch, one of its tracklet, another of its frame (section 2.4).

    Args:
        seen, count, rng: see `within_frames`. span: frames from a patch to that of its tracklet.
    """
    anchors = rng.integers(0, len(seen.frames), count)
    positives = near_in_tracklet(seen.by_tracklet, anchors, span, rng)
    negatives = other_in_frame(seen.by_frame, anchors, rng)
    apart = seen.tracklets[negatives] != seen.tracklets[anchors]
    usable = (negatives >= 0) & apart
    return _stack(seen, rng, anchors[usable], positives[usable], negatives[usable])


def _stack(seen: Seen, rng: np.random.Generator, *rows: Array) -> Array | None:
    if not len(rows[0]):
        return None
    return np.stack([augmented(seen.patches[r], rng) for r in rows], axis=1)
