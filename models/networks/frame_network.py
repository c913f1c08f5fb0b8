"""What all networks that see frames have in common, as Keras models."""

from __future__ import annotations

from typing import Any

import keras

from models.networks.config import FrameConfig
from models.networks.inference import segmenter_of


class FrameNetwork(keras.Model):
    """A network that is called with frames for what it finds, and to be trained for its losses.

    Inputs are a dict of `images` (B, H, W, 3) float32, normalised, resized and padded as
    `models.networks.transform` does it, and `sizes` (B, 2), heights and widths before padding; a
    frame of size 0 is absent. With `context=n`, the first and last n frames are input only: the
    outputs are of the frames between them. In training, the inputs also hold what
    `models.networks.data.Clips` adds, and the output is a dict of losses.

    Attributes:
        seeds: of the random numbers in the losses.

    Args:
        config: of `config_class`, or the dict of it that a file holds.
    """

    config_class: type[FrameConfig]
    # Last layers with values for each class: how many, and whether background comes first.
    by_class: dict[str, tuple[int, bool]] = {}  # noqa: RUF012 (replaced, never changed)

    def __init__(self, config=None, **kwargs):
        super().__init__(**kwargs)
        if config is None or isinstance(config, dict):
            config = self.config_class.from_dict(config or {})
        self.config = config
        self.seeds = keras.random.SeedGenerator(config.seed)
        self.terms = [keras.metrics.Mean(name=name) for name in self.loss_names()]
        self.built = True

    def loss_names(self):
        """Return the names of the losses."""
        raise NotImplementedError

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Return the loss that is trained on, and log each."""
        for term in self.terms:
            term.update_state(y_pred[term.name])
        return self.total(y_pred)

    def total(self, terms):
        """Return the loss that is trained on: the sum."""
        return sum(terms[name] for name in self.loss_names())

    def inference(self, context):
        """Return a function that infers, compiled once for each shape that it meets.

        Args:
            context: see the class.
        """
        backend = keras.backend.backend()
        how = {"training": False, "context": context}
        if backend == "tensorflow":
            import tensorflow as tf

            run = tf.function(lambda inputs: self(inputs, **how), autograph=False)
        elif backend == "jax":
            import jax

            stateless = jax.jit(lambda t, n, inputs: self.stateless_call(t, n, inputs, **how)[0])

            def run(inputs):
                variables = self.trainable_variables, self.non_trainable_variables
                return stateless(*([v.value for v in part] for part in variables), inputs)

        else:
            import torch

            def run(inputs):
                with torch.no_grad():
                    return self(inputs, **how)

        def infer(inputs):
            outputs = run({name: keras.ops.convert_to_tensor(v) for name, v in inputs.items()})
            return {name: keras.ops.convert_to_numpy(value) for name, value in outputs.items()}

        return infer

    def segmenter(self, batch):
        """Return a `BatchSegmenter` that takes so many frames at once."""
        return segmenter_of(self, batch)

    def get_config(self):
        """Return the constructor's arguments."""
        return {"name": self.name, "config": self.config.as_dict()}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """Build the network from `get_config()`'s dict."""
        return cls(**config)


def between(values, context):
    """Return (B - 2 context, ...) values (B, ...) without those of the frames at both ends."""
    return values[context:-context] if context else values


def variables_of(network: Any) -> dict[str, Any]:
    """Return {"layer/variable": variable} of all layers that have some."""
    variables = {}
    for layer in network._flatten_layers():
        for variable in layer._trainable_variables + layer._non_trainable_variables:
            if layer.name != network.name:
                variables[f"{layer.name}/{variable.name}"] = variable
    return {k: v for k, v in variables.items() if not k.endswith("seed_generator_state")}
