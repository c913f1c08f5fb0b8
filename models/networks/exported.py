"""Networks as ONNX files: written from Keras, and run by ONNX Runtime where Keras is not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from models.frame_networks import NETWORKS
from models.networks.config import FrameConfig
from models.networks.inference import segmenter_of
from models.networks.transform import (
    padded_batch,
    padded_shape,
    resize,
    resized_shape,
    sample_picture,
)
from utils.files import atomic_path

Array = npt.NDArray[Any]
KEY = "usc_mots"  # metadata key of exported files; its value holds model, settings and input size
OPSET = 18


class ExportedNetwork:
    """A network that `export` wrote.

    Args:
        session: of ONNX Runtime. facts: the file's metadata under KEY.

    Attributes:
        config: FrameConfig. room: (height, width) that resized frames are padded to.
    """

    def __init__(self, session: Any, facts: str) -> None:
        held = json.loads(facts)
        self._session = session
        self.config: FrameConfig = NETWORKS[held["model"]].config.from_dict(held["config"])
        self.room: tuple[int, int] = (held["room"][0], held["room"][1])

    def inference(self, context: int) -> Callable[[dict[str, Array]], dict[str, Array]]:
        """Return a function of a batch; the file's graph has its `context` within."""
        names = [output.name for output in self._session.get_outputs()]

        def infer(inputs: dict[str, Array]) -> dict[str, Array]:
            return dict(zip(names, self._session.run(None, inputs), strict=True))

        return infer

    def segmenter(self, batch: int) -> Any:
        """Return a `BatchSegmenter` that takes so many frames at once."""
        return segmenter_of(self, batch)


def export(network: Any, path: Path, size: tuple[int, int] | None = None) -> dict[str, float]:
    """Write a network of this repository as an ONNX graph with all of it, NMS included.

    Args:
        network: FrameNetwork, of TensorFlow. path: *.onnx to write.
        size: (height, width) of the frames, px; None: the graph has room for every landscape frame,
            and computes all of it.

    Returns:
        {output: largest difference to Keras on a generated picture}, relative to the output's
        largest value or 1, whichever is larger.

    Raises:
        ValueError: a network that takes no frames.
    """
    import onnxruntime

    config = network.config
    name = next(n for n, entry in NETWORKS.items() if type(config) is entry.config)
    room = padded_shape([resized_shape(*size, config) if size else _largest(config)], config)
    context = int(getattr(config, "context", 0))
    infer = network.inference(context)  # refuses what takes no frames
    model = _graph(network, room, context)
    facts = {"model": name, "config": config.as_dict(), "room": room}
    entry = model.metadata_props.add()
    entry.key, entry.value = KEY, json.dumps(facts)
    data = model.SerializeToString()
    exported = ExportedNetwork(onnxruntime.InferenceSession(data), entry.value)
    pictures = [np.roll(sample_picture(), 3 * k, axis=1) for k in range(1 + 2 * context)]
    resized = [resize(p, config)[: room[0], : room[1]] for p in pictures]
    batch = padded_batch(resized, config, room)
    theirs, ours = exported.inference(context)(batch), infer(batch)
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)
    return {k: _apart(ours[k].astype(float), theirs[k].astype(float)) for k in sorted(ours)}


def _graph(network: Any, room: tuple[int, int], context: int) -> Any:
    """Return the ONNX graph of a network's inference, for any number of frames."""
    import tensorflow as tf
    import tf2onnx

    def graph(images: Any, sizes: Any) -> Any:
        return network({"images": images, "sizes": sizes}, training=False, context=context)

    signature = [
        tf.TensorSpec((None, *room, 3), tf.float32, name="images"),
        tf.TensorSpec((None, 2), tf.float32, name="sizes"),
    ]
    function = tf.function(graph, input_signature=signature, autograph=False)
    return tf2onnx.convert.from_function(function, signature, opset=OPSET)[0]


def _largest(config: FrameConfig) -> tuple[int, int]:
    """Return the size of the largest landscape frame."""
    return config.min_size, max(config.min_size, config.max_size)


def _apart(ours: Array, theirs: Array) -> float:
    """Return the largest difference, relative to the largest value or 1."""
    return float(np.abs(ours - theirs).max() / max(1.0, np.abs(ours).max()))
