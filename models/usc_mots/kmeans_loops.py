"""The loops of constrained k-means (section 3.3.2), on groups of nodes; `kmeans.py` calls them.

A group acts through its head, its node nearest to the current frame.
"""

import heapq
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from utils.compiling import loop

Array = npt.NDArray[Any]

# Squared distances are compared in units of this share of the largest squared norms: what differs
# by less is a matter of rounding, and the order of rows must not decide it.
ROUNDING = 1e-10


@loop()
def cluster(
    points: Array, groups: Array, first_of: Array, ages: Array, cannot: Array, initial: Array,
    by_mean: bool, most: int, tolerance: float, adaptive: bool,
) -> tuple[Array, int, int]:  # fmt: skip
    """Return the cluster of each group, -1 for none, and how many passes and opened clusters.

    Args:
        points: (n, F); groups: (n,); first_of: (g,) heads; ages: (g,); cannot: (g, g);
        initial: nodes; by_mean: whether centres are means; most: passes.
    """
    g = len(first_of)
    heads, centres = points[first_of], points[initial]
    owner, opened, last = np.empty(g, np.int64), np.empty(g, np.int64), np.full(g, -2)
    limit, iteration, new = -1.0, 0, 0
    while iteration < most:
        iteration += 1
        new = assign(heads, ages, centres, cannot, adaptive, owner, opened)
        around = keep_filled(heads, centres, owner, opened, new)
        if (owner == last).all():
            break  # the same members make the same centres
        last[:] = owner
        if by_mean:
            centres = means(points, groups, owner, len(around))
        else:
            centres = newest(heads, owner, len(around))
        moved = 0.0
        for k in range(len(around)):
            for f in range(points.shape[1]):
                moved += (centres[k, f] - around[k, f]) ** 2
        if moved == 0:
            break
        if limit < 0:
            limit = tolerance * variance(points)
        if moved <= limit:
            break
    return owner, iteration, new


@loop()
def assign(
    heads: Array, ages: Array, centres: Array, cannot: Array, adaptive: bool, owner: Array,
    opened: Array,
) -> int:  # fmt: skip
    """Make one pass (section 3.3.2); return how many clusters were opened.

    A queue of (age, distance, group, cluster) decides who chooses next. A group has one entry among
    the first centres, and one for each opened cluster that did not bar it when it was opened.
    `owner` (g,) gets the cluster of each group, -1 where it was left out, clusters around the given
    centres first; `opened` (g,) the groups that opened one.
    """
    g, started = len(heads), len(centres)
    norms = squared_norms(heads)
    distances, unit = distances_of(heads, norms, centres)
    owner[:] = -1
    blocked = np.zeros((started + g, g), np.bool_)  # by the members of a cluster
    ranked, at = np.zeros((g, started), np.int64), np.full(g, -1)
    exhausted = np.zeros(g, np.bool_)
    queue = first_choices(ages, distances)
    count = 0
    while len(queue):
        age, _, group, k = heapq.heappop(queue)
        if owner[group] >= 0:
            continue
        if blocked[k, group]:
            if k < started:
                k = next_centre(group, distances, ranked, at, blocked)
                if k >= 0:
                    heapq.heappush(queue, (age, distances[group, k], group, k))
                    continue
                exhausted[group] = True
            # Another entry of this group may be waiting, for an opened cluster that takes it.
            if not (adaptive and exhausted[group] and blocked[started:, group][:count].all()):
                continue
            k, opened[count] = started + count, group
            count += 1
            offer(queue, ages, heads, norms, unit, cannot, owner, group, k)
        owner[group] = k
        blocked[k] |= cannot[group]
    return count


@loop()
def squared_norms(heads: Array) -> Array:
    """Return (g,) squared norms."""
    norms = np.empty(len(heads))
    for i in range(len(heads)):
        norms[i] = np.dot(heads[i], heads[i])
    return norms


@loop()
def distances_of(heads: Array, norms: Array, centres: Array) -> tuple[Array, float]:
    """Return (g, k) squared distances in whole units of what rounding may leave, and the unit."""
    distances = np.dot(heads, centres.T)
    lengths = squared_norms(centres)
    unit = ROUNDING * (norms.max() + lengths.max())
    if unit == 0:
        unit = 1.0
    for i in range(len(heads)):
        for k in range(len(centres)):
            distances[i, k] = np.rint((norms[i] - 2 * distances[i, k] + lengths[k]) / unit)
    return distances, unit


@loop()
def first_choices(ages: Array, distances: Array) -> Any:
    """Return the queue in which each group asks for the nearest of the first centres."""
    nearest = int(np.argmin(distances[0]))
    queue = [(ages[0], distances[0, nearest], 0, nearest)]
    for i in range(1, len(ages)):
        nearest = int(np.argmin(distances[i]))
        heapq.heappush(queue, (ages[i], distances[i, nearest], i, nearest))
    return queue


@loop()
def next_centre(group: int, distances: Array, ranked: Array, at: Array, blocked: Array) -> int:
    """Return the next nearest of the first centres that does not bar a group, -1 for none.

    Args:
        ranked: (g, k) gets a group's centres by distance when it asks first. at: (g,) how many of
            them it has asked for, -1 before.
    """
    if at[group] < 0:
        ranked[group], at[group] = np.argsort(distances[group], kind="mergesort"), 0
    while at[group] < distances.shape[1]:
        k = ranked[group, at[group]]
        at[group] += 1
        if not blocked[k, group]:
            return int(k)
    return -1


@loop()
def offer(
    queue: Any, ages: Array, heads: Array, norms: Array, unit: float, cannot: Array, owner: Array,
    group: int, k: int,
) -> None:  # fmt: skip
    """Let every group that is left and may join `group` ask for the cluster k that it opened."""
    for other in range(len(heads)):
        if owner[other] < 0 and other != group and not cannot[other, group]:
            far = norms[other] - 2 * np.dot(heads[other], heads[group]) + norms[group]
            heapq.heappush(queue, (ages[other], np.rint(far / unit), other, k))


@loop()
def keep_filled(heads: Array, centres: Array, owner: Array, opened: Array, new: int) -> Array:
    """Number clusters with members through, in `owner`; return the centres they were built around.

    Args:
        owner: (g,), see `assign`. opened: (g,) groups that opened the `new` last clusters.
    """
    started = len(centres)
    number = np.full(started + new, -1)
    for i in range(len(owner)):
        if owner[i] >= 0:
            number[owner[i]] = 0
    around = np.empty((started + new, centres.shape[1]))
    count = 0
    for k in range(started + new):
        if number[k] == 0:
            around[count] = centres[k] if k < started else heads[opened[k - started]]
            number[k] = count
            count += 1
    for i in range(len(owner)):
        if owner[i] >= 0:
            owner[i] = number[owner[i]]
    return around[:count]


@loop()
def means(points: Array, groups: Array, owner: Array, count: int) -> Array:
    """Return (k, F) means of the clusters' nodes, the paper's centroids."""
    centres, members = np.zeros((count, points.shape[1])), np.zeros(count)
    for node in range(len(points)):
        k = owner[groups[node]]
        if k >= 0:
            centres[k] += points[node]
            members[k] += 1
    for k in range(count):
        centres[k] /= members[k]
    return centres


@loop()
def newest(heads: Array, owner: Array, count: int) -> Array:
    """Return (k, F) members nearest to the current frame, which come first (authors' code)."""
    centres = np.zeros((count, heads.shape[1]))
    for i in range(len(owner) - 1, -1, -1):
        if owner[i] >= 0:
            centres[owner[i]] = heads[i]
    return centres


@loop()
def variance(points: Array) -> float:
    """Return the mean over the coordinates of the points' variance."""
    size, total = points.shape[1], 0.0
    for f in range(size):
        total += np.square(points[:, f] - points[:, f].mean()).mean() / size
    return total


@cache
def compile_ahead() -> None:
    """Compile all of it, or load what was compiled before."""
    ones = np.zeros(1, np.int64)
    cluster(np.zeros((1, 1)), ones, ones, ones, np.zeros((1, 1), bool), ones, True, 1, 0.1, True)
