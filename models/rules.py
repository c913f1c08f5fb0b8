"""Which detections take part (the authors' thresholds), and how many each rule drops."""

import numpy as np

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
    return detections.select(kept), dropped


def limits_of(classes, by_class):
    """Return each detection's limit, 0 where its class has none."""
    limits = np.zeros(len(classes), np.float32)  # as scores are: 0.7 must reach 0.7
    for cls, limit in by_class.items():
        limits[classes == cls] = limit
    return limits
