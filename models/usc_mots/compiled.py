"""The inner loops of constrained k-means and of its graph, compiled; see the modules beside."""

from __future__ import annotations

import heapq
from typing import Any

import numpy as np
import numpy.typing as npt

from utils.compiling import loop

Array = npt.NDArray[Any]


@loop()
def _assign(
    heads: Array, ages: Array, norms: Array, centres: Array, cannot: Array, adaptive: bool,
    owner: Array, opened: Array, rounding: float,
) -> int:  # fmt: skip
    """Make one pass, see `constrained_kmeans._assign`; return how many clusters were opened.

    Args:
        owner: (g,) gets the cluster of each group, -1 where it was left out; clusters around the
            given centres first. opened: (g,) gets the groups that opened one.
    """
    g, started = len(heads), len(centres)
    distances = np.dot(heads, centres.T)
    own = np.empty(started)
    for k in range(started):
        own[k] = np.dot(centres[k], centres[k])
    unit = rounding * (norms.max() + own.max())
    if unit == 0:
        unit = 1.0
    for i in range(g):
        for k in range(started):
            distances[i, k] = np.rint((norms[i] - 2 * distances[i, k] + own[k]) / unit)
    owner[:] = -1
    blocked = np.zeros((started + g, g), np.bool_)
    ranked, at = np.zeros((g, started), np.int64), np.full(g, -1)
    exhausted = np.zeros(g, np.bool_)
    first = int(np.argmin(distances[0]))
    queue = [(ages[0], distances[0, first], 0, first)]
    for i in range(1, g):
        first = int(np.argmin(distances[i]))
        heapq.heappush(queue, (ages[i], distances[i, first], i, first))
    count = 0
    while len(queue):
        age, _, group, k = heapq.heappop(queue)
        if owner[group] >= 0:
            continue
        if blocked[k, group]:
            if k < started:
                if at[group] < 0:
                    ranked[group], at[group] = np.argsort(distances[group], kind="mergesort"), 0
                while at[group] < started and blocked[ranked[group, at[group]], group]:
                    at[group] += 1
                if at[group] < started:
                    k = ranked[group, at[group]]
                    at[group] += 1
                    heapq.heappush(queue, (age, distances[group, k], group, k))
                    continue
                exhausted[group] = True
            if not adaptive or not exhausted[group]:
                continue
            if not blocked[started : started + count, group].all():
                continue  # another entry of this group is still waiting
            k = started + count
            opened[count] = group
            count += 1
            for other in range(g):
                if owner[other] < 0 and other != group and not cannot[other, group]:
                    far = norms[other] - 2 * np.dot(heads[other], heads[group]) + norms[group]
                    far = np.rint(far / unit)
                    heapq.heappush(queue, (ages[other], far, other, k))
        owner[group] = k
        for other in range(g):
            blocked[k, other] |= cannot[group, other]
    return count


@loop(
    "Tuple((i8[::1], i8, i8))"
    "(f8[:,::1], i8[::1], i8[::1], i8[::1], b1[:,::1], i8[::1], b1, i8, f8, b1, f8)"
)
def cluster(
    points: Array, groups: Array, first_of: Array, ages: Array, cannot: Array, initial: Array,
    by_mean: bool, most: int, tolerance: float, adaptive: bool, rounding: float,
) -> tuple[Array, int, int]:  # fmt: skip
    """Return the cluster of each group, iterations and opened clusters of `_cluster`.

    Args:
        points: (n, F); groups: (n,); first_of: (g,) nodes; ages: (g,); cannot: (g, g);
        initial: nodes; by_mean: whether centres are means; most: iterations; rounding: ROUNDING.
    """
    g, size = len(first_of), points.shape[1]
    heads, centres = points[first_of], points[initial]
    norms = np.empty(g)
    for i in range(g):
        norms[i] = np.dot(heads[i], heads[i])
    owner, opened, last = np.empty(g, np.int64), np.empty(g, np.int64), np.full(g, -2)
    limit, known, iteration, new = 0.0, False, 0, 0
    while iteration < most:
        iteration += 1
        new = _assign(heads, ages, norms, centres, cannot, adaptive, owner, opened, rounding)
        # Clusters without members go; the others are numbered through, in their order.
        started = len(centres)
        number = np.full(started + new, -1)
        for i in range(g):
            if owner[i] >= 0:
                number[owner[i]] = 0
        count = 0
        for k in range(started + new):
            if number[k] == 0:
                number[k] = count
                count += 1
        around = np.empty((count, size))
        for k in range(started + new):
            if number[k] >= 0:
                around[number[k]] = centres[k] if k < started else heads[opened[k - started]]
        for i in range(g):
            if owner[i] >= 0:
                owner[i] = number[owner[i]]
        if (owner == last).all():
            break  # the same members make the same centres
        last[:] = owner
        centres = np.zeros((count, size))
        if by_mean:
            members = np.zeros(count)
            for node in range(len(points)):
                k = owner[groups[node]]
                if k >= 0:
                    centres[k] += points[node]
                    members[k] += 1
            for k in range(count):
                centres[k] /= members[k]
        else:
            for i in range(g - 1, -1, -1):
                if owner[i] >= 0:
                    centres[owner[i]] = heads[i]
        moved = 0.0
        for k in range(count):
            for f in range(size):
                moved += (centres[k, f] - around[k, f]) ** 2
        if moved > 0 and not known:
            known = True
            for f in range(size):
                limit += np.square(points[:, f] - points[:, f].mean()).mean() / size
            limit *= tolerance
        if moved <= limit:
            break
    return owner, iteration, new


@loop("Tuple((i8[::1], i8[::1], b1[:,::1], i8[::1]))(i8[::1], i8[::1], i8[::1], b1[:,::1])")
def build(
    frames: Array, classes: Array, labels: Array, apart: Array
) -> tuple[Array, Array, Array, Array]:
    """Return groups, heads, cannot-links and contradictions of `constraints._build`."""
    n = len(frames)
    known = np.unique(labels)
    group_of, latest = np.full(len(known), -1), np.full(len(known), -1)
    groups, heads = np.empty(n, np.int64), np.empty(n, np.int64)
    labelled, contradicting = np.empty(n, np.bool_), np.zeros(n, np.bool_)
    before = np.full(n, -1)  # the node that joined a label's group before
    count = 0
    for node in range(n):
        joined = False
        if labels[node] != 0:
            place = np.searchsorted(known, labels[node])
            group = group_of[place]
            if group >= 0 and classes[heads[group]] == classes[node]:
                joined, other = True, latest[place]
                while other >= 0:
                    joined &= frames[other] != frames[node]
                    other = before[other]
            contradicting[node] = group >= 0 and not joined
            if joined or group < 0:
                before[node], latest[place] = latest[place], node
            if joined:
                groups[node] = group
                continue
            if group < 0:
                group_of[place] = count
        groups[node], heads[count] = count, node
        labelled[count] = labels[node] != 0
        count += 1
    cannot = np.zeros((count, count), np.bool_)
    for i in range(count):
        for j in range(count):
            cannot[i, j] = labelled[i] and labelled[j]
    for node in range(n):
        if labels[node] != 0:
            continue
        i = groups[node]
        for other in range(n):
            if (
                apart[node, other]
                or frames[node] == frames[other]
                or classes[node] != classes[other]
            ):
                cannot[i, groups[other]] = cannot[groups[other], i] = True
    for i in range(count):
        cannot[i, i] = False
    return groups, heads[:count].copy(), cannot, np.flatnonzero(contradicting)
