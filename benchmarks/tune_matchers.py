"""Settings of the competitors by random search, on ground-truth masks as detections.

    python -m benchmarks.tune_matchers --data data/kitti_mots

The thesis (section 4.1) draws 1000 settings and keeps the one that scores best on the training set;
here the score is the share of detections with the right predecessor, over all classes.
"""

from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np

from models.matching import TUNED, random_search
from utils import mots_io
from utils.cli import Parser, import_keras, positive
from utils.config import preset
from utils.detections import IGNORE
from utils.evaluation import association_accuracy


def accuracy(tracked):
    """Return the share of the detections that are tracked and did not switch."""
    total = sum(len(detections) for detections, _ in tracked)
    wrong = sum(sum(association_accuracy(d, ids)[1:]) for d, ids in tracked)
    return 1 - wrong / total


def search(job):
    """Return (name, settings, accuracy); runs in a process of its own."""
    name, sequences, trials = job
    start = replace(TUNED[name], min_track_length=1)
    return name, *random_search(sequences, start, accuracy, trials)


def main():
    """Search and print."""
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="holds instances_txt")
    parser.add_argument("--trials", type=positive, default=40)
    parser.add_argument("--jobs", type=positive, default=2)
    args = parser.parse_args()
    import_keras()
    from models.dhae import load
    from models.embedding import embed
    from test_mots import PRETRAINED

    model = load(PRETRAINED / preset("kitti").weights[0])
    sequences = mots_io.read_sequences(args.data / "instances_txt")
    sequences = [s.select(s.classes != IGNORE) for s in sequences]
    prepared = [(s, np.asarray(embed(model, s, None))) for s in sequences]
    with ProcessPoolExecutor(args.jobs) as pool:
        for name, best, value in pool.map(search, [(n, prepared, args.trials) for n in TUNED]):
            print(f"{name}: {value:.4f} with {best}", flush=True)


if __name__ == "__main__":
    main()
