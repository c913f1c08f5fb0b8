"""Link the segments of unlabelled video into tracklets to train on: MOTS txt out (MOTSNet)."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pycocotools import mask as coco_mask

from models.motsnet.mining import MiningConfig, mine
from pipeline.tracked import find_step
from utils.cli import Parser, counted, note, positive, run, say
from utils.config import parts_of, with_changes
from utils.detections import IGNORE, Detections
from utils.files import FormatError
from utils.formats import mots_txt
from utils.frames import FrameFolder
from utils.inputs import Choice, read_inputs
from utils.masks import subtract
from utils.results import finished

INSTANCES = "instances_txt"
REGION = 10000  # id of ignore regions in MOTS txt


def parse_args(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the parsed command line."""
    parser = Parser(description=__doc__)
    add = parser.add_argument
    add("--frames", type=Path, required=True, help="folder of SEQ/000000.png or the like")
    add("--detections", type=Path, nargs="+", required=True, help="segments of any format")
    add("--output", type=Path, required=True, help=f"{INSTANCES}/SEQ.txt is written there")
    add("--sequences", nargs="+", help="names (default: all)")
    add("--min-score", type=float, default=0.5, help="least score of a segment (default: 0.5)")
    add("--min-length", type=positive, default=1, help="least segments of a tracklet (default: 1)")
    add("--set", action="append", default=[], metavar="FIELD=VALUE", help="override "
        f"{', '.join(parts_of(MiningConfig()))}")  # fmt: skip
    return parser.parse_args(arguments)


def mined(
    detections: Detections, images: FrameFolder, config: MiningConfig, args: argparse.Namespace
) -> tuple[Detections, list[str]]:
    """Return a sequence's tracklets as MOTS txt has them, and what to say of them.

    Segments that score too low, or are of tracklets that are too short, become ignore regions:
    what they show is no background.
    """
    step = find_step(detections.frames)
    numbers = detections.classes != IGNORE
    enough = numbers & (detections.scores >= args.min_score)
    kept = detections.select(np.flatnonzero(enough))
    ids = np.zeros(len(detections), np.int32)
    ids[enough], report = mine(kept, images, config, step)
    short = enough & (np.bincount(ids)[ids] < args.min_length)
    ids[short] = 0
    result, hidden = finished(detections, ids)
    lengths = np.bincount(result.ids[result.ids > 0])
    lengths = lengths[lengths > 0]
    name, mean = detections.sequence, lengths.mean() if len(lengths) else 0.0
    refused = ", ".join(f"{report[k]} {k}" for k in ("ambiguous", "small", "uncovered"))
    notes = [
        f"{name}: {len(lengths)} tracklets of {mean:.1f} segments, of {len(detections)} segments",
        f"note: {name}: {int((~enough).sum())} segments below --min-score or to be ignored and "
        f"{int(short.sum())} of tracklets below --min-length are ignore regions, {len(hidden)} are "
        f"hidden by others; begun anew, though they overlap with one before: {refused}",
    ]
    if step > 1:
        notes.append(f"note: {name}: frames come in steps of {step}: linked in such steps")
    return with_regions(result), notes


def with_regions(result: Detections) -> Detections:
    """Return the rows with an id, and of each frame one ignore region of the pixels of the others.

    Args:
        result: disjoint masks where there is an id.
    """
    rows = np.flatnonzero(result.ids)
    regions = []
    for _, frame_rows in result.rows_by_frame():
        left, taken = (
            frame_rows[result.ids[frame_rows] == 0],
            frame_rows[result.ids[frame_rows] > 0],
        )
        if not len(left):
            continue
        size = {"size": list(result.size)}
        region = size | {"counts": coco_mask.merge(result.coco(left))["counts"]}
        if len(taken):
            region = size | {"counts": subtract(region, result.coco(taken))}
        if coco_mask.area(region):
            regions.append((int(left[0]), region["counts"]))
    chosen = result.select(np.concatenate([rows, [r for r, _ in regions]]).astype(np.int64))
    first = len(rows)
    for name, value in (("ids", REGION), ("classes", IGNORE)):
        getattr(chosen, name)[first:] = value
    chosen.rles[first:] = [rle for _, rle in regions]
    return chosen


def frames_of(detections: Detections, frames: Path) -> FrameFolder:
    """Return the frames of a sequence, each with a picture of its size.

    Raises:
        ValueError: one that is not.
    """
    images = FrameFolder.of(frames, detections)
    numbers = np.unique(detections.frames).tolist()
    missing = images.missing(numbers)
    if missing:
        shown = ", ".join(map(str, missing[:3]))
        raise FormatError(images.folder, None, "must hold every frame", f"no picture of {shown}")
    images.check(numbers)
    return images


def main() -> None:
    """Read, link, write."""
    args = parse_args()
    config = with_changes(MiningConfig(), args.set)
    folder = args.output / INSTANCES
    if folder.exists():
        raise ValueError(f"{folder}: must not be there yet, so that no annotation is lost")
    inputs = read_inputs(args.detections, choice=Choice(args.sequences))
    for text in inputs.notes:
        note(text)
    chosen = [(d, frames_of(d, args.frames)) for d in inputs.sequences]
    written = []
    for detections, images in chosen:
        result, notes = mined(detections, images, config, args)
        for text in notes:
            say(text)
        if (result.classes != IGNORE).any():
            written.append(result)
        else:
            note(f"{detections.sequence}: not written: it has no tracklet")
    for result in written:
        mots_txt.write(folder / f"{result.sequence}.txt", result)
    use = f"train_network.py --data {args.output} --images {args.frames}"
    say(f"{folder}: {counted(len(written), 'sequence')}, for {use}")


if __name__ == "__main__":
    run(main)
