"""The deep heterogeneous autoencoder (DHAE) of the paper's section 3.2 and Fig. 2."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import layers, ops

from models.usc_mots.fusing import check_inputs, gained
from models.usc_mots.losses import UncertaintyWeighting

BRANCHES = ("both", "mask", "box")
AT_ONCE = 64  # detections that are embedded without a loop over batches
Array = npt.NDArray[Any]


@keras.saving.register_keras_serializable("usc_mots")
class DHAE(keras.Model):
    """Embeds a mask and a box jointly: f_m = h_m(x_m), f_b = h_b(x_b), Z = h_a([f_m, f_b]).

    Section 3.2 and Fig. 2. h'_a takes Z back to 2F values, one half for each decoder. One network
    serves training and inference; dropout acts in training only.

    Args:
        patch_size: M, side of the mask patch in pixels.
        channels: D, 1 (shape) or 3 (appearance).
        filters: channels of the 3 x 3, stride-2 convolutions; the decoder mirrors them.
        latent_dim: F, size of f_m, f_b and Z.
        branch: "both", or the half of the network that Table 1 tests alone: "mask" (shape embed,
            Z = h_a(f_m)) or "box" (loc embed, Z = h_a(f_b)). The other input is then ignored.
        box_mean: 4 floats taken from x_b before h_b; the reconstruction stays in the units of x_b.
        box_std: 4 floats that divide it then.
        location_gain: factor on x_b - location_centre when embedding (not in training): what
            location weighs in Z, see docs/training.md.
        location_centre: 4 floats, where the gain leaves x_b as it is; None takes box_mean.
        latent_scale: factor on Z when embedding: its unit, in which the gate's limits are.
        last_padding: "same", or "valid" for the last convolution of the synthetic profile (7 -> 3).
        batch_norm_after: convolutions (from 0) followed by batch normalisation.
        dropout_after: convolutions followed by dropout.
        decoder_dropout_after: transposed convolutions followed by dropout.
        dropout: its rate.
        loss: "uncertainty" (Eq. 3) or "equal"; see `UncertaintyWeighting`.
        reduction: how Eq. 3 reads its squared norms; see `UncertaintyWeighting`.

    Example:
        >>> model = DHAE(patch_size=28, filters=(16, 32, 32), latent_dim=64, last_padding="valid")
        >>> patches = np.zeros((5, 28, 28, 1), "uint8")
        >>> model.encode(patches, np.zeros((5, 4), "float32")).shape
        (5, 64)
    """

    def __init__(
        self,
        patch_size=128,
        channels=1,
        filters=(16, 16, 32, 32, 64),
        latent_dim=128,
        branch="both",
        box_mean=(0.0, 0.0, 0.0, 0.0),
        box_std=(1.0, 1.0, 1.0, 1.0),
        location_gain=1.0,
        location_centre=None,
        latent_scale=1.0,
        last_padding="same",
        batch_norm_after=(),
        dropout_after=(),
        decoder_dropout_after=(),
        dropout=0.25,
        loss="uncertainty",
        reduction="sum",
        **kwargs,
    ):
        self._check(patch_size, channels, filters, latent_dim, last_padding, box_mean, box_std)
        if branch not in BRANCHES:
            raise ValueError(f"branch must be one of {BRANCHES}. Received: branch={branch!r}")
        arguments = locals()
        names = (
            "patch_size channels filters latent_dim branch box_mean box_std location_gain "
            "location_centre latent_scale last_padding batch_norm_after dropout_after "
            "decoder_dropout_after dropout loss reduction"
        ).split()
        config = {name: list(v) if isinstance(v := arguments[name], tuple) else v for name in names}
        mask = keras.Input((patch_size, patch_size, channels), dtype="uint8", name="mask")
        box = keras.Input((4,), name="box")
        f_m, side = self._encode_mask(mask, config) if branch != "box" else (None, None)
        latent = self._latent_layers(config)
        z = latent(f_m, box)
        decoded = [name for name in ("mask", "box") if branch in ("both", name)]
        expanded = layers.Dense(len(decoded) * latent_dim, activation="relu", name="f_prime")(z)
        parts = layers.Reshape((len(decoded), latent_dim))(expanded)
        outputs = {}
        for i, name in enumerate(decoded):
            if name == "mask":
                outputs[name] = self._decode_mask(parts[:, i], side, config)
            else:
                outputs[name] = layers.Dense(4, activation="sigmoid", name="box_out")(parts[:, i])
        super().__init__(
            inputs={"mask": mask, "box": box}, outputs=outputs, **{"name": "dhae", **kwargs}
        )
        self.config: dict[str, Any] = config
        self.mask_encoder = None if f_m is None else keras.Model(mask, f_m, name="h_m")
        feature = keras.Input((latent_dim,), name="feature")
        self.head = keras.Model([feature, box], latent(feature, box), name="h_a")
        # One task has no relative weight to learn.
        self.weighting = UncertaintyWeighting(
            patch_size, loss if branch == "both" else "equal", reduction
        )
        logged = ("mask_mse", "box_mse", "sigma_mask", "sigma_box")
        self.terms = [keras.metrics.Mean(name=name) for name in logged]

    @staticmethod
    def _check(patch_size, channels, filters, latent_dim, last_padding, box_mean, box_std):
        if len(box_mean) != 4 or len(box_std) != 4 or not min(box_std) > 0:
            raise ValueError(
                "box_mean and box_std must have 4 values, box_std positive. "
                f"Received: box_mean={box_mean}, box_std={box_std}"
            )
        if channels not in (1, 3):
            raise ValueError(f"channels must be 1 or 3. Received: channels={channels}")
        if not filters or min(filters) < 1 or latent_dim < 1:
            raise ValueError(
                "filters and latent_dim must be positive. "
                f"Received: filters={filters}, latent_dim={latent_dim}"
            )
        if last_padding not in ("same", "valid"):
            raise ValueError(
                f"last_padding must be 'same' or 'valid'. Received: last_padding={last_padding!r}"
            )
        if patch_size % 2 ** (len(filters) - (last_padding == "valid")):
            raise ValueError(
                "patch_size must halve once per convolution. "
                f"Received: patch_size={patch_size}, filters={filters}"
            )

    @staticmethod
    def _encode_mask(mask, config):
        """Return f_m and the side in pixels of the feature map before it."""
        x = layers.Rescaling(1 / 255, name="scaled")(mask)
        last = len(config["filters"]) - 1
        for i, filters in enumerate(config["filters"]):
            padding = config["last_padding"] if i == last else "same"
            x = layers.Conv2D(
                filters, 3, strides=2, padding=padding, activation="relu", name=f"conv_{i}"
            )(x)
            if i in config["batch_norm_after"]:
                x = layers.BatchNormalization(name=f"norm_{i}")(x)
            if i in config["dropout_after"]:
                x = layers.Dropout(config["dropout"], name=f"drop_{i}")(x)
        f_m = layers.Dense(config["latent_dim"], activation="relu", name="f_m")(layers.Flatten()(x))
        return f_m, x.shape[1]

    @staticmethod
    def _latent_layers(config):
        """Return a function (f_m, x_b) -> Z that shares its layers between calls: h_b and h_a."""
        std, size = config["box_std"], config["latent_dim"]
        scaled = layers.Rescaling(
            [1 / v for v in std],
            [-m / v for m, v in zip(config["box_mean"], std, strict=True)],
            name="standardised",
        )
        f_b = layers.Dense(size, activation="relu", name="f_b")
        joined = layers.Concatenate(name="f")
        z = layers.Dense(size, activation="relu", name="z")
        if config["branch"] == "mask":
            return lambda f_m, box: z(f_m)
        if config["branch"] == "box":
            return lambda f_m, box: z(f_b(scaled(box)))
        return lambda f_m, box: z(joined([f_m, f_b(scaled(box))]))

    @staticmethod
    def _decode_mask(f_m, side, config):
        """Return the reconstructed patch y_m in [0, 1]."""
        mirrored = config["filters"][::-1]
        x = layers.Dense(side * side * mirrored[0], activation="relu", name="unflat")(f_m)
        x = layers.Reshape((side, side, mirrored[0]))(x)
        for i, filters in enumerate(mirrored):
            padding = config["last_padding"] if i == 0 else "same"
            x = layers.Conv2DTranspose(
                filters, 3, strides=2, padding=padding, activation="relu", name=f"deconv_{i}"
            )(x)
            if i in config["decoder_dropout_after"]:
                x = layers.Dropout(config["dropout"], name=f"undrop_{i}")(x)
        return layers.Conv2D(
            config["channels"], 3, padding="same", activation="sigmoid", name="mask_out"
        )(x)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Return Eq. 3 for a batch and log both terms and both sigmas."""
        target = ops.cast(x["mask"], "float32") / 255.0
        total, mask_mse, box_mse = self.weighting(
            target, y_pred.get("mask"), x["box"], y_pred.get("box")
        )
        sigmas = [ops.exp(0.5 * s) for s in self.weighting.log_variances]
        for term, value in zip(self.terms, (mask_mse, box_mse, *sigmas), strict=True):
            term.update_state(value)
        return total

    def encode(
        self,
        patches: Array,
        boxes: Array,
        batch_size: int = 512,
        location_gain: float | None = None,
        latent_scale: float | None = None,
    ) -> npt.NDArray[np.float32]:
        """Embed detections.

        Args:
            patches: (n, M, M, D) uint8, see `utils.masks.crop_patches`.
            boxes: (n, 4) float32, see `utils.boxes.xywh_to_cxcywh`.
            batch_size: detections per step.
            location_gain, latent_scale: replace those stored with the weights; None keeps them.

        Returns:
            (n, F) float32 embeddings Z, row i that of detection i.

        Raises:
            ValueError: shapes that do not fit the network.
        """
        check_inputs(self.config, patches, boxes)
        features = self.encode_masks(patches, batch_size)
        return self.fuse(
            features,
            boxes,
            batch_size,
            location_gain=location_gain,
            latent_scale=latent_scale,
        )

    def encode_masks(self, patches: Array, batch_size: int = 512) -> npt.NDArray[np.float32]:
        """Return f_m = h_m(x_m), (n, F) float32, the part of an embedding that costs time."""
        if not len(patches) or self.mask_encoder is None:
            return np.zeros((len(patches), int(self.config["latent_dim"])), np.float32)
        return predicted(self.mask_encoder, [patches], batch_size)

    def fuse(
        self,
        features: Array,
        boxes: Array,
        batch_size: int = 4096,
        location_gain: float | None = None,
        latent_scale: float | None = None,
        location_centre: Sequence[float] | None = None,
    ) -> npt.NDArray[np.float32]:
        """Return Z = h_a([f_m, h_b(x_b)]), (n, F) float32.

        Args:
            features: (n, F) float32 of `encode_masks`.
            boxes: (n, 4) float32.
            batch_size: detections per step.
            location_gain, latent_scale, location_centre: see `encode`.
        """
        if not len(boxes):
            return np.zeros((0, int(self.config["latent_dim"])), np.float32)
        boxes, scale = gained(self.config, boxes, location_gain, latent_scale, location_centre)
        scaled: npt.NDArray[np.float32] = predicted(
            self.head, [features, boxes], batch_size
        ) * np.float32(scale)
        return scaled

    def get_config(self):
        """Return the constructor's arguments."""
        return {"name": self.name, **self.config}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """Build the network from `get_config()`'s dict."""
        return cls(**config)


def predicted(network: Any, inputs: Sequence[Array], batch_size: int) -> npt.NDArray[np.float32]:
    """Return what a network makes of (n, ...) inputs.

    A frame's few detections, as they come while a video runs, go at once, filled up to a power of
    two, so that few shapes are traced: `predict` itself takes longer than they do.
    """
    n = len(inputs[0])
    if n > AT_ONCE:
        whole: npt.NDArray[np.float32] = network.predict(
            list(inputs) if len(inputs) > 1 else inputs[0], batch_size=batch_size, verbose=0
        )
        return whole
    room = 1 << (n - 1).bit_length()
    filled = [np.concatenate([v, np.zeros((room - n, *v.shape[1:]), v.dtype)]) for v in inputs]
    outputs = network.predict_on_batch(filled if len(filled) > 1 else filled[0])
    part: npt.NDArray[np.float32] = np.asarray(outputs)[:n]
    return part


def load(path: Path | str) -> DHAE:
    """Load weights that train_dhae.py wrote, in Keras' safe mode.

    Raises:
        ValueError: no readable DHAE there.
    """
    try:
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Keras raises many kinds; none of them tells a user more
        reason = str(error).strip().splitlines()[0][:120] if str(error).strip() else "unreadable"
        raise ValueError(f"{path}: must be a DHAE saved as .keras, got {reason}") from None
    if not isinstance(model, DHAE):
        raise ValueError(f"{path}: must be a DHAE saved as .keras, got {type(model).__name__}")
    return model
