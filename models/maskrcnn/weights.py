"""torchvision's weights of Mask R-CNN in this network: names, layouts, files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from models.maskrcnn.config import MaskRcnnConfig
from models.maskrcnn.network import MaskRCNN
from models.networks.config import BLOCKS
from models.networks.frame_network import variables_of

Array = npt.NDArray[Any]

# Names that torchvision used to have, and has.
RENAMED = (
    (r"(backbone\.fpn\.\w+_blocks\.\d)\.(weight|bias)$", r"\1.0.\2"),
    (r"rpn\.head\.conv\.(weight|bias)$", r"rpn.head.conv.0.0.\1"),
    (r"roi_heads\.mask_head\.mask_fcn(\d)\.", lambda m: f"roi_heads.mask_head.{int(m[1]) - 1}.0."),
)
# Where a layer of torchvision's is in this network; "_bn" follows where {n} is 1.
LAYERS = (
    (r"backbone\.body\.(conv1|bn1)", r"\1"),
    (r"backbone\.body\.layer(\d)\.(\d+)\.(conv\d|bn\d)", r"layer\1_\2_\3"),
    (r"backbone\.body\.layer(\d)\.(\d+)\.downsample\.0", r"layer\1_\2_down"),
    (r"backbone\.body\.layer(\d)\.(\d+)\.downsample\.1", r"layer\1_\2_down_bn"),
    (r"backbone\.fpn\.(inner|layer)_blocks\.(\d)\.0", r"fpn_\1_\2"),
    (r"backbone\.fpn\.(inner|layer)_blocks\.(\d)\.1", r"fpn_\1_\2_bn"),
    (r"rpn\.head\.conv\.(\d)\.0", r"rpn_conv_\1"),
    (r"rpn\.head\.cls_logits", "rpn_logits"),
    (r"rpn\.head\.bbox_pred", "rpn_deltas"),
    (r"roi_heads\.box_head\.fc6", "box_dense_0"),
    (r"roi_heads\.box_head\.fc7", "box_dense_1"),
    (r"roi_heads\.box_head\.(\d)\.0", r"box_conv_\1"),
    (r"roi_heads\.box_head\.(\d)\.1", r"box_conv_\1_bn"),
    (r"roi_heads\.box_head\.\d", "box_dense_0"),
    (r"roi_heads\.box_predictor\.cls_score", "class_logits"),
    (r"roi_heads\.box_predictor\.bbox_pred", "box_deltas"),
    (r"roi_heads\.mask_head\.(\d)\.0", r"mask_conv_\1"),
    (r"roi_heads\.mask_head\.(\d)\.1", r"mask_conv_\1_bn"),
    (r"roi_heads\.mask_predictor\.conv5_mask", "mask_up"),
    (r"roi_heads\.mask_predictor\.mask_fcn_logits", "mask_logits"),
)
NORM = {
    "weight": "gamma",
    "bias": "beta",
    "running_mean": "moving_mean",
    "running_var": "moving_variance",
}


def translated(state: Mapping[str, Array], box_size: int = 7) -> dict[str, Array]:
    """Return {"layer/variable": array} of a state dict of torchvision's, laid out as Keras has it.

    Kernels go from (out, in, h, w) to (h, w, in, out), a transposed convolution's likewise; the
    first dense layer's input goes from channels first to channels last. A dict of gradients by the
    same names is laid out the same way.

    Args:
        state: {name: array}. box_size: side of the features of a box.

    Raises:
        ValueError: a name that is none of torchvision's Mask R-CNN.
    """
    values = {}
    for name, value in state.items():
        for old, new in RENAMED:
            name = re.sub(old, new, name)
        prefix, _, kind = name.rpartition(".")
        if kind == "num_batches_tracked":
            continue
        layer = next((re.sub(a, b, prefix) for a, b in LAYERS if re.fullmatch(a, prefix)), None)
        if layer is None or kind not in NORM:
            raise ValueError(f"names must be those of torchvision's Mask R-CNN, got {name}")
        is_norm = layer.endswith("_bn") or re.search(r"(^|_)bn\d$", layer)
        variable = NORM[kind] if is_norm else {"weight": "kernel"}.get(kind, kind)
        values[f"{layer}/{variable}"] = _laid_out(value, layer, variable, box_size)
    return values


def _laid_out(value: Array, layer: str, variable: str, box_size: int) -> Array:
    if variable != "kernel":
        return value
    if value.ndim == 4:
        return value.transpose(2, 3, 1, 0)
    if layer == "box_dense_0":
        cells = value.reshape(len(value), -1, box_size, box_size)
        return cells.transpose(2, 3, 1, 0).reshape(-1, len(value))
    return value.T


def config_of(state: Mapping[str, Array], **settings: Any) -> MaskRcnnConfig:
    """Return the settings that a state dict of torchvision's shows in names and shapes.

    Args:
        state: {name: array}.
        settings: what no shape shows, or what is known better: class names, anchors, sizes,
            `norm_eps`.

    Raises:
        ValueError: a network of another kind.
    """
    named = translated({k: v for k, v in state.items() if not k.endswith("num_batches_tracked")})
    try:
        read = _shown(named, any(k.endswith("num_batches_tracked") for k in state))
        levels, per_level = 5, named["rpn_logits/bias"].shape[0]
    except KeyError as error:
        raise ValueError(f"must be torchvision's Mask R-CNN, got none of {error}") from None
    config = MaskRcnnConfig(**{**read, **settings})
    per_cell = len(config.anchor_ratios) * len(config.anchor_sizes[0])
    if per_cell != per_level or len(config.anchor_sizes) != levels:
        raise ValueError(f"the network has {per_level} anchors a cell, the settings {per_cell}")
    return config


def _shown(named: Mapping[str, Array], trained_norm: bool) -> dict[str, Any]:
    """Return the settings that names and shapes of translated weights show."""

    def count(pattern: str) -> int:
        return len({m[1] for name in named if (m := re.match(pattern, name))})

    blocks = tuple(count(rf"layer{i}_(\d+)_conv1/") for i in range(1, 5))
    deep = "layer1_0_conv3/kernel" in named
    depths = [d for d, b in BLOCKS.items() if b == blocks and (d >= 50) == deep]
    if not depths:
        raise ValueError(f"the backbone must be a ResNet of {tuple(BLOCKS)}, got {blocks}")
    classes = named["class_logits/bias"].shape[0] - 1
    return {
        "classes": tuple(f"class {i + 1}" for i in range(classes)),
        "depth": depths[0],
        "width": named["conv1/kernel"].shape[-1],
        "channels": named["fpn_layer_0/kernel"].shape[-1],
        "norm": "batch" if trained_norm else "frozen",
        "head_norm": "fpn_layer_0_bn/gamma" in named,
        "rpn_convs": count(r"rpn_conv_(\d+)/"),
        "rpn_channels": named["rpn_conv_0/kernel"].shape[-1],
        "box_convs": count(r"box_conv_(\d+)/"),
        "box_units": named["box_dense_0/bias"].shape[0],
        "mask_convs": count(r"mask_conv_(\d+)/"),
        "mask_channels": named["mask_up/bias"].shape[0],
    }


def load_state(network: MaskRCNN, state: Mapping[str, Array]) -> None:
    """Put a state dict of torchvision's into a network; all of it, and nothing is left as it was.

    Raises:
        ValueError: a name or shape of one that the other has not.
    """
    values, variables = translated(state, network.config.box_size), variables_of(network)
    for name in sorted(set(values) ^ set(variables)):
        has = "the weights" if name in values else "the network"
        raise ValueError(f"weights and network must have the same layers, got {name} in {has} only")
    for name, variable in variables.items():
        if tuple(variable.shape) != values[name].shape:
            raise ValueError(
                f"{name} must have the shape {tuple(variable.shape)}, got {values[name].shape}"
            )
    for name, variable in variables.items():
        variable.assign(np.ascontiguousarray(values[name]))


def network_of(state: Mapping[str, Array], **settings: Any) -> MaskRCNN:
    """Return the network of a state dict of torchvision's; see `config_of` and `load_state`."""
    network = MaskRCNN(config_of(state, **settings))
    load_state(network, state)
    return network
