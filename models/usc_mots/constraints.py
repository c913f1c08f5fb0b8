"""The constraints graph G^t over the detections of a window (paper, Eqs. 4 to 6)."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from utils.compiling import compiled, solid

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
    """Build G^t from Eqs. 5 and 6.

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
    return _build(frames, classes, labels, apart)


def _build(frames: Array, classes: Array, labels: Array, apart: Array) -> ConstraintsGraph:
    """Build the graph; assumes valid arrays."""
    fast = compiled("models.usc_mots.compiled")
    if fast is not None:
        known = (solid(column, np.int64) for column in (frames, classes, labels))
        found, first, links, against = fast.build(*known, solid(apart, np.bool_))
        return ConstraintsGraph(found, first.tolist(), links, tuple(against.tolist()))
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
