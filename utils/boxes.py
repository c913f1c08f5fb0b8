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


def _sides_of_pairs(first_xyxy, second_xyxy):
    """Return, each for x and y: sizes (n, 1), sizes (1, m), and (n, m) what the boxes share.

    What they share is below 0 for boxes apart, by their distance.
    """
    a, b = first_xyxy.T[:, :, None], second_xyxy.T[:, None, :]
    shared = [np.minimum(a[k + 2], b[k + 2]) - np.maximum(a[k], b[k]) for k in (0, 1)]
    return a[2:] - a[:2], b[2:] - b[:2], shared


def generalised_iou(first_xyxy, second_xyxy):
    """Return the generalised IoU of every pair, in (-1, 1] (Rezatofighi et al., CVPR 2019).

    IoU less the share of the smallest enclosing box that neither fills: below 0 for boxes apart,
    the lower the farther.

    Args:
        first_xyxy: (n, 4) float corners; second_xyxy: (m, 4). Boxes of positive size.

    Returns:
        (n, m) float64.
    """
    a, b, widths = _sides_of_pairs(first_xyxy, second_xyxy)
    # Along an axis, what both boxes span together is the sum of their sizes less what they share.
    hulls = [a[k] + b[k] - widths[k] for k in (0, 1)]
    shared = np.maximum(widths[0], 0) * np.maximum(widths[1], 0)
    union = a[0] * a[1] + b[0] * b[1] - shared
    return shared / union + union / (hulls[0] * hulls[1]) - 1


def signed_iou(first_xyxy, second_xyxy):
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
    return np.divide(area, union, out=np.zeros_like(area), where=union > 0)
