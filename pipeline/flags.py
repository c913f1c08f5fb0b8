"""Settings from the command line: the flags that the tracking scripts share."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from models.tracking import trackers
from pipeline.settings import BOXES, PRESETS, Settings, changed, settings_for
from utils.class_names import parse_class_names
from utils.cli import positive
from utils.config import parts_of
from utils.data_sets import CUSTOM, DATA_SETS, SPLITS, DataSet, data_set
from utils.score_curves import ScoreCurves

# Every flag once: a script takes those that it names. Defaults are those of `SettingsFlags`.
FLAGS: dict[str, dict[str, Any]] = {
    "dataset": {"choices": DATA_SETS, "default": CUSTOM, "help": "custom: any masks"},
    "class-names": {"help": "1=cell,2=nucleus or a file of such lines; 'ignore' marks regions"},
    "classes": {"nargs": "+", "help": "names or numbers (default: the data set's)"},
    "boxes": {"choices": BOXES, "default": "check", "help": "check them against "
              "masks, believe the file, or compute them from the masks"},
    "trusted": {"choices": ("yes", "no"), "help": "yes: masks are correct, ignore score and area "
                "limits (default: yes for files without scores)"},
    "preset": {"choices": PRESETS, "help": "the paper's text, its authors' code, or ours"},
    "tracker": {"help": "any of test_mots.py --list (default: the data set's own)"},
    "t-lag": {"type": positive, "help": "frames in the window of paper and authors (default: 3)"},
    "set": {"action": "append", "default": [], "metavar": "FIELD=VALUE",
            "help": "override a setting, see test_mots.py --list and refine.py --help"},
    "scores": {"type": Path, "help": "what scores mean, a file of fit_scores.py"},
    "min-score": {"help": "minimum score, as 0.3 or car=0.3,pedestrian=0.5"},
    "min-area": {"help": "minimum box area in px^2, as 100 or car=150"},
    "min-length": {"help": "minimum detections of a track, as 3 or car=5"},
    "frame-step": {"type": positive, "help": "spacing of frame numbers (default: detected)"},
    "divisions": {"action": "store_true", "help": "cells: a track may end in two daughters"},
    "refine": {"action": "store_true", "help": "re-link the tracks by appearance, as refine.py"},
}  # fmt: skip
# Flags of earlier versions, and what to type instead.
GONE = {
    "--matcher": "--tracker NAME",
    "--no-graph": "--set use_graph=no",
    "--calibrate": "--scores FILE, made by fit_scores.py",
}


@dataclass(frozen=True)
class SettingsFlags:
    """What a command line says of the settings; the defaults leave all to the data set."""

    dataset: str = CUSTOM
    class_names: str | None = None
    classes: Sequence[str] | None = None
    boxes: str = "check"
    trusted: str | None = None
    preset: str | None = None
    tracker: str | None = None
    t_lag: int | None = None
    set: Sequence[str] = ()
    scores: Path | None = None
    min_score: str | None = None
    min_area: str | None = None
    min_length: str | None = None
    frame_step: int | None = None
    refine: bool = False
    divisions: bool = False
    runtime: str = "auto"

    @classmethod
    def of(cls, args: argparse.Namespace, **more: Any) -> SettingsFlags:
        """Return the flags that a script has parsed, and others that it fixes."""
        given = {f.name: getattr(args, f.name) for f in fields(cls) if hasattr(args, f.name)}
        return cls(**{**given, **more})

    def data_set(self) -> DataSet:
        """Return the data set, with the class names of the command line."""
        chosen = data_set(self.dataset)
        if not self.class_names:
            return chosen
        names = parse_class_names(_text_or_file(self.class_names))
        if not chosen.any_class:
            rule = f"--class-names is for --dataset {CUSTOM}"
            raise ValueError(f"{rule}, got --dataset {self.dataset}")
        # A class 10 of the user's own is no ignore region.
        kept = {c: n for c, n in chosen.class_names.items() if n not in names.values()}
        return replace(chosen, class_names=kept | names)

    def settings(self, chosen: DataSet) -> Settings:
        """Return the Settings for a data set with its class names.

        Raises:
            ValueError: what does not exist, or has no meaning.
        """
        settings = settings_for(chosen, self.tracker or self.preset, self.preset)
        if self.t_lag and "t_lag" not in parts_of(settings.tracker):
            having = [n for n, t in trackers().items() if "t_lag" in parts_of(t.settings())]
            who = f"--t-lag is a setting of {' and '.join(having)}"
            raise ValueError(f"{who}, got tracker {settings.name}")
        changes = [*self.set]
        for field, value in (
            ("t_lag", self.t_lag),
            ("rules.min_area", self.min_area),
            ("min_track_length", self.min_length),
            ("rules.min_score", self.min_score),
        ):
            changes += [f"{field}={value}"] if value else []
        settings = changed(settings, changes)
        if self.classes:
            settings = replace(settings, classes=class_numbers(self.classes, chosen))
        return replace(
            settings,
            refine=self.refine,
            divisions=self.divisions,
            curves=None if self.scores is None else ScoreCurves.read(self.scores),
            trust=None if self.trusted is None else self.trusted == "yes",
            frame_step=self.frame_step,
            boxes=self.boxes,
            runtime=self.runtime,
        )

    def early_and_late(self) -> tuple[Settings, Callable[[DataSet], Settings]]:
        """Return Settings to read files with, and what makes them once files named their classes.

        Where files may name any classes, the former leave out what is said of classes.
        """
        chosen = self.data_set()
        early = self
        if chosen.any_class:
            early = replace(
                self, classes=None, set=(), min_score=None, min_area=None, min_length=None
            )
        return early.settings(chosen), self.settings


def add_flags(parser: argparse._ActionsContainer, *names: str) -> None:
    """Add some of FLAGS to a parser or a group of one."""
    for name in names:
        parser.add_argument(f"--{name}", **FLAGS[name])


def add_split(parser: argparse._ActionsContainer, default: str) -> None:
    """Add what chooses sequences: an official split, or names."""
    group = parser.add_mutually_exclusive_group()
    group.add_argument(
        "--split", choices=SPLITS, help=f"official split of the data set (default: {default})"
    )
    group.add_argument("--sequences", nargs="+", help="names, in place of a split")


def add_segmenter(parser: argparse._ActionsContainer) -> None:
    """Add the options of ONNX segmenters, see `segmenter_name`."""
    add = parser.add_argument
    add("--score", type=float, help="FILE.onnx: least score of an object (default: 0.25)")
    add("--nms", type=float, help="FILE.onnx: IoU above which YOLO NMS drops a box (default: 0.7)")
    add("--tiles", metavar="ROWSxCOLUMNS", help="FILE.onnx: search overlapping parts of frames, "
        "too, as 2x2, for small objects")  # fmt: skip


def segmenter_name(
    parser: argparse.ArgumentParser, args: argparse.Namespace, name: str | None
) -> str | None:
    """Return a segmenter's name with its options behind a colon, FILE.onnx:score=0.4,tiles=2x2."""
    options = [f"{o}={getattr(args, o)}" for o in ("score", "nms", "tiles")
               if getattr(args, o) is not None]  # fmt: skip
    if not options:
        return name
    if name is None or ".onnx" not in name:
        got = name or "--detections"
        parser.error(f"--score, --nms and --tiles are options of FILE.onnx, got {got}")
    return name + ("," if ":" in name.partition(".onnx")[2] else ":") + ",".join(options)


def check_flags(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """End the program where two flags name the tracker."""
    if args.tracker and args.preset:
        parser.error(f"--tracker names one already, got --preset, too: {args.tracker}")


def _text_or_file(text: str) -> str:
    """Return what a file of that name holds, else the text itself."""
    try:
        return Path(text).read_text() if Path(text).is_file() else text
    except OSError:  # too long to be a file's name
        return text


def class_numbers(names: Sequence[str], dataset: DataSet) -> tuple[int, ...]:
    """Return the numbers of classes given by name or number, ascending.

    Raises:
        ValueError: a class that the data set has not.
    """
    numbers = set()
    for name in names:
        number = dataset.numbers.get(name, int(name) if name.isdigit() else 0)
        allowed = [c for c in dataset.numbers.values() if c != dataset.ignore]
        if (
            not number
            or number == dataset.ignore
            or (not dataset.any_class and number not in allowed)
        ):
            known = ", ".join(dataset.name_of(c) for c in allowed) or "numbers"
            raise ValueError(f"--classes must be classes of {dataset.name} ({known}), got {name!r}")
        numbers.add(number)
    return tuple(sorted(numbers))
