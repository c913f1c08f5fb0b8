"""Every detection and result format: MOTS txt, MOTS20 tracking-only detections, TrackR-CNN's."""

import os
import re
import tempfile
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from utils import masks
from utils.detections import CLASS_NAMES, Detections

MAX_SIDE = 16384  # pixels; the largest frame side that is read
MAX_FRAME = 1_000_000  # scorers and videos take room for every frame up to the last
MAX_COORDINATE = 1e6  # pixels; boxes beyond it are typing errors, and would overflow a float32
INTEGER = re.compile(rb"[0-9]{1,9}")
REAL = re.compile(rb"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,4})?")
EMBEDDING = 128  # floats at the end of a TrackR-CNN line

# Field numbers per format: (frame, id, class, height, width, rle, score, box), None where absent.
MOTS_TXT, TRACKING_ONLY, TRACK_RCNN = 6, 10, 10 + EMBEDDING
LAYOUTS = {
    MOTS_TXT: dict(frame=0, id=1, cls=2, height=3, width=4, rle=5, score=None, box=None),
    TRACKING_ONLY: dict(frame=0, id=None, cls=6, height=7, width=8, rle=9, score=5, box=1),
    TRACK_RCNN: dict(frame=0, id=None, cls=6, height=7, width=8, rle=9, score=5, box=1),
}


class FormatError(ValueError):
    """Input that breaks a rule; the message is one line: `file:line: rule, got value`."""

    def __init__(self, path, line, rule, value):
        where = f"{path}:{line}" if line else str(path)
        super().__init__(f"{where}: {rule}, got {value}")


def _shown(field):
    """Return a field as short printable text for a message."""
    text = ascii(field.decode("latin-1")) if isinstance(field, bytes) else str(field)
    return text if len(text) <= 60 else text[:57] + "..."


def instances_folder(path):
    """Return the folder of MOTS ground truth: `instances_txt` in `path`, else `path` itself."""
    inner = Path(path) / "instances_txt"
    return inner if inner.is_dir() else Path(path)


def find_sequences(path, names=None):
    """Return {sequence name: file} for a txt file or a folder of them, names ascending.

    Args:
        path: a SEQ.txt file, or a folder of SEQ.txt files.
        names: sequences to take; None takes all.

    Raises:
        FormatError: nothing there, or a named sequence is missing.
    """
    path = Path(path)
    if path.is_file():
        files = {path.stem: path}
    elif path.is_dir():
        files = {file.stem: file for file in sorted(path.glob("*.txt")) if file.is_file()}
    else:
        raise FormatError(path, None, "must be a txt file or a folder of txt files", "no such path")
    if not files:
        raise FormatError(path, None, "must hold SEQ.txt files", "none")
    for name in names or ():
        if name not in files:
            raise FormatError(path, None, f"must hold sequence {name}", ", ".join(files))
    return {name: files[name] for name in names} if names else files


def read_detections(path, sequence=None):
    """Read one file of any of the three formats, told apart by their field count.

    * 6 fields, MOTS txt: `frame id class height width rle`. The id is kept as truth, the score is
      1 and the box is the one around the mask.
    * 10 fields, MOTS20 tracking-only: `frame x y w h score class height width rle`.
    * 138 fields, TrackR-CNN: `frame x1 y1 x2 y2 score class height width rle` and 128 floats.

    Args:
        path: the file.
        sequence: its name; None takes the file's stem.

    Returns:
        Detections, rows in file order. An empty file is a sequence without detections.

    Raises:
        FormatError: a line that breaks a rule. Nothing is decoded before it is checked.
    """
    path = Path(path)
    sequence = sequence or path.stem
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise FormatError(path, None, "must be readable", error.strerror) from None
    numbered = [(n, fields) for n, line in enumerate(lines, 1) if (fields := line.split())]
    if not numbered:
        return Detections.empty(sequence)
    count = len(numbered[0][1])
    if count not in LAYOUTS:
        raise FormatError(path, numbered[0][0], "expected 6, 10 or 138 fields", count)
    layout = LAYOUTS[count]
    rows, rles = [], []
    for n, fields in numbered:
        rows.append(_parse_line(path, n, fields, count, layout))
        rles.append(fields[layout["rle"]])
    frames, ids, classes, heights, widths, scores, boxes, extra = zip(*rows, strict=True)
    height, width = _frame_size(path, numbered, heights, widths)
    try:
        runs, offsets = masks.decode_runs(rles, height * width)
    except masks.RleError as error:
        raise FormatError(path, numbered[error.row][0], error.rule, error.value) from None
    rles = masks.canonical(rles, runs, offsets, height, width)
    if count == MOTS_TXT:
        _check_ids(path, numbered, frames, ids)
        boxes = masks.tight_boxes_xywh(rles, height, width)
    column = np.empty(len(rles), object)
    column[:] = rles
    return Detections(
        sequence,
        height,
        width,
        np.array(frames, np.int32),
        np.array(classes, np.int16),
        np.array(scores, np.float32),
        np.array(boxes, np.float64).reshape(-1, 4),
        column,
        np.array(ids, np.int32),
        np.array(extra, np.float32) if count == TRACK_RCNN else None,
        scored=count != MOTS_TXT,
    )


def _parse_line(path, n, fields, count, layout):
    """Return (frame, id, class, height, width, score, box, embedding) of one checked line."""
    if len(fields) != count:
        expected = "6, 10 or 138 fields" if len(fields) not in LAYOUTS else f"{count} fields"
        raise FormatError(path, n, f"expected {expected}, as in the lines before", len(fields))

    def integer(name, position):
        if not INTEGER.fullmatch(fields[position]):
            rule = f"{name} must be a non-negative integer"
            raise FormatError(path, n, rule, _shown(fields[position]))
        return int(fields[position])

    frame = integer("frame", layout["frame"])
    if frame > MAX_FRAME:
        raise FormatError(path, n, f"frame must be at most {MAX_FRAME}", frame)
    identity = 0 if layout["id"] is None else integer("id", layout["id"])
    cls = integer("class", layout["cls"])
    if cls not in CLASS_NAMES:
        raise FormatError(path, n, "class must be 1, 2 or 10", cls)
    size = integer("height", layout["height"]), integer("width", layout["width"])
    if not (0 < size[0] <= MAX_SIDE and 0 < size[1] <= MAX_SIDE):
        rule = f"height and width must be in 1..{MAX_SIDE}"
        raise FormatError(path, n, rule, f"{size[0]} {size[1]}")
    score, box, extra = 1.0, None, None
    if layout["score"] is not None:
        score = _real(path, n, "score", fields[layout["score"]], 1.0)
        if not 0 <= score <= 1:
            raise FormatError(path, n, "score must be in [0, 1]", score)
        box = [_real(path, n, "box", field, MAX_COORDINATE) for field in fields[1:5]]
        if count == TRACK_RCNN:
            box = [box[0], box[1], box[2] - box[0], box[3] - box[1]]
            extra = [_real(path, n, "embedding", field, 1e30) for field in fields[-EMBEDDING:]]
        if box[2] < 0 or box[3] < 0:
            rule = "box width and height must not be negative"
            raise FormatError(path, n, rule, f"{box[2]:g} {box[3]:g}")
    return frame, identity, cls, *size, score, box, extra


def _real(path, n, name, field, limit):
    """Return a finite number of at most `limit` in size."""
    if not REAL.fullmatch(field):
        raise FormatError(path, n, f"{name} must be a finite number", _shown(field))
    value = float(field)
    if not abs(value) <= limit:
        raise FormatError(path, n, f"{name} must be at most {limit:g} in size", _shown(field))
    return value


def _frame_size(path, numbered, heights, widths):
    """Return the one (height, width) of all lines."""
    size = heights[0], widths[0]
    for (n, _), height, width in zip(numbered, heights, widths, strict=True):
        if (height, width) != size:
            rule = f"frame size must be {size[0]} {size[1]} as in line {numbered[0][0]}"
            raise FormatError(path, n, rule, f"{height} {width}")
    return size


def _check_ids(path, numbered, frames, ids):
    """Refuse two objects with one id in one frame."""
    seen = {}
    for (n, _), frame, identity in zip(numbered, frames, ids, strict=True):
        if (frame, identity) in seen:
            rule = f"an id must occur once in a frame (also in line {seen[frame, identity]})"
            raise FormatError(path, n, rule, f"id {identity} twice in frame {frame}")
        seen[frame, identity] = n


def read_sequences(path, names=None):
    """Return [Detections] of a file or folder; all are read and checked before any is used."""
    return [read_detections(file, name) for name, file in find_sequences(path, names).items()]


def merge_sequences(first, second):
    """Return the rows of two files of one sequence, as where each class has its own folder."""
    if not len(first) or not len(second):
        return first if len(first) else second
    if (first.height, first.width) != (second.height, second.width):
        rule = f"frame size must be {first.height} {first.width} in every file of the sequence"
        raise FormatError(first.sequence, None, rule, f"{second.height} {second.width}")
    columns = ("frames", "classes", "scores", "boxes_xywh", "rles", "ids")
    if first.embeddings is not None and second.embeddings is not None:
        columns += ("embeddings",)
    joined = {n: np.concatenate([getattr(first, n), getattr(second, n)]) for n in columns}
    return Detections(
        first.sequence, first.height, first.width, **joined, scored=first.scored or second.scored
    )


def read_mot(path):
    """Read MOT ground truth, `frame,id,x,y,w,h,...` (pixels), as the synthetic sets have it.

    Returns:
        frames (n,) int, ids (n,) int, boxes_xywh (n, 4) float.

    Raises:
        FormatError: a line without six finite numbers.
    """
    path, rows = Path(path), []
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise FormatError(path, None, "must be readable", error.strerror) from None
    for n, line in enumerate(lines, 1):
        fields = [field.strip() for field in line.split(b",")]
        if fields == [b""]:
            continue
        if len(fields) < 6:
            raise FormatError(path, n, "expected frame,id,x,y,w,h", f"{len(fields)} fields")
        rows.append([_real(path, n, "field", field, MAX_COORDINATE) for field in fields[:6]])
    table = np.array(rows).reshape(-1, 6)
    return table[:, 0].astype(int), table[:, 1].astype(int), table[:, 2:]


@contextmanager
def atomic_path(path):
    """Yield a temporary path beside `path`; rename it there on success, else leave nothing."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}.", suffix=path.suffix)
    os.close(handle)
    try:
        os.chmod(name, 0o644)
        yield Path(name)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def output_ids(track_ids, classes):
    """Return the identities written to MOTS txt.

    Tracks of a class are numbered k = 1, 2, ... by their first row in (frame, row) order as given.
    A class with at most 999 tracks gets class * 1000 + k, the benchmark's habit. If any class has
    more, every class gets class * 10**d + k with d the digits of the largest count, so that ids
    stay unique across classes.

    Args:
        track_ids: (n,) int, 0 for no track; in temporal order.
        classes: (n,) int.

    Returns:
        (n,) int32, 0 for no track.
    """
    numbers, counts = {}, {}
    for track, cls in zip(track_ids.tolist(), classes.tolist(), strict=True):
        if track and track not in numbers:
            counts[cls] = counts.get(cls, 0) + 1
            numbers[track] = (cls, counts[cls])
    base = 10 ** max(3, len(str(max(counts.values(), default=0))))
    ids = {track: cls * base + k for track, (cls, k) in numbers.items()}
    return np.array([ids.get(track, 0) for track in track_ids.tolist()], np.int32)


def make_disjoint(detections, rows):
    """Return the rows' masks (list of bytes) without common pixels, and the rows left empty.

    A pixel goes to the detection with the higher score; among equals to the smaller mask, which is
    more often the one in front, then to the earlier row.

    Args:
        detections: Detections.
        rows: indices of detections of one frame.
    """
    coco = detections.coco(rows)
    counts = [mask["counts"] for mask in coco]
    shared = masks.overlap(coco, coco)
    np.fill_diagonal(shared, False)
    if not shared.any():
        return counts, []
    area = masks.areas_of(counts, detections.height * detections.width)
    order = np.lexsort((rows, area, -detections.scores[rows]))
    rank = np.argsort(order)
    emptied = []
    for i in np.flatnonzero(shared.any(axis=1)).tolist():
        stronger = [coco[j] for j in np.flatnonzero(shared[i]) if rank[j] < rank[i]]
        if not stronger:
            continue
        counts[i] = masks.subtract(coco[i], stronger)
        if not masks.areas_of([counts[i]], detections.height * detections.width):
            emptied.append(int(rows[i]))
    return counts, emptied


def write_tracks(path, detections, track_ids):
    """Write a tracking result as MOTS txt: `frame id class height width rle`, frames ascending.

    Masks are made disjoint per frame across classes; a mask left empty is dropped. The file
    appears whole or not at all.

    Args:
        path: the file to write.
        detections: n Detections.
        track_ids: (n,) int32, 0 for rows that belong to no track.

    Returns:
        The rows that were dropped because nothing of their mask was left (list of int).
    """
    tracked = np.flatnonzero(track_ids)
    order = tracked[np.lexsort((tracked, detections.frames[tracked]))]
    ids = np.zeros(len(detections), np.int32)
    ids[order] = output_ids(np.asarray(track_ids)[order], detections.classes[order])
    lines, dropped = [], []
    size = f"{detections.height} {detections.width}"
    starts = np.flatnonzero(np.diff(detections.frames[order])) + 1
    for rows in np.split(order, starts) if len(order) else ():
        counts, emptied = make_disjoint(detections, rows)
        dropped += emptied
        for row, rle in zip(rows.tolist(), counts, strict=True):
            if row not in emptied:
                head = f"{detections.frames[row]} {ids[row]} {detections.classes[row]} {size} "
                lines.append(head.encode() + rle + b"\n")
    with atomic_path(path) as temporary:
        temporary.write_bytes(b"".join(lines))
    return dropped
