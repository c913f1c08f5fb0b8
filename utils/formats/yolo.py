"""YOLO segmentation txt: a file a frame, a normalised polygon a line."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from utils.detections import Detections
from utils.files import atomic_folder
from utils.formats.base import File, Format, Options, Output, frame_size
from utils.formats.lines import INTEGER, REAL, integer, numbered, real
from utils.formats.rows import Rows, polygon_rle
from utils.masks import crop, decode_runs, tight_boxes_xywh
from utils.outlines import one_polygon

SCORE, ID = 1, 2  # what may stand behind the points


def _shares(fields: list[bytes]) -> bool:
    """Return whether a line is a class and numbers in [0, 1], perhaps with a track id behind."""
    if len(fields) < 5 or not INTEGER.fullmatch(fields[0]):
        return False
    values = fields[1:-1] if len(fields) > 5 else fields[1:]
    return all(REAL.fullmatch(f) and -0.01 <= float(f) <= 1.01 for f in values)


class YoloTxt(Format):
    """Polygons as Ultralytics reads and writes them, with or without confidence and track id."""

    name = "yolo"
    meaning = "YOLO segmentation txt, a file a frame: class x1 y1 x2 y2 ... [score [id]], in shares"
    suffixes = (".txt",)
    by_frame = True

    def fits(self, file: File) -> bool:
        """Return whether its first line is a class and shares of the frame."""
        lines = numbered(file.head)
        return bool(lines) and (_shares(lines[0][1]) or _poses([lines[0][1]]))

    def read_frames(self, files: Mapping[int, File], sequence: str, options: Options) -> Detections:
        """Return the sequence; classes count from 0 in the files.

        What stands behind the points, a score, an id or both, is told by all lines together.
        """
        first = next(iter(files.values()))
        size = frame_size(options, sequence)
        rows = Rows(first.path.parent, sequence, size)
        parsed = {frame: (file, numbered(file.content)) for frame, file in files.items()}
        every = [line for _, lines in parsed.values() for _, line in lines]
        if every and size is None:
            rule = "polygons in shares of the frame need its size (--size HxW, or --images)"
            raise rows.fail(None, rule, "none")
        if _poses(every):
            rule = "expected polygons; these are poses, boxes with key points and no masks"
            raise rows.fail(None, rule, f"{len(every[0])} fields in every line")
        tails = _tails(every)
        rows.scored = any(tail & SCORE for tail in tails)
        next_tail = iter(tails)
        for frame, (file, lines) in parsed.items():
            rows.path = file.path
            for n, fields in lines:
                self._line(rows, n, frame, fields, next(next_tail))
        rows.path = first.path.parent
        names = dict(options.classes.names)
        if rows.scored and not all(tail & SCORE for tail in tails):
            rows.notes.append("some lines have no score: they count as 1")
        if any(tail & ID for tail in tails):
            rows.notes.append("the last number of a line is taken as an id where it is whole")
        if len(rows):
            rows.notes.append("classes count from 0 in the files: class 1 is their 0, and so on")
        return rows.finish(names, options.ids)

    def _line(self, rows: Rows, n: int, frame: int, fields: list[bytes], tail: int) -> None:
        """Take one line."""
        cls = integer(rows.path, n, "class", fields[0]) + 1
        behind = bool(tail & SCORE) + bool(tail & ID)
        points = fields[1 : len(fields) - behind]
        if len(points) < 6 or len(points) % 2:
            rule = "expected class, three points or more" + ", a score" * bool(tail & SCORE)
            rule += ", an id" * bool(tail & ID)
            raise rows.fail(n, rule, f"{len(fields)} fields")
        values = [real(rows.path, n, "point", f, 2.0) for f in points]
        assert rows.size is not None
        height, width = rows.size
        polygon = [v * (height if i % 2 else width) for i, v in enumerate(values)]
        score = real(rows.path, n, "score", fields[-behind], 100.0) if tail & SCORE else 1.0
        identity = integer(rows.path, n, "id", fields[-1]) if tail & ID else 0
        rows.add(n, frame, cls, polygon_rle(rows, n, [polygon], rows.size), score, identity)


def _poses(lines: list[list[bytes]]) -> bool:
    """Return whether lines are class x y w h and key points (x, y, visibility) throughout."""
    alike = len({len(fields) for fields in lines}) == 1 and len(lines[0]) > 7
    return alike and all(
        len(fields) % 3 == 2 and set(fields[7::3]) <= {b"0", b"1", b"2"} and _shares(fields[:5])
        for fields in lines
    )


def _tails(lines: list[list[bytes]]) -> list[int]:
    """Return what stands behind the points of each line: SCORE, ID, both added, or 0 for nothing.

    Points come in pairs, so that an even number of fields has one behind them: an id if the last
    one is whole in all such lines, and above 1 in some. An odd number has a score and an id, or
    nothing: an id is whole, and above 1 in some line or 1 in all of several, which no outline is.
    """
    even, odd = ([f[-1] for f in lines if len(f) % 2 == parity] for parity in (0, 1))
    ids_alone = all(INTEGER.fullmatch(f) for f in even) and any(int(f) > 1 for f in even)
    high = any(INTEGER.fullmatch(f) and int(f) > 1 for f in odd)
    ids_too = high or (len(odd) > 1 and set(odd) == {b"1"})
    tails = []
    for fields in lines:
        if len(fields) % 2 == 0:
            tails.append(ID if ids_alone else SCORE)
        else:
            identified = ids_too and INTEGER.fullmatch(fields[-1]) and int(fields[-1]) > 0
            tails.append(SCORE + ID if identified else 0)
    return tails


def write(path: Path, output: Output) -> None:
    """Write a folder of a file a frame, as Ultralytics saves tracks: class, polygon, [score], id.

    Each mask is one polygon along pixel borders, which draws to the same pixels.
    """
    result = output.result
    with atomic_folder(path) as folder:
        for frame, rows in output.by_frame():
            lines = []
            boxes = tight_boxes_xywh(result.rles[rows], *result.size).astype(int)
            for row, (x, y, w, h) in zip(rows.tolist(), boxes.tolist(), strict=True):
                runs = decode_runs([result.rles[row]], result.height * result.width)[0]
                points = np.array(one_polygon(crop(runs, (x, y, w, h), result.height) > 0))
                shares = (points.reshape(-1, 2) + np.array([x, y])) / (result.width, result.height)
                fields = [f"{v:.7g}" for v in shares.ravel()]
                fields += [f"{result.scores[row]:.6g}"] if output.scored else []
                lines.append(f"{result.classes[row] - 1} {' '.join(fields)} {result.ids[row]}\n")
            (folder / f"{frame:06d}.txt").write_text("".join(lines))
