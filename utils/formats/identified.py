"""A frame's detections as a segmenter returned them, given back with their identities."""

from __future__ import annotations

import copy
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

NOBODY = -1  # of supervision's `tracker_id`: no identity yet


def identified(source: Any, ids: npt.NDArray[np.int32]) -> Any:
    """Return a frame's detections with their identities; where these have no place, these alone.

    Args:
        source: see `utils.formats.objects.detections_of`. ids: (k,) int32, 0 for none yet.

    Returns:
        `supervision.Detections`: a copy with `tracker_id`, -1 for none yet. Ultralytics' `Results`:
        the same object with `boxes.id`. A dict with `masks`: a copy with `ids`. Else `ids`.
    """
    if isinstance(source, list) and len(source) == 1:
        return identified(source[0], ids)
    if hasattr(source, "orig_shape") and hasattr(source, "update"):
        if source.boxes is not None:
            source.update(boxes=_with_column(source.boxes.data, ids))
        return source
    if hasattr(source, "xyxy") and hasattr(source, "mask"):
        whole = copy.copy(source)
        whole.tracker_id = np.where(ids > 0, ids, NOBODY).astype(int)
        return whole
    if isinstance(source, Mapping) and "masks" in source:
        return {**source, "ids": ids}
    return ids


def _with_column(boxes: Any, ids: npt.NDArray[np.int32]) -> Any:
    """Return Ultralytics' boxes, (k, 6) x1 y1 x2 y2 score class, with ids before the score."""
    if hasattr(boxes, "new_tensor"):  # a tensor's own package joins tensors
        join, column = sys.modules["torch"].cat, boxes.new_tensor(ids.tolist()).reshape(-1, 1)
    else:
        join, column = np.concatenate, ids.reshape(-1, 1).astype(boxes.dtype)
    return join((boxes[:, :4], column, boxes[:, -2:]), 1)
