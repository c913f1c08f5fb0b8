"""MOTSNet's linear assignment (Porzi et al., CVPR 2020, sections 3.2 and 4.3, appendix C)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.matching import VectorConfig, VectorMatching
from models.tracking import BOXES, VECTORS, Array, Frame, register
from utils.boxes import signed_iou, xywh_to_xyxy
from utils.config import ByClass, by_class, setting


@dataclass(frozen=True)
class MotsNetConfig(VectorConfig):
    """Settings by random search: python -m benchmarks.tune_matchers (docs/best.md)."""

    window: int = setting(14, "frames in which a track's last detection must lie (N_w)")
    scale: float = setting(0.3135, "of distances between embeddings, in units of `unit`")
    time_weight: float = setting(1.0, "of the gap in frames over N_w (0: table 5 without time)")
    overlap_weight: float = setting(
        0.152,
        "of the signed IoU of boxes in pi*; appendix C prints it with a plus, which would reward "
        "distance: here overlap lowers the cost",
    )
    min_track_length: ByClass = by_class(
        "tracks with fewer detections are dropped, by class (N_t)", 5
    )


@register
class MotsNetTracker(VectorMatching):
    """Embedding distance and time within a window, and overlap of boxes.

    The embeddings are the file's own where it has some (those of `models.motsnet.network`, of a
    detection's class), else the DHAE's. Eqs. 1 and 5 allow every pair to stay alone for nothing;
    here a pair gains by how far it is below `limit` (tau).
    """

    name = "motsnet"
    meaning = "MOTSNet's linear assignment: embeddings, time and overlap of boxes in a window"
    settings = MotsNetConfig
    needs = (VECTORS, BOXES)
    column = VECTORS

    def cost(self, last: Sequence[tuple[Frame, int]], frame: Frame, rows: Array) -> Array:
        """Return (m, k) pi* (Eq. 6; appendix C; Table 5 leaves terms out)."""
        numbers = np.array([f.number for f, _ in last], np.int64)
        gap = (frame.number - numbers)[:, None] / self.config.window
        cost: Array = self.distances(last, frame, rows) + self.config.time_weight * gap
        if self.config.overlap_weight:
            before = np.array([f[BOXES][i] for f, i in last]).reshape(-1, 4)
            shared = signed_iou(xywh_to_xyxy(before), xywh_to_xyxy(frame[BOXES][rows]))
            cost -= self.config.overlap_weight * shared
        return cost
