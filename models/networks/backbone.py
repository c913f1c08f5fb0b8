"""ResNet and feature pyramid (He et al., CVPR 2016; Lin et al., CVPR 2017)."""

from __future__ import annotations

import keras
from keras import layers, ops

from models.networks.config import BLOCKS, BOTTLENECK

STAGES = 4


def conv(x, filters, size, name, stride=1, bias=False, start="he_normal", dilation=1):
    """Apply a convolution, padded by half its size on every side, as torch pads it.

    Keras' own "same" pads stride 2 on one side only. `start` draws the kernel; `dilation` is the
    step between its cells.
    """
    if stride > 1 and size == 1:
        # The same as a 1 x 1 convolution of that stride, whose backward pass is broken on the CPU
        # in TensorFlow 2.21 for 8 to 16 channels.
        x, stride = Subsample(stride, name=f"{name}_every")(x), 1
    if stride > 1:
        x = layers.ZeroPadding2D(size // 2, name=f"{name}_pad")(x)
    padding = "valid" if stride > 1 else "same"
    return layers.Conv2D(
        filters,
        size,
        strides=stride,
        padding=padding,
        use_bias=bias,
        dilation_rate=dilation,
        kernel_initializer=start,
        name=name,
    )(x)


def normalised(x, config, name, used=None):
    """Apply batch normalisation: a fixed one as inference has it, or a trained one.

    Args:
        x: (N, h, w, C). config: DetectorConfig. name: of the layer.
        used: (N,) bool, the rows that count when it is trained; None takes all.
    """
    mask, kind = None, layers.BatchNormalization
    if used is not None:
        mask, kind = SpreadMask(name=f"{name}_mask")([used, x]), MaskedNormalization
    return kind(
        momentum=0.9,
        epsilon=config.norm_eps,
        trainable=config.norm == "batch",
        name=name,
    )(x, mask=mask)


@keras.saving.register_keras_serializable("usc_mots")
class MaskedNormalization(layers.BatchNormalization):
    """Batch normalisation that learns nothing from a batch of which no row counts.

    Keras would take the mean and variance of nothing, 0, into the moving ones.
    """

    def _moments(self, inputs, mask):
        mean, variance = super()._moments(inputs, mask)
        if mask is None:
            return mean, variance
        some = ops.any(mask)
        moving = ops.cast(self.moving_mean, mean.dtype), ops.cast(self.moving_variance, mean.dtype)
        return ops.where(some, mean, moving[0]), ops.where(some, variance, moving[1])


@keras.saving.register_keras_serializable("usc_mots")
class Subsample(layers.Layer):
    """Takes every `stride`-th row and column."""

    def __init__(self, stride, **kwargs):
        super().__init__(**kwargs)
        self.stride = stride

    def call(self, x):
        """Return (B, ceil(h / stride), ceil(w / stride), C)."""
        return x[:, :: self.stride, :: self.stride]

    def compute_output_shape(self, shape):
        """Return the shape of what `call` returns."""
        halved = [None if n is None else -(-n // self.stride) for n in shape[1:3]]
        return (shape[0], *halved, shape[3])

    def get_config(self):
        """Return the constructor's arguments."""
        return {**super().get_config(), "stride": self.stride}


@keras.saving.register_keras_serializable("usc_mots")
class SpreadMask(layers.Layer):
    """Says of each place of a row's features whether the row counts."""

    def call(self, inputs):
        """Return (N, h, w) bool of (N,) bool and features (N, h, w, C)."""
        used, features = inputs
        places = ops.ones_like(features[..., 0], "bool")
        return ops.logical_and(places, ops.cast(used, "bool")[:, None, None])

    def compute_output_spec(self, inputs):
        """Return what `call` returns."""
        return keras.KerasTensor(inputs[1].shape[:3], "bool")


@keras.saving.register_keras_serializable("usc_mots")
class UpsampleLike(layers.Layer):
    """Enlarges a level to the size of a finer one, by the nearest cell."""

    def call(self, inputs):
        """Return (B, H, W, C) of (B, h, w, C) and (B, H, W, any)."""
        coarse, fine = inputs
        for axis in (1, 2):
            small, large = coarse.shape[axis], fine.shape[axis]
            if large == 2 * small:
                coarse = ops.repeat(coarse, 2, axis=axis)
            elif large != small:
                coarse = ops.take(coarse, ops.arange(large) * small // large, axis=axis)
        return coarse

    def compute_output_spec(self, inputs):
        """Return what `call` returns, without sizes where there are none yet."""
        coarse, fine = inputs
        return keras.KerasTensor((*fine.shape[:3], coarse.shape[3]), coarse.dtype)


def _block(x, filters, stride, config, name, dilation):
    """Apply one residual block; stride and dilation sit in a bottleneck's 3 x 3."""
    deep = config.depth >= BOTTLENECK
    out = filters * 4 if deep else filters

    def unit(x, i, channels, size, step):
        rate = dilation if size > 1 and step == 1 else 1
        x = conv(x, channels, size, f"{name}_conv{i}", step, dilation=rate)
        return normalised(x, config, f"{name}_bn{i}")

    if deep:
        y = layers.ReLU()(unit(x, 1, filters, 1, 1))
        y = layers.ReLU()(unit(y, 2, filters, 3, stride))
        y = unit(y, 3, out, 1, 1)
    else:
        y = layers.ReLU()(unit(x, 1, filters, 3, stride))
        y = unit(y, 2, out, 3, 1)
    if stride > 1 or x.shape[-1] != out:
        x = conv(x, out, 1, f"{name}_down", stride)
        x = normalised(x, config, f"{name}_down_bn")
    return layers.ReLU(name=f"{name}_out")(layers.Add()([x, y]))


def stage(x, i, config, dilated=False):
    """Apply stage i (1 to 4) of the ResNet; a dilated one keeps its input's size (DeepLab)."""
    for b in range(BLOCKS[config.depth][i - 1]):
        stride = 2 if b == 0 and i > 1 and not dilated else 1
        name = f"layer{i}_{b}"
        x = _block(x, config.width * 2 ** (i - 1), stride, config, name, 2 if dilated else 1)
    return x


def stages(x, config, last):
    """Return the outputs of stages 1 to `last` of the ResNet."""
    x = conv(x, config.width, 7, "conv1", 2)
    x = layers.ReLU()(normalised(x, config, "bn1"))
    # Above 0 everywhere: padding by zeros is padding by nothing.
    x = layers.MaxPooling2D(3, 2, name="pool")(layers.ZeroPadding2D(1)(x))
    levels = []
    for i in range(1, last + 1):
        x = stage(x, i, config)
        levels.append(x)
    return levels


def pyramid(stage_levels, config):
    """Return five levels of a feature pyramid over four stages."""

    def unit(x, size, name):
        # No ReLU follows: "he" would double the variance with every layer.
        x = conv(x, config.channels, size, name, 1, not config.head_norm, "lecun_uniform")
        return normalised(x, config, f"{name}_bn") if config.head_norm else x

    inner = unit(stage_levels[-1], 1, f"fpn_inner_{STAGES - 1}")
    levels = [unit(inner, 3, f"fpn_layer_{STAGES - 1}")]
    for i in range(STAGES - 2, -1, -1):
        lateral = unit(stage_levels[i], 1, f"fpn_inner_{i}")
        inner = layers.Add()([lateral, UpsampleLike(name=f"fpn_up_{i}")([inner, lateral])])
        levels.insert(0, unit(inner, 3, f"fpn_layer_{i}"))
    return [*levels, Subsample(2, name="fpn_pool")(levels[-1])]


def build_backbone(config):
    """Return a model (B, H, W, 3) -> list of levels, finest first.

    The pyramid has five, of strides 4 to 64; C4 has one, the third stage's, of stride 16.
    """
    image = keras.Input((None, None, 3), name="image")
    if config.pyramid:
        levels = pyramid(stages(image, config, STAGES), config)
    else:
        levels = stages(image, config, STAGES - 1)[-1:]
    model = keras.Model(image, levels, name="backbone")
    freeze(model, config.frozen_stages)
    return model


def freeze(model, count):
    """Keep the stem and the first stages, `count` of the five, from being trained.

    Their normalisation then stays as it is, too.
    """
    parts = (("conv1", "bn1"), *((f"layer{i}_",) for i in range(1, STAGES + 1)))
    frozen = tuple(name for part in parts[:count] for name in part)
    for layer in model.layers:
        if frozen and layer.name.startswith(frozen):
            layer.trainable = False
