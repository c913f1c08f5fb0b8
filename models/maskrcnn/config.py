"""What a Mask R-CNN is made of, and how it is trained and read: one frozen dataclass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from utils.config import check_settings, setting

BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}
BOTTLENECK = 50  # from this depth on a block is 1 x 1, 3 x 3, 1 x 1

# What decides the shapes of weights, and at what size of pictures they mean what they mean.
FIXED = (
    "depth", "width", "pyramid", "channels", "norm", "norm_eps", "head_norm", "rpn_convs",
    "rpn_channels", "anchor_sizes", "anchor_ratios", "box_convs", "box_units", "box_size",
    "mask_convs", "mask_channels", "mask_size", "divisor", "mean", "std",
)  # fmt: skip
SIZES = ("min_size", "max_size")


@dataclass(frozen=True)
class MaskRcnnConfig:
    """Settings of the network; the defaults are torchvision's `maskrcnn_resnet50_fpn`.

    Pairs are (training, inference). Sizes are pixels of the resized picture.
    """

    classes: tuple[str, ...] = setting(("object",), "names of the classes 1, 2, ...")
    numbers: tuple[int, ...] = setting((), "their numbers in the data; empty: 1, 2, ...")
    depth: int = setting(50, "of the ResNet: 18, 34, 50 or 101 layers")
    width: int = setting(64, "channels of its stem and first stage")
    pyramid: bool = setting(True, "a feature pyramid (FPN); no: C4, as TrackR-CNN has it")
    channels: int = setting(256, "of each level of the pyramid, and of the mask head's upsampling")
    norm: str = setting("frozen", "batch normalisation: frozen (v1) or batch, trained (v2)")
    norm_eps: float = setting(1e-5, "its epsilon; torchvision's COCO weights v1 have 0")
    head_norm: bool = setting(False, "normalise in pyramid, box and mask head, too (v2)")
    frozen_stages: int = setting(0, "of stem and stages that are not trained (torchvision: 2)")
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
    min_size: int = setting(800, "the shorter side is resized to it ...")
    max_size: int = setting(1333, "... unless the longer would exceed this")
    divisor: int = setting(32, "pictures are padded to a multiple of it")
    mean: tuple[float, ...] = setting((0.485, 0.456, 0.406), "subtracted from RGB in [0, 1]")
    std: tuple[float, ...] = setting((0.229, 0.224, 0.225), "divides it then")
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
    seed: int = setting(0, "of the samples in the losses")

    def __post_init__(self) -> None:
        """Refuse settings without a meaning."""
        levels = 5 if self.pyramid else 1
        shares = ("proposals_nms", "anchor_positive", "anchor_negative", "anchor_fraction",
                  "box_positive", "box_fraction", "ignored", "min_score", "nms")  # fmt: skip
        counts = ("width", "channels", "rpn_convs", "box_units", "box_size", "mask_channels",
                  "mask_size", "min_size", "max_size", "divisor", "anchor_samples", "box_samples",
                  "detections")  # fmt: skip
        rules = (
            ("depth", self.depth in BLOCKS, f"one of {tuple(BLOCKS)}"),
            ("norm", self.norm in ("frozen", "batch"), "frozen or batch"),
            ("classes", bool(self.classes) and all(self.classes), "at least one name"),
            ("numbers", len(self.numbers) in (0, len(self.classes)), "one for each class, or none"),
            ("anchor_sizes", len(self.anchor_sizes) == levels, f"those of {levels} levels"),
            ("frozen_stages", 0 <= self.frozen_stages <= 5, "0 to 5"),
            *((name, getattr(self, name) >= 1, "at least 1") for name in counts),
            *((name, 0 <= getattr(self, name) <= 1, "from 0 to 1") for name in shares),
        )
        check_settings(self, rules)

    @property
    def class_numbers(self) -> tuple[int, ...]:
        """The number in the data of the network's class 1, 2, ..."""
        return self.numbers or tuple(range(1, len(self.classes) + 1))

    def as_dict(self) -> dict[str, Any]:
        """Return the settings as JSON has them."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> MaskRcnnConfig:
        """Return the settings that `as_dict` gave.

        Raises:
            ValueError: a name that is none of the settings, or a value without a meaning.
        """
        unknown = sorted(set(values) - {f.name for f in fields(cls)})
        if unknown:
            raise ValueError(f"settings of the network must be known, got {unknown[0]}")
        return cls(**{name: _tuples(value) for name, value in values.items()})


def config_like(config: MaskRcnnConfig, given: MaskRcnnConfig) -> MaskRcnnConfig:
    """Return the settings with those of the given weights where they decide shapes and sizes."""
    return replace(config, **{name: getattr(given, name) for name in (*FIXED, *SIZES)})


def check_fixed(config: MaskRcnnConfig, given: MaskRcnnConfig) -> None:
    """Refuse settings that the given weights cannot have.

    Raises:
        ValueError: one that decides a shape differs.
    """
    for name in FIXED:
        own, theirs = getattr(config, name), getattr(given, name)
        if own != theirs:
            raise ValueError(f"{name} must be {theirs}, as in the weights to start with, got {own}")


def _tuples(value: Any) -> Any:
    """Return lists as tuples, within each other, too."""
    return tuple(map(_tuples, value)) if isinstance(value, list | tuple) else value
