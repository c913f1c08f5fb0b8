"""Label images as TIFF: a stack, or a file a frame, as the Cell Tracking Challenge has them."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from utils.detections import Detections
from utils.files import FormatError
from utils.formats.base import File, Format, Options
from utils.formats.ctc import with_table
from utils.formats.labels import plain, read_labels
from utils.formats.rows import MAX_SIDE, Rows

Array = npt.NDArray[Any]
TIFF = (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")
TIFF_SUFFIXES = (".tif", ".tiff")
FRAME = re.compile(r"(man_track|man_seg|mask)_?\d+$")  # of the Cell Tracking Challenge


class LabelTiff(Format):
    """TIFF stacks, or a TIFF per frame, as the Cell Tracking Challenge has them."""

    name = "tiff"
    meaning = "label images as TIFF, a stack or a file a frame (Cell Tracking Challenge)"
    suffixes = TIFF_SUFFIXES

    def fits(self, file: File) -> bool:
        """Return whether it is a TIFF."""
        return file.head[:4] in TIFF

    def single(self, file: File) -> bool:
        """Return whether a file holds one image, or is named as a frame of cells is."""
        if FRAME.match(file.stem):
            return True
        with _Tiff(file) as pages:
            return len(pages) == 1

    def read(self, file: File, options: Options) -> list[Detections]:
        """Return the sequence of a stack, frames from 0; pages are read one by one."""
        rows = Rows(file.path, file.stem.removesuffix(".ome"))
        with _Tiff(file) as pages:
            said = frames_axis(file, pages)
            rows.notes += [said] if said else []
            images = ((f"image {i}", i, _page(file, pages, i)) for i in range(len(pages)))
            return [read_labels(rows, images, plain, options)]

    def read_frames(self, files: Mapping[int, File], sequence: str, options: Options) -> Detections:
        """Return the sequence, see `Format`."""
        first = next(iter(files.values()))
        rows = Rows(first.path.parent, sequence)

        def images() -> Iterable[tuple[str, int, Array]]:
            for frame, file in files.items():
                with _Tiff(file) as pages:
                    frames_axis(file, pages)
                    if len(pages) > 1:
                        rule = "a file a frame must hold one image each"
                        raise FormatError(file.path, None, rule, len(pages))
                    yield file.path.name, frame, _page(file, pages, 0)

        found = read_labels(rows, images(), plain, options)
        return with_table(found, first.path.parent) if options.ids else found


def frames_axis(file: File, pages: Any) -> str | None:
    """Return what to say of a stack whose file calls its images something else than times.

    Raises:
        FormatError: the file declares more than one axis beside height and width.
    """
    opened = getattr(pages, "parent", None)
    if opened is None or not (opened.is_ome or opened.is_imagej or opened.is_shaped):
        return None
    series = opened.series[0]
    sides = zip(series.axes, series.shape, strict=True)
    more = [(axis, n) for axis, n in sides if axis not in "YX" and n > 1]
    axes = [axis for axis, _ in more]
    if len(more) > 1 or "S" in axes or "C" in axes:
        rule = "must be a stack of one label image a time: keep one slice and one channel"
        raise FormatError(file.path, None, rule, f"axes {series.axes} of shape {series.shape}")
    if more and more[0][1] != len(pages):
        rule = f"must have a page for each of the {more[0][1]} images that it declares"
        raise FormatError(file.path, None, rule, len(pages))
    if axes and axes[0] not in "TQI":  # Q and I: the file does not say
        return f"the file calls its images {axes[0]}, not T: they are taken as frames"
    return None


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
        if "imagecodecs" in str(error):  # a compression that tifffile leaves to a large package
            return _by_pillow(file, number)
        place = f"image {number}"
        raise FormatError(file.path, place, "must be a readable TIFF image", error) from None


def _by_pillow(file: File, number: int) -> Array:
    """Return one image of a TIFF as Pillow's libtiff reads it.

    Raises:
        FormatError: it cannot, either.
    """
    from PIL import Image

    try:
        with file.open() as stream, Image.open(stream) as image:
            image.seek(number)
            return np.array(image)
    except Exception as error:  # Pillow's decoders raise of every kind
        place = f"image {number}"
        raise FormatError(file.path, place, "must be a readable TIFF image", error) from None
