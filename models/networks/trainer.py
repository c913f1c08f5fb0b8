"""One training run: fit, score, keep the best epoch, survive a kill, leave a card."""

from __future__ import annotations

import hashlib
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from models.networks.checkpoints import WORKERS, Checkpoints, save_card, where_made
from utils.data_sets import DataSet
from utils.files import atomic_path

Row = dict[str, Any]


class Trainer(ABC):
    """Trains a model and keeps its files; a subclass says what is trained, on what, and the score.

    Beside `output` (NAME.keras, the best weights without the optimiser's state) it writes NAME.json
    and NAME.md, the card; NAME.csv, the history; NAME.png, curves and examples; and what resuming
    needs, NAME.state.json with the NAME.epoch-N.state.keras that it points to.

    Args:
        output: the weights' path, *.keras.
        settings: everything that defines the run; resuming demands the same.
        dataset: DataSet, whose licence the card names.
        command: the command line, for the card.

    Attributes:
        history: a row for each epoch. best: the row of the epoch whose weights are kept.
        jit: Keras' `jit_compile`. workers: threads that read batches ahead.
    """

    def __init__(self, output: Path, settings: Row, dataset: DataSet, command: str) -> None:
        self.output, self.settings, self.dataset, self.command = (
            Path(output),
            settings,
            dataset,
            command,
        )
        self.files = Checkpoints(self.output, settings)
        self.history: list[Row] = []
        self.best: Row | None = None
        self.jit: bool | str = "auto"
        self.workers = WORKERS

    def run(
        self,
        epochs: int,
        resume: bool = False,
        callbacks: Sequence[Any] = (),
        verbose: int = 0,
    ) -> Row:
        """Train up to `epochs` epochs in all; return the kept epoch's row of the history.

        Args:
            epochs: at least 1. resume: whether to go on where the last run ended.
            callbacks: of Keras. verbose: as Keras' `fit` takes it.
        """
        model = self._resume() if resume else None
        if model is None:
            model = self.new_model()
            # Otherwise the first step creates the optimiser's variables and is traced twice.
            model.optimizer.build(model.trainable_variables)
        for epoch in range(len(self.history) + 1, epochs + 1):
            self._epoch(model, epoch, callbacks, verbose)
        assert self.best is not None
        self.files.write_history(self.history)
        self.finish(keras.saving.load_model(self.output))
        card = {
            "weights": self.output.name,
            "sha256": hashlib.sha256(self.output.read_bytes()).hexdigest(),
            "command": self.command,
            "settings": self.settings,
            "epochs_trained": len(self.history),
            "seconds": round(sum(row["seconds"] for row in self.history), 1),
            **self.facts(),
            **where_made(),
        }
        write_card(self.output.with_suffix(".json"), card, self.dataset)
        return self.best

    def _epoch(self, model: Any, epoch: int, callbacks: Sequence[Any], verbose: int) -> None:
        """Train one epoch, score it, keep it if it is the best so far."""
        start = time.perf_counter()
        # A file keeps no state of random numbers: they follow from seed and epoch alone.
        self.seed(model, epoch)
        data = self.data(epoch)
        data.workers = self.workers
        log = model.fit(
            data,
            initial_epoch=epoch - 1,
            epochs=epoch,
            shuffle=False,
            verbose=verbose,
            callbacks=list(callbacks),
        ).history
        row = {"epoch": epoch, **{name: float(values[-1]) for name, values in log.items()}}
        if not np.isfinite(row["loss"]):
            raise ValueError(
                f"{self.output}: the loss must stay finite, got {row['loss']} in epoch {epoch} "
                "(a lower learning rate helps)"
            )
        row |= self.score(model, epoch)
        row["seconds"] = round(time.perf_counter() - start, 1)
        self.history.append(row)
        if self.better(row):
            self.best = row
            self.save_weights(model)
        self.files.save(model, epoch, {"history": self.history, "best": self.best, **self.state()})
        print("  ".join(f"{k} {v:.5g}" for k, v in row.items()), flush=True)

    def save_weights(self, model: Any) -> None:
        """Write the weights alone, as a new model that never met an optimiser."""
        bare = self.bare_model()
        bare.set_weights(model.get_weights())
        with atomic_path(self.output) as temporary:
            bare.save(temporary)

    def _resume(self) -> Any:
        """Return the model as the last complete epoch left it, None if there was none."""
        saved = self.files.load(("history", "best", *self.state()))
        if saved is None:
            return None
        model, content = saved
        self.history, self.best = content["history"], content["best"]
        for name in self.state():
            setattr(self, name, content[name])
        return model

    # What a subclass says.

    @abstractmethod
    def new_model(self) -> Any:
        """Return the model to train, compiled."""

    @abstractmethod
    def bare_model(self) -> Any:
        """Return a new model of the same shapes, to hold weights."""

    @abstractmethod
    def seed(self, model: Any, epoch: int) -> None:
        """Set the random states of a model for an epoch."""

    @abstractmethod
    def data(self, epoch: int) -> Any:
        """Return an epoch's batches, a `keras.utils.PyDataset`."""

    @abstractmethod
    def score(self, model: Any, epoch: int) -> Row:
        """Return what held-back data says of an epoch."""

    @abstractmethod
    def better(self, row: Row) -> bool:
        """Return whether an epoch's weights replace those of `best`."""

    def state(self) -> Row:
        """Return {attribute: value} of what resuming needs beside history and best."""
        return {}

    @abstractmethod
    def finish(self, best: Any) -> None:
        """Draw NAME.png with the kept model; the last word on the weights, too."""

    @abstractmethod
    def facts(self) -> Row:
        """Return what the card says of this kind of run; see `write_card`."""


def write_card(path: Path, card: Mapping[str, Any], dataset: DataSet) -> None:
    """Write a card as NAME.json and, for people, as NAME.md.

    Args:
        path: of the JSON file.
        card: what `Trainer.run` collects; `kept` (the row of the kept epoch) or, of a DHAE,
            `scores_of_best_epoch`. `measured`, a list of {"command", "scores"}, is optional.
        dataset: DataSet.
    """
    kept = card.get("kept") or card["scores_of_best_epoch"]
    versions = card["versions"]
    lines = [
        f"# {path.stem}",
        "",
        f"* **Command:** `{card['command']}`",
        f"* **Data:** {dataset.licence}. Trained on {_listed(card['trained_on'])}; held back: "
        f"{_listed(card['held_back'])}.",
        f"* **Size:** {card['weights_count']:,} weights." if "weights_count" in card else "",
        f"* **Masks:** {card['training_masks']:,}." if "training_masks" in card else "",
        f"* **Epochs:** {card['epochs_trained']}, kept: {kept['epoch']}, {card['chosen_by']}.",
        f"* **Time:** {card['seconds'] / 60:.0f} minutes on {card['hardware']}; Keras "
        f"{versions['keras']}, backend {versions['backend']}.",
        f"* **sha256:** `{card['sha256']}`",
        f"* **Scores of the kept epoch:** {_scores(kept)}.",
    ]
    if card.get("calibrated_on_all"):
        text = _scores(card["calibrated_on_all"])
        lines.append(f"* **Calibrated in the end on all these sequences:** {text}.")
    lines += [
        f"* **Measured** by `{m['command']}`: {m['scores']}." for m in card.get("measured", ())
    ]
    lines = [*lines[:2], *(line for line in lines[2:] if line)]
    save_card(path, card, [*lines, "", f"![curves and examples]({path.stem}.png)", ""])


def _listed(sequences: Mapping[str, int] | Sequence[str]) -> str:
    """Return names, with the number of their frames where it is known."""
    if isinstance(sequences, Mapping):
        sequences = [f"{name} ({n} frames)" for name, n in sequences.items()]
    return ", ".join(sequences) or "none"


def _scores(row: Mapping[str, Any]) -> str:
    return ", ".join(f"{k} {v:.5g}" for k, v in row.items() if k not in ("epoch", "seconds"))
