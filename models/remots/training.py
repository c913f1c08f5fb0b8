"""Training of the appearance encoder on frames with known identities (ReMOTS, section 2.2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from sklearn.metrics import roc_auc_score

from models.networks.data import FrameSequence
from models.networks.training import NetworkTrainer
from models.remots.adaptation import tracks_of
from models.remots.encoder import vectors_of
from models.remots.encoder_config import EncoderConfig
from models.remots.triplets import Seen, between_tracklets, within_frames
from utils.masks import crop_patches

Array = npt.NDArray[Any]
MOST = 5000  # patches of a held-back sequence that are described


def seen_in(sequence: FrameSequence, side: int, most: int | None = None) -> Seen:
    """Return the patches of a sequence's objects, `side` px wide and high.

    Args:
        sequence: FrameSequence. side: px. most: of so many patches, evenly spaced, at most.
    """
    detections = sequence.detections
    rows = np.flatnonzero((detections.classes != sequence.ignore) & (detections.ids > 0))
    if most is not None and len(rows) > most:
        rows = rows[np.linspace(0, len(rows) - 1, most).astype(int)]
    objects = detections.select(rows)
    patches = crop_patches(objects, side, sequence.images)
    return Seen(patches, objects.frames.astype(np.int64), objects.ids.astype(np.int64))


class Triplets(keras.utils.PyDataset):
    """Batches of triplets, half within frames, half of tracks; seed and epoch decide which.

    Args:
        videos: [Seen], one at least with two objects in a frame. config: EncoderConfig.
        batch: triplets. steps: batches of an epoch. epoch: int.
    """

    def __init__(
        self, videos: Sequence[Seen], config: EncoderConfig, batch: int, steps: int, epoch: int
    ) -> None:
        super().__init__()
        self.videos, self.config, self.batch, self.steps = videos, config, batch, steps
        self.epoch = epoch

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, step: int) -> tuple[dict[str, Array]]:
        """Return one batch as the one-element tuple Keras takes for inputs without targets."""
        rng = np.random.default_rng([self.config.seed, self.epoch, step])
        parts: list[Array] = []
        while sum(map(len, parts)) < self.batch:
            seen, half = self.videos[int(rng.integers(len(self.videos)))], -(-self.batch // 2)
            for triplets in (
                within_frames(seen, half, rng),
                between_tracklets(seen, half, self.config.span, rng),
            ):
                if triplets is not None:
                    parts.append(triplets)
        # As many in each step, whatever was left out.
        return ({"patches": np.concatenate(parts)[: self.batch]},)


def recognised(vectors: Array, frames: Array, ids: Array) -> float:
    """Return how well vectors tell tracks of one video apart: the area under the curve, percent.

    The later half of a track is compared with its earlier half, and with those of other tracks.

    Args:
        vectors: (n, F) of length 1. frames: (n,) int. ids: (n,) int.

    Returns:
        NaN where no two tracks have two detections.
    """
    tracks = [rows for rows in tracks_of(frames, ids) if len(rows) > 1]
    if len(tracks) < 2:
        return float("nan")
    early = np.array([vectors[rows[: len(rows) // 2]].mean(axis=0) for rows in tracks])
    late = np.array([vectors[rows[len(rows) // 2 :]].mean(axis=0) for rows in tracks])
    alike = late @ early.T
    return 100 * float(roc_auc_score(np.eye(len(tracks)).ravel(), alike.ravel()))


class EncoderTrainer(NetworkTrainer):
    """Trains an EncoderNetwork; see `NetworkTrainer`.

    Raises:
        ValueError: no training sequence has two objects in a frame.
    """

    chooses = "auc"
    chosen_by = "the best area under the curve of held-back tracks"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        videos = [seen_in(s, self.config.side) for s in self.training]
        self._videos = [v for v in videos if len(np.unique(v.frames)) < len(v.frames)]
        self._others = [seen_in(s, self.config.side, MOST) for s in self.held_back]
        if not self._videos:
            raise ValueError("a training sequence must have two objects in a frame, got none")

    def data(self, epoch: int) -> Any:
        """Return an epoch's batches."""
        return Triplets(self._videos, self.config, self.plan.batch, self.plan.steps, epoch)

    def held_back_scores(self, model: Any) -> dict[str, float]:
        """Return the mean area under the curve over the held-back sequences, percent."""
        areas = [
            recognised(vectors_of(model, seen.patches), seen.frames, seen.tracklets)
            for seen in self._others
        ]
        known = [value for value in areas if np.isfinite(value)]
        return {self.chooses: round(float(np.mean(known)), 3)} if known else {}

    def pictures(self, best: Any) -> list[tuple[str, Array]]:
        """Return for some sequences a few objects, each beside what looks most like it later on."""
        shown = []
        for seen in (self._others or self._videos)[:4]:
            vectors = vectors_of(best, seen.patches)
            rows = np.linspace(0, len(vectors) // 3, 6).astype(int)
            lines = []
            for row in rows:
                later = np.flatnonzero(seen.frames > seen.frames[row] + self.config.span // 4)
                near = later[np.argsort(-(vectors[later] @ vectors[row]), kind="stable")]
                _, once = np.unique(seen.tracklets[near], return_index=True)
                best_of = near[np.sort(once)][:3]
                cells = [seen.patches[row], *seen.patches[best_of]]
                cells += [np.zeros_like(cells[0])] * (4 - len(cells))
                lines.append(np.concatenate(cells, axis=1))
            shown.append(("an object, whom it looks like later", np.concatenate(lines)))
        return shown
