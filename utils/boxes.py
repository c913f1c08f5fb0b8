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
