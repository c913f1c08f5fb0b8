"""Train a deep heterogeneous autoencoder (DHAE) on instance masks and boxes (section 3.2)."""

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from models.networks.checkpoints import JIT, add_machine, split
from models.usc_mots.training_data import TrainingSequence, load_training_sequences
from pipeline.flags import add_split
from pipeline.settings import settings_for
from utils.cli import Parser, import_keras, note, positive, run
from utils.data_sets import DATA_SETS, data_set


def parse_args(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the parsed command line."""
    parser = Parser(description=__doc__)
    data = parser.add_argument_group("data")
    add = data.add_argument
    add("--dataset", choices=DATA_SETS, required=True)
    add("--data", type=Path, required=True, help="the data set's folder")
    add_split(data, "train, where the data set has one")
    add("--held-back", nargs="*", help="sequences not trained on, whose association picks the "
        "checkpoint (default: every fourth; none: the last epoch is kept)")  # fmt: skip
    add("--stride", type=positive, default=1, help="train on every n-th detection")
    add("--cache", type=Path, default=Path("cache"), help="folder for patches")
    add = parser.add_argument_group("network").add_argument
    add("--input", choices=("shape", "appearance"), default="shape")
    add("--branch", choices=("both", "mask", "box"), default="both", help="one half of the network "
        "alone: rows shape embed (mask), loc embed (box) of Table 1")  # fmt: skip
    add("--loss", choices=("uncertainty", "equal"), default="uncertainty")
    add("--reduction", choices=("sum", "mean", "scaled_sum"), help="how Eq. 3 reads its norms "
        "(default: what reproduces the paper, see docs/training.md)")  # fmt: skip
    add("--location-gain", type=float, help="keep this gain (default: chosen by association, see "
        "docs/training.md)")  # fmt: skip
    add("--dropout", type=float, default=0.25)
    _add_training(parser)
    args = parser.parse_args(arguments)
    if args.choose is None:
        real = data_set(args.dataset).box_truth is None and args.held_back != []
        args.choose = "loss" if real else "association"
    state = args.output.with_suffix(".state.json")
    gain = args.location_gain
    for wrong, rule in (
        (args.output.suffix != ".keras", f"--output must end in .keras, got {args.output}"),
        (not 0 <= args.dropout < 1, f"--dropout must be in [0, 1), got {args.dropout}"),
        (not 0 < args.learning_rate < float("inf"),
         f"--learning-rate must be positive, got {args.learning_rate}"),
        (gain is not None and not 0 < gain < float("inf"),
         f"--location-gain must be positive, got {gain}"),
        (args.choose == "loss" and args.held_back == [],
         "--choose loss needs held-back sequences, got --held-back without names"),
        (args.branch != "both" and gain is not None,
         f"--location-gain weighs two branches, got --branch {args.branch}"),
        (args.associate_every > args.epochs,
         f"--associate-every must be at most --epochs, got {args.associate_every}"),
        (args.seed < 0, f"--seed must not be negative, got {args.seed}"),
        ((args.output.exists() or state.exists()) and not args.resume,
         f"{args.output} exists: remove it, or add --resume"),
    ):  # fmt: skip
        if wrong:
            parser.error(rule)
    return args


def _add_training(parser: Parser) -> None:
    """Add what says how the network is trained and what is written."""
    add = parser.add_argument_group("training").add_argument
    add("--epochs", type=positive, default=100)
    add("--batch-size", type=positive, default=1024)
    add("--learning-rate", type=float, default=1.0, help="of Adadelta")
    add("--seed", type=int, default=0)
    add("--choose", choices=("association", "loss"), help="epoch to keep: least loss, or best "
        "association, on the held-back ones (default: loss; association for generated sets or "
        "where none is held back)")  # fmt: skip
    add("--associate-every", type=positive, default=1, help="epochs between two associations")
    add_machine(parser)
    add = parser.add_argument_group("output").add_argument
    add("--output", type=Path, required=True, help="weights to write, *.keras")
    add("--resume", action="store_true", help="go on where the last run ended")
    add("--tensorboard", type=Path, help="folder for TensorBoard logs")


def box_statistics(boxes: npt.NDArray[Any]) -> dict[str, Any]:
    """Return the DHAE arguments that give each of the (n, 4) box values mean 0 and std 1."""
    return {
        "box_mean": tuple(np.round(boxes.mean(axis=0), 4).tolist()),
        "box_std": tuple(np.round(np.maximum(boxes.std(axis=0), 1e-3), 4).tolist()),
    }


# What must be the same for going on with a run, beside the network's reduction and the sequences.
DEFINING = (
    "dataset", "input", "loss", "batch_size", "learning_rate", "seed", "stride", "dropout",
    "associate_every", "branch", "location_gain", "choose",
)  # fmt: skip


def parts_of(
    sequences: Sequence[TrainingSequence], names: Sequence[str] | None
) -> tuple[list[TrainingSequence], list[TrainingSequence]]:
    """Return the sequences to train on and those held back, without those that are empty.

    Args:
        sequences: all. names: of those held back; None: every fourth.
    """
    known = [s.detections.sequence for s in sequences]
    whole, held_back = (
        [s for s in part if len(s.boxes)] for part in split(sequences, known, names)
    )
    if not whole:
        raise ValueError("a sequence that is trained on must have detections, got none")
    if not held_back and names is None:
        note("too few sequences to hold one back: the last epoch is kept")
    return whole, held_back


def main() -> None:
    """Read, train, say where the weights are."""
    args = parse_args()
    chosen = data_set(args.dataset)
    network = chosen.network_config(1 if args.input == "shape" else 3)
    network |= {name: getattr(args, name) for name in ("loss", "dropout", "branch")}
    if args.reduction:
        network["reduction"] = args.reduction
    shape = network["patch_size"], network["channels"]
    which = args.sequences, args.split or chosen.training_split
    sequences = load_training_sequences(args.data, chosen, *shape, args.cache, *which)
    whole, held_back = parts_of(sequences, args.held_back)
    training = [s.thinned(args.stride) for s in whole]
    if chosen.object_size is None:
        network |= box_statistics(np.concatenate([s.boxes for s in training]))
    keras = import_keras()  # slow: only after the input is checked
    keras.mixed_precision.set_dtype_policy(args.precision)
    from models.usc_mots.training import DhaeTrainer

    settings = {name: getattr(args, name) for name in DEFINING} | {
        "reduction": network["reduction"],
        "trained_on": [s.detections.sequence for s in training],
        "held_back": [s.detections.sequence for s in held_back],
    }
    if args.precision != "float32":
        settings["precision"] = args.precision
    command = shlex.join(["python", Path(sys.argv[0]).name, *sys.argv[1:]])
    tracker = settings_for(chosen, "paper").tracker
    trainer = DhaeTrainer(
        args.output, settings, chosen, command, training, held_back, whole, network, tracker
    )
    trainer.jit, trainer.workers = JIT[args.jit], args.workers
    board = [keras.callbacks.TensorBoard(str(args.tensorboard))] if args.tensorboard else []
    best = trainer.run(args.epochs, args.resume, board, verbose=1 if sys.stdout.isatty() else 0)
    print(f"{args.output}: epoch {best['epoch']} is kept; card, history and curves beside it")


if __name__ == "__main__":
    run(main)
