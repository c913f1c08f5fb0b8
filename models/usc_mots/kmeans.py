"""k-means under the constraints graph, with an adaptive number of clusters (section 3.3.2)."""

import heapq
from collections import Counter
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from models.usc_mots.config import UscMotsConfig
from models.usc_mots.constraints import ConstraintsGraph
from utils.compiling import loop, solid

Array = npt.NDArray[Any]

ROUNDING = 1e-10  # of the largest squared norms, to which squared distances are compared


@dataclass(frozen=True)
class Clustering:
    """Result of `constrained_kmeans`.

    Attributes:
        clusters: list of clusters, each the ascending list of its groups' numbers.
        iterations: passes made.
        opened: clusters of the last pass that exist because no centre was feasible.
    """

    clusters: list[list[int]]
    iterations: int
    opened: int


def fullest_frame(frames: Array, rule: str = UscMotsConfig.fullest) -> Array:
    """Return the nodes (indices, ascending) of the frame with most nodes.

    Their number is the first guess at |K|, their embeddings the first centres (section 3.3.2). Of
    several such frames the current one counts, if it is among them.

    Args:
        frames: (n,) int frame numbers, the current frame first.
        rule: which counts otherwise, "oldest" (authors' code) or "latest".
    """
    counts = Counter(frames.tolist())  # np.unique costs more for the few nodes of a window
    current, most = int(frames[0]), max(counts.values())
    fullest = [number for number, count in counts.items() if count == most]
    if current not in fullest:
        current = min(fullest) if rule == "oldest" else max(fullest)
    return np.flatnonzero(frames == current)


def constrained_kmeans(
    points: Array,
    frames: Array,
    graph: ConstraintsGraph,
    initial: Array | None = None,
    centre_rule: str = UscMotsConfig.centre_rule,
    order: str = UscMotsConfig.order,
    fullest: str = UscMotsConfig.fullest,
    max_iterations: int = UscMotsConfig.max_iterations,
    tolerance: float = UscMotsConfig.tolerance,
    adaptive: bool = True,
) -> Clustering:
    """Cluster the nodes of a window (section 3.3.2); the defaults are the preset `paper`'s.

    Each node goes to the nearest centre that breaks no cannot-link, and its must-link group goes
    along; if every centre breaks one, the node opens a cluster with itself as centre. Then centres
    move, and clusters without members vanish. Deterministic; the order of the rows of a frame
    decides nothing but exact ties.

    Args:
        points: (n, F) float embeddings z_i in node order, the current frame first.
        frames: (n,) int frame numbers, descending.
        graph: ConstraintsGraph over the n nodes.
        initial: indices of the nodes that are the first centres; None takes `fullest_frame`.
        centre_rule: "mean" of the members (paper) or "nearest", the member nearest in time to the
            current frame (authors' code).
        order: who chooses first, which decides where constraints collide and which the paper
            leaves open: "time", the nodes of the current frame, then those before (authors' code),
            by distance within a frame, or "distance", the node closest to its centre.
        fullest: see `fullest_frame`.
        max_iterations: upper limit of passes.
        tolerance: stop when the squared movement of the centres is at most this times the mean
            variance of the points' coordinates.
        adaptive: False opens no clusters: the number of first centres is the number of clusters,
            as where |K| is a prior (Table 4), and a node that every centre bars is left out.

    Returns:
        Clustering; every group is in exactly one cluster (at most one, unless `adaptive`), no two
        groups of a cluster cannot-link.

    Raises:
        ValueError: shapes that do not fit, frames not descending, non-finite points, an unknown
            rule, or no initial centre.
    """
    points, frames = np.asarray(points, np.float64), np.asarray(frames)
    n = len(graph.groups)
    if points.ndim != 2 or len(points) != n or frames.shape != (n,):
        raise ValueError(
            f"points must be (n, F) and frames (n,) for the graph's n = {n}, "
            f"got {points.shape} and {frames.shape}"
        )
    if (frames[1:] > frames[:-1]).any():
        raise ValueError(f"frames must descend, got {frames.tolist()}")
    if not np.isfinite(points).all():
        raise ValueError("points must be finite, got NaN or infinity")
    if centre_rule not in ("mean", "nearest"):
        raise ValueError(f"centre_rule must be 'mean' or 'nearest', got {centre_rule!r}")
    if max_iterations < 1:
        raise ValueError(f"max_iterations must be at least 1, got {max_iterations}")
    if order not in ("time", "distance"):
        raise ValueError(f"order must be 'time' or 'distance', got {order!r}")
    if fullest not in ("oldest", "latest"):
        raise ValueError(f"fullest must be 'oldest' or 'latest', got {fullest!r}")
    if not n:
        return Clustering([], 0, 0)
    initial = fullest_frame(frames, fullest) if initial is None else np.asarray(initial)
    if not len(initial):
        raise ValueError("initial must name at least one node, got none")
    return _cluster(
        points, frames, graph, initial, centre_rule, order, max_iterations, tolerance, adaptive
    )


def _cluster(
    points: Array,
    frames: Array,
    graph: ConstraintsGraph,
    initial: Array,
    centre_rule: str,
    order: str,
    max_iterations: int,
    tolerance: float,
    adaptive: bool,
) -> Clustering:
    """Do what `constrained_kmeans` says; assumes valid input."""
    # A group acts through its node nearest to the current frame; a mean needs the others, too.
    first = np.array(graph.heads)
    since = (frames[0] - frames)[first] if order == "time" else np.zeros(len(first), np.int64)
    owner, iteration, opened = cluster(
        solid(points), solid(graph.groups, np.int64), first, since.astype(np.int64),
        solid(graph.cannot_link, np.bool_), solid(initial, np.int64),
        centre_rule == "mean", max_iterations, tolerance, adaptive,
    )  # fmt: skip
    clusters: list[list[int]] = [[] for _ in range(int(owner.max()) + 1)]
    for group, k in enumerate(owner.tolist()):
        if k >= 0:
            clusters[k].append(group)
    return Clustering(clusters, iteration, opened)


@loop()
def _assign(
    heads: Array, ages: Array, norms: Array, centres: Array, cannot: Array, adaptive: bool,
    owner: Array, opened: Array,
) -> int:  # fmt: skip
    """Make one pass (section 3.3.2); return how many clusters were opened.

    A queue of (age, distance, group, cluster) decides who chooses next. A group has one entry among
    the first centres, and one for each opened cluster that did not bar it when it was opened.

    Args:
        owner: (g,) gets the cluster of each group, -1 where it was left out; clusters around the
            given centres first. opened: (g,) gets the groups that opened one.
    """
    # In units of what rounding may leave: those that are equal are equal, and by their order then.
    g, started = len(heads), len(centres)
    distances = np.dot(heads, centres.T)
    own = np.empty(started)
    for k in range(started):
        own[k] = np.dot(centres[k], centres[k])
    unit = ROUNDING * (norms.max() + own.max())
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


@loop()
def cluster(
    points: Array, groups: Array, first_of: Array, ages: Array, cannot: Array, initial: Array,
    by_mean: bool, most: int, tolerance: float, adaptive: bool,
) -> tuple[Array, int, int]:  # fmt: skip
    """Return the cluster of each group, -1 for none, and how many passes and opened clusters.

    Args:
        points: (n, F); groups: (n,); first_of: (g,) nodes; ages: (g,); cannot: (g, g);
        initial: nodes; by_mean: whether centres are means; most: passes.
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
        new = _assign(heads, ages, norms, centres, cannot, adaptive, owner, opened)
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


def farthest_first(points: Array, initial: Array, count: int) -> Array:
    """Return `initial` and further nodes, each the farthest from those before, `count` in all.

    Args:
        points: (n, F) float; initial: indices, at least one; count: capped at n, at least the
            number of `initial`.
    """
    chosen = list(initial)
    gaps = np.square(points[:, None] - points[chosen]).sum(axis=2).min(axis=1)
    while len(chosen) < min(count, len(points)):
        # -1 keeps a node from being chosen twice where nodes coincide.
        gaps[chosen] = -1
        chosen.append(int(gaps.argmax()))
        gaps = np.minimum(gaps, np.square(points - points[chosen[-1]]).sum(axis=1))
    return np.array(chosen)


def plain_kmeans(
    points: Array,
    frames: Array,
    classes: Array,
    truth: Array | None = None,
    seed: int = 0,
    restarts: int = UscMotsConfig.restarts,
) -> list[list[int]]:
    """Cluster the nodes of a window without constraints, class by class.

    This is scikit-learn's KMeans with its k-means++ start: the rows without G.

    |K| is the largest number of detections in one frame, or the number of true identities.

    Args:
        points: (n, F) float; frames: (n,) int; classes: (n,) int.
        truth: (n,) int true identities; None estimates |K|.
        seed: of the first centres.
        restarts: with other first centres, the best of which counts.

    Returns:
        list of clusters, each an ascending list of nodes.
    """
    # scikit-learn is slow to import, and only this needs it.
    from sklearn.cluster import KMeans

    clusters = []
    for cls in np.unique(classes).tolist():
        nodes = np.flatnonzero(classes == cls)
        if truth is None:
            count = np.unique(frames[nodes], return_counts=True)[1].max()
        else:
            count = len(np.unique(truth[nodes]))
        count = min(count, len(np.unique(points[nodes], axis=0)))
        labels = KMeans(count, n_init=restarts, random_state=seed).fit_predict(points[nodes])
        clusters += [nodes[labels == k].tolist() for k in range(count)]
    return [members for members in clusters if members]


@cache
def compile_ahead() -> None:
    """Compile all of it, or load what was compiled before."""
    ones = np.zeros(1, np.int64)
    cluster(np.zeros((1, 1)), ones, ones, ones, np.zeros((1, 1), bool), ones, True, 1, 0.1, True)
