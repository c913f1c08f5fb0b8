"""Training of the networks that go from frames to masks: fit, score, keep, resume."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from models.checkpoints import Checkpoints, save_card, where_made
from models.maskrcnn.data import Clips, FrameSequence, class_names
from models.maskrcnn.profiles import Plan
from models.maskrcnn.starting import start_with
from utils.cli import note
from utils.data_sets import DataSet
from utils.detection_scores import STEPS, average_precision
from utils.detections import Detections
from utils.drawing import Painter
from utils.files import atomic_path
from utils.visualization import plot_network


class NetworkTrainer:
    """Trains a network on frames with masks and keeps its files.

    Beside `output` (NAME.keras, the best weights): NAME.json and NAME.md, the card, NAME.csv
    (history), NAME.png (curves and example pictures), and what resuming needs.

    Args:
        output: the weights' path, *.keras.
        settings: what defines the run, for the card and for resuming.
        network: makes the network: its class and its config.
        plan: Plan. of: DataSet.
        training, held_back: [FrameSequence]; without held-back ones the last epoch is kept.
        adjacent: whether a step's frames are neighbours.
        command: the command line, for the card.
        given: network whose weights training begins with, or None.

    Attributes:
        chooses: the score that chooses the checkpoint: AP over IoU 0.5 to 0.95, AP50 is soon full.
        chosen_by: the same in words.
    """

    chooses = "mask_ap"
    chosen_by = "the best mask AP held back"

    def __init__(
        self,
        output: Path,
        settings: dict[str, Any],
        network: tuple[Any, Any],
        plan: Plan,
        of: DataSet,
        training: Sequence[FrameSequence],
        held_back: Sequence[FrameSequence],
        adjacent: bool,
        command: str,
        given: Any = None,
    ) -> None:
        self.output, self.plan, self.of, self.adjacent = Path(output), plan, of, adjacent
        self.kind, self.config = network
        self.training, self.held_back, self.command = training, held_back, command
        self.given = given
        own = {"network": self.config.as_dict(), "plan": asdict(plan)}
        self.settings = {**settings, **own}
        self.files = Checkpoints(self.output, self.settings)
        self.history: list[dict[str, Any]] = []
        self.best: dict[str, Any] | None = None
        self.jit: bool | str = "auto"  # a step is compiled by XLA: with JAX alone

    def run(self, resume: bool = False, verbose: int = 0) -> dict[str, Any]:
        """Train all epochs of the plan; return the kept epoch's row of the history."""
        model = self._resume() if resume else None
        if model is None:
            keras.utils.set_random_seed(self.config.seed)
            model = self.kind(self.config)
            if self.given is not None:
                note(start_with(model, self.given).told())
            jit = keras.backend.backend() == "jax" if self.jit == "auto" else self.jit
            model.compile(self._optimizer(), jit_compile=jit)
        for epoch in range(len(self.history) + 1, self.plan.epochs + 1):
            self._epoch(model, epoch, verbose)
        self._finish()
        assert self.best is not None
        return self.best

    def _optimizer(self) -> Any:
        plan = self.plan
        total = plan.epochs * plan.steps
        warm = min(plan.warm_up, total // 2)
        rate = keras.optimizers.schedules.CosineDecay(
            plan.learning_rate / 10 if warm else plan.learning_rate,
            total - warm,
            warmup_target=plan.learning_rate if warm else None,
            warmup_steps=warm,
        )
        return keras.optimizers.AdamW(
            rate, weight_decay=plan.decoupled_decay, global_clipnorm=plan.clip_norm
        )

    def _epoch(self, model: Any, epoch: int, verbose: int) -> None:
        """Train one epoch, score it where it is due, keep it."""
        start, plan = time.perf_counter(), self.plan
        # From seed and epoch alone: a file keeps no state of random numbers.
        state = np.random.default_rng([self.config.seed, epoch]).integers(2**31, size=2)
        model.seeds.state.assign(state.astype(model.seeds.state.dtype))
        log = model.fit(
            self.data(epoch), initial_epoch=epoch - 1, epochs=epoch, shuffle=False, verbose=verbose
        ).history
        row = {"epoch": epoch, **{name: float(values[-1]) for name, values in log.items()}}
        if not np.isfinite(row["loss"]):
            raise ValueError(
                f"{self.output}: the loss must stay finite, got {row['loss']} in epoch {epoch} "
                "(a lower --set learning_rate helps)"
            )
        if self.held_back and (epoch % plan.evaluate_every == 0 or epoch == plan.epochs):
            row |= self.score(model)
        row["seconds"] = round(time.perf_counter() - start, 1)
        self.history.append(row)
        if self.chooses in row or not self.held_back:
            value = row.get(self.chooses, 0)
            better = self.best is None or value >= self.best.get(self.chooses, 0)
            if better:
                self.best = row
                self._save_weights(model)
        content = {"history": self.history, "best": self.best}
        self.files.save(model, epoch, content)
        print("  ".join(f"{k} {v:.4g}" for k, v in row.items()), flush=True)

    def data(self, epoch: int) -> Any:
        """Return an epoch's batches."""
        plan = self.plan
        return Clips(
            self.training,
            self.config,
            plan.batch,
            self.adjacent,
            plan.steps,
            self.config.seed,
            epoch,
            plan.flip,
            plan.gamma,
        )

    def score(self, model: Any) -> dict[str, float]:
        """Return AP50 of boxes and masks and AP of masks on held-back frames, in percent."""
        truth, found = self._compared(model, self.plan.evaluate_frames)
        names = class_names([*self.training, *self.held_back], self.of)
        half = average_precision(truth, found, names, self.of.ignore)
        every = average_precision(truth, found, names, self.of.ignore, STEPS)
        scores = {f"{kind}_ap50": half[kind]["mean"] for kind in ("box", "mask")}
        scores[self.chooses] = every["mask"]["mean"]
        return {name: round(value, 3) for name, value in scores.items()}

    def _compared(self, model: Any, most: int) -> tuple[list[Detections], list[Detections]]:
        """Return truth and what is found, in runs of adjacent frames of the held-back sequences."""
        run = self.plan.batch + 2 * int(getattr(self.config, "context", 0))
        segmenter = model.segmenter(self.plan.batch)
        truth, found = [], []
        share = max(1, most // (self.plan.batch * len(self.held_back)))
        for sequence in self.held_back:
            starts = np.linspace(0, max(0, len(sequence.numbers) - run), share).astype(int)
            for start in np.unique(starts).tolist():
                numbers = sequence.numbers[start : start + run]
                frames = [(n, sequence.images(n)) for n in numbers]
                name = f"{sequence.name} {start}"
                for number, _, part in segmenter.stream(frames):
                    rows = np.flatnonzero(sequence.detections.frames == number)
                    truth.append(replace(sequence.detections.select(rows), sequence=name))
                    found.append(replace(part.select(part.filled), sequence=name))
        return truth, found

    def _save_weights(self, model: Any) -> None:
        """Write the weights alone, as a fresh model that never met an optimiser."""
        bare = self.kind(self.config)
        bare.set_weights(model.get_weights())
        with atomic_path(self.output) as temporary:
            bare.save(temporary)

    def _resume(self) -> Any:
        found = self.files.load(("history", "best"))
        if found is None:
            return None
        model, content = found
        self.history, self.best = content["history"], content["best"]
        return model

    def _finish(self) -> None:
        """Write history, pictures and card."""
        assert self.best is not None
        self.files.write_history(self.history)
        best = keras.saving.load_model(self.output)
        plot_network(self.output.with_suffix(".png"), self.history, self.pictures(best))
        card = {
            "weights": self.output.name,
            "sha256": hashlib.sha256(self.output.read_bytes()).hexdigest(),
            "command": self.command,
            "settings": self.settings,
            "weights_count": int(best.count_params()),
            "epochs_trained": len(self.history),
            "kept": self.best,
            "chosen_by": self.chosen_by if self.held_back else "the last",
            "trained_on": {s.name: len(s.numbers) for s in self.training},
            "held_back": {s.name: len(s.numbers) for s in self.held_back},
            "seconds": round(sum(row["seconds"] for row in self.history), 1),
            **where_made(),
        }
        write_card(self.output.with_suffix(".json"), card, self.of)

    def pictures(self, best: Any) -> list[tuple[str, npt.NDArray[Any]]]:
        """Return (title, picture) of what the kept weights find."""
        shown = []
        for sequence in (self.held_back or self.training)[:4]:
            image = sequence.images(sequence.numbers[len(sequence.numbers) // 2])
            found = best.segmenter(1)(image)
            named = replace(found, ids=np.arange(1, len(found) + 1, dtype=np.int32))
            drawn = Painter().draw(image, named, np.arange(len(found)), 0)
            shown.append((f"{len(found)} found", drawn))
        return shown


def write_card(path: Path, card: dict[str, Any], of: DataSet) -> None:
    """Write a network's card as NAME.json and, for people, as NAME.md."""
    kept = card["kept"]
    scores = ", ".join(f"{k} {v:.4g}" for k, v in kept.items() if k not in ("epoch", "seconds"))

    def listed(frames: dict[str, int]) -> str:
        return ", ".join(f"{name} ({n} frames)" for name, n in frames.items()) or "none"

    versions = card["versions"]
    lines = [
        f"# {path.stem}",
        "",
        f"* **Command:** `{card['command']}`",
        f"* **Data:** {of.licence}. Trained on {listed(card['trained_on'])}; held back: "
        f"{listed(card['held_back'])}.",
        f"* **Size:** {card['weights_count']:,} weights.",
        f"* **Epochs:** {card['epochs_trained']}, kept: {kept['epoch']}, {card['chosen_by']}.",
        f"* **Time:** {card['seconds'] / 60:.0f} minutes on {card['hardware']}; Keras "
        f"{versions['keras']}, backend {versions['backend']}.",
        f"* **sha256:** `{card['sha256']}`",
        f"* **Of the kept epoch:** {scores}.",
        *(f"* **Measured** by `{m['command']}`: {m['scores']}." for m in card.get("measured", ())),
        "",
        f"![curves and detections]({path.stem}.png)",
        "",
    ]
    save_card(path, card, lines)
