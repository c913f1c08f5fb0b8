"""Link the segments of unlabelled video into tracklets to train on: MOTS txt out (MOTSNet)."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from models.motsnet.mining import MiningConfig, mine
from models.pipeline import find_step
from utils.cli import Parser, note, positive, run, say
from utils.config import parts_of, with_changes
from utils.detections import Detections
from utils.files import FormatError
from utils.formats import mots_txt
from utils.frames import FrameFolder
from utils.inputs import read_inputs
from utils.results import finished

INSTANCES = "instances_txt"


def parse_args(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the parsed command line."""
    parser = Parser(description=__doc__)
    add = parser.add_argument
    add("--frames", type=Path, required=True, help="folder of SEQ/000000.png or the like")
    add("--detections", type=Path, nargs="+", required=True, help="segments of any format")
    add("--output", type=Path, required=True, help=f"{INSTANCES}/SEQ.txt is written there")
    add("--sequences", nargs="+", help="names (default: all)")
    add("--min-score", type=float, default=0.5, help="least score of a segment (default: 0.5)")
    add("--min-length", type=positive, default=2, help="least segments of a tracklet (default: 2)")
    add("--set", action="append", default=[], metavar="FIELD=VALUE", help="override "
        f"{', '.join(parts_of(MiningConfig()))}")  # fmt: skip
    return parser.parse_args(arguments)


def mined(
    detections: Detections, images: FrameFolder, config: MiningConfig, least: int
) -> tuple[Detections, Counter[str]]:
    """Return a sequence's segments with disjoint masks and ids, 0 where a tracklet is too short."""
    ids, report = mine(detections, images, config, find_step(detections.frames))
    lengths = np.bincount(ids)
    short = lengths[ids] < least
    report["short"] = int(short.sum())
    result, hidden = finished(detections, np.where(short, 0, ids))
    report["hidden"] = len(hidden)
    return result, report


def sequence_of(
    detections: Detections, frames: Path, least: float
) -> tuple[Detections, FrameFolder, int]:
    """Return the segments that score enough, their frames, and how many segments there were.

    Raises:
        ValueError: a frame without a picture, or one of another size.
    """
    images = FrameFolder(frames, detections.sequence, detections.size)
    kept = detections.select(np.flatnonzero(detections.scores >= least))
    missing = images.missing(np.unique(kept.frames).tolist())
    if missing:
        shown = ", ".join(map(str, missing[:3]))
        raise FormatError(images.folder, None, "must hold every frame", f"no picture of {shown}")
    images.check(np.unique(kept.frames).tolist())
    return kept, images, len(detections)


def main() -> None:
    """Read, link, write."""
    args = parse_args()
    config = with_changes(MiningConfig(), args.set)
    inputs = read_inputs(args.detections, names=args.sequences)
    for text in inputs.notes:
        note(text)
    chosen = [sequence_of(d, args.frames, args.min_score) for d in inputs.sequences]
    written = []
    for detections, images, count in chosen:
        result, report = mined(detections, images, config, args.min_length)
        written.append(result)
        name, left = detections.sequence, count - len(detections)
        lengths = np.bincount(result.ids[result.ids > 0])
        lengths = lengths[lengths > 0]
        mean = lengths.mean() if len(lengths) else 0.0
        say(f"{name}: {len(lengths)} tracklets of {mean:.1f} segments, of {count}")
        refused = ", ".join(f"{report[k]} {k}" for k in ("ambiguous", "small", "uncovered"))
        note(
            f"{name}: left out {left} below the score, {report['short']} in tracklets below "
            f"--min-length, {report['hidden']} hidden; begun anew, though they overlap: {refused}"
        )
    for result in written:
        mots_txt.write(args.output / INSTANCES / f"{result.sequence}.txt", result)
    use = f"train_network.py --data {args.output} --images {args.frames}"
    say(f"{args.output / INSTANCES}: {len(written)} sequences, for {use}")


if __name__ == "__main__":
    run(main)
