"""k-means under the constraints graph, with an adaptive number of clusters (section 3.3.2)."""

from dataclasses import dataclass

import numpy as np

from models.constraints import ConstraintsGraph


@dataclass(frozen=True)
class Clustering:
    """Result of `constrained_kmeans`.

    Attributes:
        clusters: list of clusters, each the list of its groups' numbers, ascending.
        iterations: passes made.
        opened: clusters that exist because no centre was feasible, at the end.
    """

    clusters: list
    iterations: int
    opened: int


def fullest_frame(frames):
    """Return the nodes (indices, ascending) of the frame with most nodes, the latest such.

    Their number is the first guess at |K|, their embeddings the first centres (section 3.3.2).
    """
    numbers, counts = np.unique(frames, return_counts=True)
    fullest = numbers[len(counts) - 1 - np.argmax(counts[::-1])]
    return np.flatnonzero(frames == fullest)


def constrained_kmeans(
    points, graph, initial, centre_rule="mean", max_iterations=50, tolerance=1e-4
):
    """Cluster the nodes of a window.

    In node order, each node goes, with its must-link group, to the nearest centre that breaks no
    cannot-link; if every centre breaks one, it opens a cluster with itself as centre. Then centres
    move and clusters without members vanish. Deterministic: ties go to the earlier centre.

    Args:
        points: (n, F) float embeddings z_i in node order, current frame first.
        graph: ConstraintsGraph over the n nodes.
        initial: indices of the nodes that are the first centres.
        centre_rule: "mean" of the members (paper) or "nearest", the member nearest in time to the
            current frame, that is, the first in node order (authors' code).
        max_iterations: upper limit of passes.
        tolerance: stop when the squared movement of the centres is at most this times the mean
            variance of the points' coordinates.

    Returns:
        Clustering; every group is in exactly one cluster, no two groups of a cluster cannot-link.

    Raises:
        ValueError: shapes that do not fit, non-finite points, or an unknown rule.
    """
    points = np.asarray(points, np.float64)
    if points.ndim != 2 or len(points) != len(graph.groups):
        raise ValueError(
            f"points must be (n, F) for the graph's n = {len(graph.groups)}, got {points.shape}"
        )
    if not np.isfinite(points).all():
        raise ValueError("points must be finite, got NaN or infinity")
    if centre_rule not in ("mean", "nearest"):
        raise ValueError(f"centre_rule must be 'mean' or 'nearest', got {centre_rule!r}")
    if len(points) and not len(initial):
        raise ValueError("initial must name at least one node, got none")
    if not len(points):
        return Clustering([], 0, 0)
    return _cluster(points, graph, np.asarray(initial), centre_rule, max_iterations, tolerance)


def _cluster(points, graph, initial, centre_rule, max_iterations, tolerance):
    """Run the passes; assumes valid input."""
    groups = graph.groups
    count = len(graph.cannot_link)
    if count == len(groups):
        heads, sums, sizes = points, points, None
    else:
        # A group acts through its first node; only its mean needs the others.
        heads = points[np.unique(groups, return_index=True)[1]]
        if centre_rule == "mean":
            sums = np.zeros_like(heads)
            np.add.at(sums, groups, points)
            sizes = np.bincount(groups, minlength=count)
    barred = _bitmasks(graph.cannot_link)
    norms = np.einsum("ij,ij->i", heads, heads)
    centres = points[initial]
    before, limit = None, None
    for iteration in range(1, max_iterations + 1):
        clusters, opened = _assign(heads, norms, centres, barred)
        if clusters == before:
            break
        before = clusters
        if centre_rule == "nearest":
            moved = heads[[members[0] for members in clusters]]
        elif sizes is None:
            moved = np.stack([sums[members].mean(axis=0) for members in clusters])
        else:
            moved = np.stack([sums[m].sum(axis=0) / sizes[m].sum() for m in clusters])
        if moved.shape == centres.shape:
            if limit is None:
                limit = tolerance * points.var(axis=0).mean()
            if np.square(moved - centres).sum() <= limit:
                break
        centres = moved
    return Clustering(clusters, iteration, opened)


def _bitmasks(matrix):
    """Return each row of a bool matrix as an int, column j in bit j: set tests in one operation."""
    packed = np.packbits(matrix, axis=1, bitorder="little")
    width, data = packed.shape[1], packed.tobytes()
    return [
        int.from_bytes(data[i : i + width], "little") for i in range(0, len(data), max(width, 1))
    ]


def _assign(heads, norms, centres, barred):
    """Make one pass; return the non-empty clusters and how many of them were opened."""
    distances = norms[:, None] - 2 * heads @ centres.T + np.einsum("ij,ij->i", centres, centres)
    nearest = distances.argmin(axis=1).tolist()
    members = [0] * len(centres)
    clusters = [[] for _ in members]
    started = len(members)
    for group, bar in enumerate(barred):
        k = nearest[group]
        if members[k] & bar:
            row = distances[group]
            for k in np.argsort(row, kind="stable").tolist():
                if not members[k] & bar:
                    break
            else:
                k = len(members)
                members.append(0)
                clusters.append([])
                to_new = norms - 2 * heads @ heads[group] + norms[group]
                closer = np.flatnonzero(to_new < distances.min(axis=1)).tolist()
                distances = np.column_stack([distances, to_new])
                for other in closer:
                    nearest[other] = k
        members[k] |= 1 << group
        clusters[k].append(group)
    opened = sum(map(bool, clusters[started:]))
    return [cluster for cluster in clusters if cluster], opened


def no_constraints(n):
    """Return a graph over n nodes without an edge: plain k-means."""
    return ConstraintsGraph(np.arange(n), np.zeros((n, n), bool))
