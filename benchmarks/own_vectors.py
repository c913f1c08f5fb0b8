"""What a network's association vectors are worth: on its own detections, beside mask IoU.

    python -m benchmarks.own_vectors --weights pretrained/trackrcnn_sprites.keras \
        --tune data/sprites_train --tune-sequences 0015 0016 --test data/sprites_test

Both folders hold frames and MOTS txt. The matchers' settings are drawn at random, as many for each,
and chosen by IDF1 on the sequences to tune on (thesis, section 4.1); then each is scored on all
sequences of the other folder, the network's own (`--tracker`) also with the vectors shuffled over
the sequence's rows. Mask IoU chooses the least score, too, and the network's own takes it over, so
that both match the same detections. MOTSNet's matching is by embeddings and time alone, boxes do
not help it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.compare_trackers import by_truth
from benchmarks.tune_matchers import random_search
from models.tracking import Array, make_tracker, trackers
from pipeline.segmenting import SegmentRequest, segment
from pipeline.settings import settings_for
from pipeline.stages import Pipeline
from utils import evaluation
from utils.cli import Parser, positive, run, say
from utils.config import ByClass
from utils.data_sets import DATA_SETS, DataSet, data_set
from utils.detection_scores import average_precision
from utils.detections import IGNORE, Detections
from utils.evaluation import identity_f1
from utils.formats.reading import read_detections, read_sequences
from utils.tables import format_table

MATCHERS = ("trackrcnn", "motsnet", "pixel_embeddings")  # that compare vectors of a file
COLUMNS = ("IDF1", "HOTA", "sMOTSA", "IDS")


@dataclass(frozen=True)
class Found:
    """A sequence's detections of the network, and the truth."""

    detections: Detections
    truth: Detections


def segmented(
    weights: str, folder: Path, names: Sequence[str] | None, output: Path, dataset: DataSet
) -> list[Found]:
    """Return what the network finds in sequences of a folder; files are kept in `output`."""
    sequences = []
    # Of these weights and this folder, whatever else they are called.
    key = Path(weights).read_bytes() + str(folder.resolve()).encode()
    digest = hashlib.sha256(key).hexdigest()[:12]
    for truth in read_sequences(folder / dataset.truth):
        name = truth.sequence
        if names is not None and name not in names:
            continue
        folder_of = output / digest / name
        file = folder_of / "detections" / f"{name}.txt"
        if not file.is_file():
            segment(SegmentRequest(str(folder / dataset.images / name), folder_of, weights))
        truth = truth.select(truth.classes != IGNORE)
        sequences.append(Found(read_detections(file), truth))
    if not sequences:
        raise ValueError(f"{folder}: must hold sequences to use, got none")
    return sequences


def identities(sequence: Found) -> Detections:
    """Return the detections with the ids of the true objects they show, 0 where there is none."""
    return replace(sequence.detections, ids=by_truth(sequence.detections, sequence.truth))


def f1(truths: Sequence[int], tracked: Iterable[tuple[Detections, Array]]) -> float:
    """Return IDF1 of all sequences; `truths` are their numbers of true objects' masks."""
    matched = size = 0
    for count, (detections, ids) in zip(truths, tracked, strict=True):
        shown = detections.ids > 0
        _, right, _ = identity_f1(detections.ids[shown], ids[shown])
        matched, size = matched + right, size + count + int((ids > 0).sum())
    return 2 * matched / max(1, size)


def tuned(
    name: str, segmented_sequences: Sequence[Found], trials: int, min_score: ByClass | None
) -> tuple[Any, float]:
    """Return the settings of a matcher with the best IDF1, and that.

    Args:
        name: of the tracker. segmented_sequences: to tune on. trials: how many settings are drawn.
        min_score: that of the settings; None draws it, too.
    """
    truths = [len(f.truth) for f in segmented_sequences]
    sequences = []
    for each in segmented_sequences:
        marked = identities(each)
        vectors = marked.vectors
        sequences.append((marked, np.zeros((len(marked), 1)) if vectors is None else vectors))
    start = replace(trackers()[name].settings(), min_track_length={0: 1})
    if hasattr(start, "overlap_weight"):
        start = replace(start, overlap_weight=0.0)
    if min_score is not None:
        start = replace(start, min_score=min_score)
    return random_search(
        sequences,
        partial(make_tracker, name),
        start,
        partial(f1, truths),
        trials,
        scores=min_score is None,
    )


def scores(pipeline: Pipeline, sequences: Sequence[Found], shuffled: bool) -> dict[str, Any]:
    """Return the masks' scores of a pipeline over all sequences."""
    parts = []
    rng = np.random.default_rng(0)
    for each in sequences:
        detections = each.detections
        if shuffled and detections.vectors is not None:
            rows = rng.permutation(len(detections))
            detections = replace(detections, vectors=detections.vectors[rows])
        result, _ = pipeline.track(detections).result()
        classes = pipeline.scored_classes([each.truth])
        parts.append(pipeline.counts(each.truth, result, classes))
    combined = evaluation.combine_masks(parts)
    first = next(iter(combined.values()))
    return {column: first[column] for column in COLUMNS}


def main() -> None:
    """Segment, tune, score, print."""
    parser = Parser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--weights", required=True, help="of a network with association vectors, *.keras")
    add("--tune", type=Path, required=True, help="folder to choose settings on")
    add("--tune-sequences", nargs="+", help="those of it that it was not trained on")
    add("--test", type=Path, required=True, help="folder to score")
    add("--test-sequences", nargs="+")
    add("--tracker", choices=MATCHERS, default="trackrcnn", help="the network's own")
    add("--dataset", choices=DATA_SETS, default="sprites")
    add("--trials", type=positive, default=300)
    add("--output", type=Path, default=Path("results/own_vectors"))
    args = parser.parse_args()
    dataset = data_set(args.dataset)
    tune = segmented(args.weights, args.tune, args.tune_sequences, args.output, dataset)
    test = segmented(args.weights, args.test, args.test_sequences, args.output, dataset)
    rows = {}
    min_score: ByClass | None = None
    for name in ("mask_iou", args.tracker):
        best, value = tuned(name, tune, args.trials, min_score)
        min_score = best.min_score
        say(f"{name}: IDF1 {100 * value:.1f} on the tuning sequences with {best}")
        settings = replace(settings_for(dataset, name), tracker=best)
        rows[name] = scores(Pipeline(settings), test, False)
        if name == args.tracker:
            rows[f"{name}, vectors shuffled"] = scores(Pipeline(settings), test, True)
    for name in dataset.presets:
        rows[name] = scores(Pipeline(settings_for(dataset, name)), test, False)
    say(format_table(f"{args.weights}, {args.test}", COLUMNS, rows))
    names = {c: dataset.name_of(c) for f in test for c in np.unique(f.truth.classes).tolist()}
    scores_of = average_precision([f.truth for f in test], [f.detections for f in test], names)
    say(", ".join(f"{kind} AP50 {values['mean']:.2f}" for kind, values in scores_of.items()))


if __name__ == "__main__":
    run(main)
