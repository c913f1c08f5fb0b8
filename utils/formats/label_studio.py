"""Label Studio JSON: brush masks (its own run lengths) and polygons of image tasks."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from utils import masks
from utils.detections import Detections
from utils.formats.base import File, Format, Options
from utils.formats.json_values import Json, load, value
from utils.formats.rows import Rows, polygon_rle
from utils.frames import SUFFIXES

CHANNELS = 4  # of the pictures that brushes are saved as; the last is opaque where the mask is
UPLOADED = re.compile(r"^[0-9a-f]{8}-")  # what Label Studio puts before the names of uploads


class LabelStudio(Format):
    """An export of image tasks; each region is an object of its image."""

    name = "label-studio"
    meaning = "Label Studio (JSON): brush and polygon regions of images"
    suffixes = (".json",)

    def fits(self, file: File) -> bool:
        """Return whether it is a list of tasks."""
        head = file.head.lstrip()
        if not head.startswith(b"[") or b'"image_id"' in head:
            return False
        return b'"brushlabels"' in file.content or (
            b'"annotations"' in file.content and b'"data"' in file.content
        )

    def read(self, file: File, options: Options) -> list[Detections]:
        """Return the one sequence of the file, frame numbers from the images' names."""
        rows = Rows(file.path, file.stem)
        tasks = load(file)
        if not isinstance(tasks, list):
            raise rows.fail(None, "must be a list of tasks", type(tasks).__name__)
        frames = rows.number("tasks", [_image(rows, i, task) for i, task in enumerate(tasks)])
        names: list[str] = []
        skipped = 0
        for i, (frame, task) in enumerate(zip(frames, tasks, strict=True)):
            for place, region in _regions(rows, i, task):
                if region.get("type") not in ("brushlabels", "polygonlabels"):
                    skipped += 1
                    continue
                label, rle = _region(rows, place, region)
                if label not in names:
                    names.append(label)
                cls = options.classes.number(label, names.index(label) + 1)
                rows.add(place, frame, cls, rle)
        if skipped:
            rows.notes.append(f"{skipped} regions that are no masks are left out")
        numbers = [options.classes.number(n, 0) for n in names]
        return [rows.finish({n: options.classes.names[n] for n in numbers}, options.ids)]


def _region(rows: Rows, place: str, region: Json) -> tuple[str, bytes]:
    """Return the label and the mask of a brush or polygon region."""
    sides = (value(rows, place, region, f"original_{s}", int) for s in ("height", "width"))
    size = rows.fix_size(place, *sides)
    holder = value(rows, place, region, "value", dict)
    labels = value(rows, place, holder, region["type"], list) or ["object"]
    if region["type"] == "brushlabels":
        rle = masks.encode(decode_brush(rows, place, holder.get("rle"), size))
    else:
        rle = polygon_rle(rows, place, [_outline(rows, place, holder, size)], size)
    return str(labels[0]), rle


def _image(rows: Rows, number: int, task: Json) -> str:
    """Return the file name of a task's image, as it was before it was uploaded."""
    data = value(rows, f"task {number}", task, "data", dict)
    texts = [v for v in data.values() if isinstance(v, str)]
    pictures = [v for v in texts if Path(v.split("?")[0]).suffix.lower() in SUFFIXES]
    image = data.get("image")
    text = image if isinstance(image, str) else next(iter([*pictures, *texts]), str(number))
    return UPLOADED.sub("", text.rsplit("/", 1)[-1])


def _regions(rows: Rows, number: int, task: Json) -> list[tuple[str, Json]]:
    """Return (place, region) of a task's annotations that are not cancelled."""
    kept = []
    for annotation in value(rows, f"task {number}", task, "annotations", list):
        results = value(rows, f"task {number} annotation", annotation, "result", list)
        if not annotation.get("was_cancelled"):
            kept.append(results)
    if len(kept) > 1:
        rows.notes.append("tasks with several annotations: the last of each is taken")
    regions = []
    for i, region in enumerate(kept[-1] if kept else ()):
        place = f"task {task.get('id', number)} region {i}"
        if not isinstance(region, dict):
            raise rows.fail(place, "must be an object", region)
        regions.append((place, region))
    return regions


def _outline(rows: Rows, place: str, holder: Json, size: tuple[int, int]) -> list[float]:
    """Return the x1 y1 x2 y2 ... in px of a polygon in percent."""
    values: list[float] = []
    for point in value(rows, place, holder, "points", list):
        if not isinstance(point, list) or len(point) != 2:
            raise rows.fail(place, "points must be pairs of percent", point)
        for part, side in zip(point, (size[1], size[0]), strict=True):
            if not isinstance(part, int | float) or isinstance(part, bool):
                raise rows.fail(place, "points must be pairs of percent", part)
            values.append(part * side / 100)
    return values


def decode_brush(rows: Rows, place: str, rle: Any, size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Return the (height, width) mask, 0 or 1, of Label Studio's run lengths.

    They pack the RGBA picture of the brush as bits: 32 for the number of values, 5 for the bits of
    a value less one, four times 4 for the bits of a length less one; then blocks of one bit (a
    repeated value, or values as they are), two bits (which of the four lengths), the length less
    one, and the value or values.

    Raises:
        FormatError: no list of bytes, or not a picture of that size.
    """
    if not isinstance(rle, list) or not all(
        isinstance(b, int) and not isinstance(b, bool) and 0 <= b < 256 for b in rle
    ):
        raise rows.fail(place, "rle must be a list of bytes", rle)
    height, width = size
    bits = _Bits(rows, place, rle)
    total, word = bits.read(32), bits.read(5) + 1
    lengths = [bits.read(4) + 1 for _ in range(4)]
    if total != height * width * CHANNELS:
        rule = f"rle must be a picture of {height} x {width} x {CHANNELS} values"
        raise rows.fail(place, rule, total)
    values = np.zeros(total, np.uint8)
    filled = 0
    while filled < total:
        repeated = bits.read(1)
        count = bits.read(lengths[bits.read(2)]) + 1
        if filled + count > total:
            raise rows.fail(place, f"rle must hold {total} values", f"{filled + count}")
        for i in range(filled, filled + count):
            again = repeated and i > filled
            values[i] = values[filled] if again else min(bits.read(word), 255)
        filled += count
    return (values.reshape(height, width, CHANNELS)[:, :, -1] > 0).astype(np.uint8)


class _Bits:
    """Bytes, read a few bits at a time."""

    def __init__(self, rows: Rows, place: str, rle: list[int]) -> None:
        self._bits, self._at = "".join(f"{byte:08b}" for byte in rle), 0
        self._error = rows.fail(place, "rle must not end early", f"{len(rle)} bytes")

    def read(self, count: int) -> int:
        """Return the number that the next bits are."""
        end = self._at + count
        if end > len(self._bits):
            raise self._error
        number = int(self._bits[self._at : end], 2) if count else 0
        self._at = end
        return number
