"""The command line of gen_mnist.py and gen_sprite.py."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from utils.cli import Parser, counted, positive
from utils.data_sets import data_set
from utils.synthetic import generate
from utils.synthetic_pictures import SPLITS, source


def parse_args(kind: str, arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the parsed command line."""
    parser = Parser(description=f"Generate {kind} sequences for multiple-object tracking.")
    parser.add_argument("--output", type=Path, help=f"folder (default: data/{kind}_mot/SPLIT)")
    parser.add_argument("--split", choices=SPLITS, default="test")
    for split in SPLITS:
        parser.add_argument(
            f"--{split}", type=int, choices=(0, 1), default=0, help=f"1: same as --split {split}"
        )
    parser.add_argument("--sequences", type=positive, default=20)
    parser.add_argument("--frames", type=positive, default=500, help="frames per sequence")
    parser.add_argument("--objects", type=positive, default=3, help="objects at most at once")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--mnist", type=Path, help="mnist.npz for digits (default: Keras' own)")
    args = parser.parse_args(arguments)
    if args.seed < 0:
        parser.error(f"--seed must not be negative, got {args.seed}")
    if args.train and args.test:
        parser.error("--train 1 and --test 1 exclude each other")
    args.split = next((split for split in SPLITS if getattr(args, split)), args.split)
    args.output = args.output or Path("data") / f"{kind}_mot" / args.split
    return args


def main(kind: str) -> None:
    """Generate and say what was written."""
    args = parse_args(kind)
    draw, origin = source(kind, args.split, args.mnist)
    print(f"objects {origin}")
    margin = data_set(kind).margin or 0
    detections, tracks = generate(
        args.output,
        kind,
        draw,
        margin,
        args.split,
        args.sequences,
        args.frames,
        args.objects,
        args.seed,
    )
    print(
        f"{args.output}: {counted(args.sequences, 'sequence')} of {args.frames} frames, "
        f"{detections} detections, {tracks} tracks"
    )
