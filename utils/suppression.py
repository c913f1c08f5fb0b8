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


def joined_by_iom(
    masks: Sequence[dict[str, Any]],
    classes: npt.NDArray[Any],
    scores: npt.NDArray[Any],
    limit: float,
) -> list[list[int]]:
    """Return groups of masks that are one object, best score first in each and among them.

    A mask joins the first group whose best one is of its class and shares more than `limit` of the
    smaller of the two with it.

    Args:
        masks: (n,) run lengths. classes, scores: (n,).
    """
    shared = intersection_over_minimum(masks)
    groups: list[list[int]] = []
    for row in np.argsort(-scores, kind="stable").tolist():
        for group in groups:
            if classes[group[0]] == classes[row] and shared[group[0], row] > limit:
                group.append(row)
                break
        else:
            groups.append([row])
    return groups


def kept_by_iom(detections: Detections, limit: float) -> npt.NDArray[np.bool_]:
    """Return (n,) bool: which masks of a frame are left, best score first (section 2.1).

    Args:
        detections: of one frame.
        limit: IoM with a better mask of the same class above which a mask is suppressed.
    """
    keep = np.zeros(len(detections), bool)
    shared = intersection_over_minimum(detections.coco())
    same = detections.classes[:, None] == detections.classes
    for row in np.argsort(-detections.scores, kind="stable").tolist():
        keep[row] = not (keep & same[row] & (shared[row] > limit)).any()
    return keep
