"""Exact assignment: by hand, and against all permutations."""

import itertools

import numpy as np
import pytest

from models.assignment import assign_exactly


def test_the_largest_sum_above_the_limit_by_hand():
    similarity = np.array([[0.9, 0.8], [0.7, 0.1]])
    rows, columns = assign_exactly(similarity, 0.0)
    assert list(zip(rows.tolist(), columns.tolist(), strict=True)) == [(0, 1), (1, 0)]
    # What is at the limit is no pair, and no pair is made for the sake of another.
    rows, columns = assign_exactly(similarity, 0.7)
    assert (rows.tolist(), columns.tolist()) == ([0], [0])
    assert not len(assign_exactly(similarity, 0.9)[0])


@pytest.mark.parametrize("seed", range(20))
def test_no_other_assignment_gains_more(seed):
    rng = np.random.default_rng(seed)
    similarity = rng.uniform(0, 1, (4, 3))
    rows, columns = assign_exactly(similarity, 0.4)
    assert (similarity[rows, columns] > 0.4).all()
    gain = np.maximum(similarity - 0.4, 0)
    best = max(
        sum(gain[r, c] for c, r in enumerate(p)) for p in itertools.permutations(range(4), 3)
    )
    assert gain[rows, columns].sum() == pytest.approx(best)
