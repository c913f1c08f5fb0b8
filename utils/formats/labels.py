"""Label images: one number per object and frame, 0 for none; cells, DAVIS, the MOTS benchmarks."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np
import numpy.typing as npt

from utils import masks
from utils.detections import IGNORE, Detections
from utils.files import FormatError, atomic_folder
from utils.formats.base import UNKNOWN, File, Format, Options, Output, ignore_names
from utils.formats.rows import MAX_ID, MAX_SIDE, Rows
from utils.identity_colours import colour_of

Array = npt.NDArray[Any]
# (label) -> (class, identity): what a number in a label image says.
Meaning = Callable[[int], tuple[int, int]]

PER_CLASS = 1000  # MOTS PNG: class * 1000 + instance
IGNORED = 10000  # MOTS PNG: ignore regions
LARGEST_PNG = 65535  # of 16 bits
CHUNK = "tracks"  # text of a DAVIS PNG: [[index, identity, class]]
LAST_CLASS = 10  # of MOTS PNG that are told from label images
VOID = 255  # DAVIS: not annotated
PNG = b"\x89PNG\r\n\x1a\n"
TIFF = (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")
TIFF_SUFFIXES = (".tif", ".tiff")


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
    for label, rle in label_rles(labels).items():
        cls, identity = meaning(label)
        if meaning is mots and label < PER_CLASS:
            raise rows.fail(place, "a MOTS label must be class * 1000 + instance", label)
        rows.add(f"{place} label {label}", frame, cls, rle, identity=identity)


def _finish(rows: Rows, meaning: Meaning, options: Options) -> Detections:
    """Return the Detections of label images, with the names that their kind has."""
    if meaning is mots:
        return rows.finish(keep_ids=options.ids)
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
                if binary and meaning is plain and mode == "L":
                    binary = not len(np.setdiff1d(np.unique(pixels), [0, VOID]))
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
        """Return whether its numbers are class * 1000 + id of classes to 10."""
        if not file.head.startswith(PNG) or file.head[24:26] != b"\x10\x00":
            return False
        labels = np.unique(open_png(file)[1])
        labels = labels[labels != 0]
        known = (labels >= PER_CLASS) & (labels < (LAST_CLASS + 1) * PER_CLASS)
        return bool(len(labels)) and bool(known.all())


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


class LabelTiff(Format):
    """TIFF stacks, or a TIFF per frame, as the Cell Tracking Challenge has them."""

    name = "tiff"
    meaning = "label images as TIFF, a stack or a file a frame (Cell Tracking Challenge)"
    suffixes = TIFF_SUFFIXES

    def fits(self, file: File) -> bool:
        """Return whether it is a TIFF."""
        return file.head[:4] in TIFF

    def planes(self, file: File) -> int:
        """Return how many images a file holds."""
        with _Tiff(file) as pages:
            return len(pages)

    def read(self, file: File, options: Options) -> list[Detections]:
        """Return the sequence of a stack, frames from 0; pages are read one by one."""
        rows = Rows(file.path, file.stem)
        with _Tiff(file) as pages:
            images = ((f"image {i}", i, _page(file, pages, i)) for i in range(len(pages)))
            return [read_labels(rows, images, plain, options)]

    def read_frames(self, files: Mapping[int, File], sequence: str, options: Options) -> Detections:
        """Return the sequence, see `Format`."""
        first = next(iter(files.values()))
        rows = Rows(first.path.parent, sequence)

        def images() -> Iterable[tuple[str, int, Array]]:
            for frame, file in files.items():
                with _Tiff(file) as pages:
                    yield file.path.name, frame, _page(file, pages, 0)

        return read_labels(rows, images(), plain, options)


class _Tiff:
    """The pages of a TIFF, opened."""

    def __init__(self, file: File) -> None:
        self.file = file

    def __enter__(self) -> Any:
        import tifffile

        logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # what is wrong is said once
        self.stream = self.file.open()
        try:
            self.opened = tifffile.TiffFile(self.stream)
            return self.opened.pages
        except Exception as error:
            self.stream.close()
            raise FormatError(self.file.path, None, "must be a TIFF image", error) from None

    def __exit__(self, *_: object) -> None:
        self.opened.close()
        self.stream.close()


def _page(file: File, pages: Any, number: int) -> Array:
    """Return one image of a TIFF."""
    try:
        page = pages[number]
        if max(page.shape, default=0) > MAX_SIDE:
            rule = f"height and width must be whole numbers in 1..{MAX_SIDE}"
            raise FormatError(file.path, f"image {number}", rule, f"shape {page.shape}")
        return np.asarray(page.asarray())
    except FormatError:
        raise
    except Exception as error:
        place = f"image {number}"
        raise FormatError(file.path, place, "must be a readable TIFF image", error) from None


def label_image(detections: Detections, rows: Array, values: Array) -> npt.NDArray[np.int64]:
    """Return the (height, width) image of disjoint masks, each filled with its value.

    Args:
        detections: holds the masks. rows: (k,) indices. values: (k,) from 1.
    """
    pixels = detections.height * detections.width
    steps = np.zeros(pixels + 1, np.int64)
    if len(rows):
        runs, offsets = masks.decode_runs(detections.rles[rows], pixels)
        ends = np.cumsum(runs) - np.repeat(np.arange(len(rows)) * pixels, np.diff(offsets))
        inside = (np.arange(len(runs)) - np.repeat(offsets[:-1], np.diff(offsets))) % 2 == 1
        owner = np.repeat(values, np.diff(offsets))[inside]
        np.add.at(steps, (ends - runs)[inside], owner)
        np.subtract.at(steps, ends[inside], owner)
    flat = np.cumsum(steps)[:-1]
    return flat.reshape(detections.width, detections.height).T


def write_mots_png(path: Path, output: Output) -> None:
    """Write a folder of 16-bit PNGs, class * 1000 + instance; frames are those with detections.

    Raises:
        ValueError: identities that such images cannot hold.
    """
    result, rows = output.result, output.rows
    ids, classes = result.ids[rows], result.classes[rows]
    if len(rows) and (ids.max() > LARGEST_PNG or (ids // PER_CLASS != classes).any()):
        worst = int(ids.max() if ids.max() > LARGEST_PNG else ids[ids // PER_CLASS != classes][0])
        rule = f"png holds ids of class * 1000 + number to {LARGEST_PNG}"
        raise ValueError(f"{rule}, got {worst}")
    with atomic_folder(path) as folder:
        for frame, of in output.by_frame():
            image = label_image(result, of, result.ids[of]).astype(np.uint16)
            cv2.imwrite(str(folder / f"{frame:06d}.png"), image)


def write_davis(path: Path, output: Output) -> None:
    """Write a folder of PNGs with a palette, an index per track in the order of identities.

    The files say which identity and class an index stands for, in a text chunk that `DavisPng`
    reads; to other programs an index is an object.

    Raises:
        ValueError: more tracks than indices.
    """
    from PIL import Image, PngImagePlugin

    result, rows = output.result, output.rows
    identities, first = np.unique(result.ids[rows], return_index=True)
    if len(identities) >= VOID:
        raise ValueError(f"davis holds {VOID - 1} tracks, got {len(identities)}")
    index = {identity: i for i, identity in enumerate(identities.tolist(), 1)}
    classes = result.classes[rows[first]].tolist()
    meanings = [[i, identity, classes[i - 1]] for identity, i in index.items()]
    chunk = PngImagePlugin.PngInfo()
    chunk.add_text(CHUNK, json.dumps(meanings))
    palette = [v for i in range(256) for v in (colour_of(i) if 0 < i < VOID else (0, 0, 0))]
    with atomic_folder(path) as folder:
        for frame, of in output.by_frame():
            values = np.array([index[i] for i in result.ids[of].tolist()], np.int64)
            image = Image.fromarray(label_image(result, of, values).astype(np.uint8), mode="P")
            image.putpalette(palette)
            image.save(folder / f"{frame:06d}.png", pnginfo=chunk)
