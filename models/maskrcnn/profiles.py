"""How large a network is and how long it is trained: `tiny` for a CPU, `paper` for a GPU."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from models.maskrcnn.config import MaskRcnnConfig
from models.maskrcnn.frame_config import FrameConfig
from models.motsnet.config import MotsNetNetworkConfig
from models.pixel_embeddings.config import PixelConfig
from models.remots.encoder_config import EncoderConfig
from models.trackrcnn.config import TrackRcnnNetworkConfig
from utils.config import check_settings, setting

SMALL_SIDE = 256  # px, most of the shorter side in `tiny`


@dataclass(frozen=True)
class Plan:
    """How a network is trained."""

    batch: int = setting(4, "frames of a step, adjacent ones but for Mask R-CNN")
    steps: int = setting(100, "of an epoch")
    epochs: int = setting(12, "in all")
    learning_rate: float = setting(1e-3, "of Adam, at its highest")
    warm_up: int = setting(100, "steps until it is reached; then it falls with a cosine to 0")
    decoupled_decay: float = setting(1e-4, "weight decay of AdamW")
    clip_norm: float = setting(10.0, "largest norm of the gradients of a step")
    flip: bool = setting(True, "mirror every other batch")
    gamma: float = setting(1.0, "largest power of brightness, see docs/networks.md")
    evaluate_every: int = setting(2, "epochs between two evaluations on held-back frames")
    evaluate_frames: int = setting(60, "most frames of an evaluation, evenly spaced")

    def __post_init__(self) -> None:
        """Refuse settings without a meaning."""
        least = {"batch": 1, "steps": 1, "epochs": 1, "evaluate_every": 1, "evaluate_frames": 1}
        rules = (
            *((name, getattr(self, name) >= n, f"at least {n}") for name, n in least.items()),
            ("learning_rate", self.learning_rate > 0, "above 0"),
            ("gamma", self.gamma >= 1, "at least 1"),
            ("clip_norm", self.clip_norm > 0, "above 0"),
        )
        check_settings(self, rules)


@dataclass(frozen=True)
class Profile:
    """One size of a network.

    Attributes:
        meaning: for the help. network: settings of the network beside its defaults. plan: Plan.
    """

    meaning: str
    network: Mapping[str, Any]
    plan: Plan


def _octaves(strides: Sequence[int], times: float) -> tuple[tuple[float, ...], ...]:
    """Return two anchor sizes a level, half an octave apart, so that none is far from an object."""
    return tuple((times * s, times * s * 2**0.5) for s in strides)


STRIDES = (4, 8, 16, 32, 64)
TINY: dict[str, Any] = {
    "depth": 18,
    "width": 16,
    "channels": 48,
    "norm": "batch",
    "anchor_sizes": _octaves(STRIDES, 4),
    "box_units": 128,
    "mask_convs": 2,
    "mask_channels": 48,
    "min_size": SMALL_SIDE,
    "max_size": 2 * SMALL_SIDE,
    "proposals_before": (400, 200),
    "proposals_after": (200, 100),
    "box_samples": 64,
    "detections": 40,
}
# TrackR-CNN's: ResNet-101 to its third stage, anchors of 15 kinds, 128 boxes (its section 5).
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
TINY_PIXELS: dict[str, Any] = {
    "depth": 18,
    "width": 16,
    "channels": 48,
    "low_channels": 24,
    "rates": (2, 4, 6),
    "norm": "batch",
    "samples": 1000,
    "min_size": SMALL_SIDE,
    "max_size": 2 * SMALL_SIDE,
    "neighbours": (5,),
    "least": (60,),
}
PROFILES: dict[str, dict[str, Profile]] = {
    "maskrcnn": {
        "tiny": Profile("1.3 million weights, for a CPU", TINY, Plan()),
        "paper": Profile(
            "ResNet-50 with a pyramid, torchvision's settings, for a GPU",
            {"frozen_stages": 2},
            Plan(batch=2, steps=1000, epochs=20, learning_rate=1e-4, warm_up=500),
        ),
    },
    "trackrcnn": {
        "tiny": Profile(
            "1.4 million weights, for a CPU",
            # At lambda 1 the association loss keeps the shared box features from being learned.
            TINY | {"loss_factor": 0.02},
            Plan(steps=150, epochs=8, learning_rate=1.5e-3, gamma=1.5),
        ),
        "paper": Profile(
            "ResNet-101 to C4, 8 adjacent frames, the paper's settings, for a GPU",
            PAPER_C4,
            Plan(batch=8, steps=1000, epochs=40, learning_rate=5e-7, warm_up=0, gamma=1.5,
                 decoupled_decay=0.0),
        ),
    },
    "motsnet": {
        "tiny": Profile(
            "1.4 million weights, for a CPU",
            TINY,
            Plan(steps=150, epochs=8, learning_rate=1.5e-3),
        ),
        "paper": Profile(
            "ResNet-50 with a pyramid, 12 adjacent frames, the paper's heads, for a GPU",
            {"norm": "batch", "head_norm": True},
            Plan(batch=12, steps=1000, epochs=180, learning_rate=1e-4, warm_up=500),
        ),
    },
    "pixel_embeddings": {
        "tiny": Profile(
            "1 million weights, for a CPU",
            TINY_PIXELS,
            Plan(steps=150, epochs=8, learning_rate=2e-3, gamma=1.5),
        ),
        "paper": Profile(
            "ResNet-50, 10 adjacent frames, the thesis' losses and clusters, for a GPU",
            {"norm": "batch", "neighbours": (15, 5), "least": (250, 650), "min_size": 384,
             "single": False, "upsampling": "nearest"},
            Plan(batch=10, steps=1000, epochs=60, learning_rate=5e-5, warm_up=2000, gamma=1.5),
        ),
    },
    "remots": {
        "tiny": Profile(
            "0.8 million weights, for a CPU",
            {},
            Plan(batch=64, steps=100, epochs=6, learning_rate=1e-3, evaluate_every=1),
        ),
        "paper": Profile(
            "ResNet-50 to its third stage, patches of 128 px, for a GPU",
            {"depth": 50, "width": 64, "norm": "frozen", "side": 128, "vector_size": 256},
            Plan(batch=64, steps=1000, epochs=20, learning_rate=1e-4, warm_up=500,
                 evaluate_every=1),
        ),
    },
}  # fmt: skip
CONFIGS: dict[str, type[FrameConfig]] = {
    "maskrcnn": MaskRcnnConfig,
    "trackrcnn": TrackRcnnNetworkConfig,
    "motsnet": MotsNetNetworkConfig,
    "pixel_embeddings": PixelConfig,
    "remots": EncoderConfig,
}
NETWORKS = {
    "maskrcnn": ("models.maskrcnn.network", "MaskRCNN"),
    "trackrcnn": ("models.trackrcnn.network", "TrackRCNN"),
    "motsnet": ("models.motsnet.network", "MOTSNet"),
    "pixel_embeddings": ("models.pixel_embeddings.network", "PixelEmbeddings"),
    "remots": ("models.remots.network", "EncoderNetwork"),
}


def network_class(model: str) -> Any:
    """Return the class of a network by its name; imports Keras."""
    module, name = NETWORKS[model]
    return getattr(import_module(module), name)
