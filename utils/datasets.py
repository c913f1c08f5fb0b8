"""Training arrays: detections, their patches (bit-packed in an HDF5 cache) and their boxes."""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import h5py
import numpy as np
from tqdm import tqdm

from utils import masks, mots_io
from utils.boxes import xywh_to_cxcywh
from utils.config import REAL
from utils.detections import IGNORE

CACHE_VERSION = 1  # raise when `masks.crop_patches` gives other patches
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg")


class PackedPatches:
    """n patches; binary ones are held as bits, an eighth of their size.

    Args:
        packed: (n, ceil(M * M / 8)) uint8 bits, or (n, M, M, 3) uint8.
        size: M.
    """

    def __init__(self, packed, size):
        self.packed, self.size = packed, size

    @classmethod
    def pack(cls, patches):
        """Pack (n, M, M, D) uint8 patches; with D = 1 they must be 0 or 255."""
        n, size, _, channels = patches.shape
        bits = np.packbits(patches.reshape(n, -1) > 0, axis=1) if channels == 1 else patches
        return cls(bits, size)

    def __len__(self):
        return len(self.packed)

    def __getitem__(self, rows):
        """Return the (k, M, M, D) uint8 patches of the rows (indices or slice)."""
        chosen = self.packed[rows]
        if chosen.ndim == 4:
            return chosen
        bits = np.unpackbits(chosen, axis=1, count=self.size * self.size)
        return (bits * np.uint8(255)).reshape(-1, self.size, self.size, 1)


@dataclass(frozen=True)
class TrainingSequence:
    """One sequence to train on.

    Attributes:
        detections: n Detections with true ids.
        patches: PackedPatches of length n.
        boxes: (n, 4) float32 cxcywh, the DHAE's x_b.
    """

    detections: object
    patches: PackedPatches
    boxes: np.ndarray

    def thinned(self, stride):
        """Return every `stride`-th detection: neighbouring frames show nearly the same mask."""
        rows = slice(None, None, stride)
        return TrainingSequence(
            self.detections.select(rows),
            PackedPatches(self.patches.packed[rows], self.patches.size),
            self.boxes[rows],
        )


def frame_path(folder, sequence, frame):
    """Return the file of a frame, SEQ/000000.png or .jpg.

    Raises:
        ValueError: there is none.
    """
    stem = Path(folder) / sequence / f"{frame:06d}"
    for suffix in IMAGE_SUFFIXES:
        if stem.with_suffix(suffix).is_file():
            return stem.with_suffix(suffix)
    raise ValueError(f"{stem}.png: must exist (or .jpg), got nothing")


def frame_reader(folder, sequence, size):
    """Return a function frame -> (height, width, 3) uint8 RGB.

    Args:
        folder: holds SEQ/000000.png (or jpg).
        sequence: its name.
        size: (height, width) the frames must have, in pixels.

    Raises:
        ValueError: from the function, when a frame is missing, unreadable or of another size.
    """

    def read(frame):
        path = frame_path(folder, sequence, frame)
        image = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if image is None or image.shape[:2] != tuple(size):
            got = "no image" if image is None else image.shape[:2]
            raise ValueError(f"{path}: must be an image of size {tuple(size)}, got {got}")
        return image[:, :, ::-1]

    return read


def scaled_boxes(detections, object_size):
    """Return x_b, (n, 4) float32; `object_size` in pixels divides sizes, None for the frame's."""
    size_wh = None if object_size is None else (object_size, object_size)
    return xywh_to_cxcywh(
        detections.boxes_xywh, (detections.width or 1, detections.height or 1), size_wh
    )


def read_training_detections(data, dataset, names=None):
    """Return [Detections] with true ids, without ignore regions and empty masks.

    Args:
        data: the data set's folder. Real sets: `instances_txt/SEQ.txt` in it, or SEQ.txt directly.
            Synthetic sets: what gen_mnist.py and gen_sprite.py write.
        dataset: "kitti", "mots", "mnist" or "sprites".
        names: sequences; None takes all.

    Raises:
        mots_io.FormatError: nothing there, or bad input.
    """
    data = Path(data)
    if dataset in REAL:
        folder = mots_io.instances_folder(data)
        return [_solid(s) for s in mots_io.read_sequences(folder, names)]
    sequences = mots_io.read_sequences(data / "detections", names)
    return [_solid(_with_ids(s, data / "gt" / s.sequence / "gt.txt")) for s in sequences]


def _solid(detections):
    """Return the detections that have a mask and are no ignore region."""
    areas = masks.areas_of(detections.rles, detections.height * detections.width)
    return detections.select((detections.classes != IGNORE) & (areas > 0))


def _with_ids(detections, path):
    """Return detections with the ids of the MOT ground truth whose boxes they have."""
    if not path.is_file():
        raise mots_io.FormatError(path, None, "must exist, as gen_mnist.py writes it", "nothing")
    columns = mots_io.read_mot(path)
    truth = zip(*(column.astype(int).tolist() for column in columns), strict=True)
    ids = {(frame, *box): identity for frame, identity, box in truth}
    keys = zip(
        detections.frames.tolist(), *detections.boxes_xywh.astype(int).T.tolist(), strict=True
    )
    return replace(detections, ids=np.array([ids.get(key, 0) for key in keys], np.int32))


def load_training_sequences(
    data, dataset, patch_size, channels, object_size, cache=None, names=None
):
    """Return [TrainingSequence]; patches come from the cache where it has them.

    Args:
        data, dataset, names: see `read_training_detections`.
        patch_size: M in pixels; channels: D, 1 or 3 (needs `images/SEQ/` in `data`).
        object_size: see `scaled_boxes`.
        cache: folder of the HDF5 cache; None keeps none.
    """
    sequences = read_training_detections(data, dataset, names)
    return [
        TrainingSequence(
            s,
            _cached_patches(s, Path(data), patch_size, channels, cache),
            scaled_boxes(s, object_size),
        )
        for s in tqdm(sequences, desc="patches", unit="seq", disable=None)
    ]


def _cached_patches(detections, data, size, channels, cache):
    """Return the PackedPatches of one sequence, cutting them out on the first call only."""
    images = None
    if channels == 3:
        images = frame_reader(
            data / "images", detections.sequence, (detections.height, detections.width)
        )
    if cache is None:
        return PackedPatches.pack(masks.crop_patches(detections, size, images))
    # The key is what is cropped, not where it came from: a changed file is a changed key.
    key = hashlib.sha256(repr((CACHE_VERSION, size, channels, detections.height)).encode())
    key.update(detections.frames.tobytes())
    for rle in detections.rles:
        key.update(rle)
    for frame in np.unique(detections.frames).tolist() if images else ():
        file = frame_path(data / "images", detections.sequence, frame)
        key.update(repr((file.name, file.stat().st_size, file.stat().st_mtime_ns)).encode())
    name = f"{detections.sequence}_{size}x{size}x{channels}_{key.hexdigest()[:16]}.h5"
    path = Path(cache) / name
    try:
        with h5py.File(path, "r") as file:
            return PackedPatches(file["patches"][:], size)
    except (OSError, KeyError):  # not there yet, or damaged: make it anew
        packed = PackedPatches.pack(masks.crop_patches(detections, size, images))
    with mots_io.atomic_path(path) as temporary, h5py.File(temporary, "w") as file:
        compression = {"compression": "gzip", "compression_opts": 1} if len(packed) else {}
        file.create_dataset("patches", data=packed.packed, **compression)
    return packed
