"""Train a deep heterogeneous autoencoder (DHAE) on instance masks and boxes (section 3.2)."""

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from models.networks.checkpoints import JIT, PRECISIONS, split
from models.usc_mots.training_data import load_training_sequences
from pipeline.settings import settings_for
from utils.cli import Parser, import_keras, positive, run
from utils.data_sets import DATA_SETS, data_set


def parse_args(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the parsed command line."""
    parser = Parser(description=__doc__)
    parser.add_argument("--dataset", choices=DATA_SETS, required=True)
    parser.add_argument("--data", type=Path, required=True, help="the data set's folder")
    parser.add_argument("--input", choices=("shape", "appearance"), default="shape")
    parser.add_argument(
        "--branch",
        choices=("both", "mask", "box"),
        default="both",
        help="one half of the network alone: rows shape embed (mask), loc embed (box) of Table 1",
    )
    parser.add_argument("--loss", choices=("uncertainty", "equal"), default="uncertainty")
    parser.add_argument(
        "--reduction",
        choices=("sum", "mean", "scaled_sum"),
        help="how Eq. 3 reads its norms (default: what reproduces the paper, see docs/training.md)",
    )
    parser.add_argument(
        "--location-gain",
        type=float,
        help="keep this gain (default: chosen by association, see docs/training.md)",
    )
    parser.add_argument("--dropout", type=float, default=0.25)
    parser.add_argument("--epochs", type=positive, default=100)
    parser.add_argument("--batch-size", type=positive, default=1024)
    parser.add_argument("--learning-rate", type=float, default=1.0, help="of Adadelta")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--sequences", nargs="+", help="sequences to use (default: all)")
    parser.add_argument(
        "--held-back",
        nargs="*",
        help="sequences not trained on, whose association picks the checkpoint "
        "(default: every fourth; none: the last epoch is kept)",
    )
    parser.add_argument(
        "--choose",
        choices=("association", "loss"),
        default="association",
        help="which epoch to keep: best association, or least loss (paper), on the held-back ones",
    )
    parser.add_argument(
        "--associate-every", type=positive, default=1, help="epochs between two associations"
    )
    parser.add_argument("--stride", type=positive, default=1, help="train on every n-th detection")
    parser.add_argument("--cache", type=Path, default=Path("cache"), help="folder for patches")
    parser.add_argument("--tensorboard", type=Path, help="folder for TensorBoard logs")
    parser.add_argument("--precision", choices=PRECISIONS, default="float32", help="of the layers")
    parser.add_argument("--jit", choices=JIT, default="auto", help="compile a step by XLA")
    parser.add_argument("--output", type=Path, required=True, help="weights to write, *.keras")
    parser.add_argument("--resume", action="store_true", help="go on where the last run ended")
    args = parser.parse_args(arguments)
    if args.output.suffix != ".keras":
        parser.error(f"--output must end in .keras, got {args.output}")
    if not 0 <= args.dropout < 1:
        parser.error(f"--dropout must be in [0, 1), got {args.dropout}")
    if not 0 < args.learning_rate < float("inf"):
        parser.error(f"--learning-rate must be positive, got {args.learning_rate}")
    if args.location_gain is not None and not 0 < args.location_gain < float("inf"):
        parser.error(f"--location-gain must be positive, got {args.location_gain}")
    if args.choose == "loss" and args.held_back == []:
        parser.error("--choose loss needs held-back sequences, got --held-back without names")
    if args.branch != "both" and args.location_gain is not None:
        parser.error(f"--location-gain weighs two branches, got --branch {args.branch}")
    if args.associate_every > args.epochs:
        parser.error(f"--associate-every must be at most --epochs, got {args.associate_every}")
    if args.seed < 0:
        parser.error(f"--seed must not be negative, got {args.seed}")
    state = args.output.with_suffix(".state.json")
    if (args.output.exists() or state.exists()) and not args.resume:
        parser.error(f"{args.output} exists: remove it, or add --resume")
    return args


def box_statistics(boxes: npt.NDArray[Any]) -> dict[str, Any]:
    """Return the DHAE arguments that give each of the (n, 4) box values mean 0 and std 1."""
    return {
        "box_mean": tuple(np.round(boxes.mean(axis=0), 4).tolist()),
        "box_std": tuple(np.round(np.maximum(boxes.std(axis=0), 1e-3), 4).tolist()),
    }


def main() -> None:
    """Read, train, say where the weights are."""
    args = parse_args()
    chosen = data_set(args.dataset)
    network = chosen.network_config(1 if args.input == "shape" else 3)
    network |= {"loss": args.loss, "dropout": args.dropout, "branch": args.branch}
    if args.reduction:
        network["reduction"] = args.reduction
    sequences = load_training_sequences(
        args.data,
        chosen,
        network["patch_size"],
        network["channels"],
        args.cache,
        args.sequences,
    )
    names = [s.detections.sequence for s in sequences]
    whole, held_back = (
        [s for s in part if len(s.boxes)] for part in split(sequences, names, args.held_back)
    )
    if not whole:
        raise ValueError("a sequence that is trained on must have detections, got none")
    training = [s.thinned(args.stride) for s in whole]
    if chosen.object_size is None:
        network |= box_statistics(np.concatenate([s.boxes for s in training]))
    keras = import_keras()  # slow: only after the input is checked
    keras.mixed_precision.set_dtype_policy(args.precision)
    from models.usc_mots.training import DhaeTrainer

    defining: tuple[str, ...] = (
        "dataset",
        "input",
        "loss",
        "batch_size",
        "learning_rate",
        "seed",
        "stride",
    )
    defining += ("dropout", "associate_every", "branch", "location_gain", "choose")
    run_settings = {name: getattr(args, name) for name in defining}
    run_settings |= {
        "reduction": network["reduction"],
        "trained_on": [s.detections.sequence for s in training],
        "held_back": [s.detections.sequence for s in held_back],
    }
    if args.precision != "float32":
        run_settings["precision"] = args.precision
    command = shlex.join(["python", Path(sys.argv[0]).name, *sys.argv[1:]])
    tracker = settings_for(chosen, "paper").tracker
    trainer = DhaeTrainer(
        args.output, run_settings, chosen, command, training, held_back, whole, network, tracker
    )
    trainer.jit = JIT[args.jit]
    board = [keras.callbacks.TensorBoard(str(args.tensorboard))] if args.tensorboard else []
    best = trainer.run(args.epochs, args.resume, board, verbose=1 if sys.stdout.isatty() else 0)
    print(f"{args.output}: best epoch {best['epoch']}; card, history and curves beside it")


if __name__ == "__main__":
    run(main)
