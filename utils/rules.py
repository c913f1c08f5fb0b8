"""Which detections take part (the authors' thresholds): rules mark rows, none is cut."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco_mask

from utils import masks
from utils.config import ByClass, by_class, check_settings, limits_of, setting
from utils.detections import Detections
from utils.suppression import intersection_over_minimum


@dataclass(frozen=True)
class DetectionRules:
    """Which detections take part; {class: limit}, class 0 stands for every class not named.

    `max_iom` fuses the masks of several detectors (ReMOTS, section 2.1).
    """

    min_score: ByClass = by_class("least confidence, by class")
    min_area: ByClass = by_class("least box area in px^2, by class")
    max_overlap: float = setting(
        1.0, "IoU of masks above which the one with the lower score is a duplicate"
    )

    max_iom: float = setting(
        1.0,
        "intersection over minimum of masks above which the one with the lower score is a "
        "duplicate: fuses several detectors (ReMOTS, section 2.1)",
    )

    def __post_init__(self) -> None:
        """Refuse settings without a meaning."""
        limits = ("max_overlap", "max_iom")
        rules = ((name, 0 < getattr(self, name) <= 1, "in (0, 1]") for name in limits)
        check_settings(self, tuple(rules))


# What each rule is about, and the flag that changes it; in the order in which they apply.
RULES = {
    "ignore_region": ("ignore regions", "--class-names"),
    "other_class": ("of a class that is not tracked", "--classes or --dataset"),
    "empty_mask": ("masks without a pixel", ""),
    "low_score": ("scores below the least", "--min-score"),
    "small_box": ("boxes below the least area", "--min-area"),
    "duplicate": ("masks on a better one of its frame", "--set max_overlap=1 or max_iom=1"),
}


def mark(
    detections: Detections,
    classes: tuple[int, ...] | None,
    rules: DetectionRules,
    ignore: int | None,
    trusted: bool | None = None,
) -> tuple[npt.NDArray[np.bool_], dict[str, int]]:
    """Mark the detections to track.

    Score, area and duplicate rules are about a detector's output: they do not apply to masks that
    are trusted (ground truth, or a tracker's choice).

    Args:
        detections: n Detections.
        classes: classes to track; None takes every class but `ignore`.
        rules: DetectionRules.
        ignore: the class of ignore regions, None where there is none.
        trusted: None trusts files without scores.

    Returns:
        keep: (n,) bool.
        dropped: {rule: count}; each detection is counted under the first rule that drops it.
    """
    by_detector = detections.scored if trusted is None else not trusted
    keep, dropped = np.ones(len(detections), bool), {}
    for name, verdict in _verdicts(detections, classes, rules, ignore, by_detector).items():
        dropped[name] = int((keep & verdict).sum())
        keep &= ~verdict
    if by_detector and min(rules.max_overlap, rules.max_iom) < 1:
        duplicate = _duplicates(detections, keep, rules)
        dropped["duplicate"] = int(duplicate.sum())
        keep &= ~duplicate
    return keep, dropped


def _verdicts(
    detections: Detections,
    classes: tuple[int, ...] | None,
    rules: DetectionRules,
    ignore: int | None,
    by_detector: bool,
) -> dict[str, npt.NDArray[np.bool_]]:
    """Return {rule: (n,) bool, what it drops} of the rules about single detections."""
    n = len(detections)
    areas = masks.areas_of(detections.rles, detections.height * detections.width)
    others = np.zeros(n, bool) if classes is None else ~np.isin(detections.classes, classes)
    verdicts = {
        "ignore_region": detections.classes == ignore if ignore else np.zeros(n, bool),
        "other_class": others,
        "empty_mask": areas == 0,
    }
    if by_detector:
        box_areas = detections.boxes_xywh[:, 2] * detections.boxes_xywh[:, 3]
        verdicts["low_score"] = detections.scores < limits_of(detections.classes, rules.min_score)
        verdicts["small_box"] = box_areas < limits_of(detections.classes, rules.min_area)
    return verdicts


def _duplicates(
    detections: Detections, keep: npt.NDArray[np.bool_], rules: DetectionRules
) -> npt.NDArray[np.bool_]:
    """Return (n,) bool: is there one of the frame and class with a higher score in its place."""
    duplicate = np.zeros(len(detections), bool)
    for _, rows in detections.rows_by_frame(keep):
        coco = detections.coco(rows)
        overlap = coco_mask.iou(coco, coco, [0] * len(rows)) > rules.max_overlap
        if rules.max_iom < 1:
            overlap |= intersection_over_minimum(coco) > rules.max_iom
        overlap &= detections.classes[rows][:, None] == detections.classes[rows]
        for later in np.flatnonzero(np.triu(overlap, 1).any(axis=0)).tolist():
            # Rows of a frame come by falling score; what is itself a duplicate bars nothing.
            rivals = overlap[:later, later] & ~duplicate[rows[:later]]
            duplicate[rows[later]] = rivals.any()
    return duplicate
