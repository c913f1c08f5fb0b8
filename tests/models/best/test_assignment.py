"""Sparse assignment, against SciPy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from models.best.assignment import Pairs, assign


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([(4, 3), (3, 7), (20, 20), (60, 50)]))
def test_assignment_is_as_good_as_scipys(seed, shape):
    rng = np.random.default_rng(seed)
    chance = rng.choice([0.05, 0.3, 1.0])
    gain = np.where(rng.random(shape) < chance, rng.uniform(-0.3, 1, shape), -1)
    if seed % 3 == 0:
        gain = np.round(gain, 1)  # ties
    j, i = np.nonzero(gain > -1)
    starts = np.searchsorted(j, np.arange(shape[0] + 1))
    taken = assign(Pairs(starts, i, gain[j, i]), shape[1])
    made = taken >= 0
    chosen = gain[taken[made], np.flatnonzero(made)]
    assert (chosen > 0).all() and len(set(taken[made].tolist())) == made.sum()
    useful = np.maximum(gain, 0)
    rows, columns = linear_sum_assignment(useful, maximize=True)
    assert chosen.sum() == pytest.approx(useful[rows, columns].sum(), abs=1e-9)


def test_a_detection_gives_way_where_the_sum_is_larger():
    # 0 wants track 0 (5) or 1 (4); 1 can only have track 0 (3): 4 + 3 beats 5.
    pairs = Pairs(np.array([0, 2, 3]), np.array([0, 1, 0]), np.array([5.0, 4.0, 3.0]))
    assert assign(pairs, 2).tolist() == [1, 0]
    # With 1 for track 1, 5 alone beats 1 + 3: detection 1 stays alone.
    pairs = Pairs(np.array([0, 2, 3]), np.array([0, 1, 0]), np.array([5.0, 1.0, 3.0]))
    assert assign(pairs, 2).tolist() == [0, -1]
    # A gain of 0 is no pair.
    assert assign(Pairs(np.array([0, 1]), np.array([0]), np.array([0.0])), 1).tolist() == [-1]
