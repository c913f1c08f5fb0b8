"""The appearance encoder as a network: a small ResNet on patches (ReMOTS, section 2.2)."""

from __future__ import annotations

import keras
from keras import layers, ops

from models.networks.backbone import freeze, stages
from models.networks.frame_network import FrameNetwork
from models.remots.encoder_config import EncoderConfig

STAGES = 3  # of the ResNet, to stride 16: of a patch of 64 px four bands are left


@keras.saving.register_keras_serializable("usc_mots")
class EncoderNetwork(FrameNetwork):
    """The small ResNet of the core on patches (B, S, S, 3) in [0, 1] -> (B, F) of length 1.

    In training a dict of `patches` (B, 3, S, S, 3), an anchor, its positive and its negative each,
    goes in, and the triplet loss on cosine distances comes out.

    Args:
        config: EncoderConfig, or the dict of it that a file holds.
    """

    config_class = EncoderConfig

    def __init__(self, config=None, **kwargs):
        super().__init__(config, **kwargs)
        self.body = build_body(self.config)

    def loss_names(self):
        """Return the names of the losses."""
        return ("triplet",)

    def call(self, inputs, training=False):
        """Return vectors, or in training the loss; see the class."""
        if not training:
            return self.body(inputs)
        side = self.config.side
        flat = ops.reshape(inputs["patches"], (-1, side, side, 3))
        mapped = ops.cast(self.body(flat, training=True), "float32")
        mapped = ops.reshape(mapped, (-1, 3, self.config.vector_size))
        anchor, positive, negative = ops.unstack(mapped, 3, axis=1)
        nearer = ops.sum(anchor * (negative - positive), axis=-1)
        return {"triplet": ops.mean(ops.relu(self.config.margin + nearer))}

    def inference(self, context):
        """Refuse: it finds nothing.

        Raises:
            ValueError: always.
        """
        raise ValueError("a network must find masks in frames, got an encoder of looks: it is "
                         "for refine.py --set encoder=")  # fmt: skip


def build_body(config):
    """Return a functional model (B, S, S, 3) in [0, 1] -> (B, F) of length 1."""
    image = keras.Input((config.side, config.side, 3), name="patch")
    x = layers.Normalization(mean=config.mean, variance=[s**2 for s in config.std])(image)
    x = stages(x, config, STAGES)[-1]
    # Of horizontal bands: what is worn above and below, roof and wheels.
    x = layers.Flatten()(ops.mean(x, axis=2))
    x = layers.Dense(config.vector_size, use_bias=False, name="appearance")(x)
    model = keras.Model(image, layers.UnitNormalization(name="unit")(x), name="encoder")
    freeze(model, config.frozen_stages)
    return model
