"""MOT txt, boxes with ids separated by commas: ground truth of the generated sets, and results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from utils.files import FormatError, atomic_path, read_bytes
from utils.formats.base import Output
from utils.formats.lines import MAX_COORDINATE, real
from utils.masks import tight_boxes_xywh


def read_mot(
    path: Path | str,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Read MOT ground truth, `frame,id,x,y,w,h,...` (pixels).

    Returns:
        frames (n,) int, ids (n,) int, boxes_xywh (n, 4) float.

    Raises:
        FormatError: a line without six finite numbers.
    """
    path, rows = Path(path), []
    for n, line in enumerate(read_bytes(path).splitlines(), 1):
        fields = [field.strip() for field in line.split(b",")]
        if fields == [b""]:
            continue
        if len(fields) < 6:
            raise FormatError(path, n, "expected frame,id,x,y,w,h", f"{len(fields)} fields")
        rows.append([real(path, n, "field", field, MAX_COORDINATE) for field in fields[:6]])
    table: npt.NDArray[Any] = np.array(rows).reshape(-1, 6)
    return table[:, 0].astype(int), table[:, 1].astype(int), table[:, 2:]


def write(path: Path, output: Output) -> None:
    """Write the boxes around a result's masks as a MOT tool takes them: `frame,id,x,y,w,h,score`.

    Pixels are as in the frame, from 0; three fields of -1 stand for a place in the world.
    """
    result, rows = output.result, output.rows
    boxes = tight_boxes_xywh(result.rles[rows], *result.size)
    columns = (result.frames[rows], result.ids[rows], boxes, result.scores[rows])
    with atomic_path(path) as temporary, temporary.open("w") as file:
        for frame, identity, box, score in zip(*(c.tolist() for c in columns), strict=True):
            place = ",".join(f"{v:g}" for v in box)
            file.write(f"{frame},{identity},{place},{score:.6g},-1,-1,-1\n")
