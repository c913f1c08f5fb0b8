"""What a data set is: classes, files, settings, weights, licence, how to get it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from utils.detections import CAR, IGNORE, PEDESTRIAN
from utils.rules import DetectionRules

# The one table of classes of the MOTS benchmarks; what is named "ignore" is no object.
MOTS_CLASSES = MappingProxyType({CAR: "car", PEDESTRIAN: "pedestrian", IGNORE: "ignore"})
CUSTOM = "custom"


@dataclass(frozen=True)
class Preset:
    """How one tracker is set for a data set.

    Attributes:
        rules: which detections take part.
        tracker: {field: value} of the tracker's settings that are not its defaults.
    """

    rules: DetectionRules
    tracker: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class DataSet:
    """One data set.

    Attributes:
        name: what --dataset takes. title: what tables call it.
        class_names: {number: name}; a class that is absent is called "class N", and the one called
            "ignore" marks regions that count for nothing.
        tracked: numbers of the classes that are tracked; None: every class but "ignore".
        presets: {tracker: Preset}; `default_tracker` is taken where none is named.
        network: arguments of the DHAE. object_size: side in px that divides box sizes before it;
            None means the frame.
        weights: file names in `pretrained/`. weights_from: data sets whose weights may track this
            one: their patches and boxes are made alike. mtl_weights, equal_weights: those of
            Table 4, which differ in the loss alone. appearance_weights: those that see colours.
        folder: in the --data folder. truth, detections, images: in `folder`, of `SEQ.txt` (of
            `SEQ/000000.png`); detections may be a pattern.
        box_truth: MOT ground truth of a sequence in `folder`, where boxes are scored, too, and the
            ids of training detections stand; None where there is none.
        first_frame: number of a sequence's first frame; None: any.
        margin: px between a generated frame's border and births; None: not generated here.
        source: where to get it. licence: of the data, for the cards of weights.
    """

    name: str
    title: str
    class_names: Mapping[int, str]
    tracked: tuple[int, ...] | None
    presets: Mapping[str, Preset]
    default_tracker: str
    network: Mapping[str, Any]
    object_size: int | None
    weights: tuple[str, ...]
    weights_from: tuple[str, ...]
    folder: str
    source: str
    licence: str
    first_frame: int | None
    truth: str = "instances_txt"
    detections: str = "detections*"
    images: str = "images"
    box_truth: str | None = None
    margin: int | None = None
    mtl_weights: tuple[str, ...] = field(default=())
    equal_weights: tuple[str, ...] = field(default=())
    appearance_weights: tuple[str, ...] = field(default=())

    @property
    def ignore(self) -> int | None:
        """Return the class of ignore regions, None where there is none."""
        return next((cls for cls, name in self.class_names.items() if name == "ignore"), None)

    @property
    def any_class(self) -> bool:
        """Return whether classes of any number may be tracked."""
        return self.tracked is None

    def name_of(self, cls: int) -> str:
        """Return a class' name."""
        return self.class_names.get(cls, f"class {cls}")

    @property
    def numbers(self) -> dict[str, int]:
        """Return {class name: number} of the named classes."""
        return {name: cls for cls, name in self.class_names.items()}

    def network_config(self, channels: int = 1) -> dict[str, Any]:
        """Return the DHAE's arguments (paper, section 3.2.2; authors' code)."""
        return {**self.network, "channels": channels}


def readings(rules: DetectionRules, **settings: Any) -> dict[str, Preset]:
    """Return the two presets that read the paper, with settings that they share."""
    return {"paper": Preset(rules, settings), "authors": Preset(rules, settings)}
