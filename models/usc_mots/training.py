"""Training of the DHAE (section 3.2), scored by association on held-back sequences."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from models.networks.trainer import Row, Trainer
from models.usc_mots.calibration import calibrate
from models.usc_mots.config import UscMotsConfig
from models.usc_mots.dhae import DHAE
from models.usc_mots.training_data import TrainingSequence
from utils.data_sets import DataSet
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
    "association": "association on the held-back sequences",
    "loss": "least loss on the held-back sequences",
}


class DhaeTrainer(Trainer):
    """Trains a DHAE; see `Trainer`.

    Args:
        output, settings, dataset, command: see `Trainer`.
        training, held_back: lists of TrainingSequence. Without held-back sequences the last epoch
            counts as best.
        whole: the training sequences with all their detections. Where embeddings gate or nothing
            is held back, the kept checkpoint is calibrated on them and the held-back ones in the
            end: the limit of the gate is about events too rare for a few sequences.
        network: DHAE arguments.
        tracker: the preset `paper` for the data set, which associates.
    """

    def __init__(
        self,
        output: Path,
        settings: Row,
        dataset: DataSet,
        command: str,
        training: Sequence[TrainingSequence],
        held_back: Sequence[TrainingSequence],
        whole: Sequence[TrainingSequence],
        network: dict[str, Any],
        tracker: UscMotsConfig,
    ) -> None:
        super().__init__(output, settings, dataset, command)
        self.training, self.held_back, self.whole = training, held_back, whole
        self.network, self.tracker = network, tracker
        self.calibration: Row | None = None
        self.scales: Row = {}  # the last calibration's, of the DHAE's arguments

    def new_model(self) -> Any:
        """Return the DHAE, compiled with Adadelta; see `Trainer`."""
        keras.utils.set_random_seed(self.settings["seed"])
        model = DHAE(**self.network)
        rate = self.settings["learning_rate"]
        model.compile(keras.optimizers.Adadelta(rate), jit_compile=self.jit)
        return model

    def bare_model(self) -> Any:
        """Return a new DHAE with the scalars of the last calibration; see `Trainer`."""
        return DHAE(**{**self.network, **self.scales})

    def seed(self, model: Any, epoch: int) -> None:
        """Set dropout's random states; see `Trainer`."""
        seed_dropout(model, self.settings["seed"], epoch)

    def data(self, epoch: int) -> Batches:
        """Return an epoch's batches; see `Trainer`."""
        return Batches(self.training, self.settings["batch_size"], self.settings["seed"], epoch)

    def score(self, model: Any, epoch: int) -> Row:
        """Return the loss on held-back sequences and, where it is due, their association."""
        if not self.held_back:
            return {}
        batches = Batches(self.held_back, self.settings["batch_size"])
        losses = model.evaluate(batches, return_dict=True, verbose=0)
        row: Row = {f"val_{n}": float(losses[n]) for n in ("loss", "mask_mse", "box_mse")}
        if epoch % self.settings["associate_every"] == 0:
            association = self._calibrate(model, self.held_back)
            row |= association
            self.scales = _scales(association)
        return row

    def _calibrate(
        self,
        model: Any,
        sequences: Sequence[TrainingSequence],
        thorough: bool = False,
        location_centre: list[float] | None = None,
    ) -> Row:
        """Return `calibrate`'s choice; a gain that the settings fix is kept."""
        gain = self.settings["location_gain"]
        if self.network.get("branch", "both") != "both":
            gain = 1.0  # there is nothing to weigh location against
        return calibrate(model, sequences, self.tracker, thorough, gain, location_centre)

    def better(self, row: Row) -> bool:
        """Return whether an epoch ranks above the best; see `Trainer`."""
        return self.best is None or self._rank(row) > self._rank(self.best)

    def _rank(self, row: Row) -> tuple[float, ...]:
        """Association decides; among equals the better reconstruction, then the earlier epoch.

        Epochs without an association rank last, by epoch where nothing is held back. The paper's
        choice is the least loss alone.
        """
        if self.held_back and self.settings["choose"] == "loss":
            return (-row["val_loss"],)
        missing = -1.0 if self.held_back else float(row["epoch"])
        return (row.get("association", missing), -row.get("val_loss", 0.0))

    def state(self) -> Row:
        """Return the scalars of the last calibration; see `Trainer`."""
        return {"scales": self.scales}

    def finish(self, best: Any) -> None:
        """Calibrate the kept weights where that is due, and draw them; see `Trainer`."""
        if self.tracker.gate == "embedding" or not self.held_back:
            centre = np.concatenate([s.boxes for s in self.whole]).mean(axis=0).tolist()
            sequences = [*self.whole, *self.held_back]
            self.calibration = self._calibrate(best, sequences, True, centre)
            self.scales = {**_scales(self.calibration), "location_centre": centre}
            self.save_weights(best)
        shown = Batches((self.held_back or self.training)[:1], 8, seed=0)[0][0]
        rebuilt = best(shown).get("mask")
        if rebuilt is not None:
            rebuilt = keras.ops.convert_to_numpy(rebuilt)
        kept = self.best["epoch"] if self.best else 0
        path = self.output.with_suffix(".png")
        plot_training(path, self.history, kept, shown["mask"], rebuilt)

    def facts(self) -> Row:
        """Return the card's facts; see `Trainer`."""
        assert self.best is not None
        return {
            "network": self.network,
            "best_epoch": self.best["epoch"],
            "scores_of_best_epoch": self.best,
            "chosen_by": CHOICES[self.settings["choose"]] if self.held_back else "last epoch",
            "calibrated_on_all": self.calibration,
            "held_back": [s.detections.sequence for s in self.held_back],
            "trained_on": [s.detections.sequence for s in self.training],
            "training_masks": sum(len(s.boxes) for s in self.training),
        }


def _scales(calibration: Row) -> Row:
    """Return the DHAE's arguments that a calibration chose."""
    return {name: calibration[name] for name in ("location_gain", "latent_scale")}
