"""The Cell Tracking Challenge's results: a label image a frame, and a table of tracks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from utils.detections import Detections
from utils.files import FormatError, atomic_folder
from utils.formats.base import Output
from utils.formats.label_writing import label_image
from utils.formats.labels import LARGEST_PNG

TABLES = ("res_track.txt", "man_track.txt")


def write(path: Path, output: Output) -> None:
    """Write `maskTTT.tif` (16 bit) from frame 0 on, and `res_track.txt`.

    A line of it is label, first frame, last frame, parent.
    Labels are identities where 16 bits hold them, else numbers from 1. A track with a gap becomes
    several, each the parent of the next, as the challenge has it.

    Raises:
        ValueError: more tracks than 16-bit labels.
    """
    import tifffile

    result = output.result
    step = _step(result.frames)
    labels, lines = _labelled(output, step)
    shown = dict(output.by_frame())
    with atomic_folder(path) as folder:
        start = min(shown, default=0) % step
        for frame in range(start, max(shown, default=-1) + 1, step):
            rows = shown.get(frame, np.zeros(0, np.int64))
            image = label_image(result, rows, labels[rows]).astype(np.uint16)
            tifffile.imwrite(folder / f"mask{frame:03d}.tif", image, compression="zlib")
        text = "".join(f"{' '.join(map(str, line))}\n" for line in sorted(lines))
        (folder / TABLES[0]).write_text(text)


def _labelled(
    output: Output, step: int
) -> tuple[npt.NDArray[np.int64], list[tuple[int, int, int, int]]]:
    """Return the (n,) label of each row, and the lines of the table."""
    result = output.result
    spans: list[tuple[int, npt.NDArray[np.int64]]] = []  # (identity, its rows without a gap)
    for identity, rows in output.by_track():
        cuts = np.flatnonzero(np.diff(result.frames[rows]) > step) + 1
        spans += [(identity, part) for part in np.split(rows, cuts)]
    largest = int(result.ids.max(initial=0))
    more = len(spans) - len({identity for identity, _ in spans})
    if len(spans) > LARGEST_PNG:
        rule = f"ctc holds {LARGEST_PNG} labels (a track with gaps needs several)"
        raise ValueError(f"{rule}, got {len(spans)}")
    keep = largest + more <= LARGEST_PNG
    labels = np.zeros(len(result), np.int64)
    last: dict[int, int] = {}  # label of an identity's part before a gap
    lines, fresh = [], largest
    for n, (identity, rows) in enumerate(spans, 1):
        before = last.get(identity)
        if keep and before is None:
            label = identity
        else:
            fresh += 1
            label = fresh if keep else n
        first, end = int(result.frames[rows[0]]), int(result.frames[rows[-1]])
        parent = before or last.get((result.parents or {}).get(identity, 0), 0)
        lines.append((label, first, end, parent))
        labels[rows], last[identity] = label, label
    return labels, lines


def _step(frames: npt.NDArray[np.int32]) -> int:
    """Return the common step of frame numbers, 1 where there is none."""
    gaps = np.diff(np.unique(frames))
    return int(np.gcd.reduce(gaps)) if len(gaps) else 1


def with_table(detections: Detections, folder: Path) -> Detections:
    """Return label images with what the table of tracks in their folder says, if there is one.

    Who comes after a gap as the only child of a track is that track; two children are daughters.

    Raises:
        FormatError: a line that is not label, first, last and parent.
    """
    path = next((folder / name for name in TABLES if (folder / name).is_file()), None)
    if path is None:
        return detections
    rows: dict[int, tuple[int, int, int]] = {}
    for n, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
        fields = line.split()
        if not fields:
            continue
        if len(fields) != 4 or not all(f.isdecimal() for f in fields):
            raise FormatError(path, n, "must be label, first frame, last frame, parent", line)
        label, *rest = map(int, fields)
        rows[label] = (rest[0], rest[1], rest[2])
    return _joined(detections, rows)


def _joined(detections: Detections, rows: Mapping[int, tuple[int, int, int]]) -> Detections:
    """Return detections with ids and parents by a table {label: (first, last, parent)}."""
    children: dict[int, list[int]] = {}
    for label, (_, _, parent) in rows.items():
        children.setdefault(parent, []).append(label)
    same: dict[int, int] = {}
    parents: dict[int, int] = {}
    for label, (first, _, parent) in sorted(rows.items(), key=lambda row: row[1][0]):
        before = same.get(parent, parent)
        alone = parent in rows and len(children[parent]) == 1 and first > rows[parent][1] + 1
        same[label] = before if alone else label
        if parent in rows and not alone:
            parents[label] = before
    ids = np.array([same.get(i, i) for i in detections.ids.tolist()], np.int32)
    return replace(detections, ids=ids, parents=parents or None)
