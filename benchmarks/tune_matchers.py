"""Settings of the competitors by random search, on ground-truth masks as detections.

    python -m benchmarks.tune_matchers --data data/kitti_mots

The thesis (section 4.1) draws 1000 settings and keeps the one that scores best on the training set;
here the score is the share of detections with the right predecessor, over all classes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from models.streaming import track
from models.tracking import EMBEDDINGS, Array, Tracker, make_tracker, trackers
from pipeline.parallel import Means
from pipeline.settings import settings_for
from pipeline.stages import Pipeline
from utils.cli import Parser, positive, run, say
from utils.data_sets import data_set
from utils.detections import IGNORE, Detections
from utils.evaluation import association_accuracy
from utils.formats.reading import read_sequences

TUNED = ("mask_iou", "trackrcnn", "motsnet")


def accuracy(tracked: Sequence[tuple[Detections, Array]]) -> float:
    """Return the share of the detections that are tracked and did not switch."""
    total = sum(len(detections) for detections, _ in tracked)
    wrong = sum(sum(association_accuracy(d, ids)[1:]) for d, ids in tracked)
    return 1 - wrong / total


def random_search(
    sequences: Sequence[tuple[Detections, Array]],
    make: Callable[[Any], Tracker],
    config: Any,
    accuracy: Callable[[list[tuple[Detections, Array]]], float],
    trials: int = 1000,
    seed: int = 0,
    scores: bool = False,
) -> tuple[Any, float]:
    """Return the best of randomly drawn settings (thesis, section 4.1), and its accuracy.

    `limit` (up to that of the settings) or `scale`, `window` and `overlap_weight` are drawn, and
    `min_score` if asked for.
    MOTSNet's authors do not tune (tau = 1, N_w the training batch, N_t = 5), but their embeddings
    are of images.

    Args:
        sequences: [(Detections, embeddings)] to tune on.
        make: settings -> Tracker.
        config: settings to start from.
        accuracy: function [(Detections, track_ids)] -> float, larger is better.
        trials: how many to draw; seed: of the draws.
        scores: whether detections have scores, of which the least (gamma) is drawn, too.
    """
    rng = np.random.default_rng(seed)

    def measured(candidate: Any) -> float:
        columns = [{"embeddings": e, "vectors": e} for _, e in sequences]
        scenes = [d for d, _ in sequences]
        tracked = [
            (d, track(d, make(candidate), c)[0]) for d, c in zip(scenes, columns, strict=True)
        ]
        return accuracy(tracked)

    best, value = config, measured(config)
    for _ in range(trials):
        candidate = replace(config, **_drawn(config, rng, scores))
        if (result := measured(candidate)) > value:
            best, value = candidate, result
    return best, value


def _drawn(config: Any, rng: np.random.Generator, scores: bool) -> dict[str, Any]:
    """Return {field: value} of settings, drawn; arguments as in `random_search`."""
    changes: dict[str, Any] = {
        "window": int(rng.integers(1, 31)),
        "limit": config.limit * float(rng.uniform(0.05, 1)),
    }
    if hasattr(config, "scale"):
        changes |= {"limit": 1.0, "scale": float(10 ** rng.uniform(-1, 1.5))}
    if getattr(config, "overlap_weight", 0):
        changes["overlap_weight"] = float(10 ** rng.uniform(-1, 1))
    if scores:
        changes["min_score"] = {0: float(rng.uniform(0, 0.95))}
    return changes


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
