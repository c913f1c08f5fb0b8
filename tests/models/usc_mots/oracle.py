"""The constraints graph and constrained k-means by NumPy: what the compiled ones are held to."""

import heapq
from collections.abc import Iterator
from typing import Any

import numpy as np

from models.usc_mots.constraints import ConstraintsGraph
from models.usc_mots.kmeans import Clustering
from models.usc_mots.kmeans_loops import ROUNDING

Array = Any


def clusters_of(
    points, frames, graph, initial, centre_rule, order, max_iterations, tolerance, adaptive
) -> Clustering:
    """Return what `constrained_kmeans` does of valid input."""
    first = np.array(graph.heads)
    since = (frames[0] - frames)[first] if order == "time" else np.zeros(len(first), np.int64)
    heads, ages = points[first], since.tolist()
    barred = _bitmasks(graph.cannot_link)
    norms = np.einsum("ij,ij->i", heads, heads)
    centres = points[initial]
    limit, iteration, last = None, 0, None
    while iteration < max_iterations:
        iteration += 1
        clusters, new, kept = _assign(heads, ages, norms, centres, barred, adaptive)
        if clusters == last:
            break  # the same members make the same centres
        last = clusters
        # The centres these clusters were built around: what is left of the last ones, and the new.
        if new or len(kept) < len(centres):
            around = np.concatenate([centres[kept], heads[new]])
        else:
            around = centres
        if centre_rule == "nearest":
            centres = heads[[members[0] for members in clusters]]
        else:
            centres = _means(points, clusters, graph)
        moved = np.square(centres - around).sum()
        if moved and limit is None:
            limit = tolerance * np.square(points - points.mean(axis=0)).mean()
        if not moved or moved <= limit:
            break
    return Clustering(clusters, iteration, len(new))


def _means(points: Array, clusters: list[list[int]], graph: ConstraintsGraph) -> Array:
    """Return the mean of each cluster's points, (k, F)."""
    owner = np.full(len(graph.heads), -1)
    owner[[group for members in clusters for group in members]] = np.repeat(
        np.arange(len(clusters)), [len(members) for members in clusters]
    )
    one_hot = (owner[graph.groups] == np.arange(len(clusters))[:, None]).astype(points.dtype)
    return one_hot @ points / one_hot.sum(axis=1, keepdims=True)


def _bitmasks(matrix: Array) -> list[int]:
    """Return each row of a bool matrix as an int, column j in bit j: set tests in one operation."""
    packed = np.packbits(matrix, axis=1, bitorder="little")
    width, data = packed.shape[1], packed.tobytes()
    return [int.from_bytes(data[i : i + width], "little") for i in range(0, len(data), width)]


def _assign(
    heads: Array, ages: list[int], norms: Array, centres: Array, barred: list[int], adaptive: bool
) -> tuple[list[list[int]], list[int], list[int]]:
    """Make one pass.

    Returns:
        clusters: the non-empty ones, those around the given centres first, then the opened ones.
        opened: the groups that opened a cluster.
        kept: indices of the centres that have members.
    """
    # In units of what rounding may leave: those that are equal are equal, and by their order then.
    own = np.einsum("ij,ij->i", centres, centres)
    unit = ROUNDING * (norms.max() + own.max()) or 1.0
    distances = np.rint((norms[:, None] - 2 * heads @ centres.T + own) / unit)
    nearest = distances.argmin(axis=1).tolist()
    least = distances.min(axis=1).tolist()
    # Entries (age, distance, group, cluster); a group has one entry among the first centres and
    # one for each opened cluster that did not bar it when it was opened.
    queue = list(zip(ages, least, range(len(ages)), nearest, strict=True))
    heapq.heapify(queue)
    members: list[int] = [0] * len(centres)
    clusters: list[list[int]] = [[] for _ in centres]
    placed = [False] * len(ages)
    chains: dict[int, Iterator[int]] = {}
    exhausted: set[int] = set()
    opened: list[int] = []
    started = len(centres)
    while queue:
        age, _, group, k = heapq.heappop(queue)
        if placed[group]:
            continue
        bar = barred[group]
        if members[k] & bar:
            if k < started:
                chain = chains.get(group)
                if chain is None:
                    chain = iter(np.argsort(distances[group], kind="stable").tolist())
                    chains[group] = chain
                k = next((j for j in chain if not members[j] & bar), None)
                if k is not None:
                    heapq.heappush(queue, (age, float(distances[group, k]), group, k))
                    continue
                exhausted.add(group)
            if not adaptive:
                continue
            if group not in exhausted or any(not m & bar for m in members[started:]):
                continue  # another entry of this group is still waiting
            k = len(members)
            opened.append(group)
            members.append(0)
            clusters.append([])
            to_new = np.rint((norms - 2 * heads @ heads[group] + norms[group]) / unit).tolist()
            for other, done in enumerate(placed):
                if not (done or other == group or barred[other] >> group & 1):
                    heapq.heappush(queue, (ages[other], to_new[other], other, k))
        members[k] |= 1 << group
        clusters[k].append(group)
        placed[group] = True
    kept = [k for k in range(started) if clusters[k]]
    return [sorted(members) for members in clusters if members], opened, kept


def graph_of(frames, classes, labels, apart) -> ConstraintsGraph:
    """Return what `build_graph` does of valid input."""
    numbers, heads, labelled, contradictions = _must_link_groups(frames, classes, labels)
    count = len(heads)
    groups = np.array(numbers, np.int64)
    cannot = np.zeros((count, count), bool)
    if len(labelled) > 1:
        rows = np.array(labelled)
        cannot[rows[:, None], rows] = True
    free = np.flatnonzero(labels == 0)
    if len(free):
        # Only pairs with an unlabelled node are left to look at: a few rows against all columns.
        pairs = apart[free] | (frames[free, None] == frames) | (classes[free, None] != classes)
        if count < len(groups):
            columns = np.argsort(groups, kind="stable")
            sizes = np.bincount(groups)
            pairs = np.logical_or.reduceat(pairs[:, columns], np.cumsum(sizes) - sizes, axis=1)
        cannot[groups[free]] = pairs
        cannot[:, groups[free]] = pairs.T
    np.fill_diagonal(cannot, False)
    return ConstraintsGraph(groups, heads, cannot, contradictions)


def _must_link_groups(
    frames: Array, classes: Array, labels: Array
) -> tuple[list[int], list[int], list[int], tuple[int, ...]]:
    """Return (group of each node, first node of each group, labelled groups, contradictions)."""
    groups: list[int] = []
    heads: list[int] = []
    labelled: list[int] = []
    contradictions: list[int] = []
    group_of: dict[int, tuple[int, int]] = {}
    taken: set[tuple[int, int]] = set()
    columns = zip(labels.tolist(), classes.tolist(), frames.tolist(), strict=True)
    for node, (label, cls, frame) in enumerate(columns):
        if label:
            first = group_of.get(label)
            if first is not None and first[1] == cls and (label, frame) not in taken:
                groups.append(first[0])
                taken.add((label, frame))
                continue
            if first is None:
                group_of[label] = (len(heads), cls)
                taken.add((label, frame))
            else:
                contradictions.append(node)
            labelled.append(len(heads))
        groups.append(len(heads))
        heads.append(node)
    return groups, heads, labelled, tuple(contradictions)
