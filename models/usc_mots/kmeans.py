"""k-means under the constraints graph, with an adaptive number of clusters (section 3.3.2)."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from models.usc_mots.config import UscMotsConfig
from models.usc_mots.constraints import ConstraintsGraph
from models.usc_mots.kmeans_loops import cluster
from utils.compiling import solid

Array = npt.NDArray[Any]


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
    config: UscMotsConfig | None = None,
    initial: Array | None = None,
    adaptive: bool = True,
) -> Clustering:
    """Cluster the nodes of a window (section 3.3.2).

    Each node goes to the nearest centre that breaks no cannot-link, and its must-link group goes
    along; if every centre breaks one, the node opens a cluster with itself as centre. Then centres
    move, and clusters without members vanish. Deterministic; the order of the rows of a frame
    decides nothing but exact ties.

    Args:
        points: (n, F) float embeddings z_i in node order, the current frame first.
        frames: (n,) int frame numbers, descending.
        graph: ConstraintsGraph over the n nodes.
        config: `centre_rule`, `order`, `fullest`, `max_iterations`, `tolerance`; None: the paper's.
        initial: indices of the nodes that are the first centres; None takes `fullest_frame`.
        adaptive: False opens no clusters: the number of first centres is the number of clusters,
            as where |K| is a prior (Table 4); a node that every centre bars is left out.

    Returns:
        Clustering; each group is in one cluster (at most one, unless `adaptive`), no two groups of
        a cluster cannot-link.

    Raises:
        ValueError: shapes that do not fit, frames not descending, non-finite points, or no initial
            centre.
    """
    points, frames = np.asarray(points, np.float64), np.asarray(frames)
    config = config or UscMotsConfig()
    _check(points, frames, graph)
    if not len(frames):
        return Clustering([], 0, 0)
    initial = fullest_frame(frames, config.fullest) if initial is None else np.asarray(initial)
    if not len(initial):
        raise ValueError("initial must name at least one node, got none")
    return _clustered(points, frames, graph, config, initial, adaptive)


def _clustered(
    points: Array,
    frames: Array,
    graph: ConstraintsGraph,
    config: UscMotsConfig,
    initial: Array,
    adaptive: bool,
) -> Clustering:
    """Do what `constrained_kmeans` says of valid input."""
    # A group acts through its node nearest to the current frame; a mean needs the others, too.
    first = np.array(graph.heads)
    ages = (frames[0] - frames)[first] if config.order == "time" else np.zeros(len(first))
    owner, iterations, opened = cluster(
        solid(points), solid(graph.groups, np.int64), first, ages.astype(np.int64),
        solid(graph.cannot_link, np.bool_), solid(initial, np.int64),
        config.centre_rule == "mean", config.max_iterations, config.tolerance, adaptive,
    )  # fmt: skip
    clusters: list[list[int]] = [[] for _ in range(int(owner.max()) + 1)]
    for group, k in enumerate(owner.tolist()):
        if k >= 0:
            clusters[k].append(group)
    return Clustering(clusters, iterations, opened)


def _check(points: Array, frames: Array, graph: ConstraintsGraph) -> None:
    """Refuse what is no window; see `constrained_kmeans`."""
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
