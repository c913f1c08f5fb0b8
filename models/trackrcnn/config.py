"""What TrackR-CNN adds to Mask R-CNN, as settings (thesis, chapters 3 and 4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from models.networks.config import STARTS
from models.networks.detector_config import DetectorConfig
from models.networks.plan import TINY_DETECTOR, Plan, Profile
from utils.config import check_settings, setting

LOSSES = ("batch_hard", "batch_all", "quantile", "contrastive")


@dataclass(frozen=True)
class TrackRcnnNetworkConfig(DetectorConfig):
    """Settings of the network; the thesis' variants are those of its tables 4.1 to 4.6."""

    time_convs: tuple[str, ...] = setting(
        ("identity", "identity"),
        "3-D convolutions before the RPN, each by how it starts: identity, random or average "
        "(tables 4.5 and 4.6)",
    )
    vector_size: int = setting(128, "values of an association vector (table 4.3)")
    margin: float = setting(0.2, "alpha of the batch-hard triplet loss (table 4.2)")
    loss_factor: float = setting(1.0, "lambda, what the association loss weighs (table 4.1)")
    association_loss: str = setting(
        "batch_hard", "batch_hard (Eq. 2.7), batch_all (2.6), quantile or contrastive (2.5)"
    )
    hardest: float = setting(0.2, "share of the hardest triplets in the quantile loss (1 / p)")

    def __post_init__(self) -> None:
        """Refuse settings without a meaning."""
        super().__post_init__()
        rules = (
            ("time_convs", set(self.time_convs) <= set(STARTS), f"of {', '.join(STARTS)}"),
            ("vector_size", self.vector_size >= 1, "at least 1"),
            ("association_loss", self.association_loss in LOSSES, f"one of {', '.join(LOSSES)}"),
            ("hardest", 0 < self.hardest <= 1, "in (0, 1]"),
            ("margin", self.margin >= 0, "at least 0"),
            ("loss_factor", self.loss_factor >= 0, "at least 0"),
        )
        check_settings(self, rules)

    @property
    def context(self) -> int:
        """Frames before and after one that its features depend on."""
        return len(self.time_convs)


# ResNet-101 to its third stage, anchors of 15 kinds (TrackR-CNN, section 5); boxes as torchvision.
PAPER_C4: dict[str, Any] = {
    "depth": 101,
    "pyramid": False,
    "anchor_sizes": ((32, 64, 128, 256, 512),),
    "frozen_stages": 2,
    "rpn_channels": 1024,
    "box_size": 14,
    "mask_convs": 0,
    "proposals_before": (12000, 6000),
    "proposals_after": (2000, 1000),
}
PROFILES = {
    "tiny": Profile(
        "1.4 million weights, for a CPU",
        # At lambda 1 the association loss keeps the shared box features from being learned.
        TINY_DETECTOR | {"loss_factor": 0.02},
        Plan(steps=150, epochs=8, learning_rate=1.5e-3, gamma=1.5),
    ),
    "paper": Profile(
        "ResNet-101 to C4, 8 adjacent frames, the paper's settings, for a GPU",
        PAPER_C4,
        Plan(
            batch=8, steps=1000, epochs=40, learning_rate=5e-7, warm_up=0, gamma=1.5,
            decoupled_decay=0.0,
        ),
    ),
}  # fmt: skip
