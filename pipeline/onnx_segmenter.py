"""Segmenters in ONNX files: told by their graphs' outputs, run by ONNX Runtime alone.

docs/networks.md has the table of layouts.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from pipeline.onnx_layouts import (
    Array,
    Found,
    Image,
    Layout,
    OnnxConfig,
    Place,
    layout_of,
    letterbox,
    stretched,
)
from utils.masks import encode_at
from utils.suppression import best_by_iom

SIDE = 640  # px of an input whose size the graph leaves open
STRIDE = 32  # px: such an input's sides are multiples of it
MEAN, SPREAD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's colours
SHARED = 0.5  # of the smaller of two masks, above which parts of a frame show one object
Window = tuple[slice, slice]  # rows and columns of a frame
TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(uint8)": np.uint8}


def session_of(path: str) -> Any:
    """Return ONNX Runtime's session of a file, on CUDA if it is available.

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
        if config.nms != OnnxConfig.nms and self.layout.name != "Ultralytics":
            self.notes.append(f"--nms has no effect on {self.layout.name}: the graph has its own")
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
        size = (image.shape[0], image.shape[1])
        windows = self.config.windows(size)
        items = [
            item
            for window, found in zip(windows, self._searched(image, windows), strict=True)
            for item in self._items(found, window, size)
        ]
        return items if len(windows) == 1 else _joined(items)

    def _searched(self, image: Image, windows: Sequence[Window]) -> Iterator[Found]:
        """Yield what is found in each part of a frame, as many parts at once as the graph takes."""
        inputs = [self._input_of(image[rows, columns]) for rows, columns in windows]
        axes = self._input.shape
        given = axes[0] if len(axes) == 4 else 1
        split = all(o.shape and o.shape[0] == given for o in self._session.get_outputs())
        while inputs:
            # An open batch takes parts of one size; a fixed one is filled up with the last.
            alike = [v for v, _ in inputs if v.shape == inputs[0][0].shape]
            most = given if isinstance(given, int) else len(alike)
            here = inputs[: most if split else 1]
            inputs = inputs[len(here) :]
            count = given if isinstance(given, int) else len(here)
            values = [v for v, _ in here] + [here[-1][0]] * (count - len(here))
            fed = np.stack(values) if len(axes) == 4 else values[0]
            ran = self._session.run(None, {self._input.name: fed})
            outputs = dict(zip(self._names, ran, strict=True))
            for i, (_, place) in enumerate(here):
                one = {n: v[i : i + 1] for n, v in outputs.items()} if split else outputs
                yield self.layout.objects(one, place, self.config)

    def _input_of(self, image: Image) -> tuple[Array, Place]:
        """Return what a frame is for the graph, (3, h, w), and where it lies in that."""
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
        return values.astype(self._type), place

    def _items(self, found: Found, window: Window, size: tuple[int, int]) -> list[dict[str, Any]]:
        """Return objects of a part of a frame as run lengths with score and class."""
        items, (rows, columns) = [], window
        for i, (score, index) in enumerate(zip(found.scores, found.classes.tolist(), strict=True)):
            mask = found.masks(i)
            if not mask.any():
                continue
            counts = encode_at(mask, columns.start, rows.start, *size)
            item = {"size": list(size), "counts": counts, "score": float(score)}
            item["category_id"] = max(1, index + self.layout.first)
            if index in self._classes:
                item["category"] = self._classes[index]
            items.append(item)
        return items


def _joined(items: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the objects of all parts of a frame, each once: its masks joined, its best score."""
    classes, scores = (np.array([i[k] for i in items]) for k in ("category_id", "score"))
    best, joined = best_by_iom(items, classes, scores, SHARED), []
    for row in np.argsort(-scores, kind="stable").tolist():
        if best[row] == row:
            parts = [items[i] for i in np.flatnonzero(best == row).tolist()]
            joined.append(items[row] | {"counts": coco_mask.merge(parts)["counts"]})
    return joined


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
