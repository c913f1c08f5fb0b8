"""MOTS txt, the benchmark's format of ground truth and results: masks with ids, without scores."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from utils.detections import Detections
from utils.files import atomic_path
from utils.formats.base import Output
from utils.formats.lines import Columns

MOTS_TXT = Columns(
    "mots",
    "frame id class height width rle",
    fields=6,
    frame=0,
    id=1,
    cls=2,
    height=3,
    width=4,
    rle=5,
)


def write_output(path: Path, output: Output) -> None:
    """Write a result, see `write`."""
    write(path, output.result)


def write(path: Path, detections: Detections) -> None:
    """Write the rows that have an id, frames ascending, whole or not at all."""
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        file.writelines(lines_of(detections))


def lines_of(detections: Detections) -> Iterator[bytes]:
    """Yield the lines of the rows that have an id, frames ascending."""
    rows = np.flatnonzero(detections.ids)
    order = rows[np.lexsort((rows, detections.frames[rows]))]
    size = f"{detections.height} {detections.width}"
    columns = (detections.frames, detections.ids, detections.classes)
    heads = zip(*(column[order].tolist() for column in columns), strict=True)
    for (frame, identity, cls), rle in zip(heads, detections.rles[order], strict=True):
        yield f"{frame} {identity} {cls} {size} ".encode() + rle + b"\n"
