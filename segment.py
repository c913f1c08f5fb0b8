"""Find the objects of a video's frames: detections with masks, scores and classes."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from pipeline.flags import add_segmenter, segmenter_name
from pipeline.segmenting import SegmentRequest, segment
from utils.class_names import parse_class_names
from utils.cli import Parser, positive, run, say
from utils.formats.writing import WRITERS


def parse_args(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the parsed command line."""
    parser = Parser(description=__doc__)
    add = parser.add_argument
    add("source", metavar="INPUT", help="a video, or a folder of frames")
    add("--output", type=Path, required=True, help="folder for the results")
    add("--weights", required=True, help="coco, coco-v1, *.keras, *.pth (torchvision's Mask "
        "R-CNN), *.onnx, motion, threshold")  # fmt: skip
    add_segmenter(parser)
    add("--classes", nargs="+", metavar="NAME", help="keep only these classes (default: all)")
    add("--batch", type=positive, default=4, help="frames at once (default: 4)")
    add("--min-score", type=share, default=0.0, help="least score of a detection")
    add(
        "--iom",
        type=share,
        help="suppress masks that share more than this of the smaller one with a better one of "
        "their class (ReMOTS, section 2.1); 0.5 is a start",
    )
    add("--ground-truth", type=Path, help="masks, a file or a folder of SEQ.txt: AP50, AP75 and AP")
    add("--write", nargs="+", choices=WRITERS, default=[], help="further formats")
    add("--class-names", help="1=car,2=pedestrian: numbers that classes of these names get")
    add("--first-frame", type=int, default=0, help="number of a video's first frame")
    add("--resume", action="store_true", help="go on with a run that was stopped")
    args = parser.parse_args(arguments)
    args.weights = segmenter_name(parser, args, args.weights)
    if args.first_frame < 0:
        parser.error(f"--first-frame must be at least 0, got {args.first_frame}")
    return args


def share(text: str) -> float:
    """Return a number from 0 to 1 from the command line."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"must be from 0 to 1, got {text!r}")
    return value


def main() -> None:
    """Segment, say what is there."""
    args = parse_args()
    names = parse_class_names(args.class_names) if args.class_names else {}
    request = SegmentRequest(
        args.source,
        args.output,
        args.weights,
        args.batch,
        args.min_score,
        args.iom,
        args.write,
        names,
        args.first_frame,
        args.resume,
        args.ground_truth,
        args.classes or (),
    )
    summary = segment(request)
    counts = summary["counts"]
    say(
        f"{args.output / summary['files'][0]}: {counts['written']} detections in "
        f"{counts['frames']} frames, {summary['frames_per_second']:.2f} frames/s"
    )
    for name, kinds in summary.get("scores", {}).items():
        each = "; ".join(
            f"{kind} " + ", ".join(f"{cls} {value:.2f}" for cls, value in values.items())
            for kind, values in kinds.items()
        )
        say(f"{name}: {each}")
    if summary["stopped"]:
        sys.exit(130)


if __name__ == "__main__":
    run(main)
