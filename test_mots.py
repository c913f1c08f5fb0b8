"""Track detections: masks in, MOTS txt out, scores where there is ground truth."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from models.run import Request, execute
from models.settings import BOXES, PRESETS, Settings, changed, settings_for
from models.tracking import describe_trackers, trackers
from utils import evaluation
from utils.cli import Parser, frame_size, note, positive, run, say, warn
from utils.config import parts_of
from utils.data_sets import CUSTOM, DATA_SETS, DataSet, data_set, parse_class_names
from utils.formats.base import Options
from utils.formats.registry import FORMATS
from utils.formats.writing import WRITERS
from utils.report import dropped_lines, why_nothing
from utils.tables import format_table

MATCHERS = ("mask_iou", "trackrcnn", "motsnet", "given")


def parse_args(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the parsed command line."""
    parser = Parser(description=__doc__)
    add = parser.add_argument
    add("--list", action="store_true", help="print every tracker and its settings, and end")
    add("--dataset", choices=DATA_SETS, default=CUSTOM, help=f"default: {CUSTOM}, any masks")
    add(
        "--detections",
        type=Path,
        nargs="+",
        help="files or folders of any format, told by content; several are merged by sequence",
    )
    add("--format", choices=FORMATS, help="take the detections to be of this format")
    add("--size", type=frame_size, help="HxW of the frames, for formats that do not say it")
    add("--ids", choices=("keep", "forget"), default="keep", help="identities in the files")
    add("--write", nargs="+", choices=WRITERS, default=[], help="further formats of the results")
    add("--output", type=Path, help="folder for the results")
    add("--ground-truth", type=Path, help="masks with ids to score against: MOTS txt or others")
    add("--images", type=Path, help="folder of SEQ/000000.png, SEQ/img1/000001.jpg or the like")
    add("--sequences", nargs="+", help="names (default: all)")
    add("--classes", nargs="+", help="names or numbers (default: the data set's)")
    add("--class-names", help="1=cell,2=nucleus or a file of such lines; 'ignore' marks regions")
    add("--tracker", help="any of --list (default: the data set's own)")
    add("--preset", choices=PRESETS, help="the paper's text, its authors' code, or ours")
    add("--matcher", choices=MATCHERS, help="associate by a competitor's rule, or keep given ids")
    add("--set", action="append", default=[], metavar="FIELD=VALUE", help="override a setting")
    add("--min-score", help="least score, as 0.3 or car=0.3,pedestrian=0.5")
    add("--min-area", help="least box area in px^2, as 100 or car=150")
    add("--min-length", help="least detections of a track, as 3 or car=5")
    add("--t-lag", type=positive, help="frames in the window (default: 3)")
    add("--no-graph", action="store_true", help="plain k-means, as in Table 4")
    add("--frame-step", type=positive, help="frame numbers in a step (default: found out)")
    add("--boxes", choices=BOXES, default="check", help="check, believe, or take the masks'")
    add("--trusted", choices=("yes", "no"), help="are masks free of misses and inventions")
    add(
        "--calibrate",
        choices=("online", "video"),
        default="online",
        help="learn what scores mean on the way, or on the whole video first (best)",
    )
    add("--refine", action="store_true", help="merge tracklets afterwards, offline (ReMOTS)")
    add(
        "--weights",
        type=Path,
        nargs="+",
        help="*.keras (default: the data set's own). Of several, a sequence is tracked with the "
        "first that never saw it, else the first that was not chosen on it, by their cards",
    )
    add("--score-frames", choices=("all", "annotated"), default="all", help="frames to score")
    add("--visualize", action="store_true", help="videos and t-SNE pictures")
    add("--report", action="store_true", default=True, help="report.html (default)")
    add("--no-report", dest="report", action="store_false", help="no report.html")
    add("--seed", type=int, default=0, help="of the t-SNE pictures")
    args = parser.parse_args(arguments)
    if not args.list and not (args.detections and args.output):
        parser.error("--detections and --output are needed")
    if args.t_lag == 1:
        parser.error("--t-lag must be at least 2 frames, got 1")
    if args.tracker and (args.matcher or args.preset):
        parser.error(f"--tracker names one already, got --matcher or --preset, too: {args.tracker}")
    return args


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
        calibrate=args.calibrate == "video",
        trust=None if args.trusted is None else args.trusted == "yes",
        frame_step=args.frame_step,
        boxes=args.boxes,
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


def request_of(args: argparse.Namespace) -> Request:
    """Return the Request that the command line makes."""
    settings, named = early_and_late(args)
    preset = args.preset or (None if args.matcher else settings.name)
    return Request(
        settings,
        args.detections,
        args.output,
        args.ground_truth,
        args.images,
        args.sequences,
        args.weights,
        args.score_frames == "annotated",
        args.visualize,
        args.seed,
        {"preset": preset, "matcher": args.matcher},
        Options(args.size, args.images, args.ids == "keep"),
        args.format,
        args.write,
        args.report,
        named,
    )


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


def evaluate(args: argparse.Namespace) -> dict[str, Any]:
    """Do what the command line asks for; return the summary."""
    return execute(request_of(args))


def print_results(summary: dict[str, Any]) -> None:
    """Print notes, what the rules dropped and one table: scores, or counts without truth."""
    for text in summary["notes"]:
        note(text)
    for text in dropped_lines(summary):
        say(text)
    reason = why_nothing(summary)
    if reason:
        warn(reason)
    rows: dict[str, dict[str, Any]] = {}
    columns: tuple[str, ...] = evaluation.MASK_COLUMNS
    for kind, scores in summary["scores"].items():
        rows |= {f"{kind}, {name}": row for name, row in scores.items()}
    if "boxes" in summary["scores"]:
        columns += tuple(c for c in evaluation.BOX_COLUMNS if c not in columns)
    if not rows:
        names = {"frames": "frames", "read": "detections", "written": "written", "tracks": "tracks"}
        counts = summary["counts"]
        rows["all"] = {text: counts.get(name, 0) for name, text in names.items()}
        columns = tuple(rows["all"])
    say(format_table(summary["dataset"], columns, rows))


def main() -> None:
    """Run the command line and print the scores."""
    args = parse_args()
    if args.list:
        say(describe_trackers())
        return
    summary = evaluate(args)
    print_results(summary)
    seconds = sum(summary["seconds"].values())
    say(f"{args.output}: {summary['sequences']} sequences in {seconds:.1f} s")


if __name__ == "__main__":
    run(main)
