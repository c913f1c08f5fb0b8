"""What a two-stage detector with masks is made of, and how it is trained and read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from models.networks.config import FrameConfig
from utils.config import check_settings, setting


@dataclass(frozen=True)
class DetectorConfig(FrameConfig):
    """Settings of the network; the defaults are torchvision's `maskrcnn_resnet50_fpn`.

    Pairs are (training, inference). Sizes are pixels of the resized picture.
    """

    shaping: ClassVar[tuple[str, ...]] = (
        *FrameConfig.shaping, "pyramid", "channels", "head_norm", "rpn_convs", "rpn_channels",
        "anchor_sizes", "anchor_ratios", "box_convs", "box_units", "box_size", "mask_convs",
        "mask_channels", "mask_size",
    )  # fmt: skip

    pyramid: bool = setting(True, "a feature pyramid (FPN); no: C4, as TrackR-CNN has it")
    channels: int = setting(256, "of each level of the pyramid, and of the mask head's upsampling")
    head_norm: bool = setting(False, "normalise in pyramid, box and mask head, too (v2)")
    rpn_convs: int = setting(1, "3 x 3 convolutions of the RPN's head")
    rpn_channels: int = setting(0, "of them; 0: as many as the level has")
    anchor_sizes: tuple[tuple[float, ...], ...] = setting(
        ((32,), (64,), (128,), (256,), (512,)), "of each level, sides in pixels"
    )
    anchor_ratios: tuple[float, ...] = setting((0.5, 1.0, 2.0), "height / width")
    box_convs: int = setting(0, "3 x 3 convolutions of the box head; 0: two dense layers")
    box_units: int = setting(1024, "of the box head's dense layers")
    box_size: int = setting(7, "side of the features of a box")
    mask_convs: int = setting(4, "3 x 3 convolutions of the mask head")
    mask_channels: int = setting(256, "of them")
    mask_size: int = setting(14, "side of the features of a mask, which has twice as many pixels")
    proposals_before: tuple[int, int] = setting((2000, 1000), "boxes a level before NMS")
    proposals_after: tuple[int, int] = setting((2000, 1000), "boxes a picture after it")
    proposals_nms: float = setting(0.7, "IoU above which a proposal is suppressed")
    anchor_positive: float = setting(0.7, "IoU from which an anchor is an object")
    anchor_negative: float = setting(0.3, "IoU below which it is background")
    anchor_samples: int = setting(256, "anchors of a picture in the loss")
    anchor_fraction: float = setting(0.5, "at most this share of them objects")
    box_positive: float = setting(0.5, "IoU from which a proposal is an object")
    box_samples: int = setting(512, "proposals of a picture in the loss")
    box_fraction: float = setting(0.25, "at most this share of them objects")
    ignored: float = setting(0.5, "share in an ignore region above which nothing is learned")
    min_score: float = setting(0.05, "least score of a detection")
    nms: float = setting(0.5, "IoU above which a detection of the same class is suppressed")
    detections: int = setting(100, "most detections of a picture")

    def __post_init__(self) -> None:
        """Refuse settings without a meaning."""
        super().__post_init__()
        levels = 5 if self.pyramid else 1
        shares = ("proposals_nms", "anchor_positive", "anchor_negative", "anchor_fraction",
                  "box_positive", "box_fraction", "ignored", "min_score", "nms")  # fmt: skip
        counts = ("channels", "rpn_convs", "box_units", "box_size", "mask_channels", "mask_size",
                  "anchor_samples", "box_samples", "detections")  # fmt: skip
        rules = (
            ("anchor_sizes", len(self.anchor_sizes) == levels, f"those of {levels} levels"),
            *((name, getattr(self, name) >= 1, "at least 1") for name in counts),
            *((name, 0 <= getattr(self, name) <= 1, "from 0 to 1") for name in shares),
        )
        check_settings(self, rules)
