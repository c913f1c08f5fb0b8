"""What refining tracks is worth: the ways of `refine.py` and `--refine` beside the tracks given.

    python -m benchmarks.refining --tracks results/best_mots/data --data data/mots_challenge

The tracks are of any tracker; `--data` holds their frames and the truth. The seconds are of all
that a way does but reading: frames, colours, training.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from models.pipeline import Pipeline, frames_of
from models.remots.refinement import RefinementConfig
from models.remots.retracking import RetrackingConfig
from models.settings import settings_for
from utils import evaluation
from utils.cli import Parser, run, say
from utils.config import with_changes
from utils.data_sets import DATA_SETS, data_set
from utils.detections import Detections
from utils.formats.registry import read_detections, read_sequences
from utils.tables import format_table

COLUMNS = ("IDF1", "HOTA", "sMOTSA", "IDS", "IDF1 of each", "seconds")
WAYS: Mapping[str, RefinementConfig | None] = {
    "as given": None,
    "--refine": RefinementConfig(),
    "refine.py": RetrackingConfig(),
    "refine.py, merge=clustering": RetrackingConfig(merge="clustering"),
    "refine.py, tracklets=flow": RetrackingConfig(tracklets="flow"),
    "refine.py, tracklets=flow, merge=clustering": RetrackingConfig(
        tracklets="flow", merge="clustering"
    ),
    "refine.py, encoder=resnet": RetrackingConfig(encoder="resnet"),
}


def main() -> None:
    """Refine, score, print."""
    parser = Parser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--tracks", type=Path, required=True, help="MOTS txt of a tracker")
    add("--data", type=Path, required=True, help="holds images and instances_txt")
    add("--dataset", choices=DATA_SETS, default="mots")
    add("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    add("--set", dest="changes", action="append", default=[], metavar="FIELD=VALUE",
        help="change a setting of the ways that have it")  # fmt: skip
    add("--seeds", type=int, nargs="+", default=[0], help="of a way's training, a row each")
    args = parser.parse_args()
    of = data_set(args.dataset)
    scenes = [
        (found, read_detections(args.data / of.truth / f"{found.sequence}.txt"))
        for found in read_sequences(args.tracks)
    ]
    rows: dict[str, Any] = {}
    for way in args.ways:
        config = WAYS[way]
        for seed in args.seeds[:1] if config is None else args.seeds:
            settings = replace(settings_for(of, "given"), refine=config is not None, trust=True)
            if config is not None:
                own = [c for c in args.changes if hasattr(config, c.partition("=")[0])]
                config = with_changes(replace(config, seed=seed), own)
                settings = replace(settings, refinement=config)
            label = way if len(args.seeds) == 1 or config is None else f"{way}, seed {seed}"
            rows[label] = measured(scenes, Pipeline(settings), args.data / of.images)
            say(f"{label}: IDF1 {rows[label]['IDF1']:.1f}, IDS {rows[label]['IDS']}")
    say(format_table(str(args.tracks), COLUMNS, rows))


def measured(
    scenes: Sequence[tuple[Detections, Detections]], pipeline: Pipeline, images: Path
) -> dict[str, Any]:
    """Return the scores of all sequences together, and the seconds they took."""
    parts, seconds = [], 0.0
    for found, truth in scenes:
        frames = frames_of(images, found) if pipeline.settings.refine else None
        start = time.perf_counter()
        result, _ = pipeline.track(found, frames).result()
        seconds += time.perf_counter() - start
        parts.append(pipeline.counts(truth, result, pipeline.scored_classes([truth])))
    each = [first_of([part])["IDF1"] for part in parts]
    scores = first_of(parts) | {"IDF1 of each": " / ".join(f"{v:.1f}" for v in each)}
    return {column: scores.get(column) for column in COLUMNS} | {"seconds": seconds}


def first_of(parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the scores of the first class."""
    found: dict[str, Any] = next(iter(evaluation.combine_masks(parts).values()))
    return found


if __name__ == "__main__":
    run(main)
