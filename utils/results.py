"""From track ids to what is written: disjoint masks and the benchmark's ids, row by row."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco_mask

from utils import masks
from utils.detections import Detections

MAX_ID = 10**9  # ids of MOTS txt are below
INSIDE = 0.9  # share of a mask in another from which little would be left of it


def output_ids(track_ids: npt.NDArray[Any], classes: npt.NDArray[Any]) -> npt.NDArray[np.int32]:
    """Return the identities written to MOTS txt.

    Tracks of a class are numbered k = 1, 2, ... by their first row in (frame, row) order as given.
    A class with at most 999 tracks gets class * 1000 + k, the benchmark's habit. If any class has
    more, every class gets class * 10**d + k with d the digits of the largest count, so that ids
    stay unique across classes. Where that makes ids of ten digits, tracks are numbered through.

    Args:
        track_ids: (n,) int, 0 for no track; in temporal order.
        classes: (n,) int.

    Returns:
        (n,) int32, 0 for no track.
    """
    numbers: dict[int, tuple[int, int]] = {}
    counts: dict[int, int] = {}
    for track, cls in zip(track_ids.tolist(), classes.tolist(), strict=True):
        if track and track not in numbers:
            counts[cls] = counts.get(cls, 0) + 1
            numbers[track] = (cls, counts[cls])
    base = 10 ** max(3, len(str(max(counts.values(), default=0))))
    if (max(counts, default=0) + 1) * base <= MAX_ID:
        ids = {track: cls * base + k for track, (cls, k) in numbers.items()}
    else:
        ids = {track: k for k, track in enumerate(numbers, 1)}
    return np.array([ids.get(track, 0) for track in track_ids.tolist()], np.int32)


def make_disjoint(
    detections: Detections, rows: npt.NDArray[Any], in_front: bool = True
) -> tuple[list[bytes], list[int]]:
    """Return the rows' masks (list of bytes) without common pixels, and the rows left empty.

    A pixel goes to the detection with the higher score; among equals to the smaller one, then to
    the earlier row. With `in_front` it goes, among equals, first to a mask that would be left
    without pixels otherwise, then to the one that reaches lower, which is more often in front.

    Args:
        detections: Detections.
        rows: indices of detections of one frame.
        in_front: see above.
    """
    coco = detections.coco(rows)
    counts = [mask["counts"] for mask in coco]
    if not coco:
        return counts, []
    # Row by row, the share of a mask that lies in each of the others.
    share = coco_mask.iou(coco, coco, [1] * len(coco))
    np.fill_diagonal(share, 0)
    shared = share > 0
    if not shared.any():
        return counts, []
    pixels = detections.height * detections.width
    rank = np.argsort(_order(detections, rows, share, masks.areas_of(counts, pixels), in_front))
    emptied = []
    for i in np.flatnonzero(shared.any(axis=1)).tolist():
        stronger = [coco[j] for j in np.flatnonzero(shared[i]) if rank[j] < rank[i]]
        if not stronger:
            continue
        counts[i] = masks.subtract(coco[i], stronger)
        if not masks.areas_of([counts[i]], pixels):
            emptied.append(int(rows[i]))
    return counts, emptied


def _order(
    detections: Detections,
    rows: npt.NDArray[Any],
    share: npt.NDArray[Any],
    areas: npt.NDArray[Any],
    in_front: bool,
) -> npt.NDArray[Any]:
    """Return the order in which rows take their pixels, see `make_disjoint`.

    Args:
        share: (k, k), of each mask in each of the others. areas: (k,) px.
    """
    scores = detections.scores[rows]
    inside = ((share > INSIDE) & (scores[:, None] == scores)).any(axis=1)
    lowest = detections.boxes_xywh[rows, 1] + detections.boxes_xywh[rows, 3]
    likely = (-lowest, ~inside) if in_front else ()
    return np.lexsort((rows, areas, *likely, -scores))


def finished(
    detections: Detections, track_ids: npt.NDArray[Any], in_front: bool = True
) -> tuple[Detections, list[int]]:
    """Return the result of tracking: what is written, row for row.

    Masks are made disjoint per frame across classes; a mask left empty loses its id.

    Args:
        detections: n Detections.
        track_ids: (n,) int, 0 for rows that belong to no track.
        in_front: see `make_disjoint`.

    Returns:
        n Detections with the written masks and ids, id 0 for what is not written; boxes, frames,
        classes and scores as they were.
        The rows that were dropped because nothing of their mask was left (list of int).
    """
    tracked = np.flatnonzero(track_ids)
    order = tracked[np.lexsort((tracked, detections.frames[tracked]))]
    ids = np.zeros(len(detections), np.int32)
    ids[order] = output_ids(np.asarray(track_ids)[order], detections.classes[order])
    return disjoint(detections, ids, in_front)


def disjoint(
    detections: Detections, ids: npt.NDArray[np.int32], in_front: bool = True
) -> tuple[Detections, list[int]]:
    """Return detections with ids whose masks are disjoint per frame, and the rows left empty.

    Args:
        detections: n Detections. ids: (n,) int32 to write, 0 for rows that belong to no track.
        in_front: see `make_disjoint`.
    """
    tracked, ids = np.flatnonzero(ids), ids.copy()
    order = tracked[np.argsort(detections.frames[tracked], kind="stable")]
    rles, dropped = detections.rles.copy(), []
    starts = np.flatnonzero(np.diff(detections.frames[order])) + 1
    for rows in np.split(order, starts) if len(order) else ():
        counts, emptied = make_disjoint(detections, rows, in_front)
        dropped += emptied
        for row, rle in zip(rows.tolist(), counts, strict=True):
            rles[row] = rle
    ids[dropped] = 0
    return replace(detections, ids=ids, rles=rles, vectors=None, scored=False), dropped


class Numbering:
    """Identities to write while the video runs: class * 1000 + k, as `output_ids` gives them.

    Who comes after the 999th track of a class gets class * 10**6 + k; where that makes ids of ten
    digits, and for classes beyond 999, 10**9 less a number counted through.
    """

    def __init__(self) -> None:
        self._given: dict[int, int] = {}
        self._counts: dict[int, int] = {}

    def ids(self, track_ids: npt.NDArray[Any], classes: npt.NDArray[Any]) -> npt.NDArray[np.int32]:
        """Return the (k,) int32 identities of the tracks in a frame, 0 for 0."""
        result = np.zeros(len(track_ids), np.int32)
        for i, (track, cls) in enumerate(zip(track_ids.tolist(), classes.tolist(), strict=True)):
            if not track:
                continue
            if track not in self._given:
                k = self._counts[cls] = self._counts.get(cls, 0) + 1
                identity = cls * 1000 + k if k < 1000 else cls * 10**6 + k
                if cls > 999 or (k >= 1000 and (cls > 998 or k >= 10**6)):
                    identity = MAX_ID - len(self._given)
                self._given[track] = identity
            result[i] = self._given[track]
        return result
