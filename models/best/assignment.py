"""Exact assignment on sparse pairs, by shortest augmenting paths (Crouse, IEEE TAES 2016).

Each detection is a row and may stay alone, for nothing. SciPy's solver takes a dense matrix, and
one call of it costs as much as a whole step of ten objects.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from utils.compiling import loop

Array = npt.NDArray[Any]


class Pairs(NamedTuple):
    """Detections and the tracks they may be: those of detection j are starts[j] to starts[j + 1].

    Attributes:
        starts: (n + 1,) int64. tracks: (p,) int64. gain: (p,) float64.
    """

    starts: Array
    tracks: Array
    gain: Array


class Search(NamedTuple):
    """What the search for paths knows of n detections and m tracks.

    Attributes:
        taken: (m,) the detection of each track; track_of: (n,) the track of each detection; -1.
        u, v: (n,), (m,) prices of detections and tracks.
        far: (m,) length of the shortest path to each track; before: (m,) its last detection.
        closed: (m,) bool, tracks whose path is final. touched: (m,) tracks that a path reaches.
        rows, reached: (n,) detections on paths, and the length at which each was reached.
    """

    taken: Array
    track_of: Array
    u: Array
    v: Array
    far: Array
    before: Array
    closed: Array
    touched: Array
    rows: Array
    reached: Array


@loop()
def assign(pairs: Pairs, m: int) -> Array:
    """Return (m,) the detection of each track, -1 without one, at the largest sum of gains.

    Gains of 0 or less are no pair.
    """
    n = len(pairs.starts) - 1
    s = Search(
        np.full(m, -1), np.full(n, -1), np.zeros(n), np.zeros(m), np.full(m, np.inf),
        np.empty(m, np.int64), np.zeros(m, np.bool_), np.empty(m, np.int64),
        np.empty(n, np.int64), np.empty(n),
    )  # fmt: skip
    for start in range(n):
        length, met, passed, end, loser = shortest_path(pairs, s, start)
        for k in range(passed):
            s.u[s.rows[k]] += length - s.reached[k]
        for k in range(met):
            i = s.touched[k]
            if s.closed[i]:
                s.v[i] -= length - s.far[i]
        if end < 0:
            end, s.track_of[loser] = s.track_of[loser], -1
        # Hand the tracks on along the path, from its end back to the start.
        while end >= 0:
            row = s.before[end]
            follows = s.track_of[row]
            s.taken[end], s.track_of[row] = row, end
            end = follows
        for k in range(met):
            s.far[s.touched[k]], s.closed[s.touched[k]] = np.inf, False
    return s.taken


@loop()
def shortest_path(pairs: Pairs, s: Search, start: int) -> tuple[float, int, int, int, int]:
    """Find the cheapest way to place a detection: at a free track, or by leaving one alone.

    Returns:
        Its length; how many tracks it touched and detections it passed; the free track at its end,
        else -1, and the detection that is left alone then.
    """
    row, reach, met, passed = start, 0.0, 0, 0
    nothing, loser = np.inf, -1
    while True:
        s.rows[passed], s.reached[passed] = row, reach
        passed += 1
        if reach - s.u[row] < nothing:
            nothing, loser = reach - s.u[row], row
        met = relax(pairs, s, row, reach, met)
        lowest, nearest = next_track(s, met)
        if nearest < 0 or nothing <= lowest:
            return nothing, met, passed, -1, loser
        s.closed[nearest], reach = True, lowest
        if s.taken[nearest] < 0:
            return reach, met, passed, nearest, loser
        row = s.taken[nearest]


@loop()
def relax(pairs: Pairs, s: Search, row: int, reach: float, met: int) -> int:
    """Shorten the paths that go on from a detection; return how many tracks are touched."""
    for p in range(pairs.starts[row], pairs.starts[row + 1]):
        i = pairs.tracks[p]
        if s.closed[i] or pairs.gain[p] <= 0:
            continue
        length = reach - pairs.gain[p] - s.u[row] - s.v[i]
        if length < s.far[i]:
            if s.far[i] == np.inf:
                s.touched[met] = i
                met += 1
            s.far[i], s.before[i] = length, row
    return met


@loop()
def next_track(s: Search, met: int) -> tuple[float, int]:
    """Return the length of the shortest open path and its track, of equals a free one; -1: none."""
    lowest, nearest = np.inf, -1
    for k in range(met):
        i = s.touched[k]
        if not s.closed[i] and (s.far[i] < lowest or (s.far[i] == lowest and s.taken[i] < 0)):
            lowest, nearest = s.far[i], i
    return lowest, nearest
