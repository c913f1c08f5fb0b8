"""Segmenters in ONNX files: told by their graphs' outputs, run by ONNX Runtime alone.

docs/networks.md has the table of layouts.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.onnx_layouts import (
    Array,
    Found,
    Image,
    Layout,
    OnnxConfig,
    layout_of,
    letterbox,
    stretched,
)
from utils.masks import encode

SIDE = 640  # px of an input whose size the graph leaves open
STRIDE = 32  # px: such an input's sides are multiples of it
MEAN, SPREAD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's colours
TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(uint8)": np.uint8}


def session_of(path: str) -> Any:
    """Return ONNX Runtime's session of a file, on CUDA where that is to be had.

    Raises:
        ValueError: it cannot be loaded.
    """
    import onnxruntime

    if not Path(path).is_file():
        raise ValueError(f"--segmenter {path}: must be a file, got none")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    wanted = ("CUDAExecutionProvider", "CPUExecutionProvider")
    providers = [p for p in wanted if p in onnxruntime.get_available_providers()]
    try:
        return onnxruntime.InferenceSession(path, options, providers=providers)
    except Exception as error:  # of its own kinds, on files that are no graph
        text = " ".join(str(error).split())[:200]
        raise ValueError(f"--segmenter {path}: must be an ONNX graph, got {text}") from None


class OnnxSegmenter:
    """Runs a segmentation network from an ONNX file.

    Args:
        path: of the file. session: of it. config: OnnxConfig.

    Attributes:
        layout: which one it is. notes: what was taken for granted, for the user.

    Raises:
        ValueError: it has outputs of no known layout.
    """

    def __init__(self, path: str, session: Any, config: OnnxConfig) -> None:
        self._session = session
        self.path, self.config = path, config
        self._input = self._session.get_inputs()[0]
        self._names = [output.name for output in self._session.get_outputs()]
        self.layout = self._layout()
        self._type = TYPES.get(self._input.type)
        if self._type is None:
            raise ValueError(f"--segmenter {path}: must take floats, got {self._input.type}")
        self._classes = _class_names(self._session.get_modelmeta().custom_metadata_map)
        room = "of any size" if self._room() is None else "{} x {}".format(*self._room() or ())
        self.notes = [f"--segmenter {Path(path).name}: {self.layout.name}, input {room}"]
        if not self._classes:
            self.notes.append(f"--segmenter {Path(path).name}: the file names no classes")

    def _layout(self) -> Layout:
        """Return which layout the outputs are of."""
        outputs = self._session.get_outputs()
        layout = layout_of({o.name: len(o.shape) for o in outputs})
        if layout is not None:
            return layout
        shown = ", ".join(f"{o.name} {o.shape}" for o in outputs)
        rule = (
            "outputs must be boxes with coefficients and prototypes (Ultralytics' -seg models), "
            "scores, labels and masks (torchvision), dets, labels and masks (RF-DETR, MMDeploy), "
            "or pred_logits and pred_masks (DETR)"
        )
        raise ValueError(f"--segmenter {self.path}: {rule}, got {shown}")

    def _room(self) -> tuple[int, int] | None:
        """Return the (height, width) of the input, None where the graph leaves it open."""
        height, width = self._input.shape[-2:]
        return (height, width) if isinstance(height, int) and isinstance(width, int) else None

    def __call__(self, image: Image) -> list[dict[str, Any]]:
        """Return the objects of a (height, width, 3) RGB frame as run lengths, the best first."""
        room, layout = self._room(), self.layout
        if layout.padded:
            pixels, place = letterbox(image, room or _fitting(image))
        else:
            own = (image.shape[0], image.shape[1]) if layout.natural else (SIDE, SIDE)
            pixels, place = stretched(image, room or own)
        values: Array = np.ascontiguousarray(pixels.transpose(2, 0, 1))
        if self._type is not np.uint8:
            values = values.astype(np.float32) / 255
            if layout.normalised:
                mean, spread = (np.array(c, np.float32)[:, None, None] for c in (MEAN, SPREAD))
                values = (values - mean) / spread
        values = values.astype(self._type)
        if len(self._input.shape) == 4:
            count = self._input.shape[0] if isinstance(self._input.shape[0], int) else 1
            values = np.repeat(values[None], max(1, count), axis=0)
        outputs = dict(
            zip(self._names, self._session.run(None, {self._input.name: values}), strict=True)
        )
        return self._items(layout.objects(outputs, place, self.config))

    def _items(self, found: Found) -> list[dict[str, Any]]:
        """Return objects as run lengths with score and class."""
        items = []
        for i, (score, index) in enumerate(zip(found.scores, found.classes.tolist(), strict=True)):
            mask = found.masks(i)
            if not mask.any():
                continue
            item = {"size": list(mask.shape), "counts": encode(mask), "score": float(score)}
            item["category_id"] = max(1, index + self.layout.first)
            if index in self._classes:
                item["category"] = self._classes[index]
            items.append(item)
        return items


def _fitting(image: Image) -> tuple[int, int]:
    """Return the sides of an open input: the longer one SIDE, both multiples of STRIDE."""
    scale = SIDE / max(image.shape[:2])
    height, width = (-(-round(side * scale) // STRIDE) * STRIDE for side in image.shape[:2])
    return height, width


def _class_names(facts: Mapping[str, str]) -> dict[int, str]:
    """Return {index: name} of a file's metadata: a dict, or a list, under `names`."""
    try:
        held = ast.literal_eval(facts.get("names", "{}"))
    except (ValueError, SyntaxError):
        return {}
    pairs = held.items() if isinstance(held, dict) else enumerate(held)
    return {int(index): str(name) for index, name in pairs}
