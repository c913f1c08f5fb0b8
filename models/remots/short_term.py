"""The short-term tracker: masks carried by flow, appearance, an automatic limit (section 2.3)."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from models.flow_links import chained, frame_pairs
from models.remots.config import RefinementConfig
from utils.detections import Detections
from utils.flow import shared
from utils.masks import Images

Array = npt.NDArray[Any]

FORBIDDEN = 1e6  # the cost of a pair that is none


@dataclass(frozen=True)
class Limit:
    """What different objects of one frame look like (Fig. 4).

    Attributes:
        mean, deviation: of their cosine similarities, a normal fit. pairs: how many.
    """

    mean: float
    deviation: float
    pairs: int

    def similarity(self, deviations: float) -> float:
        """Return theta_short: above it two detections may be one object; at most 1."""
        return min(1.0, self.mean + deviations * self.deviation)


def limit_of(detections: Detections, vectors: Array) -> Limit:
    """Return the similarity of different objects, measured within frames.

    Args:
        detections: n Detections of one class. vectors: (n, F) of length 1.
    """
    similarities: list[Array] = []
    for _, rows in detections.rows_by_frame():
        alike = vectors[rows] @ vectors[rows].T
        similarities.append(alike[np.triu_indices(len(rows), 1)])
    every = np.concatenate(similarities) if similarities else np.zeros(0)
    if not len(every):
        return Limit(-1.0, 0.0, 0)
    return Limit(float(every.mean()), float(every.std()), len(every))


def short_term(
    detections: Detections,
    images: Images,
    vectors: Array,
    step: int = 1,
    deviations: float = RefinementConfig.deviations,
) -> tuple[npt.NDArray[np.int32], Counter[str]]:
    """Return (n,) int32 ids of short tracklets, and what was counted.

    Detections of frames next to each other are assigned by the cosine distance of their vectors
    (Eq. 1); none are that do not overlap after the flow, or are less alike than `limit_of` says
    (Eq. 2), or of different classes.

    Args:
        detections: n Detections. images: function frame -> (H, W, 3) uint8 RGB. vectors: (n, F) of
            length 1. step: between frame numbers. deviations: see `Limit.similarity`.

    Returns:
        ids from 1; Counter: `links`, `unlike` pairs refused by Eq. 2.
    """
    least = {
        cls: limit_of(detections.select(rows), vectors[rows]).similarity(deviations)
        for cls in np.unique(detections.classes).tolist()
        for rows in [np.flatnonzero(detections.classes == cls)]
    }
    limits = np.array([least[c] for c in detections.classes.tolist()])
    before: dict[int, int] = {}
    report: Counter[str] = Counter()
    for old, rows, labels, moved in frame_pairs(detections, images, step):
        touching = shared(moved, labels, (len(old), len(rows))) > 0
        touching &= detections.classes[old][:, None] == detections.classes[rows]
        alike = vectors[old] @ vectors[rows].T
        unlike = touching & (alike <= limits[rows])
        report["unlike"] += int(unlike.sum())
        costs = np.where(touching & ~unlike, 1 - alike, FORBIDDEN)
        for i, j in zip(*linear_sum_assignment(costs), strict=True):
            if costs[i, j] < FORBIDDEN:
                before[int(rows[j])] = int(old[i])
    report["links"] = len(before)
    return chained(before, detections.frames), report
