"""Pairs that are near and their exact assignment, compiled; see `models.candidates`."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from models.candidates import EDGE
from utils.compiling import loop

Array = npt.NDArray[Any]

CLOSE = 1 - 1e-9  # of a limit, below which a rough look is enough


@loop()
def _wider(values: Array, room: int) -> Array:
    more = np.empty(room, np.int64)
    more[: len(values)] = values
    return more


@loop()
def _numbered(numbers: Array, chosen: Array) -> int:
    """Write the rank of each of the chosen ones, of which some come twice; return how many."""
    count = 0
    for k in np.unique(chosen):
        numbers[k] = count
        count += 1
    return count


@loop()
def _root(root: Array, a: int) -> int:
    """Return the root of a node of a forest, and shorten the way to it."""
    while root[a] != a:
        root[a] = root[root[a]]
        a = root[a]
    return a


@loop()
def _parts(rows: Array, columns: Array, m: int, n: int) -> tuple[Array, int]:
    """Return the number of the connected part that each pair belongs to, and how many there are."""
    root = np.arange(m + n)
    for p in range(len(rows)):
        a, b = _root(root, rows[p]), _root(root, m + columns[p])
        root[max(a, b)] = min(a, b)
    number, count = np.full(m + n, -1), 0
    part = np.empty(len(rows), np.int64)
    for p in range(len(rows)):
        a = _root(root, rows[p])
        if number[a] < 0:
            number[a] = count
            count += 1
        part[p] = number[a]
    return part, count


@loop()
def _solve(cost: Array) -> Array:
    """Return the column of each row at the smallest sum of costs; no fewer columns than rows.

    Shortest augmenting paths (Crouse, IEEE TAES 2016), as SciPy does it: of equally near columns a
    free one is taken, else the one met first, so that ties are decided alike.
    """
    m, n = cost.shape
    of_row, of_column = np.full(m, -1), np.full(n, -1)
    u, v = np.zeros(m), np.zeros(n)
    before, open_ = np.empty(n, np.int64), np.empty(n, np.int64)
    near_, seen_row, seen_column = np.empty(n), np.empty(m, np.bool_), np.empty(n, np.bool_)
    for start in range(m):
        near_[:] = np.inf
        seen_row[:], seen_column[:] = False, False
        for k in range(n):
            open_[k] = n - 1 - k
        left, row, reach, sink = n, start, 0.0, -1
        while sink < 0:
            seen_row[row] = True
            chosen, lowest = -1, np.inf
            for k in range(left):
                column = open_[k]
                way = reach + cost[row, column] - u[row] - v[column]
                if way < near_[column]:
                    before[column], near_[column] = row, way
                way = near_[column]
                if way < lowest or (way == lowest and of_column[column] < 0):
                    chosen, lowest = k, way
            reach, column = lowest, open_[chosen]
            if of_column[column] < 0:
                sink = column
            else:
                row = of_column[column]
            seen_column[column] = True
            left -= 1
            open_[chosen] = open_[left]
        u[start] += reach
        for k in range(m):
            if seen_row[k] and k != start:
                u[k] += reach - near_[of_row[k]]
        for k in range(n):
            if seen_column[k]:
                v[k] -= reach - near_[k]
        column, row = sink, -1
        while row != start:
            row = before[column]
            of_column[column] = row
            of_row[row], column = column, of_row[row]
    return of_row


@loop("Tuple((i8[::1], i8[::1], f8[::1]))(f8[:,::1], f8[:,::1], i8[::1], i8[::1], f8[::1])")
def near(
    first: Array, second: Array, first_classes: Array, second_classes: Array, least: Array
) -> tuple[Array, Array, Array]:
    """Return rows, columns and generalised IoU of the pairs of `near_pairs`, in the same order."""
    m, n = len(first), len(second)
    room, count = 4 * (m + n) + 16, 0
    rows, columns = np.empty(room, np.int64), np.empty(room, np.int64)
    overlap = np.empty(room)
    # Boxes by where their middles are along x: those too far away are hardly looked at.
    middles, heights, largest = np.empty(n), np.empty(n), 0.0
    for j in range(n):
        middles[j] = (second[j, 0] + second[j, 2]) / 2
        heights[j] = (second[j, 1] + second[j, 3]) / 2
        largest = max(largest, second[j, 2] - second[j, 0], second[j, 3] - second[j, 1])
    order = np.argsort(middles)
    middles, heights = middles[order], heights[order]
    for i in range(m):
        a_left, a_top, a_right, a_bottom = first[i]
        a_w, a_h = a_right - a_left, a_bottom - a_top
        limit, enough = least[i], (1 + least[i]) * CLOSE
        # How far a box can be, see `candidates._close`.
        reach = np.inf
        if limit > -1:
            reach = (1 / (1 + limit) - 0.5) * (max(a_w, a_h) + largest) + EDGE
        middle, height, begin = (a_left + a_right) / 2, (a_top + a_bottom) / 2, count
        for k in range(np.searchsorted(middles, middle - reach), n):
            if middles[k] > middle + reach:
                break
            if abs(heights[k] - height) > reach:
                continue
            j = order[k]
            if first_classes[i] != second_classes[j]:
                continue
            b_w, b_h = second[j, 2] - second[j, 0], second[j, 3] - second[j, 1]
            w = min(a_right, second[j, 2]) - max(a_left, second[j, 0])
            h = min(a_bottom, second[j, 3]) - max(a_top, second[j, 1])
            shared = max(w, 0.0) * max(h, 0.0)
            union = a_w * a_h + b_w * b_h - shared
            hull = (a_w + b_w - w) * (a_h + b_h - h)
            if shared == 0 and union < enough * hull:
                continue
            found = shared / union + union / hull - 1
            if not found > limit:
                continue
            if count == room:
                room *= 2
                rows, columns = _wider(rows, room), _wider(columns, room)
                more = np.empty(room)
                more[:count] = overlap
                overlap = more
            # Into its place among the columns of this row.
            at = count
            while at > begin and columns[at - 1] > j:
                columns[at], overlap[at] = columns[at - 1], overlap[at - 1]
                at -= 1
            rows[count], columns[at], overlap[at] = i, j, found
            count += 1
    return rows[:count].copy(), columns[:count].copy(), overlap[:count].copy()


@loop("Tuple((i8[::1], i8[::1]))(i8[::1], i8[::1], f8[::1], i8, i8, i8)")
def assign(
    rows: Array, columns: Array, gain: Array, m: int, n: int, most: int
) -> tuple[Array, Array]:
    """Return the places of the pairs that `assign_pairs` makes, and of those not looked at.

    The latter are of connected parts that fill a matrix of more than `most` cells.
    """
    by_row, by_column = np.zeros(m, np.int64), np.zeros(n, np.int64)
    for p in range(len(rows)):
        if gain[p] > 0:
            by_row[rows[p]] += 1
            by_column[columns[p]] += 1
    made, rest = np.empty(len(rows), np.int64), np.empty(len(rows), np.int64)
    count, left = 0, 0
    for p in range(len(rows)):
        if gain[p] > 0:
            if by_row[rows[p]] == 1 and by_column[columns[p]] == 1:
                made[count] = p
                count += 1
            else:
                rest[left] = p
                left += 1
    if left == 0:
        return made[:count].copy(), rest[:0].copy()
    rest = rest[:left].copy()
    part, parts = _parts(rows[rest], columns[rest], m, n)
    order = np.argsort(part, kind="mergesort")
    big, unsolved, start = np.empty(left, np.int64), 0, 0
    for k in range(parts):
        stop = start
        while stop < left and part[order[stop]] == k:
            stop += 1
        mine = rest[order[start:stop]]
        start = stop
        r, c = _numbered(by_row, rows[mine]), _numbered(by_column, columns[mine])
        if r * c > most:
            big[unsolved : unsolved + len(mine)] = mine
            unsolved += len(mine)
            continue
        turned = c < r
        cost, place = np.zeros((min(r, c), max(r, c))), np.full((min(r, c), max(r, c)), -1)
        for p in mine:
            i, j = by_row[rows[p]], by_column[columns[p]]
            if turned:
                i, j = j, i
            cost[i, j], place[i, j] = -gain[p], p
        taken = _solve(cost)
        for i in range(len(taken)):
            if place[i, taken[i]] >= 0:
                made[count] = place[i, taken[i]]
                count += 1
    return np.sort(made[:count]), np.sort(big[:unsolved])
