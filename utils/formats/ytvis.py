"""YouTube-VIS JSON: videos with a mask per track and frame, as annotations and as results."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt

from utils.detections import Detections
from utils.files import atomic_path
from utils.formats.base import File, Format, Options, Output
from utils.formats.json_values import (
    Categories,
    Json,
    JsonWriter,
    category_items,
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
from utils.video_names import video_names


class YtvisAnnotations(Format):
    """Videos, their tracks, and categories."""

    name = "ytvis"
    meaning = "YouTube-VIS annotations (JSON): videos, annotations with segmentations, categories"
    suffixes = (".json",)

    def fits(self, file: File) -> bool:
        """Return whether it is an object with videos whose tracks have segmentations."""
        head = file.head.lstrip()
        if not head.startswith(b"{") or b'"videos"' not in file.content:
            return False
        return b'"segmentations"' in file.content or b'"images"' not in file.content

    def read(self, file: File, options: Options) -> list[Detections]:
        """Return the videos of the file, frame numbers from their file names."""
        top = Rows(file.path, file.stem)
        data = load(file)
        annotations = value(top, "file", data, "annotations", list)
        kinds = Categories(top, data, annotations, options.classes)
        videos: dict[Any, tuple[Rows, list[int], Size | None]] = {}
        titles = _titles(top, file.stem, value(top, "file", data, "videos", list))
        for i, video in enumerate(data["videos"]):
            place = place_of("video", i, video)
            number = value(top, place, video, "id", int)
            if number in videos:
                raise top.fail(place, "a video must be listed once", number)
            files = [str(f) for f in value(top, place, video, "file_names", list)]
            rows = Rows(file.path, titles[i])
            frames = rows.number(place, files, _indexes(video, len(files)))
            videos[number] = rows, frames, optional_size(video)
        for i, item in enumerate(annotations):
            place = place_of("annotation", i, item)
            video = value(top, place, item, "video_id", int)
            if video not in videos:
                raise top.fail(place, "video_id must be that of a video", video)
            rows, frames, size = videos[video]
            cls, crowd = kinds.of(place, item)
            identity = 0 if crowd else value(top, place, item, "id", int)
            add_track(rows, place, item, frames, size, cls, 1.0, identity)
        for rows, _, _ in videos.values():
            rows.notes += top.notes
        return [rows.finish(kinds.names, options.ids) for rows, _, _ in videos.values()]


def _titles(top: Rows, stem: str, videos: Sequence[Json]) -> list[str]:
    """Return the names of a file's videos: the folders of their frames, else by their numbers."""
    paths = []
    for i, video in enumerate(videos):
        place = place_of("video", i, video)
        files = [str(f) for f in value(top, place, video, "file_names", list)]
        folders = {str(PurePosixPath(name.replace("\\", "/")).parent) for name in files}
        folder = PurePosixPath(folders.pop()).parts if len(folders) == 1 else ()
        number = value(top, place, video, "id", int)
        paths.append(folder or ((f"{stem}_{number}",) if len(videos) > 1 else (stem,)))
    return video_names(paths)


def _indexes(video: Json, count: int) -> list[int] | None:
    """Return the frame numbers that a video gives its frames, None where it gives none."""
    fields = video.get("frame_ids", video.get("frame_indices"))
    whole = isinstance(fields, list) and len(fields) == count
    return fields if whole and all(type(v) is int and v >= 0 for v in fields) else None


def add_track(
    rows: Rows,
    place: str,
    item: Json,
    frames: list[int] | None,
    size: Size | None,
    cls: int,
    score: Any,
    identity: int,
) -> None:
    """Take the masks of one track; null where it is not seen.

    Args:
        rows: of its video. place: of the track. item: as in the file.
        frames: numbers of the video's frames; None counts from 0. size: of them, if known.
        cls, score, identity: of the track.
    """
    segmentations = value(rows, place, item, "segmentations", list)
    if frames is not None and len(segmentations) != len(frames):
        rule = f"segmentations must be as many as the video's {len(frames)} frames"
        raise rows.fail(place, rule, len(segmentations))
    for i, segmentation in enumerate(segmentations):
        if segmentation is None:
            continue
        frame = i if frames is None else frames[i]
        where = f"{place} frame {frame}"
        rle = mask_of(rows, where, segmentation, size)
        rows.add(where, frame, cls, rle, score, identity)


class YtvisResults(Format):
    """A list of tracks with scores, as YouTube-VIS' evaluation takes it."""

    name = "ytvis-results"
    meaning = "YouTube-VIS results (JSON): [{video_id, category_id, segmentations, score}]"
    suffixes = (".json",)

    def fits(self, file: File) -> bool:
        """Return whether it is a list of objects with segmentations."""
        head = file.head.lstrip()
        return head.startswith(b"[") and b'"video_id"' in head and b'"image_id"' not in head

    def read(self, file: File, options: Options) -> list[Detections]:
        """Return the videos of the file by number, frames from 0; each item is a track."""
        top = Rows(file.path, file.stem)
        items = load(file)
        if not isinstance(items, list):
            raise top.fail(None, "must be a list of tracks", type(items).__name__)
        of = [value(top, f"track {i}", item, "video_id", int) for i, item in enumerate(items)]
        several = len(set(of)) > 1
        videos: dict[int, Rows] = {}
        shift = options.classes.shift([item.get("category_id") for item in items], top)
        for i, (video, item) in enumerate(zip(of, items, strict=True)):
            place = f"track {i}"
            name = f"{file.stem}_{video}" if several else file.stem
            rows = videos.setdefault(video, Rows(file.path, name, scored=True))
            cls = value(top, place, item, "category_id", int) + shift
            score = value(top, place, item, "score", object)
            add_track(rows, place, item, None, None, cls, score, i + 1)
        for rows in videos.values():
            rows.notes.append("frames are counted from 0; a track is an item of the list")
            if shift:
                rows.notes.append("categories count from 0: class 1 is category 0, and so on")
        return [
            videos[video].finish(options.classes.names, options.ids) for video in sorted(videos)
        ]


def write(path: Path, output: Output) -> None:
    """Write a result as YouTube-VIS annotations of one video; an annotation's id is the identity.

    The video's frames are those that have detections; a score is a track's mean.
    """
    result = output.result
    numbers = np.unique(result.frames).tolist()
    video = {
        "id": 1,
        "height": result.height,
        "width": result.width,
        "length": len(numbers),
        "file_names": [picture_name(output, frame) for frame in numbers],
    }
    tracks = (_annotation(output, i, rows, numbers) for i, rows in output.by_track())
    with atomic_path(path) as temporary, temporary.open("w") as file:
        writer = JsonWriter(file)
        writer.items("videos", [video])
        writer.items("categories", category_items(output))
        writer.items("annotations", tracks)
        writer.close()


def _annotation(
    output: Output, identity: int, rows: npt.NDArray[np.int64], frames: list[int]
) -> Json:
    """Return a track as an annotation; null where it has no mask.

    Args:
        output: Output. identity: of the track. rows: its, frames ascending. frames: of the video.
    """
    result = output.result
    boxes = tight_boxes_xywh(result.rles[rows], *result.size)
    areas = areas_of(result.rles[rows], result.height * result.width)
    lists: dict[str, list[Any]] = {
        n: [None] * len(frames) for n in ("segmentations", "bboxes", "areas")
    }
    places = np.searchsorted(frames, result.frames[rows]).tolist()
    for i, (place, row) in enumerate(zip(places, rows.tolist(), strict=True)):
        lists["segmentations"][place] = rle_item(output, row)
        lists["bboxes"][place], lists["areas"][place] = boxes[i].tolist(), int(areas[i])
    return {
        "id": identity,
        "video_id": 1,
        "category_id": int(result.classes[rows[0]]),
        **lists,
        "height": result.height,
        "width": result.width,
        "iscrowd": 0,
        **({"score": float(result.scores[rows].mean())} if output.scored else {}),
    }
