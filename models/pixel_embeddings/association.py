"""Linking clusters of pixels from frame to frame (thesis, section 6.2.4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.matching import Matching, MatchingConfig
from models.tracking import VECTORS, Array, Frame, register
from utils.config import check_settings, setting


@dataclass(frozen=True)
class PixelTrackerConfig(MatchingConfig):
    """Settings of the tracker; the last two say what a network's vectors hold."""

    limit: float = setting(4.0, "distance of representatives at which, and above, none is linked")
    window: int = setting(1, "frames in which a track's last detection must lie")
    features: int = setting(18, "values of a representative: embedding, position, centre")
    representatives: int = setting(5, "of a cluster")
    past: int = setting(0, "frames before that the network votes for")

    def __post_init__(self) -> None:
        """Refuse settings without a meaning."""
        super().__post_init__()
        rules = (
            ("features", self.features >= 1, "at least 1"),
            ("representatives", self.representatives >= 1, "at least 1"),
            ("past", self.past >= 0, "at least 0"),
        )
        check_settings(self, rules)


def greedy(costs: Array, limit: float) -> tuple[Array, Array]:
    """Return the (k,) rows and (k,) columns that are linked, cheapest first, each once.

    Args:
        costs: (m, n), infinite for what cannot be linked. limit: cost from which nothing is.
    """
    pairs: list[tuple[int, int]] = []
    rows: set[int] = set()
    columns: set[int] = set()
    for place in np.argsort(costs, axis=None, kind="stable").tolist():
        row, column = divmod(place, costs.shape[1])
        if not costs[row, column] < limit:
            break
        if row not in rows and column not in columns:
            rows.add(row)
            columns.add(column)
            pairs.append((row, column))
    linked = np.array(pairs, np.int64).reshape(-1, 2)
    return linked[:, 0], linked[:, 1]


@register
class PixelEmbeddingTracker(Matching):
    """Greedy merging of clusters whose representatives are near (section 6.2.4).

    Vectors are those of `models.pixel_embeddings.inference`.
    """

    name = "pixel_embeddings"
    meaning = "greedy merging of clusters of pixels by the distance of their representatives"
    settings = PixelTrackerConfig
    needs = (VECTORS,)
    own_vectors = True

    def assign(self, costs: Array) -> tuple[Array, Array]:
        """Return the (k,) rows and (k,) columns of (m, n) costs that are matched."""
        return greedy(costs, self.config.limit)

    def cost(self, last: Sequence[tuple[Frame, int]], frame: Frame, rows: Array) -> Array:
        """Return (m, k) least distances of two representatives."""
        if not last or not len(rows):
            return np.zeros((len(last), len(rows)))
        now = self._points(frame[VECTORS][rows])
        before = self._points(np.stack([f[VECTORS][i] for f, i in last]))
        apart = before[:, None, :, None] - now[None, :, None]
        least: Array = np.sqrt((apart**2).sum(axis=-1)).min(axis=(2, 3))
        return least

    def _points(self, vectors: Array) -> Array:
        """Return (n, R, features) representatives of (n, V) vectors, which may end in zeros.

        Raises:
            ValueError: vectors that cannot be of such representatives.
        """
        count, size, past = self.config.representatives, self.config.features, self.config.past
        filled = np.flatnonzero(vectors.any(axis=0))
        used, most = (int(filled[-1]) + 1 if len(filled) else 0), count * size + 3 * past
        if used > most or used <= (count - 1) * size:
            rule = f"vectors must hold {count} representatives of {size} values and {past} votes"
            raise ValueError(f"{rule} (--set features, representatives, past), got {used} values")
        return vectors[:, : count * size].reshape(-1, count, size).astype(np.float64)
