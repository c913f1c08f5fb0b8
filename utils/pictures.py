"""The one reader of pictures: upright as their EXIF says, 8 bits, RGB, whole or refused."""

from __future__ import annotations

import contextlib
from pathlib import Path

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


def read_picture(path: Path) -> Image:
    """Return a picture as (height, width, 3) uint8 RGB.

    Values of more than 8 bits are scaled by the bits that the picture uses: 12-bit data in a 16-bit
    file fill the range.

    Raises:
        FormatError: it is none, or ends early.
    """
    check_whole(path)
    image = cv2.imread(str(path), cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
    if image is None:
        raise FormatError(path, None, "must be a picture", "none that can be read")
    if image.dtype != np.uint8:
        image = _eight_bits(image)
    return np.ascontiguousarray(image[:, :, ::-1], np.uint8)


def _eight_bits(image: npt.NDArray[np.generic]) -> Image:
    """Return values of other types in 0..255."""
    values = np.nan_to_num(image.astype(np.float64))
    top = values.max(initial=0.0)
    if image.dtype.kind == "f":
        return np.clip(values * (255 / top if top > 1 else 255), 0, 255).astype(np.uint8)
    bits = max(8, int(np.ceil(np.log2(top + 1))))
    scaled: Image = (values / 2 ** (bits - 8)).astype(np.uint8)
    return scaled


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
