"""Values of JSON files, checked one by one: what the JSON formats share."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TextIO

from pycocotools import mask as coco_mask

from utils.detections import IGNORE
from utils.files import FormatError, shown
from utils.formats.base import Classes, File, Output
from utils.formats.rows import Rows, Size, polygon_rle
from utils.video_names import repeated

Json = Any
# Where image entries say their frame: CocoVID, MOT converters, video tools.
FRAME_KEYS = ("frame_index", "frame_id", "frame_idx", "frame_number", "mot_frame_id")
KINDS = {
    dict: "an object", list: "a list", str: "a text", int: "a whole number",
    object: "a value, not true or false",
}  # fmt: skip


def load(file: File) -> Json:
    """Return what a JSON file holds.

    Raises:
        FormatError: it is none.
    """
    try:
        return json.loads(file.content, object_pairs_hook=_once)
    except FormatError:
        raise
    except (ValueError, RecursionError) as error:
        line = getattr(error, "lineno", None)
        raise FormatError(file.path, line, "must be valid JSON", shown(error)) from None


def _once(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    """Return an object of pairs, whose keys must differ."""
    item = dict(pairs)
    if len(item) < len(pairs):
        again = repeated([key for key, _ in pairs])[0]
        raise ValueError(f"the key {shown(again)!r} twice in one object")
    return item


def value(rows: Rows, place: str, item: Json, key: str, kind: type) -> Any:
    """Return item[key], which must be of a kind.

    Raises:
        FormatError: the item is no object, has no such key, or the value is of another kind.
    """
    if not isinstance(item, dict):
        raise rows.fail(place, "must be an object", item)
    if key not in item:
        raise rows.fail(place, f"must have {key!r}", f"only {', '.join(map(str, item))}")
    got = item[key]
    if not isinstance(got, kind) or isinstance(got, bool):
        raise rows.fail(place, f"{key!r} must be {KINDS[kind]}", got)
    return got


def mask_of(rows: Rows, place: str, segmentation: Json, size: Size | None) -> bytes:
    """Return the run lengths of a COCO segmentation: RLE, compressed or not, or polygons.

    Args:
        rows: for messages, and for the size that all masks must have. place: of the object.
        segmentation: as in the file. size: (height, width) of its frame, None where unknown.

    Raises:
        FormatError: it is none, or of another size than its frame.
    """
    if isinstance(segmentation, list):
        size = size or rows.size
        if size is None:
            rule = "polygons need the frame's size (--size HxW, or --images)"
            raise rows.fail(place, rule, "none")
        polygons = segmentation
        if polygons and all(isinstance(v, int | float) for v in polygons):
            polygons = [polygons]
        return polygon_rle(rows, place, polygons, rows.fix_size(place, *size))
    counts = value(rows, place, segmentation, "counts", object)
    given = value(rows, place, segmentation, "size", list)
    if len(given) != 2:
        raise rows.fail(place, "size must be height and width", given)
    if size is not None and tuple(given) != tuple(size):
        rule = f"a mask must have its frame's size {size[0]} {size[1]} (height width)"
        raise rows.fail(place, rule, " ".join(map(str, given)))
    height, width = rows.fix_size(place, *given)
    if isinstance(counts, bytes):  # of Python, as pycocotools has them
        return counts
    if isinstance(counts, str):
        return counts.encode("latin-1", "replace")
    if not isinstance(counts, list):
        raise rows.fail(place, "counts must be a text or a list", counts)
    return _uncompressed(rows, place, counts, (height, width))


def _uncompressed(rows: Rows, place: str, counts: list[Any], size: Size) -> bytes:
    """Return the compressed run lengths of a list of runs."""
    height, width = size
    for run in counts:
        if not isinstance(run, int) or isinstance(run, bool) or not 0 <= run <= height * width:
            rule = f"RLE run must be a whole number in 0..{height * width}"
            raise rows.fail(place, rule, run)
    rle: bytes = coco_mask.frPyObjects({"size": [height, width], "counts": counts}, height, width)[
        "counts"
    ]
    return rle


def place_of(kind: str, index: int, item: Json) -> str:
    """Return what an item is called in messages: by its id where it has one."""
    number = item.get("id") if isinstance(item, dict) else None
    if isinstance(number, int | str):
        return f"{kind} id {shown(number)}"
    return f"{kind} {index}"


def categories(rows: Rows, items: Sequence[Json]) -> dict[Any, str]:
    """Return {category id: name} of a COCO file.

    Raises:
        FormatError: no ids or names, or one of them twice.
    """
    names: dict[Any, str] = {}
    for i, item in enumerate(items):
        place = place_of("category", i, item)
        number = value(rows, place, item, "id", int)
        name = value(rows, place, item, "name", str).strip() or f"class {number}"
        if number in names or name in names.values():
            raise rows.fail(place, "category ids and names must differ", f"{number} {name} again")
        names[number] = name
    return names


class Categories:
    """The classes of a file's annotations, by category id; crowds are of a class to ignore.

    Args:
        rows: for messages. data: what the file holds. annotations: its. classes: by name.
    """

    def __init__(
        self, rows: Rows, data: Json, annotations: Sequence[Json], classes: Classes
    ) -> None:
        names = categories(rows, value(rows, "file", data, "categories", list))
        self._rows, self._numbers = rows, class_numbers(rows, names, classes)
        self.names = {number: classes.names[number] for number in self._numbers.values()}
        crowds = any(isinstance(item, dict) and item.get("iscrowd") for item in annotations)
        self._ignored = classes.number("ignore", IGNORE) if crowds else 0
        self.names |= {self._ignored: "ignore"} if crowds else {}

    def of(self, place: str, item: Json) -> tuple[int, bool]:
        """Return the class of an annotation, and whether it is a crowd.

        Raises:
            FormatError: its category is none of the file's.
        """
        category = value(self._rows, place, item, "category_id", int)
        if category not in self._numbers:
            raise self._rows.fail(place, "category_id must be that of a category", category)
        crowd = bool(item.get("iscrowd"))
        return (self._ignored if crowd else self._numbers[category]), crowd


def frame_fields(items: Sequence[Json]) -> list[int] | None:
    """Return what images say of their frame themselves; None unless all do, each another."""
    for key in FRAME_KEYS:
        values = [item.get(key) if isinstance(item, dict) else None for item in items]
        whole = [v for v in values if type(v) is int and v >= 0]
        if values and len(whole) == len(values):
            return whole if len(set(whole)) == len(whole) else None
    return None


def class_numbers(rows: Rows, names: Mapping[Any, str], classes: Classes) -> dict[Any, int]:
    """Return {category id: class number}; say which of a file's categories are one class here."""
    shift = classes.shift(list(names), rows)
    numbers = {c: classes.number(name, c + shift) for c, name in names.items()}
    for number in set(numbers.values()):
        alike = [names[c] for c, n in numbers.items() if n == number]
        if len(alike) > 1:
            rows.notes.append(f"categories {' and '.join(alike)} are one class here")
    return numbers


def optional_size(item: Mapping[str, Json]) -> Size | None:
    """Return (height, width) of an image or video entry, None where it has none."""
    height, width = item.get("height"), item.get("width")
    return None if height is None or width is None else (height, width)


class JsonWriter:
    """Writes an object of lists to a file item by item, so that nothing is held.

    Args:
        file: opened for text.
    """

    def __init__(self, file: TextIO) -> None:
        self._file, self._first = file, True
        file.write("{")

    def items(self, key: str, values: Iterable[Json]) -> None:
        """Write one list."""
        self._file.write(("" if self._first else ",\n") + f"{json.dumps(key)}: [")
        self._first = False
        for i, item in enumerate(values):
            self._file.write((",\n" if i else "\n") + json.dumps(item))
        self._file.write("]")

    def close(self) -> None:
        """End the object."""
        self._file.write("}\n")


def category_items(output: Output) -> list[Json]:
    """Return the categories of a result's classes."""
    numbers = sorted({int(c) for c in output.result.classes[output.rows]} | set(output.names))
    return [{"id": c, "name": output.name(c), "supercategory": ""} for c in numbers]


def rle_item(output: Output, row: int) -> Json:
    """Return the segmentation of a row."""
    return {"size": list(output.result.size), "counts": output.result.rles[row].decode("ascii")}


def picture_name(output: Output, frame: int) -> str:
    """Return what a frame is called: its number in six digits, in the sequence's folder."""
    return f"{output.result.sequence}/{frame:06d}.jpg"
