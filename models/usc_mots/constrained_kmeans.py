"""k-means under the constraints graph, with an adaptive number of clusters (section 3.3.2)."""

import heapq
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from models.usc_mots.config import UscMotsConfig
from models.usc_mots.constraints import ConstraintsGraph
from utils.compiling import compiled, solid

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
    """Cluster the nodes of a window; the defaults are the preset `paper`'s.

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
    fast = compiled("models.usc_mots.compiled", int((frames == frames[0]).sum()))
    if fast is not None:
        rules = centre_rule == "mean", max_iterations, tolerance, adaptive
        owner, iteration, opened = fast.cluster(
            solid(points), solid(graph.groups, np.int64), first, since.astype(np.int64),
            solid(graph.cannot_link, np.bool_), solid(initial, np.int64), *rules, ROUNDING,
        )  # fmt: skip
        clusters: list[list[int]] = [[] for _ in range(int(owner.max()) + 1)]
        for group, k in enumerate(owner.tolist()):
            if k >= 0:
                clusters[k].append(group)
        return Clustering(clusters, iteration, opened)
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
