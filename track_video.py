"""Track a video: frames in, with their masks or a segmenter; a drawn video and tracks out."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path

from pipeline.flags import (
    GONE,
    SettingsFlags,
    add_flags,
    add_segmenter,
    check_flags,
    segmenter_name,
)
from pipeline.request import Request, Video
from pipeline.run import execute
from pipeline.watching import STDOUT
from utils.cli import Parser, run, say
from utils.formats.registry import FORMATS
from utils.formats.writing import WRITERS
from utils.report import print_results


def parse_args(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the parsed command line."""
    parser = Parser(description=__doc__)
    parser.gone = GONE
    add = parser.add_argument
    add("source", metavar="INPUT", help="a video, a folder of frames, or the number of a camera")
    add("--output", type=Path, required=True, help="folder for the results")
    masks = parser.add_mutually_exclusive_group(required=True)
    masks.add_argument("--detections", type=Path, nargs="+", help="masks of any format")
    masks.add_argument(
        "--segmenter",
        help="motion, threshold, FILE.onnx, coco, FILE.keras, ultralytics:WEIGHTS, "
        "torchvision:NAME or module:function",
    )
    add_segmenter(parser)
    add("--format", choices=FORMATS, help="take the detections to be of this format")
    add("--ground-truth", type=Path, help="masks with ids to score against")
    add("--write", nargs="+", choices=WRITERS, default=[], help="further formats of the results")
    add("--fps", type=rate, help="frames per second, where the input does not say it (default: 10)")
    add("--fit-masks", action="store_true", help="scale masks of another resolution to the frames")
    add("--first-frame", type=int, help="number of a video's first frame (default: detected)")
    add("--resume", action="store_true", help="continue a run that was stopped")
    add("--show", action="store_true", help="on the screen, too; q ends the run")
    add("--live-csv", metavar="FILE", help="a line for each object as it is tracked; -: to stdout")
    add("--no-report", dest="report", action="store_false", help="no report.html")
    add_flags(parser, "dataset", "class-names", "classes", "tracker", "preset", "set", "scores",
              "divisions", "min-score", "min-area", "min-length")  # fmt: skip
    args = parser.parse_args(arguments)
    check_flags(parser, args)
    args.segmenter = segmenter_name(parser, args, args.segmenter)
    if args.first_frame is not None and args.first_frame < 0:
        parser.error(f"--first-frame must be at least 0, got {args.first_frame}")
    screen = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if args.show and sys.platform.startswith("linux") and not screen:
        parser.error("--show needs a screen, got none (DISPLAY is not set)")
    return args


def rate(text: str) -> Fraction:
    """Return frames per second from the command line, as 25, 29.97 or 30000/1001."""
    try:
        value = Fraction(text)
    except (ValueError, ZeroDivisionError):
        value = Fraction(0)
    if not 0 < value <= 1000:
        raise argparse.ArgumentTypeError(f"must be frames per second, as 25, got {text!r}")
    return value.limit_denominator(1001)


def request_of(args: argparse.Namespace) -> Request:
    """Return the Request that the command line makes."""
    flags = SettingsFlags.of(args)
    settings, named = flags.early_and_late()
    video = Video(
        args.source,
        args.detections or (),
        args.segmenter,
        format_name=args.format,
        rate=args.fps,
        first_frame=args.first_frame,
        fit_masks=args.fit_masks,
        resume=args.resume,
        show=args.show,
        live_csv=args.live_csv,
        marks={"format": args.format, "fit": args.fit_masks, **asdict(flags)},
    )
    return Request(
        settings,
        video,
        args.output,
        args.ground_truth,
        write=args.write,
        report=args.report,
        named=named,
    )


def main() -> None:
    """Run the command line."""
    args = parse_args()
    # Lines for a pipe come alone; what else there is to say goes to stderr then.
    place = sys.stderr if args.live_csv == STDOUT else sys.stdout
    with contextlib.redirect_stdout(place):
        summary = execute(request_of(args))
        print_results(summary)
        files = sorted(summary["files"], key=lambda name: not name.startswith("data/"))
        say(f"{args.output}: {', '.join(files[:6])}")
    if summary["stopped"]:
        sys.exit(130)


if __name__ == "__main__":
    run(main)
