"""Inner loops of the preset `best`, compiled: what NumPy does beside, pair by pair."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


@numba.njit("b1[::1](i8[::1], i8[::1], f8[::1], i8, i8, f8, f8)", cache=True, nogil=True)
def settled(
    rows: Array, columns: Array, overlap: Array, m: int, n: int, least: float, rival: float
) -> Array:
    """Return what `tracker._settled` does, for `least` SETTLED and `rival` RIVAL."""
    top, column_top, best = np.full(m, -1.0), np.full(n, -1.0), np.zeros(m, np.int64)
    for p in range(len(rows)):
        i, j = rows[p], columns[p]
        if overlap[p] > top[i]:
            top[i], best[i] = overlap[p], j
        column_top[j] = max(column_top[j], overlap[p])
    in_row, in_column = np.zeros(m, np.int64), np.zeros(n, np.int64)
    for p in range(len(rows)):
        in_row[rows[p]] += overlap[p] > top[rows[p]] - rival
        in_column[columns[p]] += overlap[p] > column_top[columns[p]] - rival
    leads, taken = np.zeros(m, np.bool_), np.zeros(n, np.bool_)
    for i in range(m):
        j = best[i]
        leads[i] = top[i] > least and top[i] == column_top[j]
        leads[i] &= in_row[i] == 1 and in_column[j] == 1
        if leads[i]:
            taken[j] = True
    found = np.empty(len(rows), np.bool_)
    for p in range(len(rows)):
        found[p] = leads[rows[p]] or taken[columns[p]]
    return found


@numba.njit("i8[::1](f8[:,::1], i8[::1])", cache=True, nogil=True)
def nearest(centres: Array, classes: Array) -> Array:
    """Return what `tracker._nearest` does, of (k, 2) centres."""
    found = np.full(len(centres), -1)
    for i in range(len(centres)):
        lowest = np.inf
        for j in range(len(centres)):
            if i == j or classes[i] != classes[j]:
                continue
            x, y = centres[i, 0] - centres[j, 0], centres[i, 1] - centres[j, 1]
            apart = np.sqrt(x * x + y * y)
            if apart < lowest:
                lowest, found[i] = apart, j
    return found


@numba.njit(cache=True, nogil=True)
def _apart(first: Array, second: Array) -> float:
    total = np.float32(0)
    for k in range(len(first)):
        difference = first[k] - second[k]
        total += difference * difference
    return float(np.sqrt(total))


@numba.njit(cache=True, nogil=True)
def _observe(moments: Array, lag: int, distance: float) -> None:
    root = np.sqrt(lag)
    moments[0] += 1
    moments[1] += root
    moments[2] += lag
    moments[3] += distance
    moments[4] += root * distance
    moments[5] += distance * distance


@numba.njit(
    "void(f4[:,::1], i8[::1], i8[::1], i8[::1], i8[::1], i8, f4[:,::1], i8[::1], i8, f8[:,:,::1])",
    cache=True,
    nogil=True,
)
def learn(
    past: Array, since: Array, counts: Array, classes: Array, rows: Array, number: int,
    descriptors: Array, near: Array, known: int, moments: Array,
) -> None:  # fmt: skip
    """Add to `moments` (C, 2, 6) what `Evidence._learn` does of one column of the past.

    Args:
        past: (m, F); since: (m,) the frames of it; counts, classes: (m,); rows: (k,) tracks;
        descriptors: (k, F) of what they took; near: (k,) see `nearest`; known: KNOWN.
    """
    for k in range(len(rows)):
        row = rows[k]
        if counts[row] <= known:
            continue
        lag, mine = number - since[row], moments[classes[row]]
        _observe(mine[0], lag, _apart(past[row], descriptors[k]))
        if near[k] >= 0:
            _observe(mine[1], lag, _apart(past[row], descriptors[near[k]]))


@numba.njit("f8[::1](f4[:,::1], i8[::1], f4[:,::1], i8[::1])", cache=True, nogil=True)
def distances(mean: Array, rows: Array, descriptors: Array, taken: Array) -> Array:
    """Return (p,) how far the means of tracks are from the descriptors of detections."""
    found = np.empty(len(rows))
    for p in range(len(rows)):
        found[p] = _apart(mean[rows[p]], descriptors[taken[p]])
    return found
