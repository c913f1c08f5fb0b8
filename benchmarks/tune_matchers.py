"""Settings of the competitors by random search, on ground-truth masks as detections.

    python -m benchmarks.tune_matchers --data data/kitti_mots

The thesis (section 4.1) draws 1000 settings and keeps the one that scores best on the training set;
here the score is the share of detections with the right predecessor, over all classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from models.matching import random_search
from models.parallel import Means
from models.pipeline import Pipeline
from models.settings import settings_for
from models.tracking import EMBEDDINGS, Array, make_tracker, trackers
from utils.cli import Parser, positive, run, say
from utils.data_sets import data_set
from utils.detections import IGNORE, Detections
from utils.evaluation import association_accuracy
from utils.formats.registry import read_sequences

TUNED = ("mask_iou", "trackrcnn", "motsnet")


def accuracy(tracked: Sequence[tuple[Detections, Array]]) -> float:
    """Return the share of the detections that are tracked and did not switch."""
    total = sum(len(detections) for detections, _ in tracked)
    wrong = sum(sum(association_accuracy(d, ids)[1:]) for d, ids in tracked)
    return 1 - wrong / total


def search(job: tuple[str, Any, int]) -> tuple[str, Any, float]:
    """Return (name, settings, accuracy); runs in a process of its own."""
    name, sequences, trials = job
    start: Any = replace(trackers()[name].settings(), min_track_length={0: 1})
    return name, *random_search(sequences, partial(make_tracker, name), start, accuracy, trials)


def main() -> None:
    """Search and print."""
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="holds instances_txt")
    parser.add_argument("--trials", type=positive, default=40)
    parser.add_argument("--jobs", type=positive, default=2)
    args = parser.parse_args()
    # The first of the data set's weights for all, whether or not they saw a sequence.
    first = Pipeline(settings_for(data_set("kitti"))).embedder.files[:1]
    pipeline = Pipeline(settings_for(data_set("kitti"), "paper"), first)
    sequences = read_sequences(args.data / "instances_txt")
    sequences = [s.select(s.classes != IGNORE) for s in sequences]
    prepared = [(s, pipeline.track(s).columns[EMBEDDINGS]) for s in sequences]
    asked = [(n, prepared, args.trials) for n in TUNED]
    for name, best, value in Means(args.jobs).all(search, asked):
        say(f"{name}: {value:.4f} with {best}")


if __name__ == "__main__":
    run(main)
