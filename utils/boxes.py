"""Box operations; the name of a function or array says format and unit (see `Detections`)."""

import numpy as np


def xywh_to_cxcywh(boxes_xywh, scale_wh, size_wh=None):
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


def xywh_to_xyxy(boxes_xywh):
    """Return (n, 4) boxes as top-left and bottom-right corner, in the same unit."""
    boxes_xywh = np.asarray(boxes_xywh, np.float64).reshape(-1, 4)
    return np.concatenate([boxes_xywh[:, :2], boxes_xywh[:, :2] + boxes_xywh[:, 2:]], axis=1)


def generalised_iou(first_xyxy, second_xyxy):
    """Return the generalised IoU of every pair, in (-1, 1] (Rezatofighi et al., CVPR 2019).

    IoU less the share of the smallest enclosing box that neither fills: below 0 for boxes apart,
    the lower the farther.

    Args:
        first_xyxy: (n, 4) float corners; second_xyxy: (m, 4). Boxes of positive size.

    Returns:
        (n, m) float64.
    """
    a, b = first_xyxy[:, None], second_xyxy[None]
    inner = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    outer = np.maximum(a[..., 2:], b[..., 2:]) - np.minimum(a[..., :2], b[..., :2])
    shared = np.prod(np.maximum(inner, 0), axis=2)
    areas = (np.prod(box[..., 2:] - box[..., :2], axis=2) for box in (a, b))
    union, hull = sum(areas) - shared, np.prod(outer, axis=2)
    return shared / union - (hull - union) / hull
