"""Track mining: instance segments linked by optical flow, to train on (MOTSNet, section 3.2)."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.assignment import assign_exactly
from models.flow_links import chained, frame_pairs
from utils.config import check_settings, setting
from utils.detections import Detections
from utils.flow import Array, areas, shared
from utils.masks import Images


@dataclass(frozen=True)
class MiningConfig:
    """Settings of track mining; the defaults are the paper's (appendix B.1)."""

    tau_0: float = setting(10.0, "px by which the best overlap must exceed the second (b1 - b2)")
    tau_1: float = setting(10.0, "px of the best overlap (b1)")
    tau_2: float = setting(2.0, "times the px that no carried segment of the class covers (b1 / r)")
    warp: bool = setting(True, "carry segments by optical flow; no: compare them where they are")

    def __post_init__(self) -> None:
        """Refuse settings without a meaning."""
        names = ("tau_0", "tau_1", "tau_2")
        check_settings(self, [(n, getattr(self, n) >= 0, "at least 0") for n in names])


def payoff(
    overlap: Array, now: Array, before: Array, same: Array, config: MiningConfig
) -> tuple[Array, Counter[str]]:
    """Return (m, n) payoffs of m carried segments and n segments, and why segments have none.

    Args:
        overlap: (m, n) px in common. now: (n,) px. before: (m,) px of the carried segments.
        same: (m, n) bool, whether two are of one class. config: MiningConfig.

    Returns:
        IoU, -inf where the characteristic function is.
        Counter of segments that overlap with some, but are refused: `ambiguous` (b1 - b2), `small`
            (b1), `uncovered` (b1 / r).
    """
    same_class = np.where(same, overlap, 0)
    ordered = np.sort(np.pad(same_class, ((2, 0), (0, 0))), axis=0)
    first, second = ordered[-1], ordered[-2]
    left = now - same_class.sum(axis=0)
    ambiguous = first - second < config.tau_0
    small = first < config.tau_1
    uncovered = first < config.tau_2 * left
    refused = ambiguous | small | uncovered
    union = now + before[:, None] - overlap
    gains = np.where(same & ~refused, overlap / np.maximum(union, 1), -np.inf)
    touched = first > 0
    why = Counter(
        ambiguous=int((touched & ambiguous & ~small).sum()),
        small=int((touched & small).sum()),
        uncovered=int((touched & uncovered & ~ambiguous & ~small).sum()),
    )
    return gains, why


def mine(
    detections: Detections, images: Images | None, config: MiningConfig, step: int = 1
) -> tuple[npt.NDArray[np.int32], Counter[str]]:
    """Return (n,) int32 ids of the tracklets that segments make, and what was counted.

    Each frame's segments are assigned to those of the frame before, carried by the backward flow,
    so that the summed payoff is largest; what has no positive payoff stays alone (Eqs. 1 to 4).

    Args:
        detections: n segments of one sequence; where they overlap, the better score has the pixel.
        images: function frame -> (H, W, 3) uint8 RGB; needed to `warp`.
        config: MiningConfig. step: between frame numbers.

    Returns:
        ids, from 1; every row has one.
        Counter: `links`, `tracklets`, and segments refused as `ambiguous`, `small`, `uncovered`.
    """
    report: Counter[str] = Counter()
    before: dict[int, int] = {}  # row -> the row it goes on from
    for old, rows, labels, moved in frame_pairs(detections, images if config.warp else None, step):
        overlap = shared(moved, labels, (len(old), len(rows)))
        same = detections.classes[old][:, None] == detections.classes[rows]
        gains, why = payoff(overlap, areas(labels, len(rows)), areas(moved, len(old)), same, config)
        report.update(why)
        for i, j in zip(*assign_exactly(gains, 0.0), strict=True):
            before[int(rows[j])] = int(old[i])
    ids = chained(before, detections.frames)
    report["links"], report["tracklets"] = len(before), int(ids.max(initial=0))
    return ids, report
