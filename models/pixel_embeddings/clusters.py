"""Clusters of pixels by HDBSCAN, as masks (thesis, sections 6.2.3, 6.2.4 and 6.2.9)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from models.pixel_embeddings.config import STRIDE, PixelConfig

Array = npt.NDArray[Any]
Groups = list[tuple[Array, Array]]

ENOUGH = 0.5  # of a class' probability, from which a pixel joins the single cluster of its class


@dataclass(frozen=True)
class Cluster:
    """An object that was found in a frame.

    Attributes:
        label: class, from 1. inside: (h, w) float32, its class' probability in its cells, else 0.
        score: mean of that over its cells.
        representatives: (R, features) of cells at its core.
        votes: (3 past,) for each frame before: y and x of the centre in px of the resized picture,
            and the probability that it was there.
    """

    label: int
    inside: Array
    score: float
    representatives: Array
    votes: Array


def middles(rows: Array, columns: Array) -> Array:
    """Return (..., 2) where the middles of cells lie, y and x in px of the resized picture."""
    return np.stack([rows, columns], axis=-1) * STRIDE + STRIDE / 2


def features_of(embeddings: Array, votes: Array | None, config: PixelConfig) -> Array:
    """Return (h, w, features) of cells: embedding, position, and the predicted centre if there.

    Args:
        embeddings: (h, w, F). votes: (h, w, 2 + 3 past), or None. config: PixelConfig.
    """
    unit = config.position / config.min_size
    place = middles(*np.mgrid[: embeddings.shape[0], : embeddings.shape[1]])
    parts = [embeddings, place * unit]
    if config.centres and votes is not None:
        parts.append((place + votes[..., :2]) * unit)
    return np.concatenate(parts, axis=-1).astype(np.float32)


def clusters_of(
    classes: Array, embeddings: Array, votes: Array | None, config: PixelConfig, scale: float
) -> list[Cluster]:
    """Return the objects of a frame; no two share a cell.

    Args:
        classes: (h, w, K + 1) in [0, 1]. embeddings: (h, w, F). votes: see `features_of`.
        config: PixelConfig. scale: px of the resized picture for one of the frame, along a side.
    """
    features = features_of(embeddings, votes, config)
    best = classes.argmax(axis=-1)
    clusters = []
    for label in range(1, classes.shape[-1]):
        rows, columns = np.nonzero(best == label)
        shares = classes[rows, columns, label]
        least = max(2, round(config.of_class(config.least, label) * (scale / STRIDE) ** 2))
        neighbours = config.of_class(config.neighbours, label)
        groups = _groups(features[rows, columns], least, neighbours)
        if len(groups) <= 1 and config.single:
            groups = _single(shares, groups, least)
        for cells, strength in groups:
            inside_cells = rows[cells], columns[cells]
            inside = np.zeros(best.shape, np.float32)
            inside[inside_cells] = shares[cells]
            core = cells[_core(strength, config.representatives)]
            points = features[rows[core], columns[core]]
            score = float(shares[cells].mean())
            clusters.append(
                Cluster(label, inside, score, points, _votes(votes, inside_cells, config))
            )
    return clusters


def _groups(points: Array, least: int, neighbours: int) -> Groups:
    """Return (places, strength of membership) of each cluster."""
    from sklearn.cluster import HDBSCAN

    if len(points) < max(least, neighbours + 1):
        return []
    model = HDBSCAN(min_cluster_size=least, min_samples=neighbours, copy=True)
    labels = model.fit_predict(points.astype(np.float64))
    each = [np.flatnonzero(labels == k) for k in range(labels.max() + 1)]
    return [(cells, model.probabilities_[cells]) for cells in each]


def _single(shares: Array, groups: Groups, least: int) -> Groups:
    """Return all sure cells as one cluster, where there are enough of them (section 6.2.9)."""
    cells = np.flatnonzero(shares > ENOUGH)
    if len(cells) < least:
        return groups
    strength = shares.astype(np.float64)
    if groups:  # the core stays that of the cluster that was found
        strength = np.zeros(len(shares))
        strength[groups[0][0]] = groups[0][1]
    return [(cells, strength[cells])]


def _core(strength: Array, count: int) -> Array:
    """Return `count` places, evenly from those that belong to a cluster most."""
    order = np.argsort(-strength, kind="stable")
    most = int((strength >= strength.max() - 1e-9).sum())
    pool = np.sort(order[: max(most, min(count, len(order)))])
    core: Array = pool[np.linspace(0, len(pool) - 1, count).round().astype(int)]
    return core


def _votes(votes: Array | None, cells: tuple[Array, Array], config: PixelConfig) -> Array:
    """Return what a cluster's cells say of the frames before, on average."""
    means: list[float] = []
    if votes is not None:
        said, place = votes[cells], middles(*cells)
        for first in range(2, 2 + 3 * config.past, 3):
            means += (place + said[:, first : first + 2]).mean(axis=0).tolist()
            means.append(float((1 / (1 + np.exp(-said[:, first + 2]))).mean()))
    return np.array(means, np.float32)


def enlarged(
    clusters: list[Cluster], resized: tuple[int, int], size: tuple[int, int], how: str
) -> npt.NDArray[np.int32]:
    """Return (H, W) int32: the place of the cluster that each pixel of the frame belongs to, or -1.

    Args:
        clusters: of a frame. resized: (height, width) of the picture that the cells are of.
        size: (H, W) of the frame.
        how: "nearest" takes the cell a pixel lies in; "bilinear" enlarges each cluster's class
            probability, takes what is above 0.5, and gives a pixel to the highest.
    """
    import cv2

    owner = np.full(size, -1, np.int32)
    highest = np.zeros(size, np.float32)
    # Of each pixel's middle, where it lies among the cells.
    y, x = ((np.arange(n) + 0.5) * r / n / STRIDE for n, r in zip(size, resized, strict=True))
    for k, cluster in enumerate(clusters):
        inside = cluster.inside
        if how == "nearest":
            better = inside[y.astype(int)[:, None], x.astype(int)] > 0
        else:
            columns, rows = np.meshgrid((x - 0.5).astype(np.float32), (y - 0.5).astype(np.float32))
            values = cv2.remap(
                inside, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
            )
            better = (values > ENOUGH) & (values > highest)
            highest[better] = values[better]
        owner[better] = k
    return owner
