"""An appearance encoder that is adapted to a video without identities (ReMOTS, sections 2.2, 2.4).

It sees objects as patches of their pixels, other pixels black.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from models.networks.starting import start_with
from models.remots.encoder_config import EncoderConfig
from models.remots.network import EncoderNetwork
from models.remots.triplets import Patches, Seen, between_tracklets, plain, within_frames

Array = npt.NDArray[Any]


class Appearance:
    """An encoder that learns from videos and describes their objects.

    Args:
        config: EncoderConfig.
        given: network of this repository whose layers it begins with, or None; what decides their
            shapes then replaces that of the config.
    """

    def __init__(self, config: EncoderConfig, given: Any = None) -> None:
        keras.utils.set_random_seed(config.seed)
        self.config = config if given is None else config.like(given.config)
        self.model = EncoderNetwork(self.config)
        if given is not None:
            start_with(self.model, given)
        self.model.compile(keras.optimizers.Adam(config.learning_rate))
        self._rng = np.random.default_rng(config.seed)

    def learn_within_frames(self, target: Seen, labelled: Sequence[Seen] = ()) -> list[float]:
        """Train by objects of one frame, an augmented copy the positive; return the losses.

        Args:
            target: the video. labelled: videos with known identities, which make half of each
                batch (section 2.2: 1 : 1) by triplets of their tracks.
        """

        def draw(seen: Seen, count: int) -> Array | None:
            return within_frames(seen, count, self._rng)

        return self._rounds(self.config.intra_frame_steps, target, draw, labelled)

    def learn_between_tracklets(self, target: Seen, labelled: Sequence[Seen] = ()) -> list[float]:
        """Train by tracklets that share a frame (section 2.4); return the losses."""
        return self._rounds(self.config.tracklet_steps, target, self._tracks, labelled)

    def _tracks(self, seen: Seen, count: int) -> Array | None:
        return between_tracklets(seen, count, self.config.span, self._rng)

    def _rounds(
        self,
        steps: int,
        target: Seen,
        draw: Callable[[Seen, int], Array | None],
        labelled: Sequence[Seen],
    ) -> list[float]:
        losses: list[float] = []
        count = self.config.batch_size // (2 if labelled else 1)
        for step in range(steps):
            parts = [draw(target, count)]
            if labelled:
                parts.append(self._tracks(labelled[step % len(labelled)], count))
            triplets = [part for part in parts if part is not None]
            if not triplets:
                break
            batch = {"patches": np.concatenate(triplets)}
            losses.append(float(self.model.train_on_batch(batch, return_dict=True)["loss"]))
            self.model.reset_metrics()
        return losses

    def describe(self, patches: Patches, batch: int = 256) -> npt.NDArray[np.float32]:
        """Return (n, F) float32 vectors of length 1."""
        return vectors_of(self.model, patches, batch)


def vectors_of(model: Any, patches: Patches, batch: int = 256) -> npt.NDArray[np.float32]:
    """Return (n, F) float32 vectors of length 1 of an EncoderNetwork, `batch` patches at once."""
    parts = [
        np.asarray(model.body.predict_on_batch(plain(patches[k : k + batch])), np.float32)
        for k in range(0, len(patches), batch)
    ]
    if not parts:
        return np.zeros((0, model.config.vector_size), np.float32)
    return np.concatenate(parts)
