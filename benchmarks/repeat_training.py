"""How much Table 4 varies with the seed of the training: mean and spread beside the paper's.

Trains the KITTI shape network of each fold with several seeds (about half an hour each on two
cores; weights that are there are kept, and a run that was killed goes on), then makes the headline
rows of Table 4 with each seed's pair of weights.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from reproduction.experiments import Experiments
from reproduction.runs import READINGS
from reproduction.sources import Sources
from reproduction.tables import Cell, by_preset, table_4
from utils.cli import Parser, note, positive, run, say

SCRIPT = Path(__file__).resolve().parents[1] / "train_dhae.py"
# Held-back sequences of the two folds; every KITTI sequence has weights not chosen on it.
FOLDS = {"a": ("0009", "0015", "0017"), "b": ("0005", "0019")}
TRAINING = (
    *("--dataset", "kitti", "--location-gain", "4", "--choose", "loss", "--batch-size", "32"),
    *("--stride", "3", "--epochs", "20", "--associate-every", "20"),
)
ROWS = (
    "t_lag 3, G, MTL, |K| estimated",
    "t_lag 5, G, MTL, |K| estimated",
    "t_lag 8, G, MTL, |K| estimated",
    "t_lag 3, no G, MTL, |K| estimated",
)
METRICS = ("sMOTSA", "IDS")
Headline = list[tuple[Cell, list[float]]]


def parse_args(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the parsed command line."""
    parser = Parser(description=__doc__)
    parser.add_argument(
        "--data", type=Path, required=True, help="folder of kitti_mots and the like"
    )
    parser.add_argument("--output", type=Path, default=Path("results/seeds"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--preset", choices=READINGS, default=READINGS[-1])
    parser.add_argument("--jobs", type=positive, default=2, help="processes")
    args = parser.parse_args(arguments)
    if len(set(args.seeds)) < 2 or min(args.seeds) < 0:
        parser.error(f"--seeds must be at least two different numbers from 0, got {args.seeds}")
    return args


def train(args: argparse.Namespace, fold: str, seed: int) -> Path:
    """Return the weights of a fold and seed, trained where they are not there."""
    weights = Path(args.output).resolve() / f"kitti_{fold}_{seed}.keras"
    if weights.with_suffix(".json").is_file():
        return weights
    note(f"{weights.name}: training, about half an hour")
    command = [sys.executable, str(SCRIPT), "--data", str(args.data / "kitti_mots"), *TRAINING]
    command += ["--held-back", *FOLDS[fold], "--seed", str(seed)]
    command += ["--cache", str(args.output / "patches"), "--output", str(weights), "--resume"]
    if subprocess.run(command, stdout=subprocess.DEVNULL).returncode:
        raise ValueError(f"{weights}: must be trained, got a training that failed (see above)")
    return weights


def headline(args: argparse.Namespace, pairs: Sequence[Sequence[Path]]) -> Headline:
    """Return [(cell, its figure by each pair of weights)] of the headline rows."""
    cells = [c for c in table_4() if c.row in ROWS and c.metric in METRICS]
    cells = by_preset(cells, args.preset)
    cells.sort(key=lambda cell: ROWS.index(cell.row))
    experiments = Experiments(Sources(args.data, args.output), args.jobs)
    own = [tuple(map(str, pair)) for pair in pairs]
    runs = {(c.run, pair): replace(c.run, weights=pair) for c in cells for pair in own}
    scores = experiments.scores(runs.values())
    found: Headline = []
    for cell in cells:
        made = [scores[runs[cell.run, pair]] for pair in own]
        if isinstance(made[0], str):
            raise ValueError(made[0])
        found.append((cell, [float(row[cell.name][cell.metric]) for row in made]))
    return found


def as_table(found: Headline) -> str:
    """Return Markdown: mean, standard deviation and range over the seeds, and the paper's."""
    lines = ["| | | mean | deviation | lowest to highest | the paper's |", "|---" * 6 + "|"]
    for cell, values in found:
        digits = 1 if cell.metric == "sMOTSA" else 0
        shown: list[Any] = [cell.row.replace("|", "\\|"), cell.column]
        shown += [f"{mean(values):.{digits}f}", f"{stdev(values):.{digits}f}"]
        shown += [f"{min(values):.{digits}f} to {max(values):.{digits}f}", cell.paper]
        lines.append("| " + " | ".join(map(str, shown)) + " |")
    return "\n".join(lines)


def main() -> None:
    """Train what is missing, score, print."""
    args = parse_args()
    pairs = [[train(args, fold, seed) for fold in FOLDS] for seed in args.seeds]
    say(f"preset {args.preset}, seeds {', '.join(map(str, args.seeds))}\n")
    say(as_table(headline(args, pairs)))


if __name__ == "__main__":
    run(main)
