"""Write a network of this repository as an ONNX file, which runs without TensorFlow."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path

from models.frame_networks import load_network
from utils.cli import Parser, import_keras, run, say


def parse_args(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the parsed command line."""
    parser = Parser(description=__doc__)
    add = parser.add_argument
    add("weights", metavar="FILE.keras", help="of train_network.py; coco, coco-v1 and *.pth, too")
    add("output", metavar="FILE.onnx", type=Path, help="file to write")
    add("--size", type=size, metavar="HEIGHTxWIDTH", help="of your frames, as 480x640: the network "
        "then computes no more than they need (default: any landscape frame fits)")  # fmt: skip
    args = parser.parse_args(arguments)
    if args.output.suffix != ".onnx":
        parser.error(f"FILE.onnx must end in .onnx, got {args.output}")
    if args.output.exists():
        parser.error(f"{args.output} exists: remove it")
    return args


def size(text: str) -> tuple[int, int]:
    """Return (height, width) from the command line."""
    found = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", text)
    if not found:
        raise argparse.ArgumentTypeError(f"must be HEIGHTxWIDTH in pixels, got {text!r}")
    return int(found[1]), int(found[2])


def main() -> None:
    """Load, convert, compare, say how far the two are apart."""
    args = parse_args()
    backend = import_keras().backend.backend()
    if backend != "tensorflow":
        raise ValueError(f"export.py needs the backend tensorflow, got KERAS_BACKEND={backend}")
    from models.networks.exported import export

    apart = export(load_network(args.weights), args.output, args.size)
    name, most = max(apart.items(), key=lambda pair: pair[1])
    say(f"{args.output}: differs from Keras by {most:.1e} of the largest value at most ({name})")


if __name__ == "__main__":
    run(main)
