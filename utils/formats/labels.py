"""Label images: one number per object and frame, 0 for none; cells, DAVIS, the MOTS benchmarks."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from utils import masks
from utils.detections import IGNORE, Detections
from utils.files import FormatError
from utils.formats.base import UNKNOWN, File, Format, Options, ignore_names
from utils.formats.rows import MAX_ID, MAX_SIDE, Rows, Size

Array = npt.NDArray[Any]
# (label) -> (class, identity): what a number in a label image says.
Meaning = Callable[[int], tuple[int, int]]

PER_CLASS = 1000  # MOTS PNG: class * 1000 + instance
IGNORED = 10000  # MOTS PNG: ignore regions
LARGEST_PNG = 65535  # of 16 bits
CHUNK = "tracks"  # text of a DAVIS PNG: [[index, identity, class]]
LAST_CLASS = 10  # of MOTS PNG that are told from label images
VOID = 255  # DAVIS: not annotated
# The classes of Cityscapes that have instances, by their numbers there.
CITYSCAPES = {
    24: "person", 25: "rider", 26: "car", 27: "truck", 28: "bus", 29: "caravan", 30: "trailer",
    31: "train", 32: "motorcycle", 33: "bicycle",
}  # fmt: skip
PNG = b"\x89PNG\r\n\x1a\n"
MARK = b"class * 1000 + number"  # text of MOTS PNG that we write, whatever their classes
SCATTERED = 0.1  # share of its box that the median number fills less of in pictures
FEW = 8  # numbers in an image, from which on their shares are looked at


def label_rles(labels: Array) -> dict[int, bytes]:
    """Return {label: COCO-compressed run lengths} of a (height, width) array, 0 left out.

    All objects are cut out in one pass over the runs, however many there are.
    """
    height, width = labels.shape
    flat = labels.ravel(order="F")
    starts = np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]) + 1])
    ends = np.append(starts[1:], len(flat))
    values = flat[starts]
    shown = np.flatnonzero(values != 0)
    if not len(shown):
        return {}
    order = shown[np.argsort(values[shown], kind="stable")]
    numbers, first = np.unique(values[order], return_index=True)
    rles = {}
    for value, runs in zip(numbers.tolist(), np.split(order, first[1:]), strict=True):
        edges = np.empty(2 * len(runs) + 2, np.int64)
        edges[0], edges[-1] = 0, len(flat)
        edges[1:-1:2], edges[2:-1:2] = starts[runs], ends[runs]
        lengths = np.diff(edges)
        lengths = lengths[:-1] if not lengths[-1] else lengths
        rles[int(value)] = masks.encode_runs(lengths.tolist(), height, width)
    return rles


def plain(label: int) -> tuple[int, int]:
    """Return the class and identity of a plain label: an object by that number."""
    return 1, label


def mots(label: int) -> tuple[int, int]:
    """Return the class and identity of class * 1000 + instance."""
    cls = label // PER_CLASS
    return cls, 0 if cls == IGNORE else label


def cityscapes(label: int) -> tuple[int, int]:
    """Return the class and identity of class * 1000 + instance, of which none is to be ignored."""
    return label // PER_CLASS, label


def davis(label: int) -> tuple[int, int]:
    """Return the class and identity of a palette index."""
    return (IGNORE, 0) if label == VOID else (1, label)


def add_labels(rows: Rows, place: str, frame: int, labels: Array, meaning: Meaning) -> None:
    """Take the objects of one label image.

    Args:
        rows: to add to. place: of the image, for messages. frame: its number.
        labels: (height, width) of whole numbers from 0.
        meaning: what a number says.

    Raises:
        FormatError: no such array.
    """
    if labels.ndim != 2:
        rule = "a label image must have one channel, one number per object"
        raise rows.fail(place, rule, f"shape {labels.shape}")
    if labels.dtype == bool:
        labels = labels.astype(np.uint8)
    if not np.issubdtype(labels.dtype, np.integer):
        whole = labels.astype(np.int64) if np.isfinite(labels).all() else None
        if whole is None or (whole != labels).any():
            raise rows.fail(place, "labels must be whole numbers", labels.dtype)
        labels = whole
    rows.fix_size(place, *labels.shape)
    if labels.size and (labels.min() < 0 or labels.max() > MAX_ID):
        wrong = labels.min() if labels.min() < 0 else labels.max()
        raise rows.fail(place, f"labels must be in 0..{MAX_ID}", int(wrong))
    rles = label_rles(labels)
    if len(rles) >= FEW and meaning in (plain, davis):
        _check_compact(rows, place, list(rles.values()), labels.shape)
    for label, rle in rles.items():
        cls, identity = meaning(label)
        if meaning is mots and label < PER_CLASS:
            raise rows.fail(place, "a MOTS label must be class * 1000 + instance", label)
        if meaning is cityscapes and label < PER_CLASS:
            rows.notes.append("values below 1000 are stuff or groups of objects: left out")
            continue
        rows.add(f"{place} label {label}", frame, cls, rle, identity=identity)


def _check_compact(rows: Rows, place: str, rles: list[bytes], size: Size) -> None:
    """Refuse grey levels, which lie scattered where objects fill their boxes."""
    boxes, areas = masks.tight_boxes_xywh(rles, *size), masks.areas_of(rles, size[0] * size[1])
    if np.median(areas / boxes[:, 2:].prod(axis=1)) < SCATTERED:
        rule = "a label image must number objects: is this a picture, or a mask with soft edges?"
        raise rows.fail(place, rule, f"{len(rles)} numbers, each scattered over the frame")


def _finish(rows: Rows, meaning: Meaning, options: Options) -> Detections:
    """Return the Detections of label images, with the names that their kind has."""
    if meaning is mots:
        return rows.finish(keep_ids=options.ids)
    if meaning is cityscapes:
        return rows.finish(CITYSCAPES, options.ids)
    if meaning is plain or meaning is davis:
        names = {options.classes.number(UNKNOWN, 1): UNKNOWN}
        return rows.finish(ignore_names(names) if meaning is davis else names, options.ids)
    return rows.finish(dict(options.classes.names), options.ids)


def read_labels(
    rows: Rows, images: Iterable[tuple[str, int, Array]], meaning: Meaning, options: Options
) -> Detections:
    """Return the sequence of (place, frame, labels) of its label images, read one by one."""
    for place, frame, labels in images:
        add_labels(rows, place, frame, labels, meaning)
    return _finish(rows, meaning, options)


def open_png(file: File) -> tuple[str, Array]:
    """Return a picture's mode, as Pillow calls it, and its pixels, palette indices as they are.

    Raises:
        FormatError: it is none, too large, or has colours.
    """
    from PIL import Image

    try:
        with file.open() as stream, Image.open(stream) as image:
            if max(image.size) > MAX_SIDE:
                rule = f"height and width must be whole numbers in 1..{MAX_SIDE}"
                raise FormatError(file.path, None, rule, f"{image.height} {image.width}")
            if image.mode in ("RGB", "RGBA", "LA", "CMYK", "PA"):
                rule = "a label image must have one channel, one number per object"
                raise FormatError(file.path, None, rule, f"colours ({image.mode})")
            pixels = np.array(image)
            return image.mode, pixels
    except FormatError:
        raise
    except Exception as error:
        # Pillow's decoders raise of every kind on broken files.
        raise FormatError(file.path, None, "must be a PNG image", error) from None


class LabelPng(Format):
    """A PNG per frame, one number per object."""

    name = "labels"
    meaning = "a label image a frame (PNG): a number per object, 0 for none"
    suffixes = (".png",)
    by_frame = True
    of: Meaning = staticmethod(plain)
    modes: ClassVar[tuple[str, ...]] = ("L", "1", "I", "I;16", "I;16B", "P")

    def meaning_of(self, file: File) -> Meaning:
        """Return what the numbers in the images of a sequence say, by one of its files."""
        return type(self).of

    def fits(self, file: File) -> bool:
        """Return whether it is a PNG of one channel."""
        return file.head.startswith(PNG)

    def read_frames(self, files: Mapping[int, File], sequence: str, options: Options) -> Detections:
        """Return the sequence, see `Format`."""
        first = next(iter(files.values()))
        rows, meaning = Rows(first.path.parent, sequence), self.meaning_of(first)

        def images() -> Iterable[tuple[str, int, Array]]:
            binary = True
            for frame, file in files.items():
                mode, pixels = open_png(file)
                if mode not in self.modes:
                    rule = f"{self.name} images must be of one channel ({', '.join(self.modes)})"
                    raise FormatError(file.path, None, rule, mode)
                if binary and meaning is plain:
                    binary = mode == "1" or not len(np.setdiff1d(np.unique(pixels), [0, VOID]))
                yield file.path.name, frame, pixels
            if binary and meaning is plain and len(rows):
                rows.notes.append("pixels are 0 or 255 only: one object in each frame")

        return read_labels(rows, images(), meaning, options)


class MotsPng(LabelPng):
    """KITTI MOTS and MOTSChallenge instance images."""

    name = "mots-png"
    meaning = "KITTI MOTS and MOTSChallenge PNG (16 bit): class * 1000 + id, 10000 to ignore"
    of: Meaning = staticmethod(mots)
    modes = ("I", "I;16", "I;16B")

    def fits(self, file: File) -> bool:
        """Return whether its numbers are class * 1000 + id of classes to 10, or it says so."""
        if not file.head.startswith(PNG) or file.head[24:26] != b"\x10\x00":
            return False
        if MARK in file.head:
            return True
        labels = np.unique(open_png(file)[1])
        labels = labels[labels != 0]
        known = (labels >= PER_CLASS) & (labels < (LAST_CLASS + 1) * PER_CLASS)
        return bool(len(labels)) and bool(known.all())


class CityscapesPng(LabelPng):
    """Cityscapes' instance images: objects as class * 1000 + number, stuff as a class below."""

    name = "cityscapes"
    meaning = "Cityscapes instance images (PNG, 16 bit): class * 1000 + number, stuff below 1000"
    of: Meaning = staticmethod(cityscapes)
    modes = ("I", "I;16", "I;16B")

    def fits(self, file: File) -> bool:
        """Return whether its large numbers are of things, the small ones of classes."""
        if not file.head.startswith(PNG) or file.head[24:26] != b"\x10\x00":
            return False
        labels = np.unique(open_png(file)[1])
        things = labels[labels >= PER_CLASS] // PER_CLASS
        small = labels[labels < PER_CLASS]
        return bool(len(things) and np.isin(things, list(CITYSCAPES)).all()) and bool(
            small.max(initial=0) <= max(CITYSCAPES)
        )


class DavisPng(LabelPng):
    """DAVIS and YouTube-VOS annotations, and what `write_davis` makes."""

    name = "davis"
    meaning = "DAVIS and YouTube-VOS PNG with a palette: an index per object, 255 not annotated"
    of: Meaning = staticmethod(davis)
    modes = ("P",)

    def fits(self, file: File) -> bool:
        """Return whether it has a palette."""
        return file.head.startswith(PNG) and file.head[25:26] == b"\x03"

    def meaning_of(self, file: File) -> Meaning:
        """Return what indices say: the tracks that the file names, else objects by index."""
        from PIL import Image

        try:
            with file.open() as stream, Image.open(stream) as image:
                entries = json.loads(image.info.get(CHUNK, "[]"))
            tracks = {int(index): (int(cls), int(identity)) for index, identity, cls in entries}
        except (OSError, ValueError, TypeError):
            return davis
        return (lambda label: tracks.get(label, davis(label))) if tracks else davis
