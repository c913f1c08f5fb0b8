"""What the network of pixel embeddings is made of (thesis, chapter 6), as settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from models.networks.config import STARTS, FrameConfig
from models.networks.plan import SMALL_SIDE, Plan, Profile
from utils.config import check_settings, setting
from utils.formats.track_rcnn import VECTOR

REGRESSIONS = ("l1", "l2", "huber")
SAMPLINGS = ("instance", "balanced", "random")
UPSAMPLINGS = ("nearest", "bilinear")
STRIDE = 4  # of what is predicted: a cell is 4 x 4 pixels


@dataclass(frozen=True)
class PixelConfig(FrameConfig):
    """Settings of the network, its losses and its clusters.

    Sizes are pixels of the resized picture; where a tuple is shorter than the classes, its last
    value holds for the others.
    """

    shaping: ClassVar[tuple[str, ...]] = (
        *FrameConfig.shaping, "channels", "low_channels", "rates", "embedding",
    )  # fmt: skip

    segmenter: ClassVar[str] = "models.pixel_embeddings.inference:PixelSegmenter"

    channels: int = setting(256, "of encoder's end, decoder and branches")
    low_channels: int = setting(48, "of the first stage's features in the decoder")
    rates: tuple[int, ...] = setting((6, 12, 18), "of the atrous convolutions, in cells of 16 px")
    time_convs: tuple[str, ...] = setting(("identity",), "3-D convolutions, each by how it starts")
    time_place: str = setting("encoder", "after what they stand: encoder or decoder (figure 6.12)")
    embedding: int = setting(16, "values of a pixel's embedding")
    margin: float = setting(8.0, "alpha of the contrastive loss")
    loss_factor: float = setting(0.1, "lambda, what the embedding loss weighs")
    regression: str = setting("l1", "loss of centres: l1, l2 or huber (figure 6.30)")
    samples: int = setting(5000, "pixels of a batch in the embedding loss")
    sampling: str = setting(
        "instance", "their shares: each instance the same, balanced between classes, too, or random"
    )
    centres: bool = setting(False, "predict where the object's centre is, and cluster by it")
    past: int = setting(0, "frames before one in which the centre is predicted, too (section 6.3)")
    centre_factor: float = setting(0.001, "gamma, what the centres' l1 loss weighs, in px")
    past_factor: float = setting(0.1, "what the loss of 'was it there before' weighs")
    neighbours: tuple[int, ...] = setting((15,), "k of HDBSCAN, by class")
    least: tuple[int, ...] = setting((250,), "px of the frame in a cluster, by class")
    position: float = setting(8.0, "what the shorter side counts, in units of embeddings")
    representatives: int = setting(5, "points that stand for a cluster when frames are linked")
    single: bool = setting(
        True, "where at most one cluster is found in a class, all its pixels are that cluster"
    )
    upsampling: str = setting("bilinear", "of masks: nearest, or bilinear and above 0.5")

    def __post_init__(self) -> None:
        """Refuse settings without a meaning."""
        super().__post_init__()
        counts = ("channels", "low_channels", "embedding", "samples", "representatives")
        factors = ("margin", "loss_factor", "centre_factor", "past_factor", "position")
        rules = (
            *((name, getattr(self, name) >= 1, "at least 1") for name in counts),
            *((name, getattr(self, name) >= 0, "at least 0") for name in factors),
            ("rates", bool(self.rates) and min(self.rates) >= 1, "at least 1 each"),
            ("time_convs", set(self.time_convs) <= set(STARTS), f"of {', '.join(STARTS)}"),
            ("time_place", self.time_place in ("encoder", "decoder"), "encoder or decoder"),
            ("regression", self.regression in REGRESSIONS, f"one of {', '.join(REGRESSIONS)}"),
            ("sampling", self.sampling in SAMPLINGS, f"one of {', '.join(SAMPLINGS)}"),
            ("upsampling", self.upsampling in UPSAMPLINGS, f"one of {', '.join(UPSAMPLINGS)}"),
            ("past", self.past >= 0, "at least 0"),
            (
                "representatives",
                self.vector_size <= VECTOR,
                f"so few that they and the votes have at most {VECTOR} values",
            ),
            ("neighbours", bool(self.neighbours) and min(self.neighbours) >= 1, "at least 1 each"),
            ("least", bool(self.least) and min(self.least) >= 1, "at least 1 each"),
        )
        check_settings(self, rules)

    @property
    def context(self) -> int:
        """Frames before and after one that its features depend on."""
        return len(self.time_convs)

    @property
    def votes(self) -> bool:
        """Whether centres are predicted."""
        return self.centres or self.past > 0

    @property
    def vector_size(self) -> int:
        """Values of a detection's vector: its representatives, then its votes."""
        return self.representatives * self.features + 3 * self.past

    @property
    def features(self) -> int:
        """Values of a pixel that is clustered: embedding, position, and the centre if predicted."""
        return self.embedding + 2 + 2 * self.centres

    def of_class(self, values: tuple[int, ...], label: int) -> int:
        """Return the value for a class (from 1) of a tuple that may be shorter."""
        return values[min(label, len(values)) - 1]


TINY: dict[str, Any] = {
    "depth": 18,
    "width": 16,
    "channels": 48,
    "low_channels": 24,
    "rates": (2, 4, 6),
    "norm": "batch",
    "samples": 1000,
    # At a tenth, Eq. 2.5 of 1,000 samples outweighs the class loss, and nothing else is learned.
    "loss_factor": 1e-4,
    "min_size": SMALL_SIDE,
    "max_size": 2 * SMALL_SIDE,
    "neighbours": (5,),
    "least": (60,),
}
PROFILES = {
    "tiny": Profile(
        "1 million weights, for a CPU",
        TINY,
        Plan(steps=150, epochs=8, learning_rate=2e-3, gamma=1.5),
    ),
    "paper": Profile(
        "ResNet-50, 10 adjacent frames, the thesis' losses and clusters, for a GPU",
        {
            "norm": "batch",
            "neighbours": (15, 5),
            "least": (250, 650),
            "min_size": 384,
            "single": False,
            "upsampling": "nearest",
        },
        Plan(batch=10, steps=1000, epochs=60, learning_rate=5e-5, warm_up=2000, gamma=1.5),
    ),
}
