"""Frames in, detections out: a network as a segmenter, in batches and in order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt

from models.networks.transform import padded_batch, paste, resize, resize_boxes
from utils import masks
from utils.detections import Detections
from utils.formats.base import Classes

Array = npt.NDArray[Any]
Image = npt.NDArray[np.uint8]
Numbered = tuple[int, Image]
Found = tuple[int, Image, Detections]
Known = Callable[[int], Detections | None]

INSIDE = 0.5  # of a mask's values, from which a pixel belongs to the object


def unknown(number: int) -> Detections | None:
    """Return that nothing was found before."""
    return None


def segmenter_of(network: Any, batch: int) -> NetworkSegmenter:
    """Return the segmenter that a network's settings name."""
    module, _, name = network.config.segmenter.partition(":")
    segmenter: NetworkSegmenter = getattr(import_module(module), name)(network, batch)
    return segmenter


class Seen:
    """A frame of a video. It is resized only once, although batches share frames.

    Args:
        number: its. image: (H, W, 3) RGB uint8. config: FrameConfig.
    """

    def __init__(self, number: int, image: Image, config: Any) -> None:
        self.number, self.image, self._config = number, image, config

    @cached_property
    def resized(self) -> Array:
        """The picture as the network takes it, before padding."""
        return resize(self.image, self._config)


class NetworkSegmenter:
    """A network of this repository that finds the objects of frames.

    Attributes:
        batch: frames that go through the network at once.
        context: frames before and after one that it is seen with; 0 for Mask R-CNN.
        numbers: of its classes 0 (background), 1, ... in what it returns.

    Args:
        network: FrameNetwork, or an `ExportedNetwork` of one.
        batch: see above.
    """

    def __init__(self, network: Any, batch: int = 4) -> None:
        self.network, self.batch = network, batch
        self.context = int(getattr(network.config, "context", 0))
        self.numbers = [0, *network.config.class_numbers]
        self._infer = network.inference(self.context)

    def use(self, classes: Classes) -> None:
        """Number the classes as a run does."""
        config = self.network.config
        pairs = zip(config.class_numbers, config.classes, strict=True)
        self.numbers = [0, *(classes.number(name, number) for number, name in pairs)]

    def stream(self, frames: Iterable[Numbered], known: Known = unknown) -> Iterator[Found]:
        """Yield (number, image, Detections) of each frame, in order.

        What is found in a frame depends on the frame and its `context`, and on the place of the
        batches, which begin at the first frame.

        Args:
            frames: (number, (H, W, 3) RGB uint8) of one video, in order.
            known: function number -> Detections that were found before, or None; called for each
                frame in order. A batch that is known does not go through the network.
        """
        before: list[Seen] = []  # frames of the batch before, seen again as context
        waiting: list[Seen] = []
        for number, image in frames:
            waiting.append(Seen(number, image, self.network.config))
            if len(waiting) == self.batch + self.context:
                yield from self._part(before, waiting, self.batch, known)
                before, waiting = self._next(before, waiting)
        while waiting:
            yield from self._part(before, waiting, min(self.batch, len(waiting)), known)
            before, waiting = self._next(before, waiting)

    def _next(self, before: list[Seen], waiting: list[Seen]) -> tuple[list[Seen], list[Seen]]:
        """Return the context and the waiting frames of the next batch."""
        passed = (before + waiting[: self.batch])[-self.context :] if self.context else []
        return passed, waiting[self.batch :]

    def _part(
        self, before: list[Seen], waiting: list[Seen], count: int, known: Known
    ) -> Iterator[Found]:
        """Yield what is found in the first `count` of the waiting frames."""
        here = waiting[:count]
        have = [known(frame.number) for frame in here]
        if any(columns is None for columns in have):
            columns = self._found(before, here, waiting[count : count + self.context])
        for k, (frame, detections) in enumerate(zip(here, have, strict=True)):
            if detections is None:
                size = (frame.image.shape[0], frame.image.shape[1])
                detections = self._detections(frame.number, size, columns[k])
            yield frame.number, frame.image, detections

    def _outputs(
        self, before: Sequence[Seen], here: Sequence[Seen], after: Sequence[Seen]
    ) -> tuple[dict[str, Array], Array]:
        """Return what the network says of the frames that are here, and their resized sizes.

        Every batch has the same number of frames, so a video compiles once. At the ends of the
        video, frames of size 0 fill the batch.
        """
        seen, config = [*before, *here, *after], self.network.config
        first, count = self.context - len(before), self.batch + 2 * self.context
        frames = [np.zeros((0, 0, 3), np.float32)] * count  # absent
        frames[first : first + len(seen)] = [frame.resized for frame in seen]
        batch = padded_batch(frames, config, self._room(seen))
        return self._infer(batch), batch["sizes"][self.context :]

    def _room(self, seen: Sequence[Seen]) -> tuple[int, int] | None:
        """Return the (height, width) to pad to, None where any will do.

        Raises:
            ValueError: a frame that the file has no room for.
        """
        room: tuple[int, int] | None = getattr(self.network, "room", None)
        if room is None:
            return None
        for frame in seen:
            height, width = frame.resized.shape[:2]
            if height > room[0] or width > room[1]:
                size = "x".join(map(str, frame.image.shape[:2]))
                raise ValueError(
                    f"frame {frame.number}: resized frames must fit the ONNX file's {room[0]}x"
                    f"{room[1]}, got {height}x{width} (export.py --size {size})"
                )
        return room

    def _found(
        self, before: Sequence[Seen], here: Sequence[Seen], after: Sequence[Seen]
    ) -> list[dict[str, Array]]:
        """Return the detections of each frame that is here, boxes in its own pixels."""
        outputs, sizes = self._outputs(before, here, after)
        pictures = []
        for i, frame in enumerate(here):
            real = outputs["real"][i]
            columns = {k: v[i][real] for k, v in outputs.items() if k != "real"}
            size = (frame.image.shape[0], frame.image.shape[1])
            columns["boxes"] = resize_boxes(columns["boxes"], sizes[i], size)
            pictures.append(columns)
        return pictures

    def __call__(self, image: Image) -> Detections:
        """Return the Detections of a frame on its own, its number 0; none is empty."""
        detections = next(self.stream([(0, image)]))[2]
        return detections.select(detections.filled)

    def _detections(
        self, number: int, size: tuple[int, int], columns: dict[str, Array]
    ) -> Detections:
        """Return a frame's Detections; a mask of which no pixel is left is empty."""
        rles = []
        for mask, box in zip(columns["masks"], columns["boxes"], strict=True):
            values, x, y = paste(mask, box, *size)
            inside = values > INSIDE
            if not inside.any():
                inside, x, y = np.zeros((1, 1), bool), 0, 0
            rles.append(masks.encode_at(inside, x, y, *size))
        n = len(rles)
        column = np.empty(n, object)
        column[:] = rles
        numbers = np.array(self.numbers, np.int16)
        vectors = columns.get("vectors")
        return Detections(
            "",
            *size,
            np.full(n, number, np.int32),
            numbers[columns["labels"]],
            columns["scores"].astype(np.float32),
            masks.tight_boxes_xywh(rles, *size),
            column,
            np.zeros(n, np.int32),
            None if vectors is None else vectors.astype(np.float32),
        )
