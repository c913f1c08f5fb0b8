"""P(object | score) of a detector: fitted on annotated frames, kept in a JSON file.

A score is taken for the probability that a detection is an object. Few detectors' scores are; a
curve for each class, fitted where there is truth, says what they mean.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco_mask

from utils.detections import Detections, each_class
from utils.files import FormatError, atomic_path

KIND = "USC-MOTS score curves"  # what a file of curves calls itself
MATCH_IOU = 0.5  # of masks: a detection is an object from here on (benchmarks: above)
INSIDE = 0.5  # share of an unmatched detection in ignore regions beyond which it does not count
BIN = 0.05  # of scores: wide enough for counts, narrow against what the tracker's limits resolve
# Pseudo-observations at the score itself in each bin, and what a sequence counts for there at most,
# because its detections are alike. Chosen by leaving sequences out, on whole sequences and on 50
# and 200 frames of one (docs/best.md has the table).
SHRINKAGE = 300.0
MOST = 100.0

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Observations:
    """Scores of one class, and which of them were objects.

    Attributes:
        scores: (n,) float in [0, 1]. objects: (n,) bool.
    """

    scores: Array
    objects: Array

    def __add__(self, other: Observations) -> Observations:
        scores = np.concatenate([self.scores, other.scores])
        return Observations(scores, np.concatenate([self.objects, other.objects]))


@dataclass(frozen=True)
class Curve:
    """P(object | score) of one class, linear between points and flat beyond them.

    Attributes:
        scores: (b,) float, ascending; probabilities: (b,) float, rising.
        counts, hits: (b,) int, the detections of each bin, and those that were objects.
    """

    scores: Array
    probabilities: Array
    counts: Array
    hits: Array

    def __call__(self, scores: Array) -> Array:
        """Return (n,) float64 probabilities of (n,) scores."""
        values: Array = np.interp(scores, self.scores, self.probabilities)
        return values


@dataclass(frozen=True)
class ScoreCurves:
    """The curves of a detector.

    Attributes:
        curves: {class name: Curve}. facts: how they were made, for the file and the summary.
    """

    curves: Mapping[str, Curve]
    facts: Mapping[str, Any] = field(default_factory=dict)

    def probability(self, classes: Array, scores: Array, name_of: Callable[[int], str]) -> Array:
        """Return (n,) float32 P(object); a class without a curve keeps its scores.

        Args:
            classes: (n,) int. scores: (n,) float in [0, 1]. name_of: class number -> name.
        """
        result = np.array(scores, np.float32)
        for cls, mine in each_class(classes):
            if (curve := self.curves.get(name_of(cls))) is not None:
                result[mine] = curve(scores[mine])
        return result

    def write(self, path: Path) -> None:
        """Write the curves as JSON."""
        table = {
            name: {
                "scores": curve.scores.round(5).tolist(),
                "probabilities": curve.probabilities.round(5).tolist(),
                "counts": curve.counts.tolist(),
                "objects": curve.hits.tolist(),
            }
            for name, curve in self.curves.items()
        }
        with atomic_path(path) as temporary:
            text = json.dumps({"kind": KIND, **self.facts, "classes": table}, indent=2)
            temporary.write_text(text + "\n")

    @classmethod
    def read(cls, path: Path) -> ScoreCurves:
        """Return the curves of a file.

        Raises:
            FormatError: it is no file of `fit_scores.py`.
        """
        try:
            held = json.loads(path.read_bytes())
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "no JSON"
            raise FormatError(path, None, "must be a file of fit_scores.py", reason) from None
        if not isinstance(held, dict) or held.get("kind") != KIND:
            raise FormatError(path, None, "must be a file of fit_scores.py", "other JSON")
        curves = {}
        for name, row in held["classes"].items() if isinstance(held.get("classes"), dict) else ():
            curves[str(name)] = _curve(path, str(name), row)
        if not curves:
            raise FormatError(path, None, "must hold a curve", "none")
        facts = {k: v for k, v in held.items() if k not in ("kind", "classes")}
        return cls(curves, facts)


def _curve(path: Path, name: str, row: Any) -> Curve:
    """Return one curve of a file, checked."""
    keys = ("scores", "probabilities", "counts", "objects")
    try:
        scores, values, counts, hits = (np.array(row[key], float) for key in keys)
    except (TypeError, KeyError, ValueError):
        raise FormatError(path, name, f"must hold numbers under {', '.join(keys)}", row) from None
    sound = scores.ndim == 1 and len(scores) > 0
    sound &= scores.shape == values.shape == counts.shape == hits.shape
    if not sound or not (np.diff(scores) > 0).all() or not (np.diff(values) >= 0).all():
        raise FormatError(path, name, "scores must ascend and probabilities rise", scores.tolist())
    if not ((values >= 0) & (values <= 1)).all():
        raise FormatError(path, name, "probabilities must be in [0, 1]", values.tolist())
    return Curve(scores, values, counts.astype(int), hits.astype(int))


def observe(
    detections: Detections, truth: Detections, keep: Array, ignore: int | None
) -> dict[int, Observations]:
    """Return {class: Observations} of one sequence, from the frames that are annotated.

    A detection is an object if it is assigned to a true mask at an IoU of MATCH_IOU or more. One
    that is not, and lies in an ignore region, counts for neither. Frames without a true mask are
    left out: nothing tells an empty frame from one that nobody annotated.

    Args:
        detections: n Detections. truth: of the same sequence. keep: (n,) bool, those that count.
        ignore: class of ignore regions, None where there is none.
    """
    from scipy.optimize import linear_sum_assignment  # for which runs that only read need not wait

    parts: dict[int, list[Observations]] = {}
    by_frame = dict(detections.rows_by_frame(keep))
    for frame, rows in truth.rows_by_frame():
        mine = by_frame.get(frame, np.zeros(0, np.int64))
        if not len(mine):
            continue
        regions = truth.coco(rows[truth.classes[rows] == ignore])
        for cls, chosen in each_class(detections.classes[mine]):
            chosen_rows = mine[chosen]
            coco = detections.coco(chosen_rows)
            true = truth.coco(rows[truth.classes[rows] == cls])
            objects, inside = np.zeros(len(chosen_rows), bool), np.zeros(len(chosen_rows), bool)
            if true:
                iou = coco_mask.iou(coco, true, [0] * len(true))
                i, j = linear_sum_assignment(np.where(iou >= MATCH_IOU, iou, 0), maximize=True)
                objects[i[iou[i, j] >= MATCH_IOU]] = True
            if regions:
                inside = coco_mask.iou(coco, regions, [1] * len(regions)).max(axis=1) > INSIDE
            use = objects | ~inside
            seen = Observations(detections.scores[chosen_rows][use].astype(float), objects[use])
            parts.setdefault(cls, []).append(seen)
    return {cls: sum(seen[1:], seen[0]) for cls, seen in sorted(parts.items())}


def fit(
    sequences: Sequence[Observations], shrinkage: float = SHRINKAGE, most: float = MOST
) -> Curve:
    """Return the rising curve that fits best, shrunk towards the score itself.

    Isotonic regression over bins of scores, to each of which `shrinkage` pseudo-observations are
    added whose share of objects is the bin's middle score. The n observations of a sequence in a
    bin weigh n / (1 + n / most), together never more than `most`.
    """
    from scipy.optimize import isotonic_regression

    count = round(1 / BIN)
    middle = (np.arange(count) + 0.5) * BIN
    weights = np.full(count, float(shrinkage))
    hits, scores = weights * middle, weights * middle
    seen, objects = np.zeros(count, int), np.zeros(count, int)
    for each in sequences:
        place = np.minimum((each.scores / BIN).astype(int), count - 1)
        n = np.bincount(place, minlength=count)
        true = np.bincount(place, each.objects, minlength=count)
        share = 1 / (1 + n / most)
        weights += share * n
        hits += share * true
        scores += share * np.bincount(place, each.scores, minlength=count)
        seen += n
        objects += true.astype(int)
    used = weights > 0
    rising = isotonic_regression(hits[used] / weights[used], weights=weights[used]).x
    at = scores[used] / weights[used]
    return Curve(at, np.clip(rising, 0, 1), seen[used], objects[used])


def brier(probabilities: Array, objects: Array) -> float:
    """Return the mean squared error of probabilities, 0 of nothing."""
    return float(((probabilities - objects) ** 2).mean()) if len(objects) else 0.0


def cross_validated(sequences: Sequence[Observations]) -> tuple[float, float] | None:
    """Return the Brier scores of (curve, score) where each sequence is left out of its own fit.

    None for fewer than two sequences.
    """
    if len(sequences) < 2:
        return None
    fitted, plain, objects = [], [], []
    for k, left_out in enumerate(sequences):
        others = [s for i, s in enumerate(sequences) if i != k]
        fitted.append(fit(others)(left_out.scores))
        plain.append(left_out.scores)
        objects.append(left_out.objects)
    known = np.concatenate(objects)
    return brier(np.concatenate(fitted), known), brier(np.concatenate(plain), known)
