"""The frames of a sequence as a video for the page: small, and quick to seek in."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from utils.video import Frames, Image
from utils.video_writing import VideoWriter

WIDEST = 960  # px: about what a page shows on a screen 900 px high
SMALLEST = 640  # px of the longer side, up to which small frames are scaled by a whole number


def shown_size(size: tuple[int, int]) -> tuple[int, int]:
    """Return the (height, width) px of a page's video of frames of a size.

    Large frames are scaled down; small ones up by a whole number, as codecs blur their pixels.
    """
    height, width = size
    if width > WIDEST:
        return max(1, round(height * WIDEST / width)), WIDEST
    scale = max(1, SMALLEST // max(size))
    return height * scale, width * scale


class PageVideo:
    """Writes frames at a constant rate, so that the page knows each by its place.

    Args:
        path: of the mp4, made with the first frame. rate: frames per second.
        ready: such a video of these frames, which is copied instead.

    Attributes:
        there: whether the file has been begun.
    """

    def __init__(self, path: Path, rate: Fraction, ready: Path | None = None) -> None:
        self.path, self.rate, self.there = path, rate, ready is not None
        self._writer: VideoWriter | None = None
        self._copied = ready is not None
        if ready is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ready, path)

    def write(self, image: Image) -> None:
        """Add a (height, width, 3) uint8 RGB frame."""
        if self._copied:
            return
        height, width = shown_size((image.shape[0], image.shape[1]))
        if (height, width) != image.shape[:2]:
            how = cv2.INTER_LINEAR if width < image.shape[1] else cv2.INTER_NEAREST
            image = np.asarray(cv2.resize(image, (width, height), interpolation=how), np.uint8)
        if self._writer is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._writer = VideoWriter(self.path, image.shape[:2], self.rate, seekable=True)
        self._writer.write(image)
        self.there = True

    def close(self) -> None:
        """End the file, if there is one."""
        if self._writer is not None:
            self._writer.close()


def read_frames(path: Path, size: tuple[int, int]) -> Iterator[Image]:
    """Yield the frames of a page's video in the size of the sequence, (height, width, 3) RGB.

    Args:
        path: of the video. size: (height, width) px.
    """
    height, width = shown_size(size)
    how = cv2.INTER_LINEAR if width < size[1] else cv2.INTER_AREA
    for _, image in Frames(str(path)):
        part = image[:height, :width]  # without the row or column that H.264 needed
        if part.shape[:2] != size:
            part = np.asarray(cv2.resize(part, size[::-1], interpolation=how), np.uint8)
        yield part
