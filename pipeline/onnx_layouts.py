"""What ONNX segmenters take and return: how frames go in, how objects come out of a layout."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Image = npt.NDArray[np.uint8]

GREY = 114  # around a frame that is narrower than the network's input, as Ultralytics pads it
MOST = 300  # objects of a frame
FEW = 1000  # rows up to which a table of boxes and coefficients went through NMS inside the graph
OVERLAP = 0.2  # of a tile with the next: what is smaller than it is whole in one of them
HALF = 0.5  # probability from which a pixel is the object's


@dataclass(frozen=True)
class OnnxConfig:
    """How objects are taken from a graph's outputs.

    Attributes:
        score: least score of an object (0.25 is Ultralytics' own).
        nms: IoU of boxes of a class above which the lower score goes, where the graph does no NMS.
        tiles: ROWSxCOLUMNS of overlapping parts that are searched in addition to the whole frame,
            for small objects; 1x1 searches the whole frame only.
    """

    score: float = 0.25
    nms: float = 0.7
    tiles: str = "1x1"

    def __post_init__(self) -> None:
        if not (0 <= self.score <= 1 and 0 < self.nms <= 1):
            got = f"score {self.score}, nms {self.nms}"
            raise ValueError(f"score must be in 0..1 and nms above 0, to 1, got {got}")
        if not re.fullmatch(r"[1-9]x[1-9]", self.tiles):
            raise ValueError(f"tiles must be ROWSxCOLUMNS, each 1 to 9, got {self.tiles}")

    def windows(self, size: tuple[int, int]) -> list[tuple[slice, slice]]:
        """Return the parts of a frame (height, width) that are searched, the whole first."""
        counts = [int(n) for n in self.tiles.split("x")]
        sides = [_cuts(length, n) for length, n in zip(size, counts, strict=True)]
        whole = (slice(0, size[0]), slice(0, size[1]))
        parts = [(rows, columns) for rows in sides[0] for columns in sides[1]]
        return [whole] if parts == [whole] else [whole, *parts]


def _cuts(length: int, count: int) -> list[slice]:
    """Return `count` parts of a side, neighbours of which share OVERLAP of a part."""
    part = min(length, math.ceil(length / (count - (count - 1) * OVERLAP)))
    return [
        slice(start, start + part)
        for start in np.linspace(0, length - part, count).round().astype(int).tolist()
    ]


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


def _best(scores: Array, config: OnnxConfig) -> Array:
    """Return the rows that score enough, best first."""
    rows = np.flatnonzero(scores >= config.score)
    return rows[np.argsort(-scores[rows], kind="stable")][:MOST]


def _boxed(plane: Array, box_xyxy: Array) -> Array:
    """Return a plane as a mask: what is above 0 within a box."""
    y, x = np.ogrid[: plane.shape[0], : plane.shape[1]]
    x1, y1, x2, y2 = box_xyxy
    mask: Array = (plane > 0) & (x >= x1) & (x < x2) & (y >= y1) & (y < y2)
    return mask


def yolo(named: Mapping[str, Array], place: Place, config: OnnxConfig) -> Found:
    """Return the objects of Ultralytics' segmentation: boxes, scores, coefficients; prototypes.

    (1, 4 + classes + p, n) of YOLOv8 and later; (1, n, 5 + classes + p) of YOLOv5; (1, n, 6 + p)
    where NMS is inside. Prototypes are (1, p, h, w).
    """
    table, prototypes = sorted((np.asarray(o, np.float32) for o in named.values()), key=np.ndim)
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
    rows = _best(scores, config)
    return Found(
        scores[rows], labels[rows].astype(np.int64), lambda i: place.mask(planes[rows[i]]) > HALF
    )


def mmdeploy(named: Mapping[str, Array], place: Place, config: OnnxConfig) -> Found:
    """Return the objects of MMDeploy: dets (1, n, 5), scores last; labels; masks (1, n, H, W)."""
    scores = np.asarray(named["dets"])[0, :, 4]
    one = {"scores": scores, "labels": named["labels"][0], "masks": named["masks"][0]}
    return mask_rcnn(one, place, config)


def rf_detr(named: Mapping[str, Array], place: Place, config: OnnxConfig) -> Found:
    """Return the objects of RF-DETR, whose classes do not exclude each other."""
    shares = 1 / (1 + np.exp(-np.asarray(named["labels"][0], np.float32)))
    return _queries(shares, named["masks"], place, config)


def detr(named: Mapping[str, Array], place: Place, config: OnnxConfig) -> Found:
    """Return the objects of a DETR, whose classes exclude each other; the last is nobody."""
    values = np.asarray(named["pred_logits" if "pred_logits" in named else "logits"][0], np.float32)
    shares = np.exp(values - values.max(axis=1, keepdims=True))
    shares = (shares / shares.sum(axis=1, keepdims=True))[:, :-1]
    return _queries(shares, named["pred_masks"], place, config)


def _queries(shares: Array, masks: Array, place: Place, config: OnnxConfig) -> Found:
    """Return the objects of (q, classes) probabilities and (1, q, h, w) logits of masks."""
    scores, classes = shares.max(axis=1), shares.argmax(axis=1)
    rows = _best(scores, config)
    planes = np.asarray(masks[0], np.float32)
    return Found(scores[rows], classes[rows], lambda i: place.mask(planes[rows[i]]) > 0)


@dataclass(frozen=True)
class Layout:
    """What is known of a graph by its outputs.

    Attributes:
        name: for the user. objects: function (outputs by name, Place, OnnxConfig) -> Found.
        padded: whether frames are padded to the input's ratio, else stretched.
        normalised: whether colours are less ImageNet's mean, over its spread.
        natural: whether an input of open size takes frames as they are.
        first: number of the class with index 0.
    """

    name: str
    objects: Callable[[Mapping[str, Array], Place, OnnxConfig], Found]
    padded: bool = False
    normalised: bool = False
    natural: bool = False
    first: int = 1


# torchvision's labels count from 1.
TORCHVISION = Layout("torchvision", mask_rcnn, natural=True, first=0)
PLAIN = Layout("scores, labels, masks", mask_rcnn, natural=True, first=0)
RF_DETR = Layout("RF-DETR", rf_detr, normalised=True)
MMDEPLOY = Layout("MMDeploy", mmdeploy, normalised=True)
DETR = Layout("DETR", detr, normalised=True)
ULTRALYTICS = Layout("Ultralytics", yolo, padded=True)


def layout_of(axes: Mapping[str, int]) -> Layout | None:
    """Return the layout of outputs, {name: number of axes}; None for none that is known."""
    names = set(axes)
    if {"scores", "labels", "masks"} <= names:
        return TORCHVISION if "boxes" in names else PLAIN
    if {"dets", "labels", "masks"} <= names:
        return RF_DETR if axes["labels"] == 3 else MMDEPLOY
    if "pred_masks" in names and names & {"pred_logits", "logits"}:
        return DETR
    return ULTRALYTICS if sorted(axes.values()) == [3, 4] else None
