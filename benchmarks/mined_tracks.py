"""Mined tracklets against the true identities: how pure, how complete, how long.

    python -m benchmarks.mined_tracks --data data/mots_challenge

Segments are those of the folder `detections_yolov8n_seg` and the true masks; each with and without
optical flow. A segment shows the true object whose mask it shares half of the union with. Purity is
the share of linked segments that show the object most of their tracklet shows, of those that show
one; completeness the share of an object's segments in its longest tracklet.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.compare_trackers import by_truth
from models.motsnet.mining import MiningConfig, mine
from models.tracking import Array
from utils.cli import Parser, run, say
from utils.detections import IGNORE, Detections
from utils.formats.registry import read_detections, read_sequences
from utils.frames import FrameFolder
from utils.tables import format_table

COLUMNS = ("purity", "completeness", "length", "links", "tracklets", "frames/s")
SEGMENTS = ("detections_yolov8n_seg", "instances_txt")


def quality(tracklets: Array, objects: Array) -> tuple[float, float]:
    """Return (purity, completeness) of tracklets of two or more segments.

    Args:
        tracklets: (n,) int ids. objects: (n,) int true ids, 0 for a segment that shows none.
    """
    linked = (np.bincount(tracklets)[tracklets] > 1) & (objects > 0)
    names, track = np.unique(tracklets[linked], return_inverse=True)
    real, own = np.unique(objects, return_inverse=True)
    together = np.zeros((len(names), len(real)), np.int64)
    np.add.at(together, (track, own[linked]), 1)
    every = np.bincount(own, minlength=len(real))[real > 0]
    longest = together.max(axis=0, initial=0)[real > 0]
    pure = together.max(axis=1, initial=0).sum() / max(1, linked.sum())
    return float(pure), float(longest.sum() / max(1, every.sum()))


def measured(
    segments: Sequence[tuple[Detections, FrameFolder, Array]], config: MiningConfig
) -> dict[str, Any]:
    """Return the figures of all sequences together."""
    ids, start = [], time.perf_counter()
    links = offset = frames = 0
    for detections, images, _ in segments:
        found, report = mine(detections, images, config)
        ids.append(found + offset)
        offset += int(found.max(initial=0))
        links += report["links"]
        frames += len(np.unique(detections.frames))
    seconds = time.perf_counter() - start
    every = np.concatenate(ids)
    pure, complete = quality(every, np.concatenate([shown for _, _, shown in segments]))
    lengths = np.bincount(every)[1:]
    return {
        "purity": round(100 * pure, 2),
        "completeness": round(100 * complete, 2),
        "length": float(lengths[lengths > 1].mean()),
        "links": links,
        "tracklets": int((lengths > 1).sum()),
        "frames/s": frames / seconds,
    }


def main() -> None:
    """Mine and print."""
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="holds images, instances_txt")
    parser.add_argument("--min-score", type=float, default=0.5, help="of a segment")
    args = parser.parse_args()
    rows = {}
    for name in SEGMENTS:
        segments: list[tuple[Detections, FrameFolder, Array]] = []
        for detections in read_sequences(args.data / name):
            truth = read_detections(args.data / "instances_txt" / f"{detections.sequence}.txt")
            truth = truth.select(truth.classes != IGNORE)
            kept = (detections.classes != IGNORE) & (detections.scores >= args.min_score)
            images = FrameFolder(args.data / "images", detections.sequence, detections.size)
            chosen = detections.select(np.flatnonzero(kept))
            shown = by_truth(chosen, truth)
            offset = 10**6 * len(segments)
            segments.append((chosen, images, np.where(shown > 0, shown + offset, 0)))
        for warp in (True, False):
            what = f"{name}, {'carried by flow' if warp else 'as they are'}"
            rows[what] = measured(segments, replace(MiningConfig(), warp=warp))
    say(format_table(str(args.data), COLUMNS, rows))


if __name__ == "__main__":
    run(main)
