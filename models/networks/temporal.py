"""Convolutions over time (TrackR-CNN, section 5; thesis, sections 4.5 and 4.6)."""

from __future__ import annotations

import keras
import numpy as np
from keras import ops

TIME, SIDE = 3, 3  # of a kernel


def over_time(convolutions, x, sizes):
    """Apply convolutions over time to features (T, h, w, C) of T adjacent frames, one by one.

    Args:
        convolutions: SeparableConv3D each. sizes: (T, 2) of the frames; one of size 0 is absent:
            before and after each convolution its features are 0, as beyond a video's ends.
    """
    present = ops.cast(sizes[:, 0] > 0, x.dtype)[:, None, None, None]
    for convolution in convolutions:
        x = convolution(x * present)
    return x


@keras.saving.register_keras_serializable("usc_mots")
class SeparableConv3D(keras.layers.Layer):
    """A depthwise separable 3 x 3 x 3 convolution over adjacent frames, then 1 x 1, then ReLU.

    Thesis, sections 4.5 and 4.6. Keras has no depthwise 3-D convolution; three 2-D ones on shifted
    frames are the same. There is nothing before the first frame and after the last.

    Args:
        start: "identity" changes nothing at first, "average" takes the mean of three frames,
            "random" draws (He et al.).
        relu: whether ReLU follows: for features that are not negative, as a ResNet's stage has
            them; a pyramid's levels would lose half of their values.
    """

    def __init__(self, start="identity", relu=True, **kwargs):
        super().__init__(**kwargs)
        self.start, self.relu = start, relu

    def build(self, shape):
        """Create the kernels for features (T, h, w, C)."""
        channels = shape[-1]
        self.depthwise = self.add_weight(
            shape=(TIME, SIDE, SIDE, channels, 1), initializer=self._begin, name="depthwise"
        )
        identity = keras.initializers.Identity()
        he = keras.initializers.HeNormal()
        self.pointwise = self.add_weight(
            shape=(channels, channels),
            initializer=he if self.start == "random" else identity,
            name="pointwise",
        )

    def _begin(self, shape, dtype=None):
        if self.start == "random":
            stddev = (2 / (TIME * SIDE * SIDE)) ** 0.5
            return keras.random.normal(shape, stddev=stddev, dtype=dtype)
        kernel = np.zeros(shape, "float32")
        if self.start == "identity":
            kernel[TIME // 2, SIDE // 2, SIDE // 2] = 1
        else:
            kernel[:, SIDE // 2, SIDE // 2] = 1 / TIME
        return ops.convert_to_tensor(kernel, dtype=dtype)

    def call(self, x):
        """Return features (T, h, w, C) of features (T, h, w, C), T frames one after another."""
        nothing = ops.zeros_like(x[:1])
        shifted = (
            ops.concatenate([nothing, x[:-1]], axis=0),
            x,
            ops.concatenate([x[1:], nothing], axis=0),
        )
        total = 0.0
        for k, frames in enumerate(shifted):
            total = total + ops.depthwise_conv(frames, self.depthwise[k], padding="same")
        total = ops.matmul(total, self.pointwise)
        return ops.relu(total) if self.relu else total

    def compute_output_shape(self, shape):
        """Return the shape of what `call` returns."""
        return shape

    def get_config(self):
        """Return the constructor's arguments."""
        return {**super().get_config(), "start": self.start, "relu": self.relu}
