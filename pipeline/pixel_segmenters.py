"""Masks without a network: what moves before a still camera, or is darker or brighter.

Both use OpenCV alone, and see objects that touch as one unless told otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from utils.config import override
from utils.formats.labels import label_rles

Image = npt.NDArray[np.uint8]
Array = npt.NDArray[Any]

LEARNT = 48  # frames of a video, evenly spread, whose median is the empty scene
TAUGHT = 30  # times that the empty scene is shown to the background model, each with new noise
# Share of a frame in what is remembered. Who stands still for a tenth of its inverse becomes a part
# of the scene; without a look at the whole video, what is gone must go from the scene sooner.
RATE, RATE_LIVE = 1 / 2000, 1 / 500
SMALL = 160  # px of a frame's longer side where its light is measured
MOVING = 0.3  # share of a frame that differs from the empty scene where the camera moves
WORK = 960  # px of the longer side of frames as motion sees them; larger ones are scaled down
SHARE = 1 / 8_000  # of a frame: least area of an object where none is given
LEAST = 12  # px: likewise, in small frames


@dataclass(frozen=True)
class MotionConfig:
    """How `--segmenter motion` sees.

    Attributes:
        area: px, least area of an object; 0 takes an 8,000th of the frame, but at least 12 px.
        threshold: squared distance to the empty scene, in standard deviations, from which a pixel
            belongs to an object (16 is OpenCV's own; less finds fainter objects and more noise).
        close: px, gaps up to so wide within an object are closed; 0 takes a 100th of the height.
        category: number of the objects' class.
    """

    area: int = 0
    threshold: float = 16.0
    close: int = 0
    category: int = 1

    def __post_init__(self) -> None:
        if self.area < 0 or self.close < 0 or self.threshold <= 0:
            raise ValueError(f"motion needs area and close from 0, threshold above 0, got {self}")


@dataclass(frozen=True)
class ThresholdConfig:
    """How `--segmenter threshold` sees.

    Attributes:
        side: "dark" or "light" objects; "auto" takes the side that covers less of the first frame.
        level: grey value from 1 to 254 between objects and the rest; 0 finds it in each frame
            (Otsu's method).
        area: px, least area of an object, see `MotionConfig`.
        split: share of an object's half width to which a neck between two touching objects must
            narrow for them to be split; 0 splits none.
        category: number of the objects' class.
    """

    side: str = "auto"
    level: int = 0
    area: int = 0
    split: float = 0.7
    category: int = 1

    def __post_init__(self) -> None:
        if self.side not in ("auto", "dark", "light"):
            raise ValueError(f"side must be auto, dark or light, got {self.side}")
        if not 0 <= self.level < 255 or self.area < 0 or not 0 <= self.split < 1:
            rule = "threshold needs level in 0..254, area from 0, split from 0 to below 1"
            raise ValueError(f"{rule}, got {self}")


def options_of(name: str, text: str, config: Any) -> Any:
    """Return settings changed by `area=50,threshold=12`.

    Raises:
        ValueError: no such option, or a value without a meaning.
    """
    values: dict[str, str] = {}
    known = [f.name for f in fields(config)]
    for part in filter(None, text.split(",")):
        key, equals, value = part.partition("=")
        if not equals or key not in known:
            raise ValueError(f"--segmenter {name} has the options {', '.join(known)}, got {part}")
        values[key] = value
    return override(config, values, {})


class MotionSegmenter:
    """Finds what differs from the empty scene before a still camera.

    OpenCV's Gaussian mixtures (MOG2) say which pixels do. Shadows are left out, holes filled.

    Args:
        config: MotionConfig.
    """

    stateful = True  # every frame must be seen, in order

    def __init__(self, config: MotionConfig) -> None:
        self.config = config
        self._model = cv2.createBackgroundSubtractorMOG2(varThreshold=config.threshold)
        self._empty: Array | None = None
        self._shares: list[float] = []
        self._rate = RATE_LIVE

    def learn(self, images: Iterable[Image]) -> None:
        """Learn the empty scene: the median of LEARNT frames of all of a video.

        Objects that are there from the first frame on leave no hole when they go then.
        """
        kept: list[Any] = []
        step = 1
        for k, image in enumerate(images):
            if k % step:
                continue
            kept.append(_within(image, WORK))
            if len(kept) >= 2 * LEARNT:
                kept, step = kept[::2], 2 * step
        if len(kept) > 2:
            light = _within(kept[0], SMALL).astype(float)
            alike = np.array([_lit(image, light) for image in kept])
            empty = np.median(alike, axis=0).astype(np.uint8)
            # Of normal noise, half of the absolute deviations are below 0.6745 of its spread.
            spreads = [np.median(cv2.absdiff(image, empty)) / 0.6745 for image in alike]
            self._rate = RATE
            self._start(empty, max(1.0, float(np.median(spreads))))

    def _start(self, empty: Array, noise: float = 3.0) -> None:
        """Teach the model the empty scene, with the noise that its pixels have."""
        self._empty = _within(empty, SMALL).astype(float)
        rng = np.random.default_rng(0)
        for k in range(TAUGHT):
            shown = np.clip(empty + rng.normal(0, noise, empty.shape), 0, 255).astype(np.uint8)
            self._model.apply(shown, learningRate=1 / (k + 1))

    def __call__(self, image: Image) -> list[dict[str, Any]]:
        """Return the run lengths of the objects in the next (height, width, 3) frame."""
        seen = _within(image, WORK)
        if self._empty is None:
            self._start(seen)
        assert self._empty is not None
        kinds = self._model.apply(_lit(seen, self._empty), learningRate=self._rate)
        changed = (kinds == 255).astype(np.uint8)  # 127 are shadows
        self._shares.append(float(changed.mean()))
        gap = self.config.close * seen.shape[0] // image.shape[0] or max(3, seen.shape[0] // 100)
        opened = cv2.morphologyEx(changed, cv2.MORPH_OPEN, _disc(3))
        closed = cv2.morphologyEx(opened, cv2.MORPH_CLOSE, _disc(gap))
        count, labels = cv2.connectedComponents(_filled(closed))
        if labels.shape != image.shape[:2]:
            size = image.shape[1], image.shape[0]
            labels = cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST)
        return _objects(labels, count, self.config)

    @property
    def notes(self) -> list[str]:
        """Return what the user should know of the video."""
        share = float(np.median(self._shares)) if self._shares else 0.0
        if share < MOVING:
            return []
        return [
            f"--segmenter motion: in a typical frame, {100 * share:.0f} % of the pixels differ "
            "from the empty scene: the camera may be moving; motion needs a still camera"
        ]


class ThresholdSegmenter:
    """Finds what is darker, or brighter, than the rest of a frame; splits what touches.

    Args:
        config: ThresholdConfig.
    """

    def __init__(self, config: ThresholdConfig) -> None:
        self.config, self._side = config, config.side
        self.notes: list[str] = []

    def __call__(self, image: Image) -> list[dict[str, Any]]:
        """Return the run lengths of the objects in a (height, width, 3) frame."""
        grey = cv2.GaussianBlur(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), (0, 0), 1)
        method = cv2.THRESH_BINARY + (0 if self.config.level else cv2.THRESH_OTSU)
        light = np.asarray(cv2.threshold(grey, self.config.level, 1, method)[1], np.uint8)
        if self._side == "auto":
            self._side, other = ("light", "dark") if light.mean() < 0.5 else ("dark", "light")
            self.notes.append(
                f"--segmenter threshold: the {self._side} part is taken as objects, because it "
                f"covers less of the first frame (side={other} changes that)"
            )
        filled = _filled(light if self._side == "light" else 1 - light)
        objects = np.asarray(cv2.morphologyEx(filled, cv2.MORPH_OPEN, _disc(3)), np.uint8)
        count, labels = cv2.connectedComponents(objects)
        if self.config.split:
            count, labels = _split(objects, labels, count, self.config.split)
        return _objects(labels, count, self.config)


def _lit(image: Array, light: Array) -> Array:
    """Return a frame in the light of the empty scene, (h, w, 3) float, the longer side SMALL px.

    A lamp or a cloud changes all pixels alike, and half of them at least show the empty scene.
    """
    gain = np.median((light + 1.0) / (_within(image, SMALL) + 1.0), axis=(0, 1))
    return np.clip(image * gain, 0, 255).astype(np.uint8)


def _within(image: Array, side: int) -> Array:
    """Return a frame whose longer side has at most so many px."""
    scale = side / max(image.shape[:2])
    if scale >= 1:
        return image
    size = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA))


def _disc(size: int) -> Array:
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))


def _filled(mask: Array) -> npt.NDArray[np.uint8]:
    """Return a (height, width) mask of 0 and 1 with its holes filled."""
    outlines: Any = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0]
    filled = np.zeros_like(mask, np.uint8)
    cv2.drawContours(filled, outlines, -1, 1, cv2.FILLED)
    return filled


def _split(objects: Array, labels: Array, count: int, share: float) -> tuple[int, Array]:
    """Return (count, labels) where components with several wide places are split between them.

    A wide place is where the distance to the border is above a share of the component's largest;
    each pixel goes to the nearest of them.
    """
    distance = cv2.distanceTransform(objects, cv2.DIST_L2, 5)
    largest = np.zeros(count)
    np.maximum.at(largest, labels.ravel(), distance.ravel())
    wide = ((distance > share * largest[labels]) & (labels > 0)).astype(np.uint8)
    _, cores = cv2.connectedComponents(wide)
    pairs = np.unique(np.stack([labels[wide > 0], cores[wide > 0]]), axis=1)
    several = np.flatnonzero(np.bincount(pairs[0], minlength=count) > 1)
    labels = labels.copy()
    for label in several.tolist():
        ys, xs = np.nonzero(labels == label)
        box = np.s_[ys.min() : ys.max() + 1, xs.min() : xs.max() + 1]
        mine = labels[box] == label
        outside = np.where((wide[box] > 0) & mine, 0, 1).astype(np.uint8)
        nearest = cv2.distanceTransformWithLabels(outside, cv2.DIST_L2, 5)[1]
        others = np.unique(nearest[mine]).tolist()[1:]  # the first keeps the label
        for other in others:
            labels[box][mine & (nearest == other)] = count
            count += 1
    return count, labels


def _objects(
    labels: Array, count: int, config: MotionConfig | ThresholdConfig
) -> list[dict[str, Any]]:
    """Return the run lengths of components that are large enough."""
    same = {"size": list(labels.shape), "category_id": config.category}
    least = config.area or max(LEAST, round(SHARE * labels.size))
    areas = np.bincount(labels.ravel(), minlength=count)
    small = np.flatnonzero(areas < least)
    kept = np.where(np.isin(labels, small), 0, labels)
    return [{**same, "counts": rle} for rle in label_rles(kept).values()]
