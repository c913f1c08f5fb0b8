"""Pictures of the objects of synthetic sequences: MNIST digits and drawn sprites (section 4.1)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Draw = Callable[[np.random.Generator], npt.NDArray[np.uint8]]

DIGIT = 28  # px, side of an MNIST digit
TEMPLATE = 21  # px, side of a sprite before scaling
SIZE_JITTER, ASPECT_JITTER = 0.1, 0.2
COLOURS = ((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (255, 0, 255), (0, 255, 255))
SPLITS = ("train", "test")


def digit_source(images: Array, labels: Array) -> Draw:
    """Return a function rng -> (28, 28, 3) uint8 that draws a digit of the classes 1 to 9.

    Args:
        images: (n, 28, 28) uint8; labels: (n,) int. The paper uses 9 of the 10 classes.
    """
    images = images[labels > 0]

    def draw(rng: np.random.Generator) -> npt.NDArray[np.uint8]:
        return np.repeat(images[rng.integers(len(images))][:, :, None], 3, axis=2)

    return draw


def sprite_source() -> Draw:
    """Return a function rng -> (h, w, 3) uint8 that draws a circle, rectangle, triangle or diamond.

    Height and width are each scaled by up to 10 % in size and 20 % in aspect ratio.
    """
    end = TEMPLATE - 1
    mid = end // 2
    outlines = (
        None,
        [(0, mid // 2), (end, mid // 2), (end, end - mid // 2), (0, end - mid // 2)],
        [(mid, 0), (end, end), (0, end)],
        [(mid, 0), (end, mid), (mid, end), (0, mid)],
    )

    def draw(rng: np.random.Generator) -> npt.NDArray[np.uint8]:
        template = np.zeros((TEMPLATE, TEMPLATE), np.uint8)
        outline = outlines[rng.integers(len(outlines))]
        if outline is None:
            cv2.circle(template, (mid, mid), mid, 255, -1)
        else:
            cv2.fillPoly(template, [np.array(outline, np.int32)], 255)
        size = 1 + rng.uniform(-SIZE_JITTER, SIZE_JITTER)
        aspect = np.sqrt(1 + rng.uniform(-ASPECT_JITTER, ASPECT_JITTER))
        shape = round(TEMPLATE * size * aspect), round(TEMPLATE * size / aspect)
        mask = cv2.resize(template, shape, interpolation=cv2.INTER_LINEAR) > 127
        colour = np.array(COLOURS[rng.integers(len(COLOURS))], np.uint8)
        return mask.astype(np.uint8)[:, :, None] * colour

    return draw


def source(kind: str, split: str = "test", mnist: Path | None = None) -> tuple[Draw, str]:
    """Return the function that draws a generated data set's objects, and where they come from.

    Args:
        kind: one of SOURCES; split: "train" or "test"; mnist: see `load_mnist`.
    """
    return SOURCES[kind](split, mnist)


def load_mnist(split: str, path: Path | None = None) -> tuple[Array, Array, str]:
    """Return (images, labels, where they came from) of an MNIST split.

    Args:
        split: "train" or "test".
        path: an mnist.npz as `keras.datasets.mnist` stores it. None asks Keras, which downloads it
            once; if that fails, scikit-learn's bundled 8 x 8 digits, enlarged, take their place.

    Raises:
        ValueError: `path` is not such a file.
    """
    if path:
        try:
            with np.load(path, allow_pickle=False) as data:
                images, labels = data[f"x_{split}"], data[f"y_{split}"]
        except Exception as error:  # NumPy and zipfile raise many kinds
            raise ValueError(
                f"{path}: must be an mnist.npz as Keras stores it, got {error!r}"
            ) from None
        if images.shape[1:] != (DIGIT, DIGIT) or images.shape[:1] != labels.shape:
            raise ValueError(f"{path}: x_{split} must be (n, 28, 28), got {images.shape}")
        return images.astype(np.uint8), labels, str(path)
    try:
        return *_keras_mnist(split), "keras.datasets.mnist"
    except Exception as error:  # Keras turns every network failure into a bare Exception
        from sklearn.datasets import load_digits

        digits = load_digits()
        # No pixel of the 8 x 8 digits is shared by the splits: even rows train, odd rows test.
        chosen = slice(SPLITS.index(split), None, 2)
        images = (digits.images[chosen] * (255 / 16)).astype(np.uint8)
        large = [
            cv2.copyMakeBorder(
                cv2.resize(image, (20, 20), interpolation=cv2.INTER_CUBIC), 4, 4, 4, 4, 0
            )
            for image in images
        ]
        reason = str(error).splitlines()[0][:80] if str(error) else type(error).__name__
        origin = f"scikit-learn's digits, because MNIST could not be had ({reason})"
        return np.stack(large), digits.target[chosen], origin


def _digits(split: str, path: Path | None) -> tuple[Draw, str]:
    images, labels, origin = load_mnist(split, path)
    return digit_source(images, labels), f"are digits from {origin}"


def _sprites(split: str, path: Path | None) -> tuple[Draw, str]:
    return sprite_source(), "are drawn"


def _keras_mnist(split: str) -> tuple[Array, Array]:
    """Return Keras' copy of an MNIST split, downloading it on first use."""
    import socket

    from utils.cli import import_keras

    keras = import_keras()
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(20)
    try:
        images, labels = keras.datasets.mnist.load_data()[SPLITS.index(split)]
        return images, labels
    finally:
        socket.setdefaulttimeout(before)


SOURCES = {"mnist": _digits, "sprites": _sprites}
