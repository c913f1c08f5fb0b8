"""How large a network is and how long it is trained: `tiny` for a CPU, `paper` for a GPU."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from utils.config import check_settings, setting

SMALL_SIDE = 256  # px of the shorter side in `tiny`: a step then takes about a second on two cores
STRIDES = (4, 8, 16, 32, 64)  # of a pyramid's levels


@dataclass(frozen=True)
class Plan:
    """How a network is trained."""

    batch: int = setting(4, "frames of a step, adjacent ones but for Mask R-CNN")
    steps: int = setting(100, "of an epoch")
    epochs: int = setting(12, "in all")
    learning_rate: float = setting(1e-3, "of Adam, at its highest")
    warm_up: int = setting(100, "steps until it is reached; then it falls with a cosine to 0")
    decoupled_decay: float = setting(1e-4, "weight decay of AdamW")
    accumulate: int = setting(1, "steps whose mean gradient is one update, to save memory")
    clip_norm: float = setting(10.0, "largest norm of the gradients of a step")
    flip: bool = setting(True, "mirror every other batch")
    gamma: float = setting(1.0, "largest power of brightness, see docs/networks.md")
    evaluate_every: int = setting(2, "epochs between two evaluations on held-back frames")
    evaluate_frames: int = setting(60, "most frames of an evaluation, evenly spaced")

    def __post_init__(self) -> None:
        """Refuse settings without a meaning."""
        least = {"batch": 1, "steps": 1, "epochs": 1, "evaluate_every": 1, "evaluate_frames": 1,
                 "accumulate": 1}  # fmt: skip
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


def octaves(strides: Sequence[int], times: float) -> tuple[tuple[float, ...], ...]:
    """Return two anchor sizes a level, half an octave apart, so that none is far from an object."""
    return tuple((times * s, times * s * 2**0.5) for s in strides)


TINY_DETECTOR: dict[str, Any] = {
    "depth": 18,
    "width": 16,
    "channels": 48,
    "norm": "batch",
    "anchor_sizes": octaves(STRIDES, 4),
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
