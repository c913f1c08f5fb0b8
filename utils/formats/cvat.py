"""CVAT: its XML 1.1 for videos and images, and its MOTS zip."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape, quoteattr

import numpy as np

from utils import masks
from utils.detections import Detections
from utils.files import atomic_path
from utils.formats.archives import member, names_in, opened
from utils.formats.base import File, Format, Options, Output
from utils.formats.rows import Rows, Size, polygon_rle
from utils.outlines import one_polygon

ZIP = b"PK\x03\x04"
SHAPES = ("polygon", "mask")
WITHOUT_MASK = ("box", "polyline", "points", "cuboid", "ellipse", "skeleton", "tag")


class CvatXml(Format):
    """Tracks of a video task, or shapes of images."""

    name = "cvat"
    meaning = "CVAT for video or images 1.1 (XML, or its zip): polygons and masks of tracks"
    suffixes = (".xml", ".zip")

    def fits(self, file: File) -> bool:
        """Return whether it is an XML of annotations, or a zip that holds one."""
        if file.head.startswith(ZIP):
            return file.suffix == ".zip" and any(map(_is_annotations, names_in(file)))
        return b"<annotations" in file.head

    def read(self, file: File, options: Options) -> list[Detections]:
        """Return the one sequence of the file, frame numbers as CVAT's."""
        rows = Rows(file.path, file.stem)
        content = file.content
        if content.startswith(ZIP):
            with opened(file) as archive:
                inside = [name for name in archive.namelist() if _is_annotations(name)]
                if len(inside) > 1:
                    rule = "must be of one task (unpack it, and name the tasks' files)"
                    raise rows.fail(None, rule, ", ".join(inside))
                content = member(rows, archive, inside[0])
        if b"<!DOCTYPE" in content[:4096] or b"<!ENTITY" in content[:65536]:
            raise rows.fail(None, "must be XML without a document type", "one")
        try:
            root = ElementTree.fromstring(content)
        except (ElementTree.ParseError, ValueError, LookupError) as error:
            line = getattr(error, "position", (None,))[0]
            raise rows.fail(line, "must be valid XML", error) from None
        whose = [e.get("task_id", "") for e in [*root.iter("track"), *root.iter("image")]]
        tasks = sorted({task for task in whose if task})
        if len(tasks) > 1:
            raise rows.fail(None, "must be of one task (export them one by one)", ", ".join(tasks))
        groups = sum(1 for tag in SHAPES for e in root.iter(tag) if e.get("group_id", "0") != "0")
        if groups:
            rows.notes.append(f"{groups} shapes are in groups: each is an object of its own here")
        numbers = _labels(root, options)
        size = _size(rows, root)
        skipped: dict[str, int] = {}
        step = _step(root)
        for i, track in enumerate(root.iter("track")):
            _track(rows, i, track, numbers, size, options, skipped, step)
        pictures = list(root.iter("image"))
        if pictures:
            _images(rows, pictures, numbers, options, skipped)
        if skipped:
            shown = ", ".join(f"{count} {tag}" for tag, count in sorted(skipped.items()))
            rows.notes.append(f"shapes that are no masks are left out: {shown}")
            rows.unread = f"shapes that are no masks: {shown}"
        names = {number: options.classes.names[number] for number in numbers.values()}
        return [rows.finish(names, options.ids)]


def _is_annotations(name: str) -> bool:
    """Return whether a file of an archive is a task's annotations, and not what macOS adds."""
    return name.endswith("annotations.xml") and "__MACOSX" not in name


def _labels(root: Any, options: Options) -> dict[str, int]:
    """Return {label: class number}, numbered in the order of the file's own list."""
    names = [e.findtext("name") or "" for e in root.iter("label") if e.find("name") is not None]
    names += [e.get("label", "") for tag in ("track", *SHAPES) for e in root.iter(tag)]
    known = [n for n in dict.fromkeys(names) if n]
    return {name: options.classes.number(name, i) for i, name in enumerate(known, 1)}


def _step(root: Any) -> int:
    """Return the step of a task's frame numbers: `step=2` of its frame filter."""
    match = re.search(r"step\s*=\s*(\d+)", root.findtext(".//frame_filter") or "")
    return max(1, int(match.group(1))) if match else 1


def _size(rows: Rows, root: Any) -> Size | None:
    """Return the frame size of a video task, None where it does not stand there."""
    element = root.find(".//original_size")
    if element is None:
        return None
    sides = [_integer(rows, "original_size", element.findtext(k)) for k in ("height", "width")]
    return rows.fix_size("original_size", *sides)


def _track(
    rows: Rows,
    number: int,
    track: Any,
    numbers: Mapping[str, int],
    size: Size | None,
    options: Options,
    skipped: dict[str, int],
    step: int,
) -> None:
    """Take the shapes of one track that are in the frame; step: from frame to frame."""
    name = track.get("id", str(number))
    identity = _integer(rows, f"track {name}", name) + 1
    cls = _class(rows, f"track {name}", track.get("label"), numbers)
    size = options.size if size is None else size
    shapes = sorted(
        ((_integer(rows, f"track {name}", s.get("frame")), s) for s in track if s.tag in SHAPES),
        key=lambda pair: pair[0],
    )
    for shape in track:
        if shape.tag in WITHOUT_MASK:
            skipped[shape.tag] = skipped.get(shape.tag, 0) + 1
    following_frames: list[int | None] = [frame for frame, _ in shapes[1:]]
    for (frame, shape), following in zip(shapes, [*following_frames, None], strict=False):
        if shape.get("outside") == "1":
            continue
        place = f"track {name} frame {frame}"
        rle = _shape(rows, place, shape, size)
        # CVAT holds a shape until the next one of its track.
        until = frame + step if following is None else following
        for held in range(frame, until, step):
            rows.add(f"track {name} frame {held}", held, cls, rle, identity=identity)
        if until > frame + step:
            rows.notes.append("shapes are held from keyframe to keyframe, as CVAT does")


def _images(
    rows: Rows,
    pictures: list[Any],
    numbers: Mapping[str, int],
    options: Options,
    skipped: dict[str, int],
) -> None:
    """Take the shapes of a task of images, numbered by their file names."""
    frames = rows.number("images", [p.get("name", "") for p in pictures])
    for frame, picture in zip(frames, pictures, strict=True):
        place = f"image {picture.get('name')}"
        size = rows.fix_size(
            place, *(_integer(rows, place, picture.get(k)) for k in ("height", "width"))
        )
        for shape in picture:
            if shape.tag in WITHOUT_MASK:
                skipped[shape.tag] = skipped.get(shape.tag, 0) + 1
            if shape.tag in SHAPES:
                cls = _class(rows, place, shape.get("label"), numbers)
                rows.add(place, frame, cls, _shape(rows, place, shape, size))


def _class(rows: Rows, place: str, label: str | None, numbers: Mapping[str, int]) -> int:
    """Return the class number of a label."""
    if label is None or label not in numbers:
        raise rows.fail(place, "label must be one of the task's", label)
    return numbers[label]


def _integer(rows: Rows, place: str, text: str | None) -> int:
    """Return a non-negative whole number of the XML."""
    if text is None or not (text.isascii() and text.isdigit() and len(text) < 10):
        raise rows.fail(place, "must be a whole number", text)
    return int(text)


def _real(rows: Rows, place: str, text: str) -> float:
    """Return a number of the XML."""
    try:
        number = float(text)
    except ValueError:
        number = float("nan")
    if not np.isfinite(number):
        raise rows.fail(place, "points must be finite numbers", text)
    return number


def _shape(rows: Rows, place: str, shape: Any, size: Size | None) -> bytes:
    """Return the run lengths of a polygon or mask."""
    if size is None:
        raise rows.fail(place, "the task must say its frame size (--size HxW)", "none")
    if shape.tag == "polygon":
        points = [p for p in shape.get("points", "").split(";") if p]
        pairs = [point.split(",") for point in points]
        if any(len(pair) != 2 for pair in pairs):
            raise rows.fail(place, "points must be x,y;x,y;...", shape.get("points"))
        values = [_real(rows, place, v) for pair in pairs for v in pair]
        return polygon_rle(rows, place, [values], rows.fix_size(place, *size))
    return _mask(rows, place, shape, rows.fix_size(place, *size))


def _mask(rows: Rows, place: str, shape: Any, size: Size) -> bytes:
    """Return the run lengths of a mask: CVAT's are row by row within its box."""
    keys = ("left", "top", "width", "height")
    left, top, width, height = (_integer(rows, place, shape.get(k)) for k in keys)
    if left + width > size[1] or top + height > size[0] or not width * height:
        rule = f"a mask must lie in the frame of {size[0]} x {size[1]}"
        raise rows.fail(place, rule, f"left {left} top {top} width {width} height {height}")
    runs = [_integer(rows, place, r.strip()) for r in shape.get("rle", "").split(",") if r.strip()]
    if sum(runs) != width * height:
        rule = f"RLE must add up to its box' {width * height} pixels"
        raise rows.fail(place, rule, sum(runs))
    part = np.repeat(np.arange(len(runs)) % 2, runs).reshape(height, width)
    return masks.encode_at(part, left, top, *size)


def write(path: Path, output: Output) -> None:
    """Write a result as CVAT for video 1.1: a track of polygons per identity, its id less one."""
    result, rows = output.result, output.rows
    frames = result.frames
    last = int(frames.max(initial=-1))
    step = max(1, int(np.gcd.reduce(np.diff(np.unique(frames)))))
    labels = sorted({int(c) for c in result.classes[rows]} | set(output.names))
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.write('<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n')
        file.write("<version>1.1</version>\n<meta><task>")
        file.write(f"<name>{escape(result.sequence)}</name><size>{last + 1}</size>")
        if step > 1:  # as CVAT says that shapes are held for a step, not for a frame
            file.write(f"<frame_filter>step={step}</frame_filter>")
        file.write("<mode>interpolation</mode><overlap>0</overlap><labels>")
        for cls in labels:
            file.write(f"<label><name>{escape(output.name(cls))}</name></label>")
        file.write(f"</labels><original_size><width>{result.width}</width>")
        file.write(f"<height>{result.height}</height></original_size></task></meta>\n")
        for identity, part in output.by_track():
            name = quoteattr(output.name(int(result.classes[part[0]])))
            file.write(f'<track id="{identity - 1}" label={name} source="auto">\n')
            for row, following in zip(part.tolist(), [*part[1:].tolist(), None], strict=True):
                file.write(_element(result, row, int(frames[row]), outside=False))
                after = int(frames[row]) + step
                seen = last + step if following is None else int(frames[following])
                if after < seen:
                    file.write(_element(result, row, after, outside=True))
            file.write("</track>\n")
        file.write("</annotations>\n")


def _element(result: Detections, row: int, frame: int, outside: bool) -> str:
    """Return the XML of a mask as one polygon, since CVAT's tracks hold no masks.

    Args:
        result, row: where the mask is. frame: number. outside: that its track is not seen there.
    """
    pixels = result.height * result.width
    box = masks.tight_boxes_xywh([result.rles[row]], *result.size)[0].astype(int).tolist()
    inside = masks.crop(masks.decode_runs([result.rles[row]], pixels)[0], box, result.height) > 0
    points = np.array(one_polygon(inside)).reshape(-1, 2) + box[:2]
    text = ";".join(f"{x:g},{y:g}" for x, y in points.tolist())
    return (
        f'<polygon frame="{frame}" keyframe="1" outside="{int(outside)}" occluded="0" '
        f'points="{text}" z_order="0"/>\n'
    )
