"""Tracks drawn on frames: masks, identities and the way they came, legible at any size."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from utils import masks
from utils.detections import Detections
from utils.identity_colours import colour_of

Array = npt.NDArray[Any]
Image = npt.NDArray[np.uint8]

TRAIL = 15  # frames of the past that a trail shows
FILL = 0.5  # share of an identity's colour in its mask
FULL_SIDE = 720  # px of a frame's shorter side at which text has its full size
FONT = cv2.FONT_HERSHEY_SIMPLEX
WHITE = (255, 255, 255)
SHADE = 0.35  # of the light left behind an identity


class Painter:
    """Draws the frames of one video in order, and remembers where its tracks came from.

    Args:
        name_of: class number -> name, which is written beside the identity; None writes none.
    """

    def __init__(self, name_of: Callable[[int], str] | None = None) -> None:
        self._name_of = name_of
        self._trails: dict[int, deque[tuple[int, Array]]] = {}

    def draw(
        self, image: Image, result: Detections, rows: Array, frame: int, scale: int = 1
    ) -> Image:
        """Return a frame with a coloured mask, an id and a trail per object.

        Args:
            image: (height, width, 3) uint8 RGB. result: Detections with the ids and masks that are
            written. rows: (k,) those of the frame that have an id. frame: its number.
            scale: enlargement of the result.

        Returns:
            (height * scale, width * scale, 3) uint8 RGB.
        """
        ids = result.ids[rows].tolist()
        boxes = self.follow(result, rows, frame)
        image = fill(image, result, rows, boxes)
        if scale > 1:
            size = (image.shape[1] * scale, image.shape[0] * scale)
            image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_NEAREST), np.uint8)
        thick = max(2, round(min(image.shape[:2]) / FULL_SIDE * 2))
        for identity in ids:
            points = np.array([centre for _, centre in self._trails[identity]]) * scale
            line = [points.round().astype(np.int32)]
            cv2.polylines(image, line, False, colour_of(identity), thick, cv2.LINE_AA)
        for identity, cls in zip(ids, result.classes[rows].tolist(), strict=True):
            write_id(image, self._label(identity, cls), self._trails[identity][-1][1] * scale)
        return image

    def _label(self, identity: int, cls: int) -> str:
        """Return what is written on an object: its identity, and its class if that has a name."""
        name = self._name_of(cls) if self._name_of else ""
        return f"{name} {identity}" if name and name != f"class {cls}" else str(identity)

    def follow(self, result: Detections, rows: Array, frame: int) -> Array:
        """Take note of a frame without drawing it; arguments as in `draw`.

        Trails of tracks that have not been seen for long are forgotten.

        Returns:
            (k, 4) float64, boxes around the masks in px.
        """
        ids = result.ids[rows].tolist()
        boxes = masks.tight_boxes_xywh(result.rles[rows], *result.size)
        for identity, box in zip(ids, boxes, strict=True):
            trail = self._trails.setdefault(identity, deque(maxlen=TRAIL))
            trail.append((frame, box[:2] + box[2:] / 2))
        if len(self._trails) > 4 * len(ids) + 100:
            old = frame - 100 * TRAIL
            self._trails = {i: t for i, t in self._trails.items() if t[-1][0] >= old}
        return boxes


def fill(image: Image, result: Detections, rows: Array, boxes_xywh: Array) -> Image:
    """Return a copy of a frame in which each mask has its identity's colour, within its box only.

    Args:
        image: (height, width, 3) uint8 RGB. result, rows: see `Painter.draw`.
        boxes_xywh: (k, 4) tight boxes of the masks in px.
    """
    image = image.copy()
    if not len(rows):
        return image
    runs, offsets = masks.decode_runs(result.rles[rows], result.height * result.width)
    for i, row in enumerate(rows.tolist()):
        x, y, w, h = box = boxes_xywh[i].astype(int).tolist()
        if not w * h:
            continue
        inside = masks.crop(runs[offsets[i] : offsets[i + 1]], box, result.height)
        part, colour = image[y : y + h, x : x + w], colour_of(int(result.ids[row]))
        light = np.array([*(FILL * value for value in colour), 0.0])
        blended = cv2.add(cv2.convertScaleAbs(part, alpha=1 - FILL), light)
        part[:] = cv2.copyTo(blended, inside, part.copy())
        edges = cv2.findContours(inside, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0]
        cv2.drawContours(part, edges, -1, colour, 1)
    return image


def write_id(image: Image, text: str, centre: Array) -> None:
    """Write a text, white on a darkened box, around a point (x, y) in px; it stays in the frame."""
    height, width = image.shape[:2]
    size = max(0.5, 0.6 * min(height, width) / FULL_SIDE)
    thick = max(1, round(1.5 * size))
    (w, h), _ = cv2.getTextSize(text, FONT, size, thick)
    x, y = (round(float(v)) for v in centre)
    edge = max(2, h // 5)
    left = min(max(x - w // 2, edge), max(width - w - edge, 0))
    base = min(max(y + h // 2, h + edge), max(height - edge - 1, 0))
    box = image[max(0, base - h - edge) : base + edge, max(0, left - edge) : left + w + edge]
    box[:] = (box * SHADE).astype(np.uint8)
    cv2.putText(image, text, (left, base), FONT, size, WHITE, thick, cv2.LINE_AA)
