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
        height, width = image.shape[:2]
        if width > WIDEST:
            size = (WIDEST, max(1, round(height * WIDEST / width)))
            image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_LINEAR), np.uint8)
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
    for _, image in Frames(str(path)):
        height, width = size
        scale = min(1.0, WIDEST / width)
        # Without the row or column that H.264 needed.
        part = image[: max(1, round(height * scale)), : max(1, round(width * scale))]
        if part.shape[:2] != size:
            resized = cv2.resize(part, (width, height), interpolation=cv2.INTER_LINEAR)
            part = np.asarray(resized, np.uint8)
        yield part
