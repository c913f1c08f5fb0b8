"""From clusters to identities: who takes which, and what a new cluster must score."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from models.usc_mots.config import UscMotsConfig

Array = npt.NDArray[Any]

NONE = 0  # label of a node without an identity


def identity_and_takers(
    nodes: Sequence[int], labels: Sequence[int], newest: int, rule: str
) -> tuple[int, list[int]]:
    """Return a cluster's identity and who takes it.

    Args:
        nodes: of the cluster, at least one.
        labels: their identities, 0 for none.
        newest: of the nodes, the one of the newest frame.
        rule: "all": every node without an identity takes that of most nodes (paper: a cluster is
            an object). "newest" (authors' code): only the newest node does; but where nodes without
            one are at least two and more than those of any identity, all of them take the largest.
            Of several identities with as many nodes the largest counts.

    Returns:
        identity: 0 where no node has one. takers: nodes without an identity, in order.
    """
    free = [node for node, label in zip(nodes, labels, strict=True) if label == NONE]
    given = [label for label in labels if label != NONE]
    if not given:
        return NONE, free
    if given.count(given[0]) == len(given):  # nearly always
        most, identity = len(given), given[0]
    else:
        most, identity = max((count, label) for label, count in Counter(given).items())
    if rule == "all":
        return identity, free
    if len(free) >= 2 and len(free) > most:
        return max(given), free
    return identity, [newest] if newest in free else []


def newest_node(nodes: Sequence[int], frames: Array, points: Array) -> int:
    """Return the node of the newest frame, of several the nearest to the cluster's mean.

    Several there are without a graph only.

    Args:
        nodes: of a cluster, ascending, the current frame first; frames: (n,) int of all nodes;
            points: (n, F).
    """
    newest = [node for node in nodes if frames[node] == frames[nodes[0]]]
    if len(newest) == 1:
        return newest[0]
    return newest[int(distances_to_mean(points[newest], points[nodes]).argmin())]


def distances_to_mean(points: Array, members: Array) -> npt.NDArray[np.float64]:
    """Return the squared distance of each of (k, F) points to the mean of (m, F) members."""
    gaps: npt.NDArray[np.float64] = np.square(points - members.mean(axis=0)).sum(axis=1)
    return gaps


def scores_enough(scores: Sequence[float], new: bool, config: UscMotsConfig) -> bool:
    """Return whether a cluster's score lets it hand out an identity (Alg. 1, lines 8 and 9).

    Args:
        scores: confidences c_i of its members.
        new: whether none of them has an identity.
        config: `score_rule` "mean": the mean must exceed lambda, `min_score`, whichever cluster it
            is; "sum" (authors' code): of a new cluster, sum / t_lag must reach it.
    """
    if config.score_rule == "mean":
        return sum(scores) / len(scores) > config.min_score
    return not new or sum(scores) / config.t_lag >= config.min_score
