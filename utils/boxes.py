"""Box operations; the name of a function or array says format and unit (see `Detections`)."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from utils.detections import Detections

Array = npt.NDArray[Any]


def xywh_to_cxcywh(
    boxes_xywh: Any, scale_wh: tuple[float, float], size_wh: tuple[float, float] | None = None
) -> npt.NDArray[np.float32]:
    """Convert pixel boxes to the DHAE's location vector x_b (paper, section 3.1).

    Args:
        boxes_xywh: (n, 4) float, top-left corner and size in pixels.
        scale_wh: (width, height) of the frame in pixels; divides the centres.
        size_wh: (width, height) in pixels that divides the box sizes. None means the frame, as for
            real data; the synthetic sets use the size of the object template.

    Returns:
        (n, 4) float32: centre x, centre y, width, height, without unit.
    """
    boxes_xywh = np.asarray(boxes_xywh, np.float64).reshape(-1, 4)
    centres = (boxes_xywh[:, :2] + boxes_xywh[:, 2:] / 2) / np.asarray(scale_wh, np.float64)
    sizes = boxes_xywh[:, 2:] / np.asarray(scale_wh if size_wh is None else size_wh, np.float64)
    return np.concatenate([centres, sizes], axis=1).astype(np.float32)


def xywh_to_xyxy(boxes_xywh: Any) -> npt.NDArray[np.float64]:
    """Return (n, 4) boxes as top-left and bottom-right corner, in the same unit."""
    boxes_xywh = np.asarray(boxes_xywh, np.float64).reshape(-1, 4)
    return np.concatenate([boxes_xywh[:, :2], boxes_xywh[:, :2] + boxes_xywh[:, 2:]], axis=1)


def _sides_of_pairs(first_xyxy: Array, second_xyxy: Array) -> tuple[Array, Array, list[Array]]:
    """Return, each for x and y: sizes (n, 1), sizes (1, m), and (n, m) what the boxes share.

    What they share is below 0 for boxes apart, by their distance.
    """
    a, b = first_xyxy.T[:, :, None], second_xyxy.T[:, None, :]
    shared = [np.minimum(a[k + 2], b[k + 2]) - np.maximum(a[k], b[k]) for k in (0, 1)]
    return a[2:] - a[:2], b[2:] - b[:2], shared


def generalised_iou(first_xyxy: Array, second_xyxy: Array) -> Array:
    """Return the generalised IoU of every pair, in (-1, 1] (Rezatofighi et al., CVPR 2019).

    IoU less the share of the smallest enclosing box that neither fills: below 0 for boxes apart,
    the lower the farther.

    Args:
        first_xyxy: (n, 4) float corners; second_xyxy: (m, 4). Boxes of positive size.

    Returns:
        (n, m) float64.
    """
    a, b, widths = _sides_of_pairs(first_xyxy, second_xyxy)
    return _generalised(a, b, widths)


def generalised_iou_of_pairs(first_xyxy: Array, second_xyxy: Array) -> Array:
    """Return (p,) what `generalised_iou` says of (p, 4) boxes and (p, 4) others, pair by pair."""
    first, second = first_xyxy.T, second_xyxy.T
    widths = np.minimum(first[2:], second[2:]) - np.maximum(first[:2], second[:2])
    return _generalised(first[2:] - first[:2], second[2:] - second[:2], widths)


def _generalised(a: Any, b: Any, widths: Any) -> Array:
    """Return the generalised IoU of boxes from their sides and the widths that they share."""
    # Along an axis, what both boxes span together is the sum of their sizes less what they share.
    hulls = [a[k] + b[k] - widths[k] for k in (0, 1)]
    shared = np.maximum(widths[0], 0) * np.maximum(widths[1], 0)
    union = a[0] * a[1] + b[0] * b[1] - shared
    iou: Array = shared / union + union / (hulls[0] * hulls[1]) - 1
    return iou


def signed_iou(first_xyxy: Array, second_xyxy: Array) -> Array:
    """Return the signed IoU of every pair, below 0 for boxes apart (MOTSNet, appendix C).

    The corners of the extended intersection are the larger of the first and the smaller of the
    second corners; its area counts as negative unless both sides are positive.

    Args:
        first_xyxy: (n, 4) float corners; second_xyxy: (m, 4).

    Returns:
        (n, m) float64; 0 for two boxes without area.
    """
    a, b, (width, height) = _sides_of_pairs(first_xyxy, second_xyxy)
    area = np.abs(width * height) * np.where((width > 0) & (height > 0), 1, -1)
    union = a[0] * a[1] + b[0] * b[1] - area
    iou: Array = np.divide(area, union, out=np.zeros_like(area), where=union > 0)
    return iou


def scaled_boxes(detections: Detections, object_size: int | None) -> npt.NDArray[np.float32]:
    """Return x_b, (n, 4) float32; `object_size` in pixels divides sizes, None for the frame's."""
    size_wh = None if object_size is None else (object_size, object_size)
    return xywh_to_cxcywh(
        detections.boxes_xywh, (detections.width or 1, detections.height or 1), size_wh
    )


def paired_iou(first_xywh: Array, second_xywh: Array) -> Array:
    """Return the (n,) IoU of box i of the first and box i of the second, (n, 4) px each."""
    a, b = xywh_to_xyxy(first_xywh), xywh_to_xyxy(second_xywh)
    sides = np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2])
    shared = np.maximum(sides, 0).prod(axis=1)
    union = np.prod(a[:, 2:] - a[:, :2], axis=1) + np.prod(b[:, 2:] - b[:, :2], axis=1) - shared
    iou: Array = np.divide(shared, union, out=np.zeros(len(a)), where=union > 0)
    return iou


def overlapping_pairs(first_xywh: Array, second_xywh: Array) -> tuple[Array, Array]:
    """Return the indices (p,) and (p,) of boxes (m, 4) and (n, 4) that share some area.

    Only boxes that can meet along x are compared, so that cost grows with the pairs, not with m n.
    """
    low_x, high_x = first_xywh[:, 0], first_xywh[:, 0] + first_xywh[:, 2]
    order = np.argsort(second_xywh[:, 0])
    starts = second_xywh[order, 0]
    widest = float(second_xywh[:, 2].max(initial=0))
    low = np.searchsorted(starts, low_x - widest)
    counts = np.maximum(np.searchsorted(starts, high_x) - low, 0)
    i = np.repeat(np.arange(len(first_xywh)), counts)
    place = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    j = order[np.repeat(low, counts) + place]
    shared = paired_iou(first_xywh[i], second_xywh[j]) > 0
    return i[shared], j[shared]


def likely_reading(boxes: Array, tight_xywh: Array, size: tuple[int, int]) -> str | None:
    """Return what boxes seem to be, where they are not the x y w h around their masks.

    Args:
        boxes: (n, 4), as they were given for x y w h in pixels.
        tight_xywh: (n, 4) px, the boxes around the masks; none of them empty.
        size: (height, width) of the frame in pixels.

    Returns:
        None where most boxes overlap those of their masks by more than a third (amodal boxes do);
        else a reading under which they do, or that there is none.
    """
    if not len(boxes) or np.median(paired_iou(boxes, tight_xywh)) > 1 / 3:
        return None
    if not np.any(boxes):
        return "zeros"
    pixels = np.array([size[1], size[0]] * 2, float)
    best, name = 0.5, "no reading of them that fits"
    for unit, scale in (("in pixels", np.ones(4)), ("normalised to 0..1", pixels)):
        scaled = boxes * scale
        readings = {
            "corners x1 y1 x2 y2": np.c_[scaled[:, :2], scaled[:, 2:] - scaled[:, :2]],
            "centres cx cy w h": np.c_[scaled[:, :2] - scaled[:, 2:] / 2, scaled[:, 2:]],
            "top-left and size x y w h": scaled,
            "y x h w": scaled[:, [1, 0, 3, 2]],
            "corners y1 x1 y2 x2": np.c_[scaled[:, [1, 0]], scaled[:, [3, 2]] - scaled[:, [1, 0]]],
        }
        for reading, candidate in readings.items():
            if (fit := float(np.median(paired_iou(candidate, tight_xywh)))) > best:
                best, name = fit, f"{reading} {unit}"
    return name
