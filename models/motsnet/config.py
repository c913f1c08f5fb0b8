"""What MOTSNet adds to Mask R-CNN, as settings (Porzi et al., CVPR 2020, section 4)."""

from __future__ import annotations

from dataclasses import dataclass

from models.networks.detector_config import DetectorConfig
from models.networks.plan import TINY_DETECTOR, Plan, Profile
from utils.config import check_settings, setting


@dataclass(frozen=True)
class MotsNetNetworkConfig(DetectorConfig):
    """Settings of the network."""

    tracking_units: int = setting(128, "of the tracking head's dense layer")
    vector_size: int = setting(32, "values of an embedding, of each class its own (N_e)")
    margin: float = setting(0.2, "beta of the batch-hard triplet loss; the paper does not say it")
    loss_factor: float = setting(1.0, "lambda, what all losses but the tracking head's weigh")
    pooling: str = setting(
        "mask",
        "what the tracking head pools: cells of the mask, or the whole box (AVEBOX, table 1)",
    )
    tracking_head: bool = setting(
        True, "whether pooled features pass a trained head; without it they are the embeddings "
        "(AVEMSK-TH and AVEBOX-TH, table 1)"
    )  # fmt: skip
    mined: bool = setting(
        False, "tracks in half of a batch's frames or fewer teach no identity (section 4.2): for "
        "mined tracklets, which occlusions split"
    )  # fmt: skip

    def __post_init__(self) -> None:
        """Refuse settings without a meaning."""
        super().__post_init__()
        rules = (
            ("tracking_units", self.tracking_units >= 1, "at least 1"),
            ("vector_size", self.vector_size >= 1, "at least 1"),
            ("pooling", self.pooling in ("mask", "box"), "mask or box"),
            ("margin", self.margin >= 0, "at least 0"),
            ("loss_factor", self.loss_factor >= 0, "at least 0"),
        )
        check_settings(self, rules)


PROFILES = {
    "tiny": Profile(
        "1.4 million weights, for a CPU",
        TINY_DETECTOR,
        Plan(steps=150, epochs=8, learning_rate=1.5e-3),
    ),
    "paper": Profile(
        "ResNet-50 with a pyramid, 12 adjacent frames, the paper's heads, for a GPU",
        {"norm": "batch", "head_norm": True},
        Plan(batch=12, steps=1000, epochs=180, learning_rate=1e-4, warm_up=500),
    ),
}
