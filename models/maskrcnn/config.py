"""Settings of Mask R-CNN, and its two sizes."""

from __future__ import annotations

from dataclasses import dataclass

from models.networks.detector_config import DetectorConfig
from models.networks.plan import TINY_DETECTOR, Plan, Profile


@dataclass(frozen=True)
class MaskRcnnConfig(DetectorConfig):
    """Those of the detector: its defaults are torchvision's `maskrcnn_resnet50_fpn`."""


PROFILES = {
    "tiny": Profile("1.3 million weights, for a CPU", TINY_DETECTOR, Plan()),
    "paper": Profile(
        "ResNet-50 with a pyramid, torchvision's settings, for a GPU",
        {"frozen_stages": 2},
        Plan(batch=2, steps=1000, epochs=20, learning_rate=1e-4, warm_up=500),
    ),
}
