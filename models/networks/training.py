"""Training of the networks that go from frames to masks, scored by AP on held-back frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from models.networks.data import Clips, FrameSequence, class_names
from models.networks.plan import Plan
from models.networks.starting import start_with
from models.networks.trainer import Row, Trainer
from utils.cli import note
from utils.data_sets import DataSet
from utils.detection_scores import STEPS, average_precision
from utils.detections import Detections
from utils.drawing import Painter
from utils.visualization import plot_network


class NetworkTrainer(Trainer):
    """Trains a network on frames with masks; see `Trainer`.

    Args:
        output, settings, dataset, command: see `Trainer`.
        network: (class, config) of the network.
        plan: Plan.
        training, held_back: [FrameSequence]; without held-back ones the last epoch is kept.
        adjacent: whether a step's frames are neighbours.
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
        settings: Row,
        dataset: DataSet,
        command: str,
        network: tuple[Any, Any],
        plan: Plan,
        training: Sequence[FrameSequence],
        held_back: Sequence[FrameSequence],
        adjacent: bool,
        given: Any = None,
    ) -> None:
        self.kind, self.config = network
        described = {"network": self.config.as_dict(), "plan": asdict(plan)}
        super().__init__(output, {**settings, **described}, dataset, command)
        self.plan, self.adjacent, self.given = plan, adjacent, given
        self.training, self.held_back = training, held_back
        self._segmenter: Any = None  # of the model that is trained: it is compiled once

    def new_model(self) -> Any:
        """Return the network, compiled; see `Trainer`."""
        keras.utils.set_random_seed(self.config.seed)
        model = self.kind(self.config)
        if self.given is not None:
            note(start_with(model, self.given).told())
        # Compiled by XLA with JAX alone: with TensorFlow it takes minutes and gains nothing.
        jit = keras.backend.backend() == "jax" if self.jit == "auto" else self.jit
        model.compile(self._optimizer(), jit_compile=jit)
        return model

    def bare_model(self) -> Any:
        """Return a new network; see `Trainer`."""
        return self.kind(self.config)

    def _optimizer(self) -> Any:
        plan = self.plan
        total = max(1, plan.epochs * plan.steps // plan.accumulate)
        warm = min(plan.warm_up // plan.accumulate, total // 2)
        rate = keras.optimizers.schedules.CosineDecay(
            plan.learning_rate / 10 if warm else plan.learning_rate,
            total - warm,
            warmup_target=plan.learning_rate if warm else None,
            warmup_steps=warm,
        )
        return keras.optimizers.AdamW(
            rate,
            weight_decay=plan.decoupled_decay,
            global_clipnorm=plan.clip_norm,
            gradient_accumulation_steps=plan.accumulate if plan.accumulate > 1 else None,
        )

    def seed(self, model: Any, epoch: int) -> None:
        """Set the random numbers of the losses; see `Trainer`."""
        state = np.random.default_rng([self.config.seed, epoch]).integers(2**31, size=2)
        model.seeds.state.assign(state.astype(model.seeds.state.dtype))

    def better(self, row: Row) -> bool:
        """Return whether a scored epoch is as good as the best; see `Trainer`."""
        if self.chooses not in row and self.held_back:
            return False
        value = row.get(self.chooses, 0)
        return bool(self.best is None or value >= self.best.get(self.chooses, 0))

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

    def score(self, model: Any, epoch: int) -> Row:
        """Return the scores on held-back frames where they are due; see `Trainer`."""
        due = epoch % self.plan.evaluate_every == 0 or epoch == self.plan.epochs
        return self.held_back_scores(model) if self.held_back and due else {}

    def held_back_scores(self, model: Any) -> Row:
        """Return AP50 of boxes and masks and AP of masks on held-back frames, in percent."""
        truth, detected = self._compared(model, self.plan.evaluate_frames)
        names = class_names([*self.training, *self.held_back], self.dataset)
        half = average_precision(truth, detected, names, self.dataset.ignore)
        every = average_precision(truth, detected, names, self.dataset.ignore, STEPS)
        scores = {f"{kind}_ap50": half[kind]["mean"] for kind in ("box", "mask")}
        scores[self.chooses] = every["mask"]["mean"]
        return {name: round(value, 3) for name, value in scores.items()}

    def _compared(self, model: Any, most: int) -> tuple[list[Detections], list[Detections]]:
        """Return truth and what is found, in runs of adjacent frames of the held-back sequences."""
        run = self.plan.batch + 2 * int(getattr(self.config, "context", 0))
        if self._segmenter is None or self._segmenter.network is not model:
            self._segmenter = model.segmenter(self.plan.batch)
        segmenter = self._segmenter
        truth, detected = [], []
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
                    detected.append(replace(part.select(part.filled), sequence=name))
        return truth, detected

    def finish(self, best: Any) -> None:
        """Draw the curves and what the kept weights find; see `Trainer`."""
        plot_network(self.output.with_suffix(".png"), self.history, self.pictures(best))
        self._size = int(best.count_params())

    def facts(self) -> Row:
        """Return the card's facts; see `Trainer`."""
        return {
            "weights_count": self._size,
            "kept": self.best,
            "chosen_by": self.chosen_by if self.held_back else "the last",
            "trained_on": {s.name: len(s.numbers) for s in self.training},
            "held_back": {s.name: len(s.numbers) for s in self.held_back},
        }

    def pictures(self, best: Any) -> list[tuple[str, npt.NDArray[Any]]]:
        """Return (title, picture) of what the kept weights find."""
        shown = []
        for sequence in (self.held_back or self.training)[:4]:
            image = sequence.images(sequence.numbers[len(sequence.numbers) // 2])
            detections = best.segmenter(1)(image)
            named = replace(detections, ids=np.arange(1, len(detections) + 1, dtype=np.int32))
            drawn = Painter().draw(image, named, np.arange(len(detections)), 0)
            shown.append((f"{len(detections)} found", drawn))
        return shown
