"""Objects cut out of their frames with their surroundings, to be shown beside each other."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from utils import masks
from utils.frames import GREY
from utils.identity_colours import colour_of

Image = npt.NDArray[np.uint8]

CROP = 112  # px of the longer side of a picture
CONTEXT = 1.8  # sides of an object's box that are shown
LEAST_CROP = 32  # px of the frame


@dataclass(frozen=True)
class Look:
    """An object in a frame, as it may be shown later.

    Attributes:
        identity: its. frame: number. size: (height, width) of frames in px.
        box: x y w h around its mask, whole px. rle: its mask.
        image: of the frame, or None. pixels: its surroundings, where only they were kept.
    """

    identity: int
    frame: int
    size: tuple[int, int]
    box: tuple[int, int, int, int]
    rle: bytes
    image: Image | None = None
    pixels: Image | None = None

    @property
    def area(self) -> tuple[int, int, int, int]:
        """Return x, y, width, height in px of what is shown: a square, cut at the frame."""
        x, y, w, h = self.box
        side = max(CONTEXT * max(w, h), LEAST_CROP)
        left, top = int(max(0, x + w / 2 - side / 2)), int(max(0, y + h / 2 - side / 2))
        right = int(min(self.size[1], x + w / 2 + side / 2))
        bottom = int(min(self.size[0], y + h / 2 + side / 2))
        return left, top, max(1, right - left), max(1, bottom - top)

    def cut(self) -> Look:
        """Return the same with its surroundings only, so that the frame can be forgotten."""
        if self.image is None:
            return self
        left, top, width, height = self.area
        pixels = self.image[top : top + height, left : left + width].copy()
        return replace(self, image=None, pixels=pixels)

    def picture(self, side: int = CROP) -> Image:
        """Return the picture, its longer side as given in px, the mask outlined in its colour."""
        _, _, width, height = self.area
        pixels = self.cut().pixels
        if pixels is None:
            pixels = np.full((height, width, 3), GREY, np.uint8)
        scale = side / max(width, height)
        shape = (max(1, round(width * scale)), max(1, round(height * scale)))
        method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        drawn = np.ascontiguousarray(cv2.resize(pixels, shape, interpolation=method), np.uint8)
        outline = cv2.resize(self._inside(), shape, interpolation=cv2.INTER_LINEAR) > 127
        edges: Any = cv2.findContours(
            outline.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
        )[0]
        cv2.drawContours(drawn, edges, -1, colour_of(self.identity), 2)
        return drawn

    def _inside(self) -> Image:
        """Return the mask in the area that is shown, 0 or 255."""
        left, top, width, height = self.area
        x, y, w, h = self.box
        runs, _ = masks.decode_runs([self.rle], self.size[0] * self.size[1])
        inside = np.zeros((height, width), np.uint8)
        part = masks.crop(runs, self.box, self.size[0])
        room = inside[y - top : y - top + h, x - left : x - left + w]
        room[:] = part[: room.shape[0], : room.shape[1]]
        return inside
