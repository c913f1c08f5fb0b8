"""What TrackR-CNN adds to Mask R-CNN, as settings (thesis, chapters 3 and 4)."""

from __future__ import annotations

from dataclasses import dataclass

from models.maskrcnn.config import MaskRcnnConfig
from utils.config import check_settings, setting

STARTS = ("identity", "random", "average")


@dataclass(frozen=True)
class TrackRcnnNetworkConfig(MaskRcnnConfig):
    """Settings of the network; the thesis' variants are those of its tables 4.1 to 4.6."""

    time_convs: tuple[str, ...] = setting(
        ("identity", "identity"),
        "3-D convolutions before the RPN, each by how it starts: identity, random or average "
        "(tables 4.5 and 4.6)",
    )
    vector_size: int = setting(128, "values of an association vector (table 4.3)")
    margin: float = setting(0.2, "alpha of the batch-hard triplet loss (table 4.2)")
    loss_factor: float = setting(1.0, "lambda, what the association loss weighs (table 4.1)")

    def __post_init__(self) -> None:
        """Refuse settings without a meaning."""
        super().__post_init__()
        rules = (
            ("time_convs", set(self.time_convs) <= set(STARTS), f"of {', '.join(STARTS)}"),
            ("vector_size", self.vector_size >= 1, "at least 1"),
            ("margin", self.margin >= 0, "at least 0"),
            ("loss_factor", self.loss_factor >= 0, "at least 0"),
        )
        check_settings(self, rules)

    @property
    def context(self) -> int:
        """Frames before and after one that its features depend on."""
        return len(self.time_convs)
