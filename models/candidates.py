"""Pairs that may belong together, found by where they are; what is far apart is never looked at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components, min_weight_full_bipartite_matching

from models.assignment import assign_exactly
from utils.boxes import generalised_iou_of_pairs
from utils.compiling import compiled, solid

Array = npt.NDArray[Any]

FEW = 4096  # pairs up to which looking at all costs less than looking for them
SMALL = 100  # rows and columns of a connected part up to which a dense solver is the faster one
EDGE = 1e-6  # px added to a reach, for what is lost in rounding


@dataclass(frozen=True)
class Candidates:
    """Pairs of m tracks and n detections, row by row, columns ascending in each.

    Attributes:
        rows, columns: (p,) int. overlap: (p,) float64, generalised IoU. shape: (m, n).
    """

    rows: Array
    columns: Array
    overlap: Array
    shape: tuple[int, int]

    def highest(self) -> tuple[Array, Array, Array]:
        """Return (m,) and (n,) the highest overlap of each, -1 where is none, and (m,) its column.

        Of equal ones the first column counts.
        """
        m, n = self.shape
        top, best, column_top = np.full(m, -1.0), np.zeros(m, np.int64), np.full(n, -1.0)
        np.maximum.at(column_top, self.columns, self.overlap)
        np.maximum.at(top, self.rows, self.overlap)
        at = np.flatnonzero(self.overlap == top[self.rows])[::-1]
        best[self.rows[at]] = self.columns[at]
        return top, column_top, best


def near_pairs(
    first: Array, second: Array, first_classes: Array, second_classes: Array, least: Array
) -> Candidates:
    """Return every pair of one class whose generalised IoU is above a limit of its row.

    Args:
        first: (m, 4) xyxy; second: (n, 4) xyxy; boxes of positive size. first_classes: (m,);
        second_classes: (n,) int. least: (m,) float, above -1.
    """
    shape = len(first), len(second)
    fast = compiled("models.compiled")
    if fast is not None:
        of = solid(first_classes, np.int64), solid(second_classes, np.int64)
        rows, columns, overlap = fast.near(solid(first), solid(second), *of, solid(least))
        return Candidates(rows, columns, overlap, shape)
    if shape[0] * shape[1] <= FEW:
        rows, columns = np.nonzero(first_classes[:, None] == second_classes)
    else:
        rows, columns = _close(first, second, least)
        alike = first_classes[rows] == second_classes[columns]
        rows, columns = rows[alike], columns[alike]
    overlap = generalised_iou_of_pairs(first[rows], second[columns])
    found = overlap > least[rows]
    return Candidates(rows[found], columns[found], overlap[found], shape)


def _close(first: Array, second: Array, least: Array) -> tuple[Array, Array]:
    """Return (rows, columns), sorted: all pairs that can be above their row's limit, and others.

    Where the generalised IoU is above g, the smallest box around both is smaller than 1 / (1 + g)
    times their union. As it is as high as the higher one, it is less than that times both widths
    wide: so far centres may be apart, and likewise in height. Boxes of `second` of one size class
    are looked up in a grid.
    """
    times = 1 / (1 + least) - 0.5
    sides, other = (np.maximum(*(b[:, 2:] - b[:, :2]).T) for b in (first, second))
    middles, others = ((b[:, :2] + b[:, 2:]) / 2 for b in (first, second))
    octave = np.ceil(np.log2(np.maximum(other, 1e-9))).astype(int)
    found: list[tuple[Array, Array]] = []
    for size in np.unique(octave).tolist():
        members = np.flatnonzero(octave == size)
        rows, points = _in_reach(middles, others[members], times * (sides + 2.0**size) + EDGE)
        found.append((rows, members[points]))
    if not found:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    rows, columns = (np.concatenate(part) for part in zip(*found, strict=True))
    order = np.lexsort((columns, rows))
    return rows[order], columns[order]


def _in_reach(middles: Array, others: Array, reach: Array) -> tuple[Array, Array]:
    """Return (rows, points): which of n points lie within each row's reach along both axes.

    The points lie in cells, sorted by lines of cells: what a row reaches in a line is a run.

    Args:
        middles: (m, 2). others: (n, 2), n above 0. reach: (m,).
    """
    cell = max(float(np.median(reach)), EDGE)
    low = others.min(axis=0)
    places = np.floor((others - low) / cell).astype(np.int64)
    most = places.max(axis=0)
    across = int(most[0]) + 1
    keys = places[:, 1] * across + places[:, 0]
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    start = np.maximum(np.floor((middles - low - reach[:, None]) / cell), 0).astype(np.int64)
    end = np.floor((middles - low + reach[:, None]) / cell).astype(np.int64)
    end = np.minimum(end, most)
    empty = np.zeros(0, np.int64)
    rows, points = [empty], [empty]
    for step in range(int((end[:, 1] - start[:, 1]).max(initial=-1)) + 1):
        line = start[:, 1] + step
        mine = np.flatnonzero((line <= end[:, 1]) & (start[:, 0] <= end[:, 0]))
        first = np.searchsorted(keys, line[mine] * across + start[mine, 0])
        last = np.searchsorted(keys, line[mine] * across + end[mine, 0], side="right")
        count = last - first
        inside = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
        rows.append(np.repeat(mine, count))
        points.append(order[np.repeat(first, count) + inside])
    row, point = np.concatenate(rows), np.concatenate(points)
    near = (np.abs(middles[row] - others[point]) <= reach[row, None]).all(axis=1)
    return row[near], point[near]


def assign_pairs(rows: Array, columns: Array, gain: Array, shape: tuple[int, int]) -> Array:
    """Return the places of the pairs whose gains above 0 have the largest sum, each side once.

    Exact, as `assign_exactly`; a pair without rivals is made at once, the others are looked at by
    connected parts.

    Args:
        rows, columns: (p,) int, rows ascending. gain: (p,) float. shape: how many there are.
    """
    fast = compiled("models.compiled")
    if fast is not None:
        at = solid(rows, np.int64), solid(columns, np.int64)
        made, rest = fast.assign(*at, solid(gain), *shape, SMALL**2)
    else:
        useful = np.flatnonzero(gain > 0)
        row, column = rows[useful], columns[useful]
        single = (np.bincount(row, minlength=shape[0])[row] == 1) & (
            np.bincount(column, minlength=shape[1])[column] == 1
        )
        made, rest = useful[single], useful[~single]
    if not len(rest):
        return made
    m, n = shape
    graph = coo_array((np.ones(len(rest)), (rows[rest], m + columns[rest])), (m + n, m + n))
    part = connected_components(graph, directed=False)[1][rows[rest]]
    chosen = [made]
    for k in np.unique(part).tolist():
        mine = rest[part == k]
        chosen.append(mine[_solved(rows[mine], columns[mine], gain[mine])])
    return np.sort(np.concatenate(chosen))


def _solved(rows: Array, columns: Array, gain: Array) -> Array:
    """Return the places of the pairs with the largest sum of gains, all above 0."""
    row_names, row = np.unique(rows, return_inverse=True)
    column_names, column = np.unique(columns, return_inverse=True)
    m, n = len(row_names), len(column_names)
    if m * n <= SMALL**2:
        place, dense = np.zeros((m, n), np.int64), np.zeros((m, n))
        place[row, column], dense[row, column] = np.arange(len(row)), gain
        found: Array = place[assign_exactly(dense, 0.0)]
        return found
    # Every row has a column of its own beside, for none: then all rows can be matched.
    high = float(gain.max()) + 1
    costs = np.concatenate([high - gain, np.full(m, high)])
    at = np.concatenate([row, np.arange(m)]), np.concatenate([column, n + np.arange(m)])
    graph = csr_array(coo_array((costs, at), (m, n + m)))
    mine, theirs = min_weight_full_bipartite_matching(graph)
    taken = np.full(m, -1)
    taken[mine] = theirs
    return np.flatnonzero(taken[row] == column)
