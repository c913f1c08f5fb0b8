"""Label Studio JSON: brush masks (its own run lengths) and polygons of image tasks."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import cv2
import numpy as np
import numpy.typing as npt

from utils import masks
from utils.detections import Detections
from utils.formats.base import File, Format, Options
from utils.formats.json_values import Json, load, value
from utils.formats.rows import Rows, Size, polygon_rle
from utils.frames import SUFFIXES

CHANNELS = 4  # of the pictures that brushes are saved as; the last is opaque where the mask is
UPLOADED = re.compile(r"(^|/)[0-9a-f]{8}-")  # what Label Studio puts before the names of uploads


KINDS = ("brush", "bitmask", "polygon")  # of regions, with "labels" behind or without


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
        images = [_image(rows, i, task) for i, task in enumerate(tasks)]
        plain = [UPLOADED.sub(r"\1", image) for image in images]  # as before they were uploaded
        if len(set(plain)) < len(set(images)):  # dates, which look alike
            plain = images
        frames = rows.number("tasks", plain)
        names: list[str] = []
        skipped = 0
        for i, (frame, task) in enumerate(zip(frames, tasks, strict=True)):
            regions = _regions(rows, i, task)
            given = _labels_by_id(regions)
            for place, region in regions:
                kind = str(region.get("type")).removesuffix("labels")
                if kind not in KINDS:
                    skipped += kind != ""  # "labels" alone only names another region
                    continue
                label, rle = _region(rows, place, region, kind, given)
                if label not in names:
                    names.append(label)
                cls = options.classes.number(label, names.index(label) + 1)
                score = region.get("score", task.get("predicted"))
                rows.scored |= score is not None
                rows.add(place, frame, cls, rle, 1.0 if score is None else score)
        if skipped:
            rows.notes.append(f"{skipped} regions that are no masks are left out")
            rows.unread = f"{skipped} regions of other kinds (masks are {', '.join(KINDS)})"
        numbers = [options.classes.number(n, 0) for n in names]
        return [rows.finish({n: options.classes.names[n] for n in numbers}, options.ids)]


def _labels_by_id(regions: Sequence[tuple[str, Json]]) -> dict[str, str]:
    """Return {region id: label} of what names regions of a tag without labels of its own."""
    named: dict[str, str] = {}
    for _, region in regions:
        holder = region.get("value")
        labels = holder.get("labels") if isinstance(holder, dict) else None
        if region.get("type") == "labels" and isinstance(labels, list) and labels:
            named.setdefault(str(region.get("id")), str(labels[0]))
    return named


def _region(
    rows: Rows, place: str, region: Json, kind: str, named: Mapping[str, str]
) -> tuple[str, bytes]:
    """Return the label and the mask of a brush, bitmask or polygon region."""
    sides = (value(rows, place, region, f"original_{s}", int) for s in ("height", "width"))
    size = rows.fix_size(place, *sides)
    holder = value(rows, place, region, "value", dict)
    labels = holder.get(f"{kind}labels", holder.get("labels"))
    label = labels[0] if isinstance(labels, list) and labels else named.get(str(region.get("id")))
    if kind == "brush":
        rle = masks.encode(decode_brush(rows, place, holder.get("rle"), size))
    elif kind == "bitmask":
        rle = masks.encode(_bitmask(rows, place, holder, size))
    else:
        rle = polygon_rle(rows, place, [_outline(rows, place, holder, size)], size)
    return str(label or "object"), rle


def _bitmask(rows: Rows, place: str, holder: Json, size: Size) -> npt.NDArray[np.uint8]:
    """Return the (height, width) mask of a bitmask region, a PNG in a data URL."""
    url = value(rows, place, holder, "imageDataURL", str)
    try:
        packed = np.frombuffer(base64.b64decode(url.partition(",")[2], validate=True), np.uint8)
        image = cv2.imdecode(packed, cv2.IMREAD_UNCHANGED)
    except (ValueError, cv2.error):
        image = None
    if image is None or image.shape[:2] != size:
        got = "no picture" if image is None else f"{image.shape[0]} {image.shape[1]}"
        raise rows.fail(place, f"imageDataURL must be a PNG of {size[0]} {size[1]}", got)
    shown = image[:, :, 3] if image.ndim == 3 and image.shape[2] == 4 else image
    return np.ascontiguousarray((shown if shown.ndim == 2 else shown.max(axis=2)) > 0, np.uint8)


def _image(rows: Rows, number: int, task: Json) -> str:
    """Return the file name of a task's image."""
    data = value(rows, f"task {number}", task, "data", dict)
    texts = [v for v in data.values() if isinstance(v, str)]
    pictures = [v for v in texts if Path(v.split("?")[0]).suffix.lower() in SUFFIXES]
    image = data.get("image")
    text = image if isinstance(image, str) else next(iter([*pictures, *texts]), str(number))
    return unquote(text.partition("?")[0])


def _regions(rows: Rows, number: int, task: Json) -> list[tuple[str, Json]]:
    """Return (place, region) of a task's annotations that are not cancelled."""
    kept = []
    annotations = value(rows, f"task {number}", task, "annotations", list)
    predictions = task.get("predictions")
    if not annotations and isinstance(predictions, list) and predictions:
        rows.notes.append("tasks without an annotation: their predictions are taken")
        annotations = predictions
        last = predictions[-1]
        task["predicted"] = last.get("score") if isinstance(last, dict) else None
    for annotation in annotations:
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
        if region.get("item_index"):
            rule = "a task must be of one image (item_index)"
            raise rows.fail(place, rule, region["item_index"])
        regions.append((place, region))
    if len(names := {str(region["to_name"]) for _, region in regions if "to_name" in region}) > 1:
        rule = "a task must be of one image (to_name)"
        raise rows.fail(f"task {task.get('id', number)}", rule, ", ".join(sorted(names)))
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
