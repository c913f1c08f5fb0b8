"""The one reader of pictures: upright as their EXIF says, 8 bits, RGB, whole or refused."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from utils.files import FormatError

Image = npt.NDArray[np.uint8]

ORIENTATION = 274  # EXIF
TURNED = (5, 6, 7, 8)  # orientations that swap height and width
# What the end of a whole file holds, within TAIL bytes: tools append things of their own.
ENDS = {".jpg": b"\xff\xd9", ".jpeg": b"\xff\xd9", ".png": b"IEND"}
TAIL = 4096
SAMPLE = 5  # pictures of a sequence that are looked at for the bits in use


def picture_size(path: Path) -> tuple[int, int] | None:
    """Return (height, width) of a picture as it is shown, by its header; None if it is none."""
    from PIL import Image as Pillow
    from PIL import UnidentifiedImageError

    try:
        with Pillow.open(path) as image:
            width, height = image.size
            with contextlib.suppress(OSError, SyntaxError):  # a PNG's is read with its pixels
                if image.getexif().get(ORIENTATION, 1) in TURNED:
                    width, height = height, width
            return height, width
    except (OSError, UnidentifiedImageError, ValueError, SyntaxError):
        return None


class Reader:
    """Reads the pictures of one sequence as (height, width, 3) uint8 RGB.

    Values of more than 8 bits are scaled by the bits that the sequence uses: 12-bit data in 16-bit
    files fill the range, and a value is as bright in one frame as in another.

    Args:
        paths: of the sequence. SAMPLE of them say which bits are used; brighter ones are clipped.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = paths[:: max(1, len(paths) // SAMPLE)]
        self._white: float | None = None

    def __call__(self, path: Path) -> Image:
        """Return a picture.

        Raises:
            FormatError: it is none, or ends early.
        """
        image = _decoded(path)
        if image.dtype != np.uint8:
            if self._white is None:
                self._white = max(_white(_decoded(p)) for p in self.paths)
            scaled = np.nan_to_num(image.astype(np.float64)) * (256 / self._white)
            image = np.clip(scaled, 0, 255).astype(np.uint8)
        return np.ascontiguousarray(image[:, :, ::-1], np.uint8)


def _decoded(path: Path) -> npt.NDArray[Any]:
    """Return a picture as OpenCV reads it: BGR, of any type."""
    check_whole(path)
    image = cv2.imread(str(path), cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
    if image is None:
        raise FormatError(path, None, "must be a picture", "none that can be read")
    return image


def _white(image: npt.NDArray[Any]) -> float:
    """Return the value just above the brightest that the bits in use can hold."""
    top = float(np.nan_to_num(image.astype(np.float64)).max(initial=0.0))
    if image.dtype.kind == "f":
        return max(1.0, top)
    return float(2 ** max(8, int(np.ceil(np.log2(top + 1)))))


def check_whole(path: Path) -> None:
    """Refuse a picture that ends early, of which decoders show a part.

    Raises:
        FormatError: it does.
    """
    end = ENDS.get(path.suffix.lower())
    if end is None:
        return
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - TAIL))
            tail = file.read()
    except OSError as error:
        raise FormatError(path, None, "must be readable", error.strerror) from None
    if end not in tail and not _decodes(path):
        raise FormatError(path, None, "must be a whole picture", "one that ends early")


def _decodes(path: Path) -> bool:
    from PIL import Image as Pillow

    try:
        with Pillow.open(path) as image:
            image.load()
    except (OSError, ValueError, SyntaxError):
        return False
    return True
