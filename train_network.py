"""Train a network on frames with MOTS txt beside them: from frames to masks, or of looks."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from models.frame_networks import NETWORKS, load_network, network_class, trainer_class
from models.networks.checkpoints import JIT, add_machine, split
from models.networks.config import FrameConfig
from models.networks.data import FrameSequence, class_names, load_sequences
from models.networks.plan import Plan
from pipeline.flags import add_split
from utils.cli import Parser, import_keras, run, say
from utils.config import override, parts_of
from utils.data_sets import CUSTOM, DATA_SETS, DataSet, data_set
from utils.files import FormatError


def parse_args(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the parsed command line."""
    parser = Parser(description=__doc__)
    add = parser.add_argument
    add("--model", choices=NETWORKS, help="the network")
    add("--data", type=Path, help="holds images/SEQ/ and instances_txt/SEQ.txt")
    add("--images", type=Path, help="holds SEQ/ with the frames (default: in --data)")
    add("--dataset", choices=DATA_SETS, default=CUSTOM, help=f"names the classes ({CUSTOM})")
    add("--profile", choices=("tiny", "paper"), default="tiny", help="tiny: for a CPU")
    add_split(parser, "train, where the data set has one")
    add("--held-back", nargs="*", help="sequences not trained on, whose AP picks the checkpoint "
        "(default: every fourth; none: the last epoch is kept)")  # fmt: skip
    add("--start", metavar="WEIGHTS", help="begin with these: coco, coco-v1 (torchvision's) or a "
        "*.keras, whose layers the network then has")  # fmt: skip
    add("--set", action="append", default=[], metavar="FIELD=VALUE", help="override a setting")
    add_machine(parser)
    add("--output", type=Path, help="weights to write, *.keras")
    add("--resume", action="store_true", help="go on where the last run ended")
    add("--list", action="store_true", help="print all settings of the model and profile")
    args = parser.parse_args(arguments)
    needed = ("model",) if args.list else ("model", "data", "output")
    for name in needed:
        if getattr(args, name) is None:
            parser.error(f"--{name} is needed")
    if args.list:
        return args
    if args.output.suffix != ".keras":
        parser.error(f"--output must end in .keras, got {args.output}")
    state = args.output.with_suffix(".state.json")
    if (args.output.exists() or state.exists()) and not args.resume:
        parser.error(f"{args.output} exists: remove it, or add --resume")
    return args


def settings_of(
    model: str, profile: str, changes: Sequence[str], given: FrameConfig | None = None
) -> tuple[Any, Plan]:
    """Return the network's config and the plan of a profile, with some fields overridden.

    Args:
        model, profile: names. changes: `FIELD=VALUE`.
        given: config of the network whose weights training begins with.

    Raises:
        ValueError: no such field, or a value without a meaning, or not that of given weights.
    """
    chosen = NETWORKS[model].profiles[profile]
    config, plan = NETWORKS[model].config(**chosen.network), chosen.plan
    if given is not None:
        config = config.like(given)
    texts: dict[str, dict[str, str]] = {"network": {}, "plan": {}}
    for change in changes:
        name, equals, value = (part.strip() for part in change.partition("="))
        if not equals or not name:
            raise ValueError(f"--set must be FIELD=VALUE, got {change!r}")
        held = {"network": config, "plan": plan}
        parts = [part for part, values in held.items() if name in parts_of(values)]
        if not parts:
            known = ", ".join((*parts_of(config), *parts_of(plan)))
            raise ValueError(f"--set must name one of {known}, got {name}")
        texts[parts[0]][name] = value
    config = override(config, texts["network"], {})
    if given is not None:
        config.check_like(given)
    return config, override(plan, texts["plan"], {})


def check_identities(sequences: Sequence[FrameSequence], dataset: DataSet, model: str) -> None:
    """Refuse objects that do not say who they are.

    Raises:
        FormatError: the first without an id.
    """
    for sequence in sequences:
        detections = sequence.detections
        nameless = np.flatnonzero((detections.ids == 0) & (detections.classes != dataset.ignore))
        if len(nameless):
            rule = f"objects must have ids for --model {model}"
            got = f"none in frame {detections.frames[nameless[0]]}"
            raise FormatError(f"{sequence.name}.txt", None, rule, got)


def with_classes(config: Any, sequences: Sequence[FrameSequence], dataset: DataSet) -> Any:
    """Return the config with the classes that the sequences have."""
    names = class_names(sequences, dataset)
    if not names:
        raise ValueError("the sequences must have objects, got none")
    return replace(config, classes=tuple(names.values()), numbers=tuple(names))


def show(args: argparse.Namespace) -> None:
    """Print all settings with their meanings."""
    for part in settings_of(args.model, args.profile, args.set):
        for name, value in parts_of(part).items():
            meaning = type(part).__dataclass_fields__[name].metadata.get("meaning", "")
            say(f"{name} = {value}: {meaning}")


def main() -> None:
    """Read, train, say where the weights are."""
    args = parse_args()
    if args.list:
        return show(args)
    dataset = data_set(args.dataset)
    chosen = args.split or dataset.training_split
    sequences = load_sequences(args.data, dataset, args.sequences, args.images, chosen)
    training, held_back = split(sequences, [s.name for s in sequences], args.held_back)
    tracking = args.model != "maskrcnn"
    if tracking:
        check_identities(sequences, dataset, args.model)
    keras = import_keras()
    from models.networks.files import fingerprint

    given = load_network(args.start) if args.start else None
    config, plan = settings_of(args.model, args.profile, args.set, given and given.config)
    config = with_classes(config, sequences, dataset)
    if getattr(config, "past", 0) >= plan.batch:
        raise ValueError(f"past must be below batch ({plan.batch} frames), got {config.past}")
    keras.mixed_precision.set_dtype_policy(args.precision)
    settings = {
        **{name: getattr(args, name) for name in ("model", "profile", "dataset", "precision")},
        "trained_on": [s.name for s in training],
        "held_back": [s.name for s in held_back],
        "start": f"{args.start} sha256 {fingerprint(given)}" if given else None,
    }
    command = shlex.join(["python", Path(sys.argv[0]).name, *sys.argv[1:]])
    trainer = trainer_class(args.model)(
        args.output, settings, dataset, command, (network_class(args.model), config), plan,
        training, held_back, tracking, given,
    )  # fmt: skip
    trainer.jit, trainer.workers = JIT[args.jit], args.workers
    best = trainer.run(plan.epochs, args.resume, verbose=1 if sys.stdout.isatty() else 0)
    say(f"{args.output}: kept epoch {best['epoch']}; card, history and pictures beside it")


if __name__ == "__main__":
    run(main)
