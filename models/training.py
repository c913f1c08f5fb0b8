"""The training loop of the DHAE: deterministic epochs, checkpoints that survive any kill."""

import csv
import hashlib
import io
import json
import os
import platform
import time
from pathlib import Path

import keras
import numpy as np

from models.calibration import calibrate
from models.dhae import DHAE
from utils.config import preset
from utils.mots_io import atomic_path
from utils.visualization import plot_training


class Batches(keras.utils.PyDataset):
    """Shuffled batches of patches and boxes; the order depends on seed and epoch alone.

    Args:
        sequences: [TrainingSequence].
        batch_size: patches per step.
        seed: int; None keeps the order.
        epoch: int.
    """

    def __init__(self, sequences, batch_size, seed=None, epoch=0):
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

    def __len__(self):
        return -(-len(self.index) // self.batch_size)

    def __getitem__(self, step):
        """Return one batch as the one-element tuple Keras takes for inputs without targets."""
        chosen = self.index[step * self.batch_size : (step + 1) * self.batch_size]
        patches, boxes = [], []
        # Grouped by sequence: order within a batch has no effect on its loss.
        for i in np.unique(chosen[:, 0]):
            rows = np.sort(chosen[chosen[:, 0] == i, 1])
            patches.append(self.sequences[i].patches[rows])
            boxes.append(self.sequences[i].boxes[rows])
        return ({"mask": np.concatenate(patches), "box": np.concatenate(boxes)},)


def seed_dropout(model, seed, epoch):
    """Set every dropout layer's random state from (seed, epoch), so that resuming repeats it."""
    for number, layer in enumerate(model.layers):
        generator = getattr(layer, "seed_generator", None)
        if generator is not None:
            state = np.random.default_rng([seed, epoch, number]).integers(2**31, size=2)
            generator.state.assign(state.astype(generator.state.dtype))


class Trainer:
    """Trains a DHAE and keeps its files: weights, card, history, state to resume from.

    Beside `output` (NAME.keras, the best weights, without optimiser state): NAME.json (settings,
    scores, sha256), NAME.csv (history), NAME.png (curves and reconstructions) and, until training
    is complete, NAME.state.json with the NAME.epoch-N.state.keras it points to.

    Args:
        output: the weights' path, *.keras.
        settings: dict of everything that defines the run; resuming demands the same.
        training, held_back: lists of TrainingSequence. Without held-back sequences the last epoch
            counts as best.
        network: DHAE arguments.
        command: the command line, for the card.
    """

    def __init__(self, output, settings, training, held_back, network, command):
        self.output, self.settings, self.command = Path(output), settings, command
        self.training, self.held_back, self.network = training, held_back, network
        self.state_path = self.output.with_suffix(".state.json")
        self.history, self.best = [], None

    def run(self, epochs, resume=False, tensorboard=None, verbose=0):
        """Train up to `epochs` epochs in all; return the best epoch's row of the history."""
        model = self._resume() if resume else None
        if model is None:
            keras.utils.set_random_seed(self.settings["seed"])
            model = DHAE(**self.network)
            model.compile(keras.optimizers.Adadelta(self.settings["learning_rate"]))
        board = [keras.callbacks.TensorBoard(str(tensorboard))] if tensorboard else []
        for epoch in range(len(self.history) + 1, epochs + 1):
            self._epoch(model, epoch, board, verbose)
        if not self.history:
            raise ValueError("epochs must be at least 1, got none")
        self._finish(model)
        return self.best

    def _epoch(self, model, epoch, callbacks, verbose):
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
                row |= calibrate(model, self.held_back, preset(self.settings["dataset"]).tracker)
        row["seconds"] = round(time.perf_counter() - start, 1)
        self.history.append(row)
        if self.best is None or self._rank(row) > self._rank(self.best):
            self.best = row
            self._save_weights(model)
        self._save_state(model, epoch)
        print("  ".join(f"{k} {v:.5g}" for k, v in row.items()), flush=True)

    def _rank(self, row):
        """Association decides; among equals the better reconstruction, then the earlier epoch.

        Epochs without an association rank last, by epoch where nothing is held back.
        """
        missing = -1.0 if self.held_back else float(row["epoch"])
        return (row.get("association", missing), -row.get("val_loss", 0.0))

    def _save_weights(self, model):
        """Write the weights alone, as a fresh model that never met an optimiser."""
        bare = DHAE(**{**self.network, **self._scales(model)})
        bare.set_weights(model.get_weights())
        with atomic_path(self.output) as temporary:
            bare.save(temporary)

    @staticmethod
    def _scales(model):
        return {name: model.config[name] for name in ("location_gain", "latent_scale")}

    def _save_state(self, model, epoch):
        """Write all that resuming needs; a kill at any moment leaves the old or the new state."""
        state = self.output.with_suffix(f".epoch-{epoch}.state.keras")
        with atomic_path(state) as temporary:
            model.save(temporary)
        content = {
            "state": state.name,
            "settings": self.settings,
            "history": self.history,
            "best": self.best,
        }
        with atomic_path(self.state_path) as temporary:
            temporary.write_text(json.dumps(content))
        for old in self.output.parent.glob(f"{self.output.stem}.epoch-*.state.keras"):
            if old != state:
                old.unlink(missing_ok=True)

    def _resume(self):
        """Return the model as the last complete epoch left it, or None if there is none."""
        if not self.state_path.is_file():
            return None
        content = json.loads(self.state_path.read_text())
        for name, value in self.settings.items():
            if content["settings"].get(name) != value:
                raise ValueError(
                    f"{self.state_path}: resuming needs {name} = {content['settings'].get(name)}, "
                    f"got {value}"
                )
        self.history, self.best = content["history"], content["best"]
        return keras.saving.load_model(self.state_path.with_name(content["state"]))

    def _finish(self, model):
        """Write card, history and pictures, then drop the state of the finished run."""
        text = io.StringIO()
        columns = list(dict.fromkeys(name for row in self.history for name in row))
        writer = csv.DictWriter(text, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.history)
        with atomic_path(self.output.with_suffix(".csv")) as temporary:
            temporary.write_text(text.getvalue())
        best = keras.saving.load_model(self.output)
        shown = Batches((self.held_back or self.training)[:1], 8, seed=0)[0][0]
        rebuilt = keras.ops.convert_to_numpy(best(shown)["mask"])
        plot_training(
            self.output.with_suffix(".png"),
            self.history,
            self.best["epoch"],
            shown["mask"],
            rebuilt,
        )
        self._write_card()

    def _write_card(self):
        """Write NAME.json: what made these weights and what they score."""
        card = {
            "weights": self.output.name,
            "sha256": hashlib.sha256(self.output.read_bytes()).hexdigest(),
            "command": self.command,
            "settings": self.settings,
            "network": self.network,
            "epochs_trained": len(self.history),
            "best_epoch": self.best["epoch"],
            "scores_of_best_epoch": self.best,
            "chosen_by": "association on the held-back sequences, see models/calibration.py"
            if self.held_back
            else "last epoch",
            "held_back": [s.detections.sequence for s in self.held_back],
            "trained_on": [s.detections.sequence for s in self.training],
            "training_masks": sum(len(s.boxes) for s in self.training),
            "seconds": round(sum(row["seconds"] for row in self.history), 1),
            "hardware": f"{os.cpu_count()} cores, {platform.machine()}",
            "versions": {
                "keras": keras.__version__,
                "numpy": np.__version__,
                "backend": keras.backend.backend(),
                "python": platform.python_version(),
            },
        }
        with atomic_path(self.output.with_suffix(".json")) as temporary:
            temporary.write_text(json.dumps(card, indent=2) + "\n")
