"""Scores on other scales than 0 to 1: percent and logits, told apart by their range."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

OTHER = 0.25  # share of scores outside [0, 1] from which they are of another scale, not errors
LARGEST_LOGIT = 30.0  # 1 - 1e-13; above it are percent
PERCENT = 100.0


def to_unit(scores: Array, other: bool = True) -> tuple[npt.NDArray[np.float32], str | None]:
    """Return (n,) scores in [0, 1], rising as those given, and what was taken for granted.

    Scores in [0, 1] stay. Where OTHER of them are outside, they are percent if none is negative
    and some are above LARGEST_LOGIT, else logits. Fewer are errors.

    Args:
        scores: (n,) float, finite. other: whether they may be of another scale; a frame's few
            scores do not show it.

    Raises:
        ScoreError: some are outside [0, 1], and no scale explains it.
    """
    outside = (scores < 0) | (scores > 1)
    if not outside.any():
        return scores.astype(np.float32), None
    low, high = float(scores.min()), float(scores.max())
    shown = f"scores are from {low:g} to {high:g}"
    if other and outside.mean() >= OTHER and low >= 0 and LARGEST_LOGIT < high <= PERCENT:
        return (scores / PERCENT).astype(np.float32), f"{shown}: taken as percent"
    if other and outside.mean() >= OTHER and max(-low, high) <= LARGEST_LOGIT:
        return (1 / (1 + np.exp(-scores))).astype(np.float32), f"{shown}: taken as logits"
    row = int(np.argmax(outside))
    raise ScoreError(row, float(scores[row]), other)


class ScoreError(ValueError):
    """A score on no scale that is known; `row` is its index, `value` the score."""

    def __init__(self, row: int, value: float, other: bool = True) -> None:
        self.rule = "score must be in [0, 1]" + ", or all of them percent or logits" * other
        super().__init__(f"{self.rule}, got {value:g}")
        self.row, self.value = row, value
