"""The networks' heads: region proposals, boxes, masks, each a model of its own."""

from __future__ import annotations

import keras
from keras import layers

from models.networks.backbone import conv, freeze, normalised, stage


def head_channels(config):
    """Return the channels of a level."""
    return config.channels if config.pyramid else level_channels(config, 3)


def level_channels(config, i):
    """Return the channels that stage i of the ResNet ends with."""
    return config.width * 2 ** (i - 1) * (4 if config.depth >= 50 else 1)


def build_rpn(config):
    """Return a model (B, h, w, C) -> logits (B, h, w, A) and deltas (B, h, w, 4 A)."""
    level = keras.Input((None, None, head_channels(config)), name="level")
    x = level
    for i in range(config.rpn_convs):
        channels = config.rpn_channels or head_channels(config)
        x = layers.ReLU()(_small(3, channels, f"rpn_conv_{i}")(x))
    anchors = len(config.anchor_ratios) * len(config.anchor_sizes[0])
    logits = _small(1, anchors, "rpn_logits")(x)
    deltas = _small(1, 4 * anchors, "rpn_deltas")(x)
    return keras.Model(level, [logits, deltas], name="rpn")


def build_box_head(config):
    """Return a model (N, S, S, C) -> features (N, F) of boxes; of C4, the ResNet's last stage.

    A head that normalises takes (N,) bool, too: which rows count for its statistics.
    """
    inputs, features, used = _inputs(config, config.box_size, "box_features")
    if not config.pyramid:
        x = stage(features, 4, config)
        head = keras.Model(inputs, layers.GlobalAveragePooling2D()(x), name="box_head")
        freeze(head, config.frozen_stages)
        return head
    x = _convs(features, config.box_convs, config.channels, config, "box_conv", used)
    x = layers.Flatten(name="flat")(x)
    for i in range(1 if config.box_convs else 2):
        x = layers.Dense(config.box_units, activation="relu", name=f"box_dense_{i}")(x)
    return keras.Model(inputs, x, name="box_head")


def build_box_predictor(config, units):
    """Return a model (N, F) -> logits (N, K + 1) and deltas (N, 4 (K + 1)); 0 is background."""
    x = keras.Input((units,), name="box_vector")
    count = len(config.classes) + 1
    small = keras.initializers.RandomNormal(stddev=0.01)
    logits = layers.Dense(count, kernel_initializer=small, name="class_logits")(x)
    finer = keras.initializers.RandomNormal(stddev=0.001)
    deltas = layers.Dense(4 * count, kernel_initializer=finer, name="box_deltas")(x)
    return keras.Model(x, [logits, deltas], name="box_predictor")


def build_mask_head(config):
    """Return a model (N, S, S, C) -> logits (N, 2 S, 2 S, K + 1), one mask for each class.

    See `build_box_head` of a head that normalises.
    """
    inputs, features, used = _inputs(config, config.mask_size, "mask_features")
    x = _convs(features, config.mask_convs, config.mask_channels, config, "mask_conv", used)
    x = layers.Conv2DTranspose(
        config.mask_channels,
        2,
        strides=2,
        activation="relu",
        kernel_initializer="he_normal",
        name="mask_up",
    )(x)
    count = len(config.classes) + 1
    logits = layers.Conv2D(count, 1, kernel_initializer="he_normal", name="mask_logits")(x)
    return keras.Model(inputs, logits, name="mask_head")


def _inputs(config, side, name):
    """Return a head's inputs, of them the features, and which rows count, or None."""
    features = keras.Input((side, side, head_channels(config)), name=name)
    if not config.head_norm:
        return features, features, None
    used = keras.Input((), dtype="bool", name=f"{name}_used")
    return [features, used], features, used


def _small(size, channels, name):
    """Return a convolution of the RPN, which starts near zero."""
    return layers.Conv2D(
        channels,
        size,
        padding="same",
        kernel_initializer=keras.initializers.RandomNormal(stddev=0.01),
        name=name,
    )


def _convs(x, count, channels, config, name, used):
    """Apply 3 x 3 convolutions with ReLU, normalised where the configuration says so."""
    for i in range(count):
        x = conv(x, channels, 3, f"{name}_{i}", bias=not config.head_norm)
        if config.head_norm:
            x = normalised(x, config, f"{name}_{i}_bn", used=used)
        x = layers.ReLU()(x)
    return x
