"""Which detections take part (the authors' thresholds), and how many each rule drops."""

import numpy as np
from pycocotools import mask as coco_mask

from utils import masks
from utils.detections import IGNORE


def apply_rules(detections, classes, rules):
    """Select the detections to track.

    Score and area rules are about a detector's output: they apply only where the file had scores.

    Args:
        detections: n Detections.
        classes: classes to track.
        rules: DetectionRules.

    Returns:
        selected: Detections.
        dropped: {rule: count}; each detection is counted under the first rule that drops it.
    """
    n = len(detections)
    areas = masks.areas_of(detections.rles, detections.height * detections.width)
    box_areas = detections.boxes_xywh[:, 2] * detections.boxes_xywh[:, 3]
    verdicts = {
        "ignore_region": detections.classes == IGNORE,
        "other_class": ~np.isin(detections.classes, classes),
        "empty_mask": areas == 0,
    }
    if detections.scored:
        verdicts["low_score"] = detections.scores < limits_of(detections.classes, rules.min_score)
        verdicts["small_box"] = box_areas < limits_of(detections.classes, rules.min_area)
    kept, dropped = np.ones(n, bool), {}
    for name, verdict in verdicts.items():
        dropped[name] = int((kept & verdict).sum())
        kept &= ~verdict
    if detections.scored and rules.max_overlap < 1:
        rows = np.flatnonzero(kept)
        duplicate = rows[_duplicates(detections.select(rows), rules.max_overlap)]
        kept[duplicate] = False
        dropped["duplicate"] = len(duplicate)
    return detections.select(kept), dropped


def _duplicates(detections, max_overlap):
    """Return (n,) bool: is there one of the frame and class with a higher score in its place."""
    found = np.zeros(len(detections), bool)
    for _, rows in detections.rows_by_frame():
        coco = detections.coco(rows)
        overlap = coco_mask.iou(coco, coco, [0] * len(rows)) > max_overlap
        overlap &= detections.classes[rows][:, None] == detections.classes[rows]
        for later in np.flatnonzero(np.triu(overlap, 1).any(axis=0)).tolist():
            # Rows of a frame come by falling score; what is itself a duplicate bars nothing.
            rivals = overlap[:later, later] & ~found[rows[:later]]
            found[rows[later]] = rivals.any()
    return found


def limits_of(classes, by_class):
    """Return each detection's limit, 0 where its class has none."""
    limits = np.zeros(len(classes), np.float32)  # as scores are: 0.7 must reach 0.7
    for cls, limit in by_class.items():
        limits[classes == cls] = limit
    return limits
