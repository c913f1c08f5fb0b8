"""Frames with MOTS txt as batches to train on: clips of adjacent frames, or frames at random."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from models.networks.detector_config import DetectorConfig
from models.networks.transform import (
    padded_batch,
    padded_shape,
    resize,
    resize_masks,
    resized_shape,
)
from utils.cli import note
from utils.data_sets import DataSet
from utils.detections import Detections
from utils.frames import FrameFolder
from utils.layouts import read_truth
from utils.pictures import picture_size

Array = npt.NDArray[Any]
Batch = dict[str, Array]


@dataclass(frozen=True)
class FrameSequence:
    """The frames of one sequence and what is annotated in them.

    Attributes:
        detections: the objects, with ids, and regions of class `ignore`.
        images: reads a frame by number.
        numbers: the frames that have a picture, ascending; one without an object is background.
        ignore: class of the regions that count for nothing, or None.
    """

    detections: Detections
    images: FrameFolder
    numbers: list[int]
    ignore: int | None

    @property
    def name(self) -> str:
        """The sequence's name."""
        return self.detections.sequence

    def rows(self) -> dict[int, Array]:
        """Return {frame: rows of its detections}."""
        return dict(self.detections.rows_by_frame())


def load_sequences(
    folder: Path,
    dataset: DataSet,
    names: Sequence[str] | None = None,
    frames: Path | None = None,
    split: str | None = None,
) -> list[FrameSequence]:
    """Read the annotations of a data set and find its frames.

    Args:
        folder: the data set's, see `utils.layouts.find_layout`; SEQ.txt may stand beside SEQ/.
        dataset: DataSet. names: sequences to take; None takes those of the split, or all.
        frames: holds SEQ/ with the frames; None looks in `folder`. split: one of the data set's.

    Raises:
        ValueError: input that breaks a rule, or a sequence without frames.
    """
    sequences = []
    truth, images_folder, said = read_truth(folder, dataset, names, split)
    if said:
        note(said)
    pictures = frames or images_folder
    for detections in truth:
        images = FrameFolder.of(pictures, detections)
        if images.files and not len(detections):
            detections = _sized(detections, images)
            images = FrameFolder.of(pictures, detections)
        if not images.files:
            raise ValueError(
                f"{pictures / detections.sequence}: must hold the frames of "
                f"{detections.sequence}, got none"
            )
        missing = images.missing(np.unique(detections.frames).tolist())
        if missing:
            raise ValueError(
                f"{images.folder}: must hold a picture of frame {missing[0]}, got none"
            )
        images.check(sorted(images.files))
        sequences.append(FrameSequence(detections, images, sorted(images.files), dataset.ignore))
    return sequences


def _sized(detections: Detections, images: FrameFolder) -> Detections:
    """Return no detections with the size of the frames, which a file without masks does not say."""
    note(f"{detections.sequence}: no objects: its frames are trained on as background")
    height, width = picture_size(images.files[min(images.files)]) or (0, 0)
    return replace(detections, height=height, width=width)


def class_names(sequences: Sequence[FrameSequence], dataset: DataSet) -> dict[int, str]:
    """Return {number: name} of the classes that the sequences have, but for `ignore`."""
    every = {int(c) for s in sequences for c in np.unique(s.detections.classes)}
    return {c: dataset.name_of(c) for c in sorted(every - {dataset.ignore})}


class Clips(keras.utils.PyDataset):
    """Batches of frames with their objects; which ones depends on seed and epoch alone.

    Args:
        sequences: [FrameSequence].
        config: DetectorConfig. batch: frames of a batch.
        adjacent: whether they are neighbours in one sequence, else drawn from all.
        steps: batches of an epoch. seed, epoch: ints.
        flip: whether half of the batches are mirrored. gamma: largest power of brightness, at
            random from 1 / gamma to gamma; 1 leaves it.
    """

    def __init__(
        self,
        sequences: Sequence[FrameSequence],
        config: DetectorConfig,
        batch: int,
        adjacent: bool,
        steps: int,
        seed: int = 0,
        epoch: int = 0,
        flip: bool = True,
        gamma: float = 1.0,
    ) -> None:
        super().__init__()
        self.sequences, self.config, self.flip, self.gamma = sequences, config, flip, gamma
        self.steps, self.seed, self.epoch = steps, seed, epoch
        self.rows = [s.rows() for s in sequences]
        self.most = max(_objects(s, r) for s, r in zip(sequences, self.rows, strict=True))
        self.ignoring = any((s.detections.classes == s.ignore).any() for s in sequences)
        # One size for all: a compiled step knows its shapes.
        shapes = [resized_shape(*s.detections.size, config) for s in sequences]
        self.padded = padded_shape(shapes, config)
        self.places = _places(sequences, batch, adjacent, steps, seed, epoch)

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, step: int) -> tuple[Batch]:
        """Return one batch as the one-element tuple Keras takes for inputs without targets."""
        rng = np.random.default_rng([self.seed, self.epoch, step])
        flip = self.flip and rng.random() < 0.5
        power = self.gamma ** rng.uniform(-1, 1)
        frames = [self._frame(i, n, flip, power) for i, n in self.places[step]]
        batch: Batch = padded_batch([image for image, _ in frames], self.config, self.padded)
        parts = [_padded(truth, self.padded) for _, truth in frames]
        batch |= {name: np.stack([p[name] for p in parts]) for name in parts[0]}
        return (batch,)

    def _frame(self, i: int, number: int, flip: bool, power: float) -> tuple[Array, Batch]:
        """Return a picture and what is in it, resized."""
        sequence = self.sequences[i]
        image = resize(sequence.images(number), self.config, power)
        rows = self.rows[i].get(number, np.zeros(0, int))
        size = (image.shape[0], image.shape[1])
        truth = truth_of(sequence, rows, self.config, self.most, size)
        if not self.ignoring:
            del truth["ignored"]
        if flip:
            image = image[:, ::-1]
            truth = {k: v[..., ::-1] if k in ("masks", "ignored") else v for k, v in truth.items()}
        return image, truth


def _objects(sequence: FrameSequence, rows: Mapping[int, Array]) -> int:
    """Return the most objects of a frame, at least 1."""
    classes = sequence.detections.classes
    return max([1, *(int((classes[r] != sequence.ignore).sum()) for r in rows.values())])


def _places(
    sequences: Sequence[FrameSequence],
    batch: int,
    adjacent: bool,
    steps: int,
    seed: int,
    epoch: int,
) -> list[list[tuple[int, int]]]:
    """Return (sequence, frame) of each batch's frames."""
    rng = np.random.default_rng([seed, epoch])
    every = [(i, k) for i, s in enumerate(sequences) for k in range(len(s.numbers))]
    if not adjacent:
        chosen = _endless(len(every), batch * steps, rng)
        flat = [(every[j][0], sequences[every[j][0]].numbers[every[j][1]]) for j in chosen]
        return [flat[k : k + batch] for k in range(0, len(flat), batch)]
    starts = []
    for i, s in enumerate(sequences):
        if len(s.numbers) < batch:
            raise ValueError(
                f"a sequence must have {batch} frames for a clip, got {len(s.numbers)} of {s.name}"
            )
        starts += [(i, k) for k in range(len(s.numbers) - batch + 1)]
    picked = [starts[j] for j in _endless(len(starts), steps, rng)]
    return [[(i, n) for n in sequences[i].numbers[k : k + batch]] for i, k in picked]


def _endless(count: int, wanted: int, rng: np.random.Generator) -> list[int]:
    """Return `wanted` of `count` places, each once before any comes again."""
    rounds = [rng.permutation(count) for _ in range(-(-wanted // count))]
    return [int(j) for j in np.concatenate(rounds)[:wanted]]


def truth_of(
    sequence: FrameSequence,
    rows: Array,
    config: DetectorConfig,
    most: int,
    size: tuple[int, int],
) -> dict[str, Array]:
    """Return what a frame holds.

    It is `labels` and `tracks` (most,), `masks` (most, h, w), and `ignored` (h, w).

    Args:
        sequence: FrameSequence. rows: its rows of the frame.
        config: whose class numbers become labels. most: objects of the result, 0 beyond those
            there are. size: height and width that the masks are resized to.
    """
    detections = sequence.detections
    place = {number: label for label, number in enumerate(config.class_numbers, 1)}
    decoded = _decoded(detections, rows, size)
    regions = detections.classes[rows] == sequence.ignore
    kept = rows[[int(c) in place for c in detections.classes[rows]]]
    truth: dict[str, Array] = {
        "labels": np.zeros(most, np.int32),
        "tracks": np.zeros(most, np.int32),
        "masks": np.zeros((most, *size), np.uint8),
        "ignored": np.zeros(size, np.uint8),
    }
    of_row = dict(zip(rows.tolist(), decoded, strict=True))
    for k, row in enumerate(kept.tolist()):
        truth["labels"][k] = place[int(detections.classes[row])]
        truth["tracks"][k] = detections.ids[row]
        truth["masks"][k] = of_row[row]
    for mask in decoded[regions]:
        truth["ignored"] |= mask
    return truth


def _decoded(detections: Detections, rows: Array, size: tuple[int, int]) -> Array:
    """Return the masks (n, *size) of rows."""
    from pycocotools import mask as coco_mask

    if not len(rows):
        return np.zeros((0, *size), np.uint8)
    return resize_masks(coco_mask.decode(detections.coco(rows)).transpose(2, 0, 1), size)


def _padded(truth: Mapping[str, Array], padded: Sequence[int]) -> Batch:
    """Return a frame's truth at the size of a padded picture, with the objects' `boxes` xyxy."""
    small = truth["masks"]
    height, width = small.shape[1:]
    result = {name: truth[name].copy() for name in ("labels", "tracks")}
    boxes = mask_boxes(small)
    empty = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]) <= 0
    # An object that no pixel is left of at this size is none.
    result["labels"][empty] = 0
    room = np.zeros((len(small), *padded), np.uint8)
    room[:, :height, :width] = small
    result |= {"boxes": boxes, "masks": room}
    if "ignored" in truth:
        ignored = np.zeros(tuple(padded), np.uint8)
        ignored[:height, :width] = truth["ignored"]
        result["ignored"] = ignored
    return result


def mask_boxes(stack: Array) -> npt.NDArray[np.float32]:
    """Return the boxes (n, 4) xyxy around masks (n, H, W), their last pixel included; else 0."""
    rows: Array = stack.max(axis=2, initial=0) > 0
    columns: Array = stack.max(axis=1, initial=0) > 0
    height, width = stack.shape[1:]
    sides = [
        columns.argmax(1),
        rows.argmax(1),
        width - columns[:, ::-1].argmax(1),
        height - rows[:, ::-1].argmax(1),
    ]
    boxes = np.stack(sides, axis=1).astype(np.float32)
    boxes[rows.sum(axis=1) == 0] = 0
    return boxes
