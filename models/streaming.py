"""A sequence of detections as the frames that a tracker takes, one after another."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from models.tracking import BOXES, CELLS, IDS, MASKS, Array, Frame, Tracker, locked
from utils.detections import Detections


def iterate_frames(
    detections: Detections,
    tracker: Tracker,
    columns: Mapping[str, Any] | None = None,
    keep: Array | None = None,
    step: int = 1,
    first: int = 0,
) -> Iterator[Frame]:
    """Yield the Frames of a sequence that hold detections, frames ascending.

    Args:
        detections: n Detections. tracker: says which columns are needed.
        columns: {name: (n, ...)}, row i that of detection i: embeddings, vectors, colours.
        keep: (n,) bool, detections that take part; None takes all.
        step: frame numbers that make one step. first: what frames call the first detection.

    Raises:
        ValueError: a step that makes one frame of two.
    """
    by_frame = detections.rows_by_frame(keep)
    if not by_frame:
        return
    # Every column is put into the order of frames once: a frame then has a slice of it.
    order = np.concatenate([rows for _, rows in by_frame])
    read = _columns(detections, tracker, columns or {}, order)
    table = {name: locked(values[order]) for name, values in read.items()}
    rows = locked(order + first)
    classes, scores = locked(detections.classes[order]), locked(detections.scores[order])
    last, start = None, 0
    for number, mine in by_frame:
        counted = number if step == 1 else round(number / step)
        if counted == last:
            rule = f"frames of {detections.sequence} must be at least a step of {step} apart"
            raise ValueError(f"{rule}, got frame {number} after its neighbour")
        last, part = counted, slice(start, start + len(mine))
        start += len(mine)
        chosen = {name: values[part] for name, values in table.items()}
        yield Frame(counted, rows[part], classes[part], scores[part], detections.size, chosen)


def _columns(
    detections: Detections, tracker: Tracker, given: Mapping[str, Any], taking: Array
) -> dict[str, Array]:
    """Return {name: (n, ...)} of the columns that a tracker reads and that are there.

    Args:
        taking: rows whose masks are looked at.
    """
    columns: dict[str, Array] = {}
    for name in (*tracker.needs, *tracker.uses):
        if name in (BOXES, IDS, MASKS):
            columns[name] = getattr(detections, name)
        elif name == CELLS:
            from utils.mask_cells import mask_cells  # Numba, for which only trackers wait

            columns[name] = np.zeros(len(detections), np.uint64)
            rles, boxes = detections.rles[taking].tolist(), detections.boxes_xywh[taking]
            columns[name][taking] = mask_cells(rles, boxes, detections.size)
        elif name in given:
            columns[name] = given[name]
    return columns


def track(
    detections: Detections,
    tracker: Tracker,
    columns: Mapping[str, Any] | None = None,
    keep: Array | None = None,
    step: int = 1,
) -> tuple[npt.NDArray[np.int32], Counter[str]]:
    """Track one sequence: a loop over `Tracker.update`; arguments as in `iterate_frames`.

    Returns:
        track_ids: (n,) int32, 0 for detections that belong to no track.
        report: Counter, the tracker's.
    """
    track_ids = np.zeros(len(detections), np.int32)
    for frame in iterate_frames(detections, tracker, columns, keep, step):
        tracker.update(frame)
    rows, ids = tracker.flush()
    track_ids[rows] = ids
    return track_ids, tracker.report
