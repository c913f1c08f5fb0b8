"""What all networks that see frames have in common, as settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, ClassVar, TypeVar

from utils.config import check_settings, setting

BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}
STARTS = ("identity", "random", "average")  # of a convolution over time
BOTTLENECK = 50  # from this depth on a block is 1 x 1, 3 x 3, 1 x 1

Own = TypeVar("Own", bound="FrameConfig")


@dataclass(frozen=True)
class FrameConfig:
    """Classes, the ResNet, and how a picture is brought to it.

    Sizes are pixels of the resized picture.
    """

    # What decides the shapes of weights, and what the weights make of a picture's values.
    shaping: ClassVar[tuple[str, ...]] = (
        "depth", "width", "norm", "norm_eps", "divisor", "mean", "std",
    )  # fmt: skip

    # "module:class" that makes detections of what the network says.
    segmenter: ClassVar[str] = "models.networks.inference:NetworkSegmenter"

    classes: tuple[str, ...] = setting(("object",), "names of the classes 1, 2, ...")
    numbers: tuple[int, ...] = setting((), "their numbers in the data; empty: 1, 2, ...")
    depth: int = setting(50, "of the ResNet: 18, 34, 50 or 101 layers")
    width: int = setting(64, "channels of its stem and first stage")
    norm: str = setting("frozen", "batch normalisation: frozen (v1) or batch, trained (v2)")
    norm_eps: float = setting(1e-5, "its epsilon; torchvision's COCO weights v1 have 0")
    frozen_stages: int = setting(0, "of stem and stages that are not trained (torchvision: 2)")
    min_size: int = setting(800, "the shorter side is resized to it ...")
    max_size: int = setting(1333, "... unless the longer would exceed this")
    divisor: int = setting(32, "pictures are padded to a multiple of it")
    mean: tuple[float, ...] = setting((0.485, 0.456, 0.406), "subtracted from RGB in [0, 1]")
    std: tuple[float, ...] = setting((0.229, 0.224, 0.225), "divides it then")
    seed: int = setting(0, "of the samples in the losses")

    def __post_init__(self) -> None:
        """Refuse settings without a meaning."""
        counts = ("width", "min_size", "max_size", "divisor")
        rules = (
            ("depth", self.depth in BLOCKS, f"one of {tuple(BLOCKS)}"),
            ("norm", self.norm in ("frozen", "batch"), "frozen or batch"),
            ("classes", bool(self.classes) and all(self.classes), "at least one name"),
            ("numbers", len(self.numbers) in (0, len(self.classes)), "one for each class, or none"),
            ("frozen_stages", 0 <= self.frozen_stages <= 5, "0 to 5"),
            *((name, getattr(self, name) >= 1, "at least 1") for name in counts),
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
    def from_dict(cls: type[Own], values: Mapping[str, Any]) -> Own:
        """Return the settings that `as_dict` gave.

        Raises:
            ValueError: a name that is none of the settings, or a value without a meaning.
        """
        unknown = sorted(set(values) - {f.name for f in fields(cls)})
        if unknown:
            raise ValueError(f"settings of the network must be known, got {unknown[0]}")
        return cls(**{name: _tuples(value) for name, value in values.items()})

    def like(self: Own, given: FrameConfig) -> Own:
        """Return the settings with those of given weights where they decide shapes and sizes."""
        names = (*self._common(given), "min_size", "max_size")
        return replace(self, **{name: getattr(given, name) for name in names})

    def _common(self, given: FrameConfig) -> tuple[str, ...]:
        """Return what decides shapes in both; of another kind of network that is the ResNet's."""
        return self.shaping if self.shaping == given.shaping else FrameConfig.shaping

    def check_like(self, given: FrameConfig) -> None:
        """Refuse settings that given weights cannot have.

        Raises:
            ValueError: one that decides a shape differs.
        """
        for name in self._common(given):
            mine, theirs = getattr(self, name), getattr(given, name)
            if mine != theirs:
                rule = f"{name} must be {theirs}, as in the weights to start with"
                raise ValueError(f"{rule}, got {mine}")


def _tuples(value: Any) -> Any:
    """Return lists as tuples, within each other, too."""
    return tuple(map(_tuples, value)) if isinstance(value, list | tuple) else value
