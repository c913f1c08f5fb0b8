"""Training arrays: detections, their patches (bit-packed in an HDF5 cache) and their boxes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from utils import masks
from utils.boxes import scaled_boxes
from utils.cli import note
from utils.data_sets import DataSet
from utils.detections import Detections
from utils.files import FormatError, atomic_path
from utils.formats.mot import read_mot
from utils.formats.reading import read_sequences
from utils.frames import FrameFolder
from utils.layouts import read_truth

CACHE_VERSION = 1  # raise when `masks.crop_patches` gives other patches
Array = npt.NDArray[Any]


class PackedPatches:
    """n patches; binary ones are held as bits, an eighth of their size.

    Args:
        packed: (n, ceil(M * M / 8)) uint8 bits, or (n, M, M, 3) uint8.
        size: M.
    """

    def __init__(self, packed: Array, size: int) -> None:
        self.packed, self.size = packed, size

    @classmethod
    def pack(cls, patches: Array) -> PackedPatches:
        """Pack (n, M, M, D) uint8 patches; with D = 1 they must be 0 or 255."""
        n, size, _, channels = patches.shape
        bits = np.packbits(patches.reshape(n, -1) > 0, axis=1) if channels == 1 else patches
        return cls(bits, size)

    def __len__(self) -> int:
        return len(self.packed)

    def __getitem__(self, rows: Array | slice) -> Array:
        """Return the (k, M, M, D) uint8 patches of the rows (indices or slice)."""
        chosen: Array = self.packed[rows]
        if chosen.ndim == 4:
            return chosen
        bits = np.unpackbits(chosen, axis=1, count=self.size * self.size)
        patches: Array = (bits * np.uint8(255)).reshape(-1, self.size, self.size, 1)
        return patches


@dataclass(frozen=True)
class TrainingSequence:
    """One sequence to train on.

    Attributes:
        detections: n Detections with true ids.
        patches: PackedPatches of length n.
        boxes: (n, 4) float32 cxcywh, the DHAE's x_b.
    """

    detections: Detections
    patches: PackedPatches
    boxes: npt.NDArray[np.float32]

    def thinned(self, stride: int) -> TrainingSequence:
        """Return every `stride`-th detection: neighbouring frames show nearly the same mask."""
        rows = slice(None, None, stride)
        return TrainingSequence(
            self.detections.select(rows),
            PackedPatches(self.patches.packed[rows], self.patches.size),
            self.boxes[rows],
        )


def read_training_detections(
    data: Path,
    dataset: DataSet,
    names: Sequence[str] | None = None,
    split: str | None = None,
) -> tuple[list[Detections], Path]:
    """Return [Detections] with true ids, without ignore regions and empty masks; frames' folder.

    Args:
        data: the data set's folder, see `utils.layouts.find_layout`. Synthetic sets: what
            gen_mnist.py and gen_sprite.py write.
        dataset: DataSet.
        names: sequences; None takes those of the split, or all.
        split: one of the data set's.

    Raises:
        FormatError: nothing there, or bad input.
    """
    data = Path(data)
    if dataset.box_truth is None:
        sequences, images, said = read_truth(data, dataset, names, split)
        if said:
            note(said)
        return [_solid(s, dataset.ignore) for s in sequences], images
    sequences = read_sequences(data / dataset.detections, names)
    files = [data / dataset.box_truth.format(sequence=s.sequence) for s in sequences]
    pairs = zip(sequences, files, strict=True)
    solid = [_solid(_with_ids(s, file), dataset.ignore) for s, file in pairs]
    return solid, data / dataset.images


def _solid(detections: Detections, ignore: int | None) -> Detections:
    """Return the detections that have a mask and are no ignore region."""
    areas = masks.areas_of(detections.rles, detections.height * detections.width)
    return detections.select((detections.classes != (ignore or 0)) & (areas > 0))


def _with_ids(detections: Detections, path: Path) -> Detections:
    """Return detections with the ids of the MOT ground truth whose boxes they have."""
    if not path.is_file():
        raise FormatError(path, None, "must exist, as gen_mnist.py writes it", "nothing")
    columns = read_mot(path)
    truth = zip(*(column.astype(int).tolist() for column in columns), strict=True)
    ids = {(frame, *box): identity for frame, identity, box in truth}
    keys = zip(
        detections.frames.tolist(), *detections.boxes_xywh.astype(int).T.tolist(), strict=True
    )
    return replace(detections, ids=np.array([ids.get(key, 0) for key in keys], np.int32))


def load_training_sequences(
    data: Path,
    dataset: DataSet,
    patch_size: int,
    channels: int,
    cache: Path | None = None,
    names: Sequence[str] | None = None,
    split: str | None = None,
) -> list[TrainingSequence]:
    """Return [TrainingSequence]; patches come from the cache where it has them.

    Args:
        data, dataset, names, split: see `read_training_detections`.
        patch_size: M in pixels; channels: D, 1 or 3 (needs `images/SEQ/` in `data`).
        cache: folder of the HDF5 cache; None keeps none.
    """
    sequences, images = read_training_detections(data, dataset, names, split)
    return [
        TrainingSequence(
            s,
            _cached_patches(s, images, patch_size, channels, cache),
            scaled_boxes(s, dataset.object_size),
        )
        for s in tqdm(sequences, desc="patches", unit="seq", disable=None)
    ]


def _cached_patches(
    detections: Detections, folder: Path, size: int, channels: int, cache: Path | None
) -> PackedPatches:
    """Return the PackedPatches of one sequence, cutting them out on the first call only."""
    images = FrameFolder.of(folder, detections) if channels == 3 else None
    numbers = np.unique(detections.frames).tolist()
    if images is not None:
        for missing in images.missing(numbers):
            images(missing)  # names the frame
    if cache is None:
        return PackedPatches.pack(masks.crop_patches(detections, size, images))
    # The key is what is cropped, not where it came from: a changed file is a changed key.
    key = hashlib.sha256(repr((CACHE_VERSION, size, channels, detections.height)).encode())
    key.update(detections.frames.tobytes())
    for rle in detections.rles:
        key.update(rle)
    if images is not None:
        for frame in numbers:
            key.update(repr(images.stamp(frame)).encode())
    name = f"{detections.sequence}_{size}x{size}x{channels}_{key.hexdigest()[:16]}.h5"
    path = Path(cache) / name
    try:
        with h5py.File(path, "r") as stored:
            return PackedPatches(stored["patches"][:], size)
    except (OSError, KeyError):  # not there yet, or damaged: make it anew
        packed = PackedPatches.pack(masks.crop_patches(detections, size, images))
    with atomic_path(path) as temporary, h5py.File(temporary, "w") as written:
        compression = {"compression": "gzip", "compression_opts": 1} if len(packed) else {}
        written.create_dataset("patches", data=packed.packed, **compression)
    return packed
