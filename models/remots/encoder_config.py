"""Settings of the appearance encoder (ReMOTS, sections 2.2 and 2.4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from models.networks.config import FrameConfig
from models.networks.plan import Plan, Profile
from utils.config import check_settings, setting


@dataclass(frozen=True)
class EncoderConfig(FrameConfig):
    """Settings of the encoder and its adaptation; what is about whole pictures has no effect."""

    shaping: ClassVar[tuple[str, ...]] = (*FrameConfig.shaping, "side", "vector_size")

    depth: int = setting(18, "of the ResNet: 18, 34, 50 or 101 layers")
    width: int = setting(16, "channels of its first stage")
    norm: str = setting("batch", "batch normalisation: frozen (v1) or batch, trained (v2)")
    vector_size: int = setting(64, "values of an appearance vector")
    side: int = setting(64, "px of a patch")
    margin: float = setting(0.3, "of the triplet loss, on cosine distances")
    span: int = setting(60, "frames between an anchor and its positive, at most")
    intra_frame_steps: int = setting(200, "of a video's first round (refine.py); 0 skips it")
    tracklet_steps: int = setting(400, "of a video's second round (refine.py); 0 skips it")
    batch_size: int = setting(64, "triplets of a step of these")
    learning_rate: float = setting(1e-3, "of Adam in these")

    def __post_init__(self) -> None:
        """Refuse settings without a meaning."""
        super().__post_init__()
        least = {"vector_size": 1, "side": 16, "intra_frame_steps": 0,
                 "tracklet_steps": 0, "batch_size": 1, "span": 1}  # fmt: skip
        rules = (
            *((name, getattr(self, name) >= n, f"at least {n}") for name, n in least.items()),
            ("margin", self.margin >= 0, "at least 0"),
            ("learning_rate", self.learning_rate > 0, "above 0"),
        )
        check_settings(self, rules)


PROFILES = {
    "tiny": Profile(
        "0.8 million weights, for a CPU",
        {},
        Plan(batch=64, steps=100, epochs=6, learning_rate=1e-3, evaluate_every=1),
    ),
    "paper": Profile(
        "ResNet-50 to its third stage, patches of 128 px, for a GPU",
        {"depth": 50, "width": 64, "norm": "frozen", "side": 128, "vector_size": 256},
        Plan(batch=64, steps=1000, epochs=20, learning_rate=1e-4, warm_up=500, evaluate_every=1),
    ),
}
