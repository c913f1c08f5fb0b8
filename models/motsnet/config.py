"""What MOTSNet adds to Mask R-CNN, as settings (Porzi et al., CVPR 2020, section 4)."""

from __future__ import annotations

from dataclasses import dataclass

from models.maskrcnn.config import MaskRcnnConfig
from utils.config import check_settings, setting


@dataclass(frozen=True)
class MotsNetNetworkConfig(MaskRcnnConfig):
    """Settings of the network."""

    tracking_units: int = setting(128, "of the tracking head's dense layer")
    vector_size: int = setting(32, "values of an embedding, of each class its own (N_e)")
    margin: float = setting(0.2, "beta of the batch-hard triplet loss; the paper does not say it")
    loss_factor: float = setting(1.0, "lambda, what all losses but the tracking head's weigh")
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
            ("margin", self.margin >= 0, "at least 0"),
            ("loss_factor", self.loss_factor >= 0, "at least 0"),
        )
        check_settings(self, rules)
