"""An appearance encoder that is adapted to a video without identities (ReMOTS, sections 2.2, 2.4).

It sees objects as patches of their pixels, other pixels black.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from models.maskrcnn.frame_config import FrameConfig
from models.remots.refinement import grouped, other_in_frame, short_tracklets
from utils.config import check_settings, setting

Array = npt.NDArray[Any]
Patches = npt.NDArray[np.uint8]

STAGES = 3  # of the ResNet, to stride 16: of a patch of 64 px four bands are left


@dataclass(frozen=True)
class EncoderConfig:
    """Settings of the encoder and its training."""

    depth: int = setting(18, "of the ResNet: 18, 34, 50 or 101 layers")
    width: int = setting(16, "channels of its first stage")
    vector_size: int = setting(64, "values of an appearance vector")
    side: int = setting(64, "px of a patch")
    intra_frame_steps: int = setting(200, "of the first round; 0 skips it")
    tracklet_steps: int = setting(400, "of the second round; 0 skips it")
    batch_size: int = setting(64, "triplets of a step")
    margin: float = setting(0.3, "of the triplet loss, on cosine distances")
    learning_rate: float = setting(1e-3, "of Adam")
    span: int = setting(60, "frames between an anchor and its positive, at most")
    seed: int = setting(0, "of weights, triplets and augmentation")

    def __post_init__(self) -> None:
        """Refuse settings without a meaning."""
        least = {"width": 1, "vector_size": 1, "side": 16, "intra_frame_steps": 0,
                 "tracklet_steps": 0, "batch_size": 1, "span": 1}  # fmt: skip
        rules = (
            *((name, getattr(self, name) >= n, f"at least {n}") for name, n in least.items()),
            ("margin", self.margin >= 0, "at least 0"),
            ("learning_rate", self.learning_rate > 0, "above 0"),
        )
        check_settings(self, rules)


@dataclass(frozen=True)
class Seen:
    """What an encoder learns from: patches of one video.

    Attributes:
        patches: (n, S, S, 3) uint8. frames: (n,) int.
        tracklets: (n,) int labels of tracklets that may be believed.
    """

    patches: Patches
    frames: Array
    tracklets: Array


def build_encoder(config: EncoderConfig, given: Any = None) -> Any:
    """Return a Keras model (B, S, S, 3) in [0, 1] -> (B, F) of length 1.

    Args:
        config: EncoderConfig.
        given: network of this repository whose ResNet it begins with, or None; its depth and width
            then replace those of the config.
    """
    import keras

    from models.maskrcnn.backbone import stages
    from models.maskrcnn.weights import variables_of

    own = FrameConfig(depth=config.depth, width=config.width, norm="batch")
    if given is not None:
        own = own.like(given.config)
    image = keras.Input((config.side, config.side, 3), name="patch")
    x = keras.layers.Normalization(mean=own.mean, variance=[s**2 for s in own.std])(image)
    x = stages(x, own, STAGES)[-1]
    # Of horizontal bands: what is worn above and below, roof and wheels.
    x = keras.layers.Flatten()(keras.ops.mean(x, axis=2))
    x = keras.layers.Dense(config.vector_size, use_bias=False, name="appearance")(x)
    model = keras.Model(image, keras.layers.UnitNormalization(name="unit")(x), name="encoder")
    if given is not None:
        theirs = variables_of(given)
        for name, variable in variables_of(model).items():
            if name in theirs and tuple(theirs[name].shape) == tuple(variable.shape):
                variable.assign(theirs[name].numpy())
    return model


def augmented(patches: Patches, rng: np.random.Generator) -> Array:
    """Return (n, S, S, 3) float32 in [0, 1]: each patch changed, not whose it is.

    Mirrored, moved and scaled, its colours shifted, a part of it hidden.
    """
    n, side = len(patches), patches.shape[1]
    found = np.empty(patches.shape, np.float32)
    for k in range(n):
        scale, turn = rng.uniform(0.85, 1.2), rng.uniform(-0.08, 0.08)
        mirror = 1 if rng.random() < 0.5 else -1
        cos, sin = scale * np.cos(turn), scale * np.sin(turn)
        matrix = np.array([[mirror * cos, -sin, 0.0], [mirror * sin, cos, 0.0]])
        middle = np.full(2, (side - 1) / 2)
        matrix[:, 2] = middle - matrix[:, :2] @ middle + rng.uniform(-0.08, 0.08, 2) * side
        found[k] = cv2.warpAffine(patches[k], matrix, (side, side))
        if rng.random() < 0.5:
            height, width = (rng.uniform(0.1, 0.4, 2) * side).astype(int)
            top, left = rng.integers(0, side - height), rng.integers(0, side - width)
            found[k, top : top + height, left : left + width] = 0
    outside = found.max(axis=-1, keepdims=True) == 0
    found *= rng.uniform(0.85, 1.15, (n, 1, 1, 1)) * rng.uniform(0.97, 1.03, (n, 1, 1, 3)) / 255
    found += rng.uniform(-0.03, 0.03, (n, 1, 1, 1)).astype(np.float32)
    found[np.broadcast_to(outside, found.shape)] = 0
    np.clip(found, 0, 1, out=found)
    return found


def plain(patches: Patches) -> npt.NDArray[np.float32]:
    """Return (n, S, S, 3) float32 in [0, 1]."""
    return np.divide(patches, np.float32(255), dtype=np.float32)


class Appearance:
    """An encoder that learns from videos and describes their objects.

    Args:
        config: EncoderConfig. given: see `build_encoder`.
    """

    def __init__(self, config: EncoderConfig, given: Any = None) -> None:
        import keras

        keras.utils.set_random_seed(config.seed)
        self.config, self.model = config, build_encoder(config, given)
        self._rng = np.random.default_rng(config.seed)
        self._trainer = self._triplets()

    def _triplets(self) -> Any:
        """Return a model of (B, 3, S, S, 3) with the triplet loss."""
        import keras

        side, margin = self.config.side, self.config.margin
        patches = keras.Input((3, side, side, 3))
        flat = keras.layers.Reshape((3 * side, side, 3))(patches)
        parts = [self.model(flat[:, k * side : (k + 1) * side]) for k in range(3)]
        model = keras.Model(patches, keras.ops.stack(parts, axis=1))

        def loss(_: Any, mapped: Any) -> Any:
            anchor, positive, negative = keras.ops.unstack(mapped, 3, axis=1)
            nearer = keras.ops.sum(anchor * (negative - positive), axis=-1)
            return keras.ops.relu(margin + nearer)

        model.compile(keras.optimizers.Adam(self.config.learning_rate), loss=loss)
        return model

    def learn_within_frames(self, target: Seen, labelled: Sequence[Seen] = ()) -> list[float]:
        """Train by objects of one frame, an augmented copy the positive; return the losses.

        Args:
            target: the video. labelled: videos with known identities, which make half of each
                batch (section 2.2: 1 : 1) by triplets of their tracks.
        """
        return self._rounds(self.config.intra_frame_steps, target, self._intra_frame, labelled)

    def learn_between_tracklets(self, target: Seen, labelled: Sequence[Seen] = ()) -> list[float]:
        """Train by tracklets that share a frame (section 2.4); return the losses."""
        return self._rounds(self.config.tracklet_steps, target, self._inter_tracklet, labelled)

    def _rounds(
        self,
        steps: int,
        target: Seen,
        draw: Callable[[Seen, Any, Any, int], Array | None],
        labelled: Sequence[Seen],
    ) -> list[float]:
        sources = [(target, *_groups(target), draw)]
        sources += [(seen, *_groups(seen), self._inter_tracklet) for seen in labelled]
        count, losses = self.config.batch_size, []
        for step in range(steps):
            chosen = sources[:1]
            if labelled:
                chosen = [*chosen, sources[1 + step % len(labelled)]]
            parts = [
                part
                for seen, by_frame, by_tracklet, own in chosen
                if (part := own(seen, by_frame, by_tracklet, count // len(chosen))) is not None
            ]
            if not parts:
                break
            triplets = np.concatenate(parts)
            losses.append(
                float(self._trainer.train_on_batch(triplets, np.zeros(len(triplets), np.float32)))
            )
        return losses

    def _intra_frame(self, seen: Seen, by_frame: Any, _: Any, count: int) -> Array | None:
        """Return (t, 3, S, S, 3): a patch, itself changed, another of its frame; None if none."""
        anchors = self._rng.integers(0, len(seen.frames), count)
        negatives = other_in_frame(by_frame, anchors, self._rng)
        usable = negatives >= 0
        return self._stack(seen, anchors[usable], anchors[usable], negatives[usable])

    def _inter_tracklet(
        self, seen: Seen, by_frame: Any, by_tracklet: Any, count: int
    ) -> Array | None:
        """Return (t, 3, S, S, 3): a patch, one of its tracklet, another of its frame; or None."""
        anchors = self._rng.integers(0, len(seen.frames), count)
        order, (place, first, end) = by_tracklet[0], (c[anchors] for c in by_tracklet[1:])
        low = np.maximum(first, place - self.config.span)
        high = np.minimum(end - 1, place + self.config.span)
        positives = order[low + (self._rng.random(count) * (high - low + 1)).astype(np.int64)]
        negatives = other_in_frame(by_frame, anchors, self._rng)
        apart = seen.tracklets[negatives] != seen.tracklets[anchors]
        usable = (negatives >= 0) & apart
        return self._stack(seen, anchors[usable], positives[usable], negatives[usable])

    def _stack(self, seen: Seen, *rows: Array) -> Array | None:
        if not len(rows[0]):
            return None
        return np.stack([augmented(seen.patches[r], self._rng) for r in rows], axis=1)

    def describe(self, patches: Patches, batch: int = 256) -> npt.NDArray[np.float32]:
        """Return (n, F) float32 vectors of length 1."""
        parts = [
            np.asarray(self.model.predict_on_batch(plain(patches[k : k + batch])))
            for k in range(0, len(patches), batch)
        ]
        if not parts:
            return np.zeros((0, self.config.vector_size), np.float32)
        return np.concatenate(parts).astype(np.float32)


def _groups(seen: Seen) -> tuple[Any, Any]:
    """Return the rows by frame, and by short tracklet with frames ascending."""
    parts = short_tracklets(seen.frames, seen.tracklets)
    return grouped(seen.frames), grouped(seen.frames, parts)
