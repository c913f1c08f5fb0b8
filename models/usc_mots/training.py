"""The training loop of the DHAE: deterministic epochs, checkpoints that survive any kill."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from models.checkpoints import Checkpoints, save_card, where_made
from models.settings import settings_for
from models.usc_mots.calibration import calibrate
from models.usc_mots.dhae import DHAE
from models.usc_mots.training_data import TrainingSequence
from utils.data_sets import data_set
from utils.files import atomic_path
from utils.visualization import plot_training


class Batches(keras.utils.PyDataset):
    """Shuffled batches of patches and boxes; the order depends on seed and epoch alone.

    Args:
        sequences: [TrainingSequence].
        batch_size: patches per step.
        seed: int; None keeps the order.
        epoch: int.
    """

    def __init__(
        self,
        sequences: Sequence[TrainingSequence],
        batch_size: int,
        seed: int | None = None,
        epoch: int = 0,
    ) -> None:
        super().__init__()
        self.sequences, self.batch_size = sequences, batch_size
        self.index = np.concatenate(
            [
                np.stack([np.full(len(s.boxes), i), np.arange(len(s.boxes))], 1)
                for i, s in enumerate(sequences)
            ]
        )
        if seed is not None:
            np.random.default_rng([seed, epoch]).shuffle(self.index)

    def __len__(self) -> int:
        return -(-len(self.index) // self.batch_size)

    def __getitem__(self, step: int) -> tuple[dict[str, Any]]:
        """Return one batch as the one-element tuple Keras takes for inputs without targets."""
        chosen = self.index[step * self.batch_size : (step + 1) * self.batch_size]
        patches, boxes = [], []
        # Grouped by sequence: order within a batch has no effect on its loss.
        for i in np.unique(chosen[:, 0]):
            rows = np.sort(chosen[chosen[:, 0] == i, 1])
            patches.append(self.sequences[i].patches[rows])
            boxes.append(self.sequences[i].boxes[rows])
        return ({"mask": np.concatenate(patches), "box": np.concatenate(boxes)},)


def seed_dropout(model: Any, seed: int, epoch: int) -> None:
    """Set every dropout layer's random state from (seed, epoch), so that resuming repeats it."""
    for number, layer in enumerate(model.layers):
        generator = getattr(layer, "seed_generator", None)
        if generator is not None:
            state = np.random.default_rng([seed, epoch, number]).integers(2**31, size=2)
            generator.state.assign(state.astype(generator.state.dtype))


CHOICES = {
    "association": "association on the held-back sequences, see models/calibration.py",
    "loss": "least loss on the held-back sequences",
}


def write_card(path: Path, card: dict[str, Any]) -> None:
    """Write a card as NAME.json and, for people, as NAME.md.

    Args:
        path: of the JSON file.
        card: dict, see `Trainer`. `measured`, a list of {"command", "scores"}, is optional.
    """
    stem, settings = path.stem, card["settings"]
    best = card["scores_of_best_epoch"]
    scores = ", ".join(f"{k} {v:.5g}" for k, v in best.items() if k not in ("epoch", "seconds"))
    lines = [
        f"# {stem}",
        "",
        f"* **Command:** `{card['command']}`",
        f"* **Data:** {data_set(settings['dataset']).licence}. "
        f"{card['training_masks']:,} masks of the sequences "
        f"{', '.join(card['trained_on'])}; held back: "
        f"{', '.join(card['held_back']) or 'none'}.",
        f"* **Epochs:** {card['epochs_trained']}, kept: {card['best_epoch']}, chosen by "
        f"{card['chosen_by']}. Seed {settings['seed']}.",
        f"* **Time:** {card['seconds'] / 60:.0f} minutes on {card['hardware']}; Keras "
        f"{card['versions']['keras']}, backend {card['versions']['backend']}.",
        f"* **sha256:** `{card['sha256']}`",
        f"* **Scores of the kept epoch, held-back sequences:** {scores}.",
    ]
    if card.get("calibrated_on_all"):
        text = ", ".join(f"{k} {v:.5g}" for k, v in card["calibrated_on_all"].items())
        lines.append(f"* **Calibrated in the end on all these sequences:** {text}.")
    for entry in card.get("measured", ()):
        lines.append(f"* **Measured** by `{entry['command']}`: {entry['scores']}.")
    lines += ["", f"![curves and reconstructions]({stem}.png)", ""]
    save_card(path, card, lines)


class Trainer:
    """Trains a DHAE and keeps its files: weights, card, history, state to resume from.

    Beside `output` (NAME.keras, the best weights, without optimiser state): NAME.json and NAME.md,
    the card, NAME.csv (history), NAME.png (curves and reconstructions), and what resuming
    needs, NAME.state.json with the NAME.epoch-N.state.keras it points to.

    Args:
        output: the weights' path, *.keras.
        settings: dict of everything that defines the run; resuming demands the same.
        training, held_back: lists of TrainingSequence. Without held-back sequences the last epoch
            counts as best.
        whole: the training sequences with all their detections. Where embeddings gate or nothing
            is held back, the kept checkpoint is calibrated on them and the held-back ones in the
            end: the limit of the gate is about events too rare for a few sequences.
        network: DHAE arguments.
        command: the command line, for the card.
    """

    def __init__(
        self,
        output: Path,
        settings: dict[str, Any],
        training: Sequence[TrainingSequence],
        held_back: Sequence[TrainingSequence],
        whole: Sequence[TrainingSequence],
        network: dict[str, Any],
        command: str,
    ) -> None:
        self.output, self.settings, self.command = Path(output), settings, command
        self.training, self.held_back, self.network = training, held_back, network
        self.files = Checkpoints(self.output, settings)
        self.history: list[dict[str, Any]] = []
        self.best: dict[str, Any] | None = None
        self.calibration: dict[str, Any] | None = None
        self.scales: dict[str, Any] = {}  # the last calibration's, of the DHAE's arguments
        self.whole = whole
        self.jit: bool | str = "auto"  # Keras' `jit_compile`

    def run(
        self,
        epochs: int,
        resume: bool = False,
        tensorboard: Path | None = None,
        verbose: int = 0,
    ) -> dict[str, Any]:
        """Train up to `epochs` epochs in all; return the best epoch's row of the history."""
        model = self._resume() if resume else None
        if model is None:
            keras.utils.set_random_seed(self.settings["seed"])
            model = DHAE(**self.network)
            rate = self.settings["learning_rate"]
            model.compile(keras.optimizers.Adadelta(rate), jit_compile=self.jit)
        board = [keras.callbacks.TensorBoard(str(tensorboard))] if tensorboard else []
        for epoch in range(len(self.history) + 1, epochs + 1):
            self._epoch(model, epoch, board, verbose)
        if not self.history:
            raise ValueError("epochs must be at least 1, got none")
        self._finish()
        assert self.best is not None
        return self.best

    def _epoch(self, model: Any, epoch: int, callbacks: list[Any], verbose: int) -> None:
        """Train one epoch, score it, keep it."""
        start = time.perf_counter()
        seed, batch_size = self.settings["seed"], self.settings["batch_size"]
        seed_dropout(model, seed, epoch)
        log = model.fit(
            Batches(self.training, batch_size, seed, epoch),
            initial_epoch=epoch - 1,
            epochs=epoch,
            shuffle=False,
            verbose=verbose,
            callbacks=callbacks,
        ).history
        row = {"epoch": epoch, **{name: float(values[-1]) for name, values in log.items()}}
        if self.held_back:
            scores = model.evaluate(
                Batches(self.held_back, batch_size), return_dict=True, verbose=0
            )
            for name in ("loss", "mask_mse", "box_mse"):
                row[f"val_{name}"] = float(scores[name])
            if epoch % self.settings["associate_every"] == 0:
                found = self._calibrate(model, self.held_back)
                row |= found
                self.scales = _scales(found)
        row["seconds"] = round(time.perf_counter() - start, 1)
        self.history.append(row)
        if self.best is None or self._rank(row) > self._rank(self.best):
            self.best = row
            self._save_weights(model, self.scales)
        self._save_state(model, epoch)
        print("  ".join(f"{k} {v:.5g}" for k, v in row.items()), flush=True)

    def _calibrate(
        self,
        model: Any,
        sequences: Sequence[TrainingSequence],
        thorough: bool = False,
        location_centre: list[float] | None = None,
    ) -> dict[str, Any]:
        """Return `calibrate`'s choice; a gain that the settings fix is kept."""
        gain = self.settings["location_gain"]
        if self.network.get("branch", "both") != "both":
            gain = 1.0  # there is nothing to weigh location against
        return calibrate(model, sequences, self._tracker, thorough, gain, location_centre)

    @property
    def _tracker(self) -> Any:
        """Return the paper's settings for the data set."""
        return settings_for(data_set(self.settings["dataset"]), "paper").tracker

    def _rank(self, row: dict[str, Any]) -> tuple[float, ...]:
        """Association decides; among equals the better reconstruction, then the earlier epoch.

        Epochs without an association rank last, by epoch where nothing is held back. The paper's
        choice is the least loss alone.
        """
        if self.held_back and self.settings["choose"] == "loss":
            return (-row["val_loss"],)
        missing = -1.0 if self.held_back else float(row["epoch"])
        return (row.get("association", missing), -row.get("val_loss", 0.0))

    def _save_weights(self, model: Any, scales: dict[str, Any]) -> None:
        """Write the weights alone, as a fresh model that never met an optimiser."""
        bare = DHAE(**{**self.network, **scales})
        bare.set_weights(model.get_weights())
        with atomic_path(self.output) as temporary:
            bare.save(temporary)

    def _save_state(self, model: Any, epoch: int) -> None:
        """Write all that resuming needs."""
        content = {"history": self.history, "best": self.best, "scales": self.scales}
        self.files.save(model, epoch, content)

    def _resume(self) -> Any:
        """Return the model as the last complete epoch left it, or None if there is none."""
        found = self.files.load(("history", "best", "scales"))
        if found is None:
            return None
        model, content = found
        self.history, self.best = content["history"], content["best"]
        self.scales = content["scales"]
        return model

    def _finish(self) -> None:
        """Write card, history and pictures."""
        self.files.write_history(self.history)
        best = keras.saving.load_model(self.output)
        if self._tracker.gate == "embedding" or not self.held_back:
            centre = np.concatenate([s.boxes for s in self.whole]).mean(axis=0).tolist()
            sequences = [*self.whole, *self.held_back]
            self.calibration = self._calibrate(best, sequences, True, centre)
            self._save_weights(best, {**_scales(self.calibration), "location_centre": centre})
        shown = Batches((self.held_back or self.training)[:1], 8, seed=0)[0][0]
        rebuilt = best(shown).get("mask")
        if rebuilt is not None:
            rebuilt = keras.ops.convert_to_numpy(rebuilt)
        plot_training(
            self.output.with_suffix(".png"),
            self.history,
            self.best["epoch"] if self.best else 0,
            shown["mask"],
            rebuilt,
        )
        self._write_card()

    def _write_card(self) -> None:
        """Collect what made these weights and what they score; write it."""
        assert self.best is not None
        card = {
            "weights": self.output.name,
            "sha256": hashlib.sha256(self.output.read_bytes()).hexdigest(),
            "command": self.command,
            "settings": self.settings,
            "network": self.network,
            "epochs_trained": len(self.history),
            "best_epoch": self.best["epoch"],
            "scores_of_best_epoch": self.best,
            "chosen_by": CHOICES[self.settings["choose"]] if self.held_back else "last epoch",
            "calibrated_on_all": self.calibration,
            "held_back": [s.detections.sequence for s in self.held_back],
            "trained_on": [s.detections.sequence for s in self.training],
            "training_masks": sum(len(s.boxes) for s in self.training),
            "seconds": round(sum(row["seconds"] for row in self.history), 1),
            **where_made(),
        }
        write_card(self.output.with_suffix(".json"), card)


def _scales(calibration: dict[str, Any]) -> dict[str, Any]:
    """Return the DHAE's arguments that a calibration chose."""
    return {name: calibration[name] for name in ("location_gain", "latent_scale")}
