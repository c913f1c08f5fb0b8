"""A long sequence in overlapping parts that are tracked apart, and made one again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from models.pipeline import Tracked
from models.tracking import Array
from utils.detections import Detections

SHARED = 50  # steps of the video that two parts have in common


def parts_of(detections: Detections, length: int, step: int = 1) -> list[Array]:
    """Return the rows of each part, `length` steps long, SHARED of them the next one's, too.

    Args:
        detections: n Detections. length: steps of a part. step: frame numbers of one.

    Raises:
        ValueError: parts that are no longer than what they share.
    """
    if length <= SHARED:
        raise ValueError(f"--chunk must be above {SHARED} frames, got {length}")
    if not len(detections):
        return [np.zeros(0, np.int64)]
    first, last = int(detections.frames.min()), int(detections.frames.max())
    starts = np.arange(first, max(last - SHARED * step, first) + 1, (length - SHARED) * step)
    frames = detections.frames
    found = [np.flatnonzero((frames >= s) & (frames < s + length * step)) for s in starts]
    return [rows for rows in found if len(rows)]


def stitched(
    detections: Detections, parts: Sequence[Array], ids: Sequence[Array]
) -> npt.NDArray[np.int32]:
    """Return (n,) int32 ids of a whole sequence from those of its parts.

    A track goes on as the one of the next part with which it has most detections in common, all
    tracks of both together (exact assignment). Of the frames that two parts share the earlier half
    is the earlier part's.

    Args:
        detections: n Detections. parts: rows of each, in order of time. ids: (k,) of each part.
    """
    whole = np.zeros(len(detections), np.int32)
    before, largest = whole, 0  # of the part before: its ids, as they are called by now
    for k, (rows, own) in enumerate(zip(parts, ids, strict=True)):
        names = _names(own, before[rows], largest)
        largest = max(largest, int(names.max(initial=0)))
        now = np.zeros(len(detections), np.int32)
        now[rows] = names[own]
        taken = rows
        if k:
            common = np.intersect1d(parts[k - 1], rows)
            if len(common):
                numbers = detections.frames[common]
                middle = (int(numbers.min()) + int(numbers.max()) + 1) / 2
                taken = rows[detections.frames[rows] >= middle]
        whole[taken] = now[taken]
        before = now
    return whole


def _names(own: Array, known: Array, largest: int) -> Array:
    """Return what each id of a part is called: names[id], names[0] = 0.

    Args:
        own: (k,) ids of the part. known: (k,) ids of the part before, 0 for none. largest: so far.
    """
    names = np.zeros(int(own.max(initial=0)) + 1, np.int32)
    both = (known > 0) & (own > 0)
    mine, row = np.unique(own[both], return_inverse=True)
    theirs, column = np.unique(known[both], return_inverse=True)
    common = np.zeros((len(mine), len(theirs)))
    np.add.at(common, (row, column), 1)
    from scipy.optimize import linear_sum_assignment  # for which whole sequences need not wait

    for i, j in zip(*linear_sum_assignment(common, maximize=True), strict=True):
        if common[i, j]:
            names[mine[i]] = theirs[j]
    fresh = [k for k in np.unique(own[own > 0]).tolist() if not names[k]]
    names[fresh] = largest + 1 + np.arange(len(fresh))
    return names


def joined(whole: Tracked, parts: Sequence[Array], tracked: Sequence[Tracked]) -> Tracked:
    """Return a whole sequence as it would be had it not been cut.

    Args:
        whole: the sequence without ids. parts: rows of each. tracked: each part.
    """
    columns: dict[str, Array] = {}
    report: Counter[str] = Counter()
    for rows, one in zip(parts, tracked, strict=True):
        for name, values in one.columns.items():
            size = (len(whole.detections), *values.shape[1:])
            columns.setdefault(name, np.zeros(size, values.dtype))[rows] = values
        report += one.report
    ids = stitched(whole.detections, parts, [one.track_ids for one in tracked])
    notes = (*whole.notes, *dict.fromkeys(text for one in tracked for text in one.notes))
    return replace(whole, columns=columns, track_ids=ids, report=report, notes=notes)
