"""The constraints graph G^t over the detections of a window (paper, Eqs. 4 to 6)."""

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from utils.compiling import loop, solid

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class ConstraintsGraph:
    """Constraints among n nodes, closed under must-links.

    Nodes that must be together form a group; everything else is said between groups.

    Attributes:
        groups: (n,) int64, the group of each node. Groups are numbered by their first node, so a
            lower number means a node earlier in node order.
        heads: list of g nodes, the first of each group.
        cannot_link: (g, g) bool, symmetric, False on the diagonal: a pair of their nodes is in
            E_cl.
        contradictions: nodes whose must-link was dropped because it contradicts a cannot-link.
    """

    groups: npt.NDArray[np.int64]
    heads: list[int]
    cannot_link: npt.NDArray[np.bool_]
    contradictions: tuple[int, ...] = ()


def build_graph(frames: Array, classes: Array, labels: Array, apart: Array) -> ConstraintsGraph:
    """Return G^t = (V^t, E_cl, E_ml) of Eqs. 4 to 6.

    Two nodes with one label in one frame (or of two classes) contradict a cannot-link. The
    cannot-link wins: the node that comes later in node order leaves the group, stays barred from
    every other label, and is reported.

    Args:
        frames: (n,) int, time stamps t_i of the nodes V^t.
        classes: (n,) int, gamma_i.
        labels: (n,) int identities l_i, 0 where none is set.
        apart: (n, n) bool, symmetric, the gate: |t_i - t_j| <= tau and mask IoU 0 (Eq. 6), or
            embeddings too far from each other (section 4.1).

    Returns:
        ConstraintsGraph.

    Raises:
        ValueError: columns of different lengths.
    """
    frames, classes, labels = (np.asarray(column) for column in (frames, classes, labels))
    apart = np.asarray(apart, bool)
    n = len(frames)
    if not (len(classes) == len(labels) == n and apart.shape == (n, n)):
        raise ValueError(
            "frames, classes, labels and apart must describe the same nodes, got lengths "
            f"{n}, {len(classes)}, {len(labels)} and {apart.shape}"
        )
    frames, classes, labels = (solid(column, np.int64) for column in (frames, classes, labels))
    groups, heads, against = must_link(frames, classes, labels)
    cannot = cannot_link(frames, classes, labels, solid(apart, np.bool_), groups, heads)
    return ConstraintsGraph(groups, heads.tolist(), cannot, tuple(against.tolist()))


@loop()
def must_link(frames: Array, classes: Array, labels: Array) -> tuple[Array, Array, Array]:
    """Return the groups of nodes that f_ml = 1 ties (Eq. 6), closed transitively.

    f_ml is 1 for nodes of one label, that is set, and of one class, in different frames.

    Returns:
        (n,) group of each node, (g,) first node of each group, (c,) contradicting nodes.
    """
    n = len(frames)
    known = np.unique(labels)
    group_of, latest = np.full(len(known), -1), np.full(len(known), -1)  # of each label
    before = np.full(n, -1)  # the node that joined a label's group before
    groups, heads = np.empty(n, np.int64), np.empty(n, np.int64)
    against = np.zeros(n, np.bool_)
    count = 0
    for node in range(n):
        place = np.searchsorted(known, labels[node])
        group = group_of[place] if labels[node] != 0 else -1
        joined = group >= 0 and classes[heads[group]] == classes[node]
        other = latest[place]
        while joined and other >= 0:
            joined, other = frames[other] != frames[node], before[other]
        against[node] = group >= 0 and not joined
        if labels[node] != 0 and not against[node]:
            before[node], latest[place] = latest[place], node
        if joined:
            groups[node] = group
            continue
        if labels[node] != 0 and group < 0:
            group_of[place] = count
        groups[node], heads[count] = count, node
        count += 1
    return groups, heads[:count].copy(), np.flatnonzero(against)


@loop()
def cannot_link(
    frames: Array, classes: Array, labels: Array, apart: Array, groups: Array, heads: Array
) -> Array:
    """Return (g, g) bool: whether f_cl is 1 (Eq. 6) for a pair of nodes of two groups.

    f_cl is 1 for nodes of one frame or of different classes; for nodes that are `apart`, of which
    one at least has no label; and, since a label is only ever joined by itself or by none, for
    nodes of different labels.
    """
    count = len(heads)
    cannot = np.zeros((count, count), np.bool_)
    for i in range(count):
        for j in range(count):
            cannot[i, j] = i != j and labels[heads[i]] != 0 and labels[heads[j]] != 0
    for node in range(len(frames)):
        if labels[node] != 0:
            continue  # its group bars every other label, and the other node the rest
        i = groups[node]
        for other in range(len(frames)):
            same = frames[node] == frames[other] or classes[node] != classes[other]
            if node != other and (same or apart[node, other]):
                cannot[i, groups[other]] = cannot[groups[other], i] = True
    return cannot


@cache
def compile_ahead() -> None:
    """Compile the loops, or load what was compiled before."""
    node = np.ones(1, np.int64)
    groups, heads, _ = must_link(node, node, node)
    cannot_link(node, node, node, np.zeros((1, 1), bool), groups, heads)
