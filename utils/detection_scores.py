"""Average precision of detections, by pycocotools' own evaluation."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from utils.detections import Detections

STEPS = tuple(np.linspace(0.5, 0.95, 10).round(2).tolist())  # of IoU, whose mean is COCO's AP
MOST = 100  # detections of a frame that count, the best


def average_precision(
    truth: Sequence[Detections],
    detected: Sequence[Detections],
    names: Mapping[int, str],
    ignore: int | None = None,
    iou: float | Sequence[float] = 0.5,
) -> dict[str, dict[str, float]]:
    """Return {"box" or "mask": {class name: AP, "mean": AP}}, in percent.

    Args:
        truth, detected: Detections by sequence, matched by their names; frames that have none of
            either do not count.
        names: {number: name} of the classes to score.
        ignore: class of the regions in which detections do not count, or None.
        iou: of a detection and an object, from which it is found; of several the mean is taken.
    """
    images: dict[tuple[str, int], int] = {}
    sizes: dict[int, dict[str, int]] = {}

    def image_of(sequence: Detections, frame: int) -> int:
        number = images.setdefault((sequence.sequence, frame), len(images) + 1)
        sizes[number] = {"id": number, "height": sequence.height, "width": sequence.width}
        return number

    annotations = [a for s in truth for a in _annotations(_entries(s, image_of), names, ignore)]
    for number, annotation in enumerate(annotations, 1):
        annotation["id"] = number
    results = [entry for sequence in detected for entry in _entries(sequence, image_of)]
    data = {
        "images": list(sizes.values()),
        "categories": [{"id": c, "name": n} for c, n in names.items()],
        "annotations": [a for a in annotations if a["category_id"] in names],
    }
    results = [r for r in results if r["category_id"] in names]
    return {kind: _scores(data, results, names, kind, iou) for kind in ("box", "mask")}


def _annotations(
    entries: list[dict[str, Any]], names: Mapping[int, str], ignore: int | None
) -> Iterator[dict[str, Any]]:
    """Yield true objects as COCO has them; a region to ignore is a crowd of every class."""
    for entry in entries:
        regions = entry["category_id"] == ignore
        area = float(entry["bbox"][2] * entry["bbox"][3])
        for cls in names if regions else (entry["category_id"],):
            yield {**entry, "category_id": cls, "iscrowd": int(regions), "area": area}


def _entries(sequence: Detections, image_of: Any) -> list[dict[str, Any]]:
    """Return a sequence's rows as COCO has them."""
    size = [sequence.height, sequence.width]
    return [
        {
            "image_id": image_of(sequence, int(frame)),
            "category_id": int(cls),
            "score": float(score),
            "bbox": [float(v) for v in box],
            "segmentation": {"size": size, "counts": rle},
        }
        for frame, cls, score, box, rle in zip(
            sequence.frames,
            sequence.classes,
            sequence.scores,
            sequence.boxes_xywh,
            sequence.rles,
            strict=True,
        )
    ]


def _scores(
    data: dict[str, Any], results: list[dict[str, Any]], names: Mapping[int, str], kind: str,
    iou: float | Sequence[float],
) -> dict[str, float]:  # fmt: skip
    """Return AP by class name and its mean over the classes that have objects."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    if not results:
        return {**dict.fromkeys(names.values(), 0.0), "mean": 0.0}
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = data
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(results), {"box": "bbox", "mask": "segm"}[kind])
        evaluation.params.iouThrs = np.atleast_1d(iou)
        evaluation.params.catIds = list(names)
        evaluation.params.maxDets = [MOST]
        evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e10]], ["all"]
        evaluation.evaluate()
        evaluation.accumulate()
    # (IoU, recall, class), -1 without objects
    precision = evaluation.eval["precision"][:, :, :, 0, 0]
    scores = {
        name: 100 * float(precision[:, :, k].mean())
        for k, name in enumerate(names.values())
        if (precision[:, :, k] >= 0).any()
    }
    return {**scores, "mean": float(np.mean(list(scores.values()))) if scores else 0.0}
