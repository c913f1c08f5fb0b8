"""Segmenters in ONNX files: told by their graphs' outputs, run by ONNX Runtime alone.

A layout says how frames go in and how objects come out. What a graph returns for a frame decides,
so that dynamic sizes are no obstacle. docs/networks.md has the table of layouts.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from utils.masks import encode

Array = npt.NDArray[Any]
Image = npt.NDArray[np.uint8]

GREY = 114  # around a frame that is narrower than the network's input, as Ultralytics pads it
SIDE = 640  # px of an input whose size the graph leaves open
STRIDE = 32  # px: such an input's sides are multiples of it
MOST = 300  # objects of a frame
FEW = 1000  # rows up to which a table of boxes and coefficients went through NMS inside the graph
HALF = 0.5  # probability from which a pixel is the object's
MEAN, SPREAD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's colours
TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(uint8)": np.uint8}


@dataclass(frozen=True)
class OnnxConfig:
    """How objects are taken from a graph's outputs.

    Attributes:
        score: least score of an object (0.25 is Ultralytics' own).
        nms: IoU of boxes of a class above which the lower score goes, where the graph does no NMS.
    """

    score: float = 0.25
    nms: float = 0.7

    def __post_init__(self) -> None:
        if not (0 <= self.score <= 1 and 0 < self.nms <= 1):
            raise ValueError(f"score must be in 0..1 and nms above 0, to 1, got {self}")


@dataclass(frozen=True)
class Place:
    """Where a frame lies in a network's input.

    Attributes:
        size: (height, width) of the frame. room: of the input. scale: (y, x) px of the input for
        one of the frame. corner: (top, left) px of the frame in the input.
    """

    size: tuple[int, int]
    room: tuple[int, int]
    scale: tuple[float, float]
    corner: tuple[int, int] = (0, 0)

    def boxes(self, xyxy: Array) -> Array:
        """Return (n, 4) boxes of the input as x1 y1 x2 y2 px of the frame, cut at its borders."""
        top, left = self.corner
        moved = (xyxy - (left, top, left, top)) / (*self.scale[::-1], *self.scale[::-1])
        height, width = self.size
        limits = np.array([width, height, width, height])
        return np.clip(moved, 0, limits)

    def mask(self, plane: Array) -> Array:
        """Return a (h, w) plane that covers the input as a (height, width) plane of the frame."""
        (height, width), (top, left) = self.room, self.corner
        y, x = plane.shape[0] / height, plane.shape[1] / width
        bottom = min(height, top + round(self.size[0] * self.scale[0]))
        right = min(width, left + round(self.size[1] * self.scale[1]))
        rows = slice(round(top * y), max(round(top * y) + 1, round(bottom * y)))
        columns = slice(round(left * x), max(round(left * x) + 1, round(right * x)))
        part = np.ascontiguousarray(plane[rows, columns], np.float32)
        return np.asarray(cv2.resize(part, self.size[::-1], interpolation=cv2.INTER_LINEAR))


@dataclass(frozen=True)
class Found:
    """Objects of a frame: (n,) scores and class indices, and functions that give their masks.

    Attributes:
        scores: (n,). classes: (n,) int. masks: (height, width) bool of the i-th object.
    """

    scores: Array
    classes: Array
    masks: Callable[[int], Array]


def letterbox(image: Image, room: tuple[int, int]) -> tuple[Image, Place]:
    """Return a frame scaled to fit an input and padded evenly around, as Ultralytics does."""
    height, width = image.shape[:2]
    scale = min(room[0] / height, room[1] / width)
    size = round(width * scale), round(height * scale)
    scaled = image if size == (width, height) else cv2.resize(image, size)
    spare = (room[0] - size[1]) / 2, (room[1] - size[0]) / 2
    top, left = (round(s - 0.1) for s in spare)
    bottom, right = (round(s + 0.1) for s in spare)
    value = (GREY, GREY, GREY)
    padded = cv2.copyMakeBorder(scaled, top, bottom, left, right, cv2.BORDER_CONSTANT, value=value)
    place = Place((height, width), room, (scale, scale), (top, left))
    return np.asarray(padded, np.uint8), place


def stretched(image: Image, room: tuple[int, int]) -> tuple[Image, Place]:
    """Return a frame scaled to an input's sides, whatever their ratio."""
    height, width = image.shape[:2]
    scale = room[0] / height, room[1] / width
    scaled = image if room == (height, width) else cv2.resize(image, room[::-1])
    return np.asarray(scaled, np.uint8), Place((height, width), room, scale)


def _kept(boxes_xyxy: Array, scores: Array, classes: Array, config: OnnxConfig) -> Array:
    """Return the rows that are left by non-maximum suppression within classes, best first."""
    wide = boxes_xyxy.astype(float).copy()
    wide[:, 2:] -= wide[:, :2]
    rows = cv2.dnn.NMSBoxesBatched(
        wide.tolist(), scores.astype(float).tolist(), classes.tolist(), config.score, config.nms
    )
    chosen = np.asarray(rows, np.int64).ravel()
    return chosen[np.argsort(-scores[chosen], kind="stable")][:MOST]


def _boxed(plane: Array, box_xyxy: Array) -> Array:
    """Return a plane as a mask: what is above 0 within a box."""
    y, x = np.ogrid[: plane.shape[0], : plane.shape[1]]
    x1, y1, x2, y2 = box_xyxy
    mask: Array = (plane > 0) & (x >= x1) & (x < x2) & (y >= y1) & (y < y2)
    return mask


def yolo(outputs: Sequence[Array], place: Place, config: OnnxConfig) -> Found:
    """Return the objects of Ultralytics' segmentation: boxes, scores, coefficients; prototypes.

    (1, 4 + classes + p, n) of YOLOv8 and later; (1, n, 5 + classes + p) of YOLOv5; (1, n, 6 + p)
    where NMS is inside. Prototypes are (1, p, h, w).
    """
    table, prototypes = sorted((np.asarray(o, np.float32) for o in outputs), key=np.ndim)
    table, prototypes = table[0], prototypes[0]
    p = len(prototypes)
    if table.shape[0] < table.shape[1] and table.shape[0] > 4 + p and table.shape[1] != 6 + p:
        table = table.T
        scores, corners = table[:, 4:-p], False
    elif table.shape[1] == 6 + p and len(table) <= FEW:
        scores, corners = table[:, 4:5], True
    else:
        scores, corners = table[:, 5:-p] * table[:, 4:5], False
    best, classes = scores.max(axis=1), scores.argmax(axis=1)
    if corners:
        classes = table[:, 5].astype(np.int64)
    rows = np.flatnonzero(best > config.score)
    boxes = table[rows, :4]
    if not corners:
        boxes = np.concatenate(
            [boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2], 1
        )
        kept = _kept(boxes, best[rows], classes[rows], config)
        rows, boxes = rows[kept], boxes[kept]
    there = place.boxes(boxes)
    planes = np.tensordot(table[rows, -p:], prototypes, 1)
    return Found(best[rows], classes[rows], lambda i: _boxed(place.mask(planes[i]), there[i]))


def mask_rcnn(named: Mapping[str, Array], place: Place, config: OnnxConfig) -> Found:
    """Return the objects of torchvision's export, or of any with scores, labels and masks.

    Masks (n, 1, H, W) or (n, H, W) are probabilities over the whole input.
    """
    flat = {name: np.asarray(value, np.float32) for name, value in named.items()}
    scores, labels, masks = flat["scores"].ravel(), flat["labels"].ravel(), flat["masks"]
    planes = masks.reshape(-1, *masks.shape[-2:])
    rows = np.flatnonzero(scores >= config.score)
    rows = rows[np.argsort(-scores[rows], kind="stable")][:MOST]
    return Found(
        scores[rows], labels[rows].astype(np.int64), lambda i: place.mask(planes[rows[i]]) > HALF
    )


def detr(logits: Array, masks: Array, place: Place, config: OnnxConfig, nobody: bool) -> Found:
    """Return the objects of a DETR: (1, q, classes) logits and (1, q, h, w) logits of masks.

    Args:
        nobody: whether the last class is nobody, and classes exclude each other (softmax).
    """
    values = np.asarray(logits[0], np.float32)
    if nobody:
        shares = np.exp(values - values.max(axis=1, keepdims=True))
        shares = (shares / shares.sum(axis=1, keepdims=True))[:, :-1]
    else:
        shares = 1 / (1 + np.exp(-values))
    scores, classes = shares.max(axis=1), shares.argmax(axis=1)
    rows = np.flatnonzero(scores >= config.score)
    rows = rows[np.argsort(-scores[rows], kind="stable")][:MOST]
    planes = np.asarray(masks[0], np.float32)
    return Found(scores[rows], classes[rows], lambda i: place.mask(planes[rows[i]]) > 0)


class OnnxSegmenter:
    """Runs a segmentation network from an ONNX file.

    Args:
        path: of the file. config: OnnxConfig.

    Attributes:
        layout: which one it is. notes: what was taken for granted, for the user.

    Raises:
        ValueError: it cannot be loaded, or has outputs of no known layout.
    """

    def __init__(self, path: str, config: OnnxConfig) -> None:
        import onnxruntime

        if not Path(path).is_file():
            raise ValueError(f"--segmenter {path}: must be a file, got none")
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        wanted = ("CUDAExecutionProvider", "CPUExecutionProvider")
        providers = [p for p in wanted if p in onnxruntime.get_available_providers()]
        try:
            self._session = onnxruntime.InferenceSession(path, options, providers=providers)
        except Exception as error:  # of its own kinds, on files that are no graph
            text = " ".join(str(error).split())[:200]
            raise ValueError(f"--segmenter {path}: must be an ONNX graph, got {text}") from None
        self.path, self.config = path, config
        self._input = self._session.get_inputs()[0]
        self._names = [output.name for output in self._session.get_outputs()]
        self.layout = self._layout()
        self._type = TYPES.get(self._input.type)
        if self._type is None:
            raise ValueError(f"--segmenter {path}: must take floats, got {self._input.type}")
        self._classes = _class_names(self._session.get_modelmeta().custom_metadata_map)
        room = "of any size" if self._room() is None else "{} x {}".format(*self._room() or ())
        self.notes = [f"--segmenter {Path(path).name}: {self.layout}, input {room}"]
        if not self._classes:
            self.notes.append(f"--segmenter {Path(path).name}: the file names no classes")

    def _layout(self) -> str:
        """Return which layout the outputs are of."""
        ranks = {o.name: len(o.shape) for o in self._session.get_outputs()}
        names = set(ranks)
        if {"scores", "labels", "masks"} <= names:
            return "torchvision" if "boxes" in names else "scores, labels, masks"
        if {"dets", "labels", "masks"} <= names:
            return "RF-DETR" if ranks["labels"] == 3 else "MMDeploy"
        if {"pred_logits", "pred_masks"} <= names or {"logits", "pred_masks"} <= names:
            return "DETR"
        if sorted(ranks.values()) == [3, 4]:
            return "Ultralytics"
        shown = ", ".join(f"{o.name} {o.shape}" for o in self._session.get_outputs())
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
        room = self._room()
        if self.layout == "Ultralytics":
            padded, place = letterbox(image, room or _fitting(image))
        elif room is None and self.layout in ("torchvision", "scores, labels, masks"):
            padded, place = stretched(image, (image.shape[0], image.shape[1]))
        else:
            padded, place = stretched(image, room or (SIDE, SIDE))
        values: Array = np.ascontiguousarray(padded.transpose(2, 0, 1))
        if self._type is not np.uint8:
            values = values.astype(np.float32) / 255
            if self.layout in ("RF-DETR", "DETR", "MMDeploy"):
                mean, spread = (np.array(c, np.float32)[:, None, None] for c in (MEAN, SPREAD))
                values = (values - mean) / spread
        values = values.astype(self._type)
        if len(self._input.shape) == 4:
            count = self._input.shape[0] if isinstance(self._input.shape[0], int) else 1
            values = np.repeat(values[None], max(1, count), axis=0)
        outputs = dict(
            zip(self._names, self._session.run(None, {self._input.name: values}), strict=True)
        )
        return self._items(self._found(outputs, place))

    def _found(self, outputs: Mapping[str, Array], place: Place) -> Found:
        """Return the objects by the layout."""
        if self.layout == "Ultralytics":
            return yolo([*outputs.values()], place, self.config)
        if self.layout == "RF-DETR":
            return detr(outputs["labels"], outputs["masks"], place, self.config, nobody=False)
        if self.layout == "DETR":
            logits = outputs.get("pred_logits", outputs.get("logits"))
            assert logits is not None
            return detr(logits, outputs["pred_masks"], place, self.config, nobody=True)
        if self.layout == "MMDeploy":
            scores = np.asarray(outputs["dets"])[0, :, 4]
            one = {"scores": scores, "labels": outputs["labels"][0], "masks": outputs["masks"][0]}
            return mask_rcnn(one, place, self.config)
        return mask_rcnn(outputs, place, self.config)

    def _items(self, found: Found) -> list[dict[str, Any]]:
        """Return objects as run lengths with score and class."""
        # torchvision's labels count from 1, and so do COCO's own numbers in RF-DETR.
        shift = 0 if self.layout in ("torchvision", "scores, labels, masks") else 1
        items = []
        for i, (score, index) in enumerate(zip(found.scores, found.classes.tolist(), strict=True)):
            mask = found.masks(i)
            if not mask.any():
                continue
            item = {"size": list(mask.shape), "counts": encode(mask), "score": float(score)}
            item["category_id"] = max(1, index + shift)
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
