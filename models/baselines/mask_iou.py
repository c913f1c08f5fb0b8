"""Mask IoU and the Hungarian method: the baseline without a network."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pycocotools import mask as coco_mask

from models.matching import Matching, MatchingConfig
from models.tracking import MASKS, Array, Frame, register
from utils.detections import as_coco


@register
class MaskIouTracker(Matching):
    """The detection whose mask overlaps a track's last one most, assigned exactly."""

    name = "mask_iou"
    meaning = "overlap with a track's last mask, Hungarian method"
    settings = MatchingConfig
    needs = (MASKS,)

    def cost(self, last: Sequence[tuple[Frame, int]], frame: Frame, rows: Array) -> Array:
        """Return (m, k) 1 - IoU of masks."""
        if not len(last) or not len(rows):
            return np.ones((len(last), len(rows)))
        now = as_coco(frame[MASKS][rows], frame.size)
        before = as_coco([f[MASKS][i] for f, i in last], frame.size)
        overlap: Array = coco_mask.iou(before, now, [0] * len(now))
        return 1 - overlap
