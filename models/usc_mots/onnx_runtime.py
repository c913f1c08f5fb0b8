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
    from onnx import TensorProto, helper, numpy_helper

    branch, size = config.get("branch", "both"), config["latent_dim"]
    nodes: list[Any] = []
    constants: list[Any] = []

    def constant(name: str, values: Array) -> str:
        constants.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def node(kind: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        nodes.append(helper.make_node(kind, list(inputs), [output], **attributes))
        return output

    def dense(source: str, arrays: Sequence[Array], name: str) -> str:
        kernel, bias = (constant(f"{name}_{k}", v) for k, v in enumerate(arrays))
        return node("Relu", [node("Gemm", [source, kernel, bias], f"{name}_sum")], name)

    widths = ["mask"] if branch == "mask" else ["box"] if branch == "box" else ["mask", "box"]
    hidden = _numbered(layers, "dense", len(widths) + 1)
    parts = []
    if "mask" in widths:
        x = node("Cast", ["mask"], "float", to=TensorProto.FLOAT)
        x = node("Transpose", [x], "channels_first", perm=[0, 3, 1, 2])
        last, normalised = len(config["filters"]) - 1, 0
        for i, (kernel, bias) in enumerate(_numbered(layers, "conv2d", last + 1)):
            # Pixels are divided by 255: so are the first weights instead.
            kernel = np.transpose(kernel, (3, 2, 0, 1)) / np.float32(255 if i == 0 else 1)
            valid = i == last and config["last_padding"] == "valid"
            x = node(
                "Conv",
                [x, constant(f"kernel_{i}", kernel), constant(f"bias_{i}", bias)],
                f"conv_{i}",
                strides=[2, 2],
                pads=[0, 0, 0, 0] if valid else [0, 0, 1, 1],
            )
            x = node("Relu", [x], f"relu_{i}")
            if i in config["batch_norm_after"]:
                kind = "batch_normalization"
                own = layers[f"{kind}_{normalised}" if normalised else kind]
                names = [constant(f"norm_{i}_{k}", values) for k, values in enumerate(own)]
                x = node("BatchNormalization", [x, *names], f"norm_{i}", epsilon=EPSILON)
                normalised += 1
        x = node("Transpose", [x], "channels_last", perm=[0, 2, 3, 1])
        parts.append(dense(node("Flatten", [x], "flat"), hidden[0], "f_m"))
    if "box" in widths:
        std = np.array(config["box_std"], np.float32)
        mean = constant("box_mean", np.array(config["box_mean"], np.float32))
        away = node("Sub", ["box", mean], "away")
        scaled = node("Div", [away, constant("box_std", std)], "standardised")
        parts.append(dense(scaled, hidden[-2], "f_b"))
    joined = parts[0] if len(parts) == 1 else node("Concat", parts, "f", axis=1)
    dense(joined, hidden[-1], "z")
    side, channels = config["patch_size"], config["channels"]
    shapes = {"mask": ["n", side, side, channels], "box": ["n", 4]}
    kinds = {"mask": TensorProto.UINT8, "box": TensorProto.FLOAT}
    inputs = [helper.make_tensor_value_info(w, kinds[w], shapes[w]) for w in widths]
    output = helper.make_tensor_value_info("z", TensorProto.FLOAT, ["n", size])
    made = helper.make_graph(nodes, "encoder", inputs, [output], constants)
    opsets = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(made, opset_imports=opsets, ir_version=8)
    found: bytes = model.SerializeToString()
    return found


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
