"""COCO JSON: results of a detector, and annotations, images of one or more videos."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from utils.detections import Detections
from utils.files import atomic_path
from utils.formats.base import File, Format, Options, Output, frame_size
from utils.formats.json_values import (
    Categories,
    Json,
    JsonWriter,
    category_items,
    frame_fields,
    load,
    mask_of,
    optional_size,
    picture_name,
    place_of,
    rle_item,
    value,
)
from utils.formats.rows import Rows, Size
from utils.masks import areas_of, tight_boxes_xywh
from utils.video_names import repeated, video_names

IDENTITIES = ("track_id", "instance_id")  # where annotations have their identity


class CocoResults(Format):
    """A list of detections, as COCO's evaluation takes it."""

    name = "coco-results"
    meaning = "COCO results (JSON): [{image_id, category_id, segmentation, score}]"
    suffixes = (".json",)

    def fits(self, file: File) -> bool:
        """Return whether it is a list of objects with an image_id."""
        head = file.head.lstrip()
        return head.startswith(b"[") and (b'"image_id"' in head or not head[1:].strip(b"] \r\n\t"))

    def read(self, file: File, options: Options) -> list[Detections]:
        """Return the one sequence of the file; image ids are its frame numbers.

        A text as an id counts by its last number.
        """
        rows = Rows(file.path, file.stem, scored=True)
        items = load(file)
        if not isinstance(items, list):
            raise rows.fail(None, "must be a list of detections", type(items).__name__)
        wanted = [item.get("category_id") for item in items if isinstance(item, dict)]
        shift = options.classes.shift(wanted, rows)
        size = frame_size(options, rows.sequence)
        if shift:
            rows.notes.append("categories count from 0: class 1 is category 0, and so on")
        frames = _frames_of(rows, items)
        for i, item in enumerate(items):
            place = f"detection {i}"
            frame = frames[i]
            cls = value(rows, place, item, "category_id", int) + shift
            score = value(rows, place, item, "score", object)
            segmentation = value(rows, place, item, "segmentation", object)
            rle = mask_of(rows, place, segmentation, size)
            rows.add(place, frame, cls, rle, score, item.get("track_id", 0))
        return [rows.finish(options.classes.names, options.ids)]


def _frames_of(rows: Rows, items: Sequence[Json]) -> list[int]:
    """Return the frame number of each detection: its image id, or that of its image's name."""
    keys = [value(rows, f"detection {i}", x, "image_id", object) for i, x in enumerate(items)]
    for i, key in enumerate(keys):
        if not isinstance(key, int | str) or isinstance(key, bool):
            raise rows.fail(f"detection {i}", "image_id must be a number or a name", key)
    if all(isinstance(key, int) for key in keys):
        if keys:
            rows.notes.append("image ids are taken as frame numbers")
        return keys
    names = list(dict.fromkeys(map(str, keys)))
    numbers = dict(zip(names, rows.number("image ids", names), strict=True))
    return [numbers[str(key)] for key in keys]


class CocoAnnotations(Format):
    """Images, annotations and categories; each folder of images is a sequence."""

    name = "coco"
    meaning = "COCO annotations (JSON): images, annotations, categories; ids from track_id"
    suffixes = (".json",)

    def fits(self, file: File) -> bool:
        """Return whether it is an object with images and annotations, and no videos' tracks."""
        head = file.head.lstrip()
        return head.startswith(b"{") and b'"images"' in file.content

    def read(self, file: File, options: Options) -> list[Detections]:
        """Return the sequences of the file; frame numbers are from the images' file names."""
        top = Rows(file.path, file.stem)
        data = load(file)
        images = value(top, "file", data, "images", list)
        annotations = value(top, "file", data, "annotations", list)
        kinds = Categories(top, data, annotations, options.classes)
        sequences = _sequences(top, file.stem, images, data.get("videos") or [])
        by_image = {image: place for place in sequences for image in place.frames}
        for i, item in enumerate(annotations):
            place = place_of("annotation", i, item)
            image = value(top, place, item, "image_id", object)
            if not isinstance(image, int | str) or image not in by_image:
                raise top.fail(place, "image_id must be that of an image", image)
            to, (cls, crowd) = by_image[image], kinds.of(place, item)
            segmentation = value(top, place, item, "segmentation", object)
            rle = mask_of(to.rows, place, segmentation, to.sizes[image] or options.size)
            identity = 0 if crowd else _identity(item)
            if "score" in item:
                to.rows.scored = True
            to.rows.add(place, to.frames[image], cls, rle, item.get("score", 1.0), identity)
        scored = sum("score" in item for item in annotations)
        if 0 < scored < len(annotations):
            top.notes.append(
                f"{len(annotations) - scored} annotations have no score: they count as 1"
            )
        for sequence in sequences:
            sequence.rows.notes += top.notes
        return [place.rows.finish(kinds.names, options.ids) for place in sequences]


def _identity(item: dict[str, Json]) -> Any:
    """Return the identity of an annotation, 0 where it has none."""
    attributes = item.get("attributes")
    for holder in (item, attributes if isinstance(attributes, dict) else {}):
        for key in IDENTITIES:
            if key in holder:
                return holder[key]
    return 0


class _Place:
    """A sequence of a COCO file: frame numbers and sizes of its images."""

    def __init__(self, rows: Rows) -> None:
        self.rows = rows
        self.frames: dict[Any, int] = {}
        self.sizes: dict[Any, Size | None] = {}


def _titles(top: Rows, videos: Any) -> dict[Any, str]:
    """Return {video id: name} of a file's list of videos."""
    titles: dict[Any, str] = {}
    for i, video in enumerate(videos if isinstance(videos, list) else []):
        place = place_of("video", i, video)
        number = value(top, place, video, "id", int)
        if number in titles:
            raise top.fail(place, "a video must be listed once", number)
        titles[number] = value(top, place, video, "name", str)
    return titles


def _sequences(
    top: Rows, stem: str, images: Sequence[Json], videos: Sequence[Json]
) -> list[_Place]:
    """Return the sequences of a file's images, by video id or by their folders."""
    titles = _titles(top, videos)
    groups: dict[tuple[str, str], list[tuple[Any, str, Json]]] = {}
    seen: dict[Any, str] = {}
    for i, image in enumerate(images):
        place = place_of("image", i, image)
        number = value(top, place, image, "id", object)
        if not isinstance(number, int | str):
            raise top.fail(place, "an image's id must be a number or a text", number)
        name = value(top, place, image, "file_name", str)
        if number in seen or name in seen.values():
            raise top.fail(place, "an image must be listed once", name)
        seen[number] = name
        video = image.get("video_id")
        if video is not None and not isinstance(video, int | str):
            raise top.fail(place, "video_id must be that of a video", video)
        group = titles.get(video, _folder(name)), "" if video is None else str(video)
        groups.setdefault(group, []).append((number, name, image))
    sequences = []
    alike = repeated([title for title, _ in groups])  # told apart by their ids
    titled = video_names(
        [
            (*PurePosixPath(title).parts, *([video or "none"] if title in alike else ())) or (stem,)
            for title, video in sorted(groups)
        ]
    )
    for (_, members), title in zip(sorted(groups.items()), titled, strict=True):
        item = _Place(Rows(top.path, stem if len(groups) == 1 else title))
        files, fields = [n for _, n, _ in members], frame_fields([image for *_, image in members])
        numbers = item.rows.number("images", files, fields)
        for frame, (number, _, image) in zip(numbers, members, strict=True):
            item.frames[number] = frame
            item.sizes[number] = optional_size(image)
        sequences.append(item)
    return sequences


def _folder(name: str) -> str:
    """Return the folder of a file name that tells its sequence."""
    return str(PurePosixPath(name.replace("\\", "/")).parent)


def write(path: Path, output: Output) -> None:
    """Write a result as COCO annotations; `track_id` is the identity.

    Images are the frames that have detections, their ids and file names their numbers.
    """
    result = output.result
    rows = output.rows
    boxes = tight_boxes_xywh(result.rles[rows], *result.size)
    areas = areas_of(result.rles[rows], result.height * result.width)

    def images() -> Iterator[Json]:
        for frame in np.unique(result.frames).tolist():
            name = picture_name(output, frame)
            yield {"id": frame, "file_name": name, "height": result.height, "width": result.width}

    def annotations() -> Iterator[Json]:
        table = zip(rows.tolist(), boxes.tolist(), areas.tolist(), strict=True)
        for number, (row, box, area) in enumerate(table, 1):
            identity = int(result.ids[row])
            scored = {"score": float(result.scores[row])} if output.scored else {}
            yield {
                "id": number,
                "image_id": int(result.frames[row]),
                "category_id": int(result.classes[row]),
                "segmentation": rle_item(output, row),
                "bbox": box,
                "area": area,
                "iscrowd": 0,
                "track_id": identity,
                **scored,
            }

    with atomic_path(path) as temporary, temporary.open("w") as file:
        writer = JsonWriter(file)
        writer.items("images", images())
        writer.items("categories", category_items(output))
        writer.items("annotations", annotations())
        writer.close()
