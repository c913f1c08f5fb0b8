"""Suppression by intersection over minimum (ReMOTS, section 2.1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco_mask

from utils.detections import Detections


def intersection_over_minimum(masks: Sequence[dict[str, Any]]) -> npt.NDArray[np.float64]:
    """Return (n, n) shares: what two masks have in common, of the smaller one.

    A mask that lies within a much larger one has a small IoU with it, but an IoM of 1.

    Args:
        masks: run lengths as pycocotools takes them.
    """
    if not masks:
        return np.zeros((0, 0))
    # Of a "crowd" pycocotools takes the first mask's area alone for the union.
    of_first: npt.NDArray[np.float64] = coco_mask.iou(masks, masks, [1] * len(masks))
    return np.maximum(of_first, of_first.T)


def best_by_iom(
    masks: Sequence[dict[str, Any]],
    classes: npt.NDArray[Any],
    scores: npt.NDArray[Any],
    limit: float,
) -> npt.NDArray[np.int64]:
    """Return (n,) rows: of each mask the one that suppresses it, its own where none does.

    That is the best kept mask of its class which shares more than `limit` of the smaller one.

    Args:
        masks: (n,) run lengths. classes, scores: (n,).
    """
    shared, same = intersection_over_minimum(masks), classes[:, None] == classes
    order = np.argsort(-scores, kind="stable")
    best, keep = np.arange(len(masks)), np.zeros(len(masks), bool)
    for row in order.tolist():
        rivals = keep & same[row] & (shared[row] > limit)
        keep[row] = not rivals.any()
        if not keep[row]:
            best[row] = order[rivals[order].argmax()]
    return best


def kept_by_iom(detections: Detections, limit: float) -> npt.NDArray[np.bool_]:
    """Return (n,) bool: which masks of a frame are left, best score first (section 2.1).

    Args:
        detections: of one frame.
        limit: IoM with a better mask of the same class above which a mask is suppressed.
    """
    best = best_by_iom(detections.coco(), detections.classes, detections.scores, limit)
    kept: npt.NDArray[np.bool_] = best == np.arange(len(detections))
    return kept
