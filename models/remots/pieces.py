"""Tracklets as pieces: what is known of each, and pairs of which the answer is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from models.remots.config import EvidenceConfig

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Pieces:
    """Tracklets, or parts of them, as pairs are weighed.

    Attributes:
        looks: (m, F) means of unit vectors. first, last: (m,) frames. height: (m, 2) at both ends.
        place: (m, 2, 2) where motion puts each at its ends, x and y; pace: (m, 2, 2) by frame.
    """

    looks: Array
    first: Array
    last: Array
    height: Array
    place: Array
    pace: Array


def pieces_of(
    parts: Sequence[Array], frames: Array, boxes: Array, looks: Array, ends: int
) -> Pieces:
    """Return Pieces of rows with ascending frames.

    Args:
        parts: m arrays of rows. frames: (n,) int. boxes: (n, 4) x, y, width, height in px.
        looks: (n, F) of length 1. ends: detections whose motion is fitted by a line.
    """
    count = len(parts)
    middle = boxes[:, :2] + boxes[:, 2:] / 2
    place, pace = np.zeros((count, 2, 2)), np.zeros((count, 2, 2))
    height = np.zeros((count, 2))
    for k, rows in enumerate(parts):
        for end, end_rows in enumerate((rows[:ends], rows[-ends:])):
            at = frames[rows[0 if end == 0 else -1]]
            away = frames[end_rows] - frames[end_rows].mean()
            spread = (away**2).sum()
            if len(end_rows) > 2:
                pace[k, end] = away @ middle[end_rows] / spread
            place[k, end] = middle[end_rows].mean(axis=0) + pace[k, end] * (
                at - frames[end_rows].mean()
            )
            height[k, end] = max(float(np.median(boxes[end_rows, 3])), 1.0)
    return Pieces(
        np.array([looks[rows].mean(axis=0) for rows in parts]).reshape(count, looks.shape[1]),
        np.array([frames[rows[0]] for rows in parts], np.int64),
        np.array([frames[rows[-1]] for rows in parts], np.int64),
        height,
        place,
        pace,
    )


def weighed(pieces: Pieces, earlier: Array, later: Array, config: EvidenceConfig) -> Array:
    """Return (p, 3) of pairs: distance of looks, log error of motion in heights, log of the gap.

    Args:
        pieces: Pieces. earlier, later: (p,) places therein. config: EvidenceConfig.
    """
    gap = (pieces.first[later] - pieces.last[earlier]).astype(float)
    apart = 1 - (pieces.looks[earlier] * pieces.looks[later]).sum(axis=1)
    pace = (pieces.pace[earlier, 1] + pieces.pace[later, 0]) / 2
    error = pieces.place[earlier, 1] + pace * gap[:, None] - pieces.place[later, 0]
    size = (pieces.height[earlier, 1] + pieces.height[later, 0]) / 2
    moved = np.linalg.norm(error, axis=1) / size
    return np.stack(
        [apart, np.log(moved + config.motion_floor), np.log(np.maximum(gap, 1))], axis=1
    )


def come_in(pieces: Pieces, parts: Sequence[Array], boxes: Array, size: tuple[int, int]) -> Array:
    """Return (m,) bool: was each outside the picture, at its edge at least, one frame before.

    Args:
        pieces: Pieces of parts: m arrays of rows. boxes: (n, 4) x, y, width, height in px.
        size: (height, width) of the picture in px.
    """
    starts = boxes[[rows[0] for rows in parts]].reshape(len(parts), 4)
    low = starts[:, :2] - pieces.pace[:, 0]
    high = low + starts[:, 2:]
    beyond = (low <= 0) | (high >= np.array(size[::-1]))
    result: Array = np.any(beyond, axis=1)
    return result


def known_pairs(
    parts: Sequence[Array], frames: Array, config: EvidenceConfig, rng: np.random.Generator
) -> tuple[list[Array], list[tuple[int, int]], list[bool]]:
    """Return pairs of pieces of which it is known whether they are one object.

    Args:
        parts: rows of each tracklet, frames ascending. frames: (n,) int.
        config: EvidenceConfig. rng: chooses where tracklets are cut.

    Returns:
        pieces: rows of each. pairs: (earlier, later) places therein. same: of each pair.
    """
    pieces: list[Array] = []
    pairs: list[tuple[int, int]] = []
    same: list[bool] = []
    side, longest = config.cut_side, config.cut_longest
    first = np.array([frames[rows[0]] for rows in parts])
    last = np.array([frames[rows[-1]] for rows in parts])
    long = [k for k, rows in enumerate(parts) if len(rows) >= config.cut_length]
    for _ in range(config.cuts if long else 0):
        k = long[rng.integers(len(long))]
        rows = parts[k]
        gap = int(np.exp(rng.uniform(0, np.log(config.horizon))))
        gap = min(gap, len(rows) - 2 * side + 1)
        end = int(rng.integers(side, len(rows) - side - gap + 2))
        before = rows[max(0, end - rng.integers(side, longest)) : end]
        after = rows[end + gap - 1 :][: rng.integers(side, longest)]
        place = len(pieces)
        pieces += [before, after]
        pairs.append((place, place + 1))
        same.append(True)
        beside = (first <= last[k]) & (last >= first[k])
        for other in np.flatnonzero(beside).tolist():
            rival = parts[other][frames[parts[other]] >= frames[after[0]]][: len(after)]
            near = len(rival) >= side and frames[rival[0]] - frames[before[-1]] <= config.horizon
            if other != k and near:
                pieces.append(rival)
                pairs.append((place, len(pieces) - 1))
                same.append(False)
    return pieces, pairs, same
