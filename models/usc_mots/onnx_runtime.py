"""The DHAE's encoder on ONNX Runtime: embeddings without TensorFlow, whose import takes seconds."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from models.usc_mots.fusing import check_inputs, gained
from models.usc_mots.weights import read_network
from utils.cores import on_cores
from utils.files import FormatError

Array = npt.NDArray[Any]

OPSET = 17
BATCH = 16  # patches at once: larger ones leave the caches of a CPU
EPSILON = 1e-3  # Keras' own, of batch normalisation


def layers_of(weights: Path) -> dict[str, list[Array]]:
    """Return {layer: its arrays} of a file of Keras, read without Keras.

    Raises:
        FormatError: there are none.
    """
    import h5py

    try:
        with zipfile.ZipFile(weights) as archive:
            content = io.BytesIO(archive.read("model.weights.h5"))
        with h5py.File(content) as file:
            layers = file["layers"]
            return {
                name: [group["vars"][k][()] for k in sorted(group["vars"], key=int)]
                for name, group in layers.items()
                if "vars" in group
            }
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        rule = "must be a DHAE saved as .keras"
        raise FormatError(weights, None, rule, str(error) or type(error).__name__) from None


def _numbered(layers: Mapping[str, list[Array]], kind: str, count: int) -> list[list[Array]]:
    """Return the first layers of a kind, as Keras numbers them."""
    return [layers[f"{kind}_{k}" if k else kind] for k in range(count)]


def graph_of(config: Mapping[str, Any], layers: Mapping[str, list[Array]]) -> bytes:
    """Return the ONNX model (`mask` (n, M, M, D) uint8, `box` (n, 4)) -> `z` (n, F), see `DHAE`.

    Args:
        config: the network's arguments. layers: see `layers_of`.

    Raises:
        KeyError, ValueError: layers of another network.
    """
    from onnx import TensorProto, helper

    graph, branch = _Graph(), config.get("branch", "both")
    names = ["mask", "box"] if branch == "both" else [branch]
    hidden = _numbered(layers, "dense", len(names) + 1)
    _check_shapes(config, layers, hidden, "mask" in names)
    parts = []
    if "mask" in names:
        parts.append(graph.dense(graph.mask(config, layers), hidden[0], "f_m"))
    if "box" in names:
        parts.append(graph.dense(graph.box(config), hidden[-2], "f_b"))
    joined = parts[0] if len(parts) == 1 else graph.node("Concat", parts, "f", axis=1)
    graph.dense(joined, hidden[-1], "z")
    side, channels = config["patch_size"], config["channels"]
    shapes = {"mask": ["n", side, side, channels], "box": ["n", 4]}
    kinds = {"mask": TensorProto.UINT8, "box": TensorProto.FLOAT}
    inputs = [helper.make_tensor_value_info(n, kinds[n], shapes[n]) for n in names]
    size = ["n", config["latent_dim"]]
    output = helper.make_tensor_value_info("z", TensorProto.FLOAT, size)
    whole = helper.make_graph(graph.nodes, "encoder", inputs, [output], graph.constants)
    opsets = [helper.make_opsetid("", OPSET)]
    model: bytes = helper.make_model(whole, opset_imports=opsets, ir_version=8).SerializeToString()
    return model


def _check_shapes(
    config: Mapping[str, Any],
    layers: Mapping[str, list[Array]],
    hidden: Sequence[Sequence[Array]],
    mask: bool,
) -> None:
    """Refuse settings that are not those of the layers, which Keras would refuse, too.

    Raises:
        ValueError: a setting that a layer's shape contradicts.
    """
    side, before, last = config["patch_size"], config["channels"], len(config["filters"]) - 1
    for i, (kernel, _) in enumerate(_numbered(layers, "conv2d", last + 1) if mask else ()):
        expected = (3, 3, before, config["filters"][i])
        if kernel.shape != expected:
            raise ValueError(f"a convolution of {kernel.shape} where the settings say {expected}")
        valid = i == last and config["last_padding"] == "valid"
        side, before = (side - 1) // 2 if valid else -(-side // 2), config["filters"][i]
    size = config["latent_dim"]
    rows = ([side * side * before] if mask else []) + [4] * (len(hidden) - 1 - mask)
    for (kernel, _), count in zip(hidden, [*rows, len(rows) * size], strict=True):
        if kernel.shape != (count, size):
            raise ValueError(f"a layer of {kernel.shape} where the settings say {(count, size)}")
    if not len(config["box_mean"]) == len(config["box_std"]) == 4:
        raise ValueError(f"box_std of {len(config['box_std'])} values where the settings say 4")


class _Graph:
    """The nodes of an ONNX model as they are added; each method returns its output's name."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, name: str, values: Array) -> str:
        """Add an array."""
        from onnx import numpy_helper

        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def node(self, kind: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        """Add an operation."""
        from onnx import helper

        self.nodes.append(helper.make_node(kind, list(inputs), [output], **attributes))
        return output

    def dense(self, source: str, arrays: Sequence[Array], name: str) -> str:
        """Add a dense layer with ReLU."""
        kernel, bias = (self.constant(f"{name}_{k}", v) for k, v in enumerate(arrays))
        return self.node("Relu", [self.node("Gemm", [source, kernel, bias], f"{name}_sum")], name)

    def mask(self, config: Mapping[str, Any], layers: Mapping[str, list[Array]]) -> str:
        """Add the convolutions of h_m, to the flat features."""
        from onnx import TensorProto

        x = self.node("Cast", ["mask"], "float", to=TensorProto.FLOAT)
        x = self.node("Transpose", [x], "channels_first", perm=[0, 3, 1, 2])
        last, norms = len(config["filters"]) - 1, 0
        for i, (kernel, bias) in enumerate(_numbered(layers, "conv2d", last + 1)):
            # Pixels are divided by 255: so are the first weights instead.
            kernel = np.transpose(kernel, (3, 2, 0, 1)) / np.float32(255 if i == 0 else 1)
            valid = i == last and config["last_padding"] == "valid"
            inputs = [x, self.constant(f"kernel_{i}", kernel), self.constant(f"bias_{i}", bias)]
            pads = [0, 0, 0, 0] if valid else [0, 0, 1, 1]  # as Keras' "same" pads stride 2
            x = self.node("Conv", inputs, f"conv_{i}", strides=[2, 2], pads=pads)
            x = self.node("Relu", [x], f"relu_{i}")
            if i in config["batch_norm_after"]:
                kind = "batch_normalization"
                arrays = layers[f"{kind}_{norms}" if norms else kind]
                names = [self.constant(f"norm_{i}_{k}", values) for k, values in enumerate(arrays)]
                x = self.node("BatchNormalization", [x, *names], f"norm_{i}", epsilon=EPSILON)
                norms += 1
        x = self.node("Transpose", [x], "channels_last", perm=[0, 2, 3, 1])
        return self.node("Flatten", [x], "flat")

    def box(self, config: Mapping[str, Any]) -> str:
        """Add what h_b does first: the box made mean 0 and deviation 1."""
        std = np.array(config["box_std"], np.float32)
        mean = self.constant("box_mean", np.array(config["box_mean"], np.float32))
        away = self.node("Sub", ["box", mean], "away")
        return self.node("Div", [away, self.constant("box_std", std)], "standardised")


class OnnxEncoder:
    """What a DHAE is to tracking, `config` and `encode`, on ONNX Runtime.

    The graph is made of the weights' file when it is loaded, in some milliseconds.

    Args:
        weights: *.keras.

    Raises:
        ValueError: no DHAE, or a package is missing.
    """

    def __init__(self, weights: Path) -> None:
        try:
            import onnx  # noqa: F401
            import onnxruntime
        except ImportError as error:
            rule = "--runtime onnx needs onnx and onnxruntime (--runtime keras does not)"
            raise ValueError(f"{rule}, got {error}") from None
        self.config: dict[str, Any] = {
            "location_centre": None, "location_gain": 1.0, "latent_scale": 1.0,
            "batch_norm_after": (), "last_padding": "same", **read_network(weights),
        }  # fmt: skip
        try:
            graph = graph_of(self.config, layers_of(weights))
            # Batches side by side, each on a core of its own, beat one batch on all cores.
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = 1
            cpu = ["CPUExecutionProvider"]
            self._session = onnxruntime.InferenceSession(graph, options, providers=cpu)
        except (KeyError, ValueError, RuntimeError) as error:
            if isinstance(error, FormatError):
                raise
            rule = "must hold the layers of its network"
            raise FormatError(weights, None, rule, str(error).splitlines()[0]) from None

    def encode(
        self, patches: Array, boxes: Array, location_gain: float | None = None
    ) -> npt.NDArray[np.float32]:
        """Embed detections; see `DHAE.encode`."""
        check_inputs(self.config, patches, boxes)
        moved, scale = gained(self.config, boxes, location_gain)
        columns = {"mask": patches, "box": moved}
        wanted = [given.name for given in self._session.get_inputs()]
        embeddings = np.empty((len(boxes), self.config["latent_dim"]), np.float32)

        def some(k: int) -> None:
            part = {name: columns[name][k : k + BATCH] for name in wanted}
            embeddings[k : k + BATCH] = self._session.run(["z"], part)[0]

        on_cores(some, range(0, len(boxes), BATCH))
        return embeddings * np.float32(scale)
