"""The pictures of a sequence's frames, found by number under any usual name."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
INNER = ("", "img1", "images", "img", "frames")  # where a sequence's folder keeps its frames
NUMBER = re.compile(r"(\d+)\D*$")  # the last number of a name: 00012, frame_12, IMG12
HASH = re.compile(r"[._]rf[._][0-9a-f]+$")  # what Roboflow puts behind names
GREY = 40  # of a frame without a picture


def frame_number(stem: str) -> int | None:
    """Return the last number in a file name without suffix, None if it has none."""
    match = NUMBER.search(HASH.sub("", stem))
    return int(match.group(1)) if match and len(match.group(1)) < 10 else None


def find_pictures(folder: Path | str, sequence: str) -> dict[int, Path]:
    """Return {frame: file} of a sequence's pictures in a folder, in the first place that has any.

    The folder may be that of the sequence itself.
    """
    for outer in (Path(folder) / sequence, Path(folder)):
        for inner in INNER:
            files: dict[int, Path] = {}
            for path in sorted((outer / inner).glob("*")):
                number = frame_number(path.stem)
                if path.suffix.lower() in SUFFIXES and number is not None and path.is_file():
                    files.setdefault(number, path)
            if files:
                return files
    return {}


class FrameFolder:
    """Reads a sequence's frames; calling it with a number returns (height, width, 3) uint8 RGB.

    Frames are told by the last number of their name (`000012.png`, `00012.jpg`, `frame_12.JPG`), in
    SEQ/ or in SEQ/img1/, SEQ/images/ and the like, or in the folder itself.

    Args:
        folder: holds the sequences' folders.
        sequence: its name.
        size: (height, width) the frames must have, in pixels.
    """

    def __init__(self, folder: Path | str, sequence: str, size: tuple[int, int]) -> None:
        self.folder, self.size = Path(folder) / sequence, size
        self.files = find_pictures(folder, sequence)

    def missing(self, frames: Iterable[int]) -> list[int]:
        """Return the numbers of the frames that have no picture."""
        return [frame for frame in frames if frame not in self.files]

    def stamp(self, frame: int) -> tuple[str, int, int]:
        """Return (name, bytes, time in ns) of a frame's file: another picture, another stamp."""
        stat = self.files[frame].stat()
        return self.files[frame].name, stat.st_size, stat.st_mtime_ns

    def check(self, frames: Iterable[int]) -> None:
        """Refuse pictures of another size, or that are none, by their headers alone.

        Raises:
            ValueError: the first such picture.
        """
        from PIL import Image, UnidentifiedImageError

        for frame in frames:
            path = self.files.get(frame)
            if path is None:
                continue
            try:
                with Image.open(path) as image:
                    size = image.size[::-1]
            except (OSError, UnidentifiedImageError):
                self._refuse(path, "no image")
            if size != tuple(self.size):
                self._refuse(path, size)

    def _refuse(self, path: Path, got: object) -> None:
        rule = f"must be an image of size {tuple(self.size)} (height, width) as the masks"
        raise ValueError(f"{path}: {rule}, got {got}")

    def __call__(self, frame: int) -> npt.NDArray[np.uint8]:
        """Return the picture of a frame.

        Raises:
            ValueError: it is missing, unreadable or of another size.
        """
        if frame not in self.files:
            raise ValueError(f"{self.folder}: must hold a picture of frame {frame}, got none")
        path = self.files[frame]
        image = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if image is None or image.shape[:2] != tuple(self.size):
            self._refuse(path, "no image" if image is None else image.shape[:2])
        return np.asarray(image, np.uint8)[:, :, ::-1]

    def drawn(self, frame: int) -> npt.NDArray[np.uint8]:
        """Return the picture of a frame to draw on; grey where there is none."""
        if frame in self.files:
            return self(frame)
        return np.full((*self.size, 3), GREY, np.uint8)
