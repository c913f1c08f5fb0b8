"""Track detections: masks in, MOTS txt out, scores where there is ground truth."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from models.tracking import describe_trackers
from models.usc_mots.embedding import AUTO, RUNTIMES
from pipeline.flags import GONE, SettingsFlags, add_flags, add_split, check_flags
from pipeline.parallel import Means
from pipeline.request import Files, Request
from pipeline.run import execute
from pipeline.submission import SERVERS
from utils.cli import Parser, counted, frame_size, positive, run, say
from utils.formats.base import Options
from utils.formats.registry import FORMATS
from utils.formats.writing import WRITERS
from utils.layouts import layout_of
from utils.report import print_results


def parse_args(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the parsed command line."""
    parser = Parser(description=__doc__)
    parser.gone = GONE
    _add_input(parser.add_argument_group("input"))
    _add_method(parser.add_argument_group("method"))
    group = parser.add_argument_group("output")
    add = group.add_argument
    add("--output", type=Path, help="folder for the results")
    add("--write", nargs="+", choices=WRITERS, default=[], help="further formats of the results")
    add_flags(group, "min-score", "min-area", "min-length")
    add("--submit", choices=SERVERS, help="write the archive that the benchmark's server takes")
    add("--visualize", action="store_true", help="videos and t-SNE pictures")
    add("--no-report", dest="report", action="store_false", help="no report.html")
    add("--seed", type=int, default=0, help="random seed of the t-SNE pictures")
    add = parser.add_argument_group("scores").add_argument
    add("--score-frames", choices=("all", "annotated"), default="all", help="frames to score")
    add = parser.add_argument_group("speed").add_argument
    add("--runtime", choices=RUNTIMES, default=AUTO, help="of embeddings; auto: onnx if installed")
    add("--jobs", type=positive, default=1, help="sequences tracked at once, a process each")
    add("--chunk", type=positive, metavar="FRAMES", help="split sequences longer than this")
    add("--cluster", metavar="HOST:PORT", help="track on the workers of a Dask scheduler")
    args = parser.parse_args(arguments)
    if not args.list and not ((args.detections or args.data) and args.output):
        parser.error("--detections (or --data) and --output are needed")
    if args.t_lag == 1:
        parser.error("--t-lag must be at least 2 frames, got 1")
    if args.refine and not (args.images or args.data):
        parser.error("--refine needs --images, the frames of the video")
    check_flags(parser, args)
    return args


def _add_input(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--detections", type=Path, nargs="+", help="files or folders of masks, any format; several "
        "are merged by sequence")  # fmt: skip
    add("--ground-truth", type=Path, help="masks with ids to score against: MOTS txt or others")
    add("--images", type=Path, help="folder of SEQ/000000.png, SEQ/img1/000001.jpg or the like")
    add("--data", type=Path, help="folder of the data set as its archives unpack: ground truth and "
        "frames, and the masks to track where --detections names none")  # fmt: skip
    add_split(group, "all")
    add("--format", choices=FORMATS, help="take the detections to be of this format")
    add("--size", type=frame_size, help="HxW of the frames, for formats that do not say it")
    add("--ids", choices=("keep", "forget"), default="keep", help="identities in the files")
    add_flags(group, "dataset", "class-names", "classes", "boxes", "trusted", "frame-step")


def _add_method(group: argparse._ArgumentGroup) -> None:
    add_flags(group, "preset", "tracker", "t-lag", "set", "scores", "refine", "divisions")
    group.add_argument("--list", action="store_true", help="print every tracker and its settings")
    group.add_argument("--weights", type=Path, nargs="+", help="*.keras (default: the data set's "
        "own). Of several, each sequence takes the first not trained on it, else the first not "
        "selected on it, by their cards")  # fmt: skip


def request_of(args: argparse.Namespace) -> Request:
    """Return the Request that the command line makes."""
    settings, named = SettingsFlags.of(args).early_and_late()
    detections, truth, images = args.detections, args.ground_truth, args.images
    if args.data:
        layout = layout_of(args.data, settings.data_set)
        truth, images = truth or layout.folder, images or layout.images
        detections = detections or [layout.detections or layout.folder]
        say(f"{args.data}: tracks {', '.join(map(str, detections))}, ground truth {truth}")
    files = Files(
        detections,
        images,
        args.sequences,
        args.split,
        args.weights,
        Options(args.size, images, args.ids == "keep"),
        args.format,
        Means(args.jobs, args.cluster),
        args.chunk,
    )
    return Request(
        settings,
        files,
        args.output,
        truth,
        args.write,
        args.report,
        args.score_frames == "annotated",
        args.visualize,
        args.seed,
        {"preset": args.preset},
        named,
        args.submit,
    )


def evaluate(args: argparse.Namespace) -> dict[str, Any]:
    """Do what the command line asks for; return the summary."""
    return execute(request_of(args))


def main() -> None:
    """Run the command line and print the scores."""
    args = parse_args()
    if args.list:
        say(describe_trackers())
        return
    summary = evaluate(args)
    print_results(summary)
    seconds = sum(summary["seconds"].values())
    say(f"{args.output}: {counted(summary['sequences'], 'sequence')} in {seconds:.1f} s")
    if summary["failed"]:
        for name, reason in summary["failed"].items():
            print(f"{name}: not tracked: {reason}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    run(main)
