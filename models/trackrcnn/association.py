"""TrackR-CNN's association (Voigtlaender et al., CVPR 2019; thesis, chapters 3 and 6)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from models.matching import VectorConfig, VectorMatching
from models.tracking import VECTORS, Array, Frame, register
from utils.config import setting


@dataclass(frozen=True)
class TrackRcnnConfig(VectorConfig):
    """Settings by random search: python -m benchmarks.tune_matchers (docs/best.md)."""

    window: int = setting(5, "frames in which a track's last detection must lie (beta)")
    scale: float = setting(0.135, "of distances between vectors, in units of `unit`")


@register
class TrackRcnnTracker(VectorMatching):
    """Distances of association vectors to the last detection of each recent track, Hungarian.

    The vectors are the file's own where it has some, else the DHAE's embeddings.
    """

    name = "trackrcnn"
    meaning = "TrackR-CNN's: distances of association vectors (of the file, else embeddings)"
    settings = TrackRcnnConfig
    needs = (VECTORS,)
    column = VECTORS

    def cost(self, last: Sequence[tuple[Frame, int]], frame: Frame, rows: Array) -> Array:
        """Return (m, k) distances."""
        return self.distances(last, frame, rows)
