"""What a data set is: classes, files, settings, weights, licence, how to get it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from utils.detections import CAR, IGNORE, PEDESTRIAN
from utils.rules import DetectionRules

# The one table of classes of the MOTS benchmarks; what is named "ignore" is no object.
MOTS_CLASSES = MappingProxyType({CAR: "car", PEDESTRIAN: "pedestrian", IGNORE: "ignore"})
CUSTOM = "custom"
ALL = "all"  # the split of every sequence that is there
SPLITS = ("train", "val", "test", ALL)


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
        splits: {"train", "val" or "test": its sequences}, the official ones; empty: it has none.
            Names of "test" are those of other videos, in a folder of their own.
        alias: pattern of names that its archives give sequences, whose group is the rest of "00".
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
    splits: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    alias: str | None = None

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

    @property
    def training_split(self) -> str | None:
        """Return the split to train on; None where the data set has none."""
        return "train" if self.splits else None

    def canonical(self, sequence: str) -> str:
        """Return the name that splits and cards have for a sequence: MOTS20-02 is 0002."""
        match = re.fullmatch(self.alias, sequence) if self.alias else None
        return f"00{match.group(1)}" if match else sequence

    def of_split(self, split: str | None, names: Iterable[str]) -> list[str]:
        """Return which of some sequences belong to a split; None and "all" take every one.

        Raises:
            ValueError: the data set has no such split, or none of the sequences is in it.
        """
        names = list(names)
        if split is None or split == ALL:
            return names
        if split not in self.splits:
            having = ", ".join(self.splits) or f"only {ALL}"
            raise ValueError(f"--split must be one of {self.name} ({having}), got {split}")
        chosen = [name for name in names if self.canonical(name) in self.splits[split]]
        if names and not chosen:
            wanted = f"{len(self.splits[split])} sequences of {self.title}"
            rule = f"--split {split} needs one of its {wanted} ({self._listed(self.splits[split])})"
            got = f"got {self._listed(names)} (--split {ALL} takes these)"
            raise ValueError(f"{rule}, {got}")
        return chosen

    @staticmethod
    def _listed(names: Sequence[str]) -> str:
        return ", ".join(names[:12]) + ", ..." * (len(names) > 12)

    def split_note(self, split: str | None, names: Sequence[str], chosen: Sequence[str]) -> str:
        """Return what a split leaves out of the sequences that are there, and what it lacks."""
        if split is None or split == ALL:
            return ""
        wanted = self.splits[split]
        there = {self.canonical(name) for name in chosen}
        missing = [name for name in wanted if name not in there]
        text = f"split {split}: {len(chosen)} of its {len(wanted)} sequences"
        text += f", of {len(names)} that are there" if len(names) > len(chosen) else ""
        return text + (f"; missing: {self._listed(missing)}" if missing else "")

    def network_config(self, channels: int = 1) -> dict[str, Any]:
        """Return the DHAE's arguments (paper, section 3.2.2; authors' code)."""
        return {**self.network, "channels": channels}


def readings(rules: DetectionRules, **settings: Any) -> dict[str, Preset]:
    """Return the two presets that read the paper, with settings that they share."""
    return {"paper": Preset(rules, settings), "authors": Preset(rules, settings)}
