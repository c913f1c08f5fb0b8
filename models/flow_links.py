"""Masks carried to the next frame by optical flow, and chains of links: MOTSNet's and ReMOTS'."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt

from utils.detections import Detections
from utils.flow import Array, Flow, carried, label_map
from utils.masks import Images


def frame_pairs(
    detections: Detections, images: Images | None, step: int
) -> Iterator[tuple[Array, Array, Array, Array]]:
    """Yield the rows of two frames a step apart, the label map of the later, the carried one.

    Frames of which one has no detection are passed over.

    Args:
        detections: of one sequence. images: reads a frame; None carries nothing.
        step: between frame numbers.
    """
    flow = Flow()
    last: tuple[int, Array, Array] | None = None
    for number, rows in detections.rows_by_frame():
        labels = label_map(detections, rows)
        if last is not None and number - last[0] == step:
            moved = last[2]
            if images is not None:
                moved = carried(moved, flow.back(images(number), images(last[0])))
            yield last[1], rows, labels, moved
        last = number, rows, labels


def chained(before: Mapping[int, int], frames: Array) -> npt.NDArray[np.int32]:
    """Return (n,) int32 ids, from 1 in the order in which chains begin; every row has one.

    Args:
        before: {row: the row of an earlier frame that it goes on from}. frames: (n,) int.
    """
    ids, fresh = np.zeros(len(frames), np.int32), 0
    for row in np.argsort(frames, kind="stable").tolist():
        if row in before:
            ids[row] = ids[before[row]]
        else:
            fresh += 1
            ids[row] = fresh
    return ids
