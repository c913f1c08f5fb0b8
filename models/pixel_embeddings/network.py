"""Classes and embeddings of pixels by an encoder and decoder (thesis, sections 6.2 and 6.3)."""

from __future__ import annotations

import keras
from keras import layers, ops

from models.networks.backbone import conv, freeze, normalised, stage, stages
from models.networks.frame_network import FrameNetwork, between
from models.networks.temporal import SeparableConv3D, over_time
from models.pixel_embeddings import losses
from models.pixel_embeddings.config import PixelConfig


@keras.saving.register_keras_serializable("usc_mots")
class PixelEmbeddings(FrameNetwork):
    """DeepLabV3+ over adjacent frames of one video with branches for classes and embeddings.

    Inputs are those of `FrameNetwork`, the batch one of adjacent frames; in training `tracks`
    (B, G) int32, the objects' ids, come with them. For inference it returns, for cells of 4 x 4
    pixels, `classes` (B, h, w, K + 1) in [0, 1], `embeddings` (B, h, w, F), and, if predicted,
    `votes`, see `losses.vote_losses`.

    3-D convolutions stand after the encoder or the decoder (thesis, Figure 6.12).

    Args:
        config: PixelConfig, or the dict of it that a file holds.
    """

    config_class = PixelConfig
    by_class = {"class_values": (1, True)}  # noqa: RUF012

    def __init__(self, config=None, **kwargs):
        super().__init__(config, **kwargs)
        settings = self.config
        self.encoder = build_encoder(settings)
        self.time_convs = [
            SeparableConv3D(start, name=f"time_conv_{i}")
            for i, start in enumerate(settings.time_convs)
        ]
        for layer in self.time_convs:
            layer.build((None, None, None, settings.channels))
        self.decoder = build_decoder(settings, self.encoder.output_shape[0][-1])
        self.class_branch = build_branch(settings, len(settings.classes) + 1, "class")
        self.embedding_branch = build_branch(settings, settings.embedding, "embedding")
        if settings.votes:
            self.vote_branch = build_branch(settings, 2 + 3 * settings.past, "vote")

    def loss_names(self):
        """Return the names of the losses."""
        return ("class", "embedding", *(("centre", "before") if self.config.votes else ()))

    def call(self, inputs, training=False, context=0):
        """Return what is in the cells, or in training losses; see the class and `FrameNetwork`."""
        fine, deep = self.encoder(inputs["images"], training=training)
        if self.config.time_place == "encoder":
            deep = between(over_time(self.time_convs, deep, inputs["sizes"]), context)
            fine = between(fine, context)
        features = self.decoder([fine, deep], training=training)
        if self.config.time_place == "decoder":
            features = between(over_time(self.time_convs, features, inputs["sizes"]), context)
        logits = ops.cast(self.class_branch(features), "float32")
        embeddings = ops.cast(self.embedding_branch(features), "float32")
        votes = None
        if self.config.votes:
            votes = ops.cast(self.vote_branch(features), "float32")
        if training:
            return self.losses_of(logits, embeddings, votes, inputs)
        outputs = {"classes": ops.softmax(logits), "embeddings": embeddings}
        return outputs if votes is None else outputs | {"votes": votes}

    def losses_of(self, logits, embeddings, votes, inputs):
        """Return the losses by name."""
        config, cells = self.config, losses.cells_of(inputs)
        flat = {name: ops.reshape(cells[name], (-1,)) for name in ("track", "label", "valid")}
        chance = keras.random.uniform((config.samples,), seed=self.seeds)
        places = losses.sampled(
            flat["track"],
            flat["label"],
            flat["valid"],
            chance,
            config.sampling,
            len(config.classes) + 1,
        )
        chosen = ops.take(ops.reshape(embeddings, (-1, config.embedding)), places, axis=0)
        terms = {
            "class": losses.class_loss(logits, cells),
            "embedding": losses.contrastive(chosen, ops.take(flat["track"], places), config.margin),
        }
        if votes is not None:
            terms["centre"], terms["before"] = losses.vote_losses(
                votes, cells, inputs, config.past, config.regression
            )
        return terms

    def total(self, terms):
        """Return L_class + lambda L_embedding, and the votes' by their factors."""
        config = self.config
        loss = terms["class"] + config.loss_factor * terms["embedding"]
        if config.votes:
            loss = (
                loss + config.centre_factor * terms["centre"] + config.past_factor * terms["before"]
            )
        return loss


def _separable(x, channels, rate, config, name):
    """Apply a depthwise separable, atrous 3 x 3 convolution (Chen et al., ECCV 2018)."""
    x = layers.DepthwiseConv2D(
        3, padding="same", dilation_rate=rate, use_bias=False,
        depthwise_initializer="he_normal", name=f"{name}_depth",
    )(x)  # fmt: skip
    x = layers.ReLU()(normalised(x, config, f"{name}_depth_bn"))
    x = conv(x, channels, 1, f"{name}_point")
    return layers.ReLU()(normalised(x, config, f"{name}_point_bn"))


def build_encoder(config):
    """Return a model (B, H, W, 3) -> the first stage's features (stride 4) and the end's (16).

    The last stage is atrous; a spatial pyramid pools its output.
    """
    image = keras.Input((None, None, 3), name="image")
    levels = stages(image, config, 3)
    x = stage(levels[-1], 4, config, dilated=True)
    y = normalised(conv(x, config.channels, 1, "aspp_0"), config, "aspp_0_bn")
    pooled = [layers.ReLU()(y)]
    for i, rate in enumerate(config.rates, 1):
        pooled.append(_separable(x, config.channels, rate, config, f"aspp_{i}"))
    whole = layers.GlobalAveragePooling2D(keepdims=True)(x)
    # One value a picture: nothing to normalise by.
    whole = layers.ReLU()(conv(whole, config.channels, 1, "aspp_image", bias=True))
    pooled.append(Spread(name="aspp_spread")([whole, x]))
    x = conv(layers.Concatenate()(pooled), config.channels, 1, "aspp")
    x = layers.ReLU()(normalised(x, config, "aspp_bn"))
    model = keras.Model(image, [levels[0], x], name="encoder")
    freeze(model, config.frozen_stages)
    return model


@keras.saving.register_keras_serializable("usc_mots")
class Spread(layers.Layer):
    """Repeats one cell over the size of a map."""

    def call(self, inputs):
        """Return (B, h, w, C) of (B, 1, 1, C) and (B, h, w, any)."""
        cell, like = inputs
        return cell + ops.zeros_like(like[..., :1])

    def compute_output_spec(self, inputs):
        """Return what `call` returns."""
        return keras.KerasTensor((*inputs[1].shape[:3], inputs[0].shape[3]), inputs[0].dtype)


@keras.saving.register_keras_serializable("usc_mots")
class EnlargeLike(layers.Layer):
    """Enlarges a map to the size of a finer one, bilinearly."""

    def call(self, inputs):
        """Return (B, H, W, C) of (B, h, w, C) and (B, H, W, any)."""
        coarse, fine = inputs
        return ops.image.resize(coarse, fine.shape[1:3], interpolation="bilinear")

    def compute_output_spec(self, inputs):
        """Return what `call` returns."""
        return keras.KerasTensor((*inputs[1].shape[:3], inputs[0].shape[3]), inputs[0].dtype)


def build_decoder(config, low):
    """Return a model of fine (B, h, w, low) and coarse features -> (B, h, w, channels)."""
    fine = keras.Input((None, None, low), name="fine")
    deep = keras.Input((None, None, config.channels), name="deep")
    x = conv(fine, config.low_channels, 1, "low")
    x = layers.ReLU()(normalised(x, config, "low_bn"))
    x = layers.Concatenate()([EnlargeLike(name="enlarge")([deep, fine]), x])
    for i in range(2):
        x = _separable(x, config.channels, 1, config, f"decoder_{i}")
    return keras.Model([fine, deep], x, name="decoder")


def build_branch(config, values, name):
    """Return a model (B, h, w, C) -> (B, h, w, values) by a 3 x 3 and a 1 x 1 convolution."""
    features = keras.Input((None, None, config.channels), name=f"{name}_features")
    x = layers.ReLU()(conv(features, config.channels, 3, f"{name}_conv", bias=True))
    x = conv(x, values, 1, f"{name}_values", bias=True, start="glorot_uniform")
    return keras.Model(features, x, name=f"{name}_branch")
