"""The files of a training run: weights, history, and what resuming needs; no kill harms them."""

from __future__ import annotations

import argparse
import csv
import io
import json
import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from utils.cli import positive
from utils.files import atomic_path

PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")
Sequenced = TypeVar("Sequenced")
# Whether a step is compiled by XLA: Keras' `jit_compile`, which chooses by backend and model.
JIT: Mapping[str, bool | str] = {"auto": "auto", "yes": True, "no": False}
WORKERS = 2  # threads that read ahead: one reads while another waits for the disk


def add_machine(parser: argparse._ActionsContainer) -> None:
    """Add the flags that depend on the machine: precision, compiling, threads."""
    add = parser.add_argument
    add("--precision", choices=PRECISIONS, default="float32", help="of the layers")
    add("--jit", choices=JIT, default="auto", help="compile a step by XLA")
    add("--workers", type=positive, default=WORKERS, help="threads that read batches ahead")


class Checkpoints:
    """Beside NAME.keras: NAME.csv (history), NAME.state.json and the NAME.epoch-N.state.keras.

    Args:
        output: the weights' path, *.keras.
        settings: dict of everything that defines the run; resuming demands the same.
    """

    def __init__(self, output: Path, settings: Mapping[str, Any]) -> None:
        self.output, self.settings = Path(output), dict(settings)
        self.state_path = self.output.with_suffix(".state.json")

    def save(self, model: Any, epoch: int, content: Mapping[str, Any]) -> None:
        """Write a model and what else resuming needs; a kill leaves the old or the new state."""
        state = self.output.with_suffix(f".epoch-{epoch}.state.keras")
        with atomic_path(state) as temporary:
            model.save(temporary)
        with atomic_path(self.state_path) as temporary:
            known = {"state": state.name, "settings": self.settings, **content}
            temporary.write_text(json.dumps(known))
        self._forget_all_but(state)

    def _forget_all_but(self, state: Path) -> None:
        """Remove the states of other epochs; a run that was killed may have left some."""
        for old in self.output.parent.glob(f"{self.output.stem}.epoch-*.state.keras"):
            if old != state:
                old.unlink(missing_ok=True)

    def load(self, needed: Sequence[str]) -> tuple[Any, dict[str, Any]] | None:
        """Return the model as the last complete epoch left it and what was saved with it.

        Args:
            needed: names that must have been saved.

        Returns:
            None if there was no run.

        Raises:
            ValueError: a state of another run, or none of a run that is finished.
        """
        import keras

        if not self.state_path.is_file():
            if self.output.with_suffix(".json").exists():
                rule = "resuming needs the state of the run, NAME.state.json"
                raise ValueError(f"{self.output}: {rule}, got a finished card without it")
            return None
        try:
            content: dict[str, Any] = json.loads(self.state_path.read_text())
            for name in ("settings", "state", *needed):
                content[name]
        except (ValueError, KeyError, TypeError) as error:
            rule = "must be the state of a run"
            raise ValueError(f"{self.state_path}: {rule}, got {error!r}") from None
        for name, value in json.loads(json.dumps(self.settings)).items():
            if content["settings"].get(name) != value:
                raise ValueError(
                    f"{self.state_path}: resuming needs {name} = {content['settings'].get(name)}, "
                    f"got {value}"
                )
        state = self.state_path.with_name(content["state"])
        model = keras.saving.load_model(state)
        self._forget_all_but(state)
        return model, content

    def write_history(self, history: Sequence[Mapping[str, Any]]) -> None:
        """Write NAME.csv: a row for each epoch."""
        text = io.StringIO()
        columns = list(dict.fromkeys(name for row in history for name in row))
        writer = csv.DictWriter(text, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(history)
        with atomic_path(self.output.with_suffix(".csv")) as temporary:
            temporary.write_text(text.getvalue())


def split(
    sequences: Sequence[Sequenced], names: Sequence[str], held_back: Sequence[str] | None
) -> tuple[list[Sequenced], list[Sequenced]]:
    """Return (training, held back) sequences.

    Args:
        sequences: all of them. names: of each. held_back: names; None takes every fourth.

    Raises:
        ValueError: a name of none, or nothing is left to train on.
    """
    chosen = names[3::4] if held_back is None else held_back
    for name in chosen:
        if name not in names:
            raise ValueError(f"--held-back must name sequences of {', '.join(names)}, got {name}")
    pairs = list(zip(sequences, names, strict=True))
    training = [sequence for sequence, name in pairs if name not in chosen]
    if not training:
        raise ValueError("at least one sequence must be left to train on, got none")
    return training, [sequence for sequence, name in pairs if name in chosen]


def save_card(path: Path, card: Mapping[str, Any], lines: Sequence[str]) -> None:
    """Write a card as NAME.json and, for people, as the lines of NAME.md."""
    for target, text in (
        (path, json.dumps(card, indent=2) + "\n"),
        (path.with_suffix(".md"), "\n".join(lines)),
    ):
        with atomic_path(target) as temporary:
            temporary.write_text(text)


def where_made() -> dict[str, Any]:
    """Return what a run was made on: hardware and versions, for its card."""
    import keras
    import numpy as np

    return {
        "hardware": f"{os.cpu_count()} cores, {platform.machine()}",
        "versions": {
            "keras": keras.__version__,
            "numpy": np.__version__,
            "backend": keras.backend.backend(),
            "python": platform.python_version(),
        },
    }
