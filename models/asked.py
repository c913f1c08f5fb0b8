"""Settings as command lines ask for them: the flags that the tracking scripts share."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from models.settings import Settings, changed, settings_for
from models.tracking import trackers
from utils.config import parts_of
from utils.data_sets import CUSTOM, DataSet, data_set, parse_class_names
from utils.score_curves import ScoreCurves


def of_args(args: argparse.Namespace) -> DataSet:
    """Return the data set that the command line names, with its class names."""
    chosen = data_set(args.dataset)
    if not args.class_names:
        return chosen
    names = parse_class_names(_text_or_file(args.class_names))
    if chosen.any_class:
        # A class 10 of the user's own is no ignore region.
        kept = {c: n for c, n in chosen.class_names.items() if n not in names.values()}
        return replace(chosen, class_names=kept | names)
    raise ValueError(f"--class-names is for --dataset {CUSTOM}, got --dataset {args.dataset}")


def _text_or_file(text: str) -> str:
    """Return what a file of that name holds, else the text itself."""
    try:
        return Path(text).read_text() if Path(text).is_file() else text
    except OSError:  # too long to be a file's name
        return text


def settings_of(args: argparse.Namespace) -> Settings:
    """Return the Settings that the command line asks for."""
    return settings_with(args, of_args(args))


def settings_with(args: argparse.Namespace, chosen: DataSet) -> Settings:
    """Return the Settings that the command line asks for, for a data set with its class names."""
    name = args.tracker or args.matcher or args.preset
    settings = settings_for(chosen, name, args.preset)
    changes = list(args.set)
    for flag, given, field, value in (
        ("--no-graph", args.no_graph, "use_graph", "no"),
        ("--t-lag", args.t_lag, "t_lag", str(args.t_lag)),
    ):
        if given and field not in parts_of(settings.tracker):
            having = [n for n, t in trackers().items() if field in parts_of(t.settings())]
            who = f"{flag} is a setting of {' and '.join(having)}"
            raise ValueError(f"{who}, got tracker {settings.name}")
        changes += [f"{field}={value}"] if given else []
    changes += [f"rules.min_area={args.min_area}"] if args.min_area else []
    if args.min_length:
        changes += [f"min_track_length={args.min_length}"]
    changes += [f"rules.min_score={args.min_score}"] if args.min_score else []
    settings = changed(settings, changes)
    if args.classes:
        settings = replace(settings, classes=class_numbers(args.classes, chosen))
    return replace(
        settings,
        refine=args.refine,
        curves=None if args.scores is None else ScoreCurves.read(args.scores),
        trust=None if args.trusted is None else args.trusted == "yes",
        frame_step=args.frame_step,
        boxes=args.boxes,
        runtime=args.runtime,
    )


def class_numbers(names: Sequence[str], of: DataSet) -> tuple[int, ...]:
    """Return the numbers of classes given by name or number, ascending."""
    numbers = set()
    for name in names:
        number = of.numbers.get(name, int(name) if name.isdigit() else 0)
        allowed = [c for c in of.numbers.values() if c != of.ignore]
        if not number or number == of.ignore or (not of.any_class and number not in allowed):
            known = ", ".join(of.name_of(c) for c in allowed) or "numbers"
            raise ValueError(f"--classes must be classes of {of.name} ({known}), got {name!r}")
        numbers.add(number)
    return tuple(sorted(numbers))


def early_and_late(args: argparse.Namespace) -> tuple[Settings, Callable[[DataSet], Settings]]:
    """Return the Settings, and what makes them once files have named their classes.

    What is asked of classes that only files name is left out of the former.
    """
    chosen = of_args(args)

    def named(of: DataSet) -> Settings:
        return settings_with(args, of)

    try:
        return named(chosen), named
    except ValueError:
        if not chosen.any_class:
            raise
        unknown = dict.fromkeys(("classes", "min_score", "min_area", "min_length"))
        plain = argparse.Namespace(**{**vars(args), **unknown, "set": []})
        return settings_with(plain, chosen), named
