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
    """Build G^t from Eqs. 4 to 6.

    * Must-link: same non-empty label, same class, different frames; closed transitively.
    * Cannot-link: same frame; different classes; different labels, both set; or `apart`, where at
      least one of the two has no label.

    Two nodes with one label in one frame (or of two classes) contradict a cannot-link. The
    cannot-link wins: the node that comes later in node order leaves the group, stays barred from
    every other label, and is reported.

    Args:
        frames: (n,) int, time stamps t_i.
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
    columns = (solid(column, np.int64) for column in (frames, classes, labels))
    groups, heads, cannot, against = build(*columns, solid(apart, np.bool_))
    return ConstraintsGraph(groups, heads.tolist(), cannot, tuple(against.tolist()))


@loop()
def build(
    frames: Array, classes: Array, labels: Array, apart: Array
) -> tuple[Array, Array, Array, Array]:
    """Return groups, heads, cannot-links and contradictions of a ConstraintsGraph."""
    n = len(frames)
    # Must-link (Eq. 5): nodes of one label and class, in different frames, are a group.
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
    # Cannot-link (Eq. 6): groups of different labels; of an unlabelled node those of its frame, of
    # other classes, or apart from it.
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


@cache
def compile_ahead() -> None:
    """Compile `build`, or load what was compiled before."""
    one = np.ones(1, np.int64)
    build(one, one, one, np.zeros((1, 1), bool))
