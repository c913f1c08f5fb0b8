"""The loops of constrained k-means, each by hand."""

import numpy as np
import pytest

from models.usc_mots import kmeans_loops as loops


def test_distances_are_whole_units_and_ties_exact():
    heads, centres = np.array([[0.0, 3.0], [4.0, 0.0]]), np.array([[0.0, 0.0], [4.0, 3.0]])
    assert loops.squared_norms(heads).tolist() == [9, 16]
    distances, unit = loops.distances_of(heads, np.array([9.0, 16.0]), centres)
    assert unit == pytest.approx(loops.ROUNDING * (16 + 25))
    assert distances * unit == pytest.approx(np.array([[9, 16], [16, 9]]))
    nudged, _ = loops.distances_of(heads + 1e-13, np.array([9.0, 16.0]), centres)
    assert (nudged == distances).all()
    assert loops.distances_of(np.zeros((1, 2)), np.zeros(1), np.zeros((1, 2)))[1] == 1.0


def test_means_and_newest_of_two_clusters():
    points = np.array([[0.0], [2.0], [10.0], [14.0], [99.0]])
    groups, owner = np.array([0, 1, 1, 2, 3]), np.array([0, 0, 1, -1])
    assert loops.means(points, groups, owner, 2).tolist() == [[4], [14]]
    heads = points[[0, 1, 3, 4]]
    assert loops.newest(heads, owner, 2).tolist() == [[0], [14]]
    assert loops.variance(np.array([[0.0, 1.0], [2.0, 1.0]])) == 0.5


def test_empty_clusters_vanish_and_the_others_are_numbered_through():
    heads, centres = np.array([[1.0], [2.0], [3.0]]), np.array([[7.0], [8.0], [9.0]])
    owner = np.array([2, 3, -1])  # around the third centre, and the first that was opened
    around = loops.keep_filled(heads, centres, owner, np.array([1, 0, 0]), 1)
    assert around.tolist() == [[9], [2]] and owner.tolist() == [0, 1, -1]


def test_a_group_asks_for_the_centres_by_distance():
    distances = np.array([[5.0, 1.0, 3.0]])
    ranked, at = np.zeros((1, 3), np.int64), np.array([-1])
    blocked = np.zeros((4, 1), bool)
    blocked[2, 0] = True
    asked = [loops.next_centre(0, distances, ranked, at, blocked) for _ in range(3)]
    assert asked == [1, 0, -1]
    queue = loops.first_choices(np.array([1, 0]), np.array([[5.0, 2.0], [3.0, 3.0]]))
    assert sorted(queue) == [(0, 3.0, 1, 0), (1, 2.0, 0, 1)]


def passed(heads, ages, centres, cannot, adaptive=True):
    """Return the owners and how many clusters one pass opened."""
    g = len(heads)
    owner, opened = np.empty(g, np.int64), np.empty(g, np.int64)
    matrix = np.zeros((g, g), bool)
    for i, j in cannot:
        matrix[i, j] = matrix[j, i] = True
    points = np.array(heads, float)[:, None], np.array(centres, float)[:, None]
    count = loops.assign(points[0], np.array(ages), points[1], matrix, adaptive, owner, opened)
    return owner.tolist(), count, opened[:count].tolist()


def test_one_pass_by_hand():
    # Newest first, then nearest: 2 goes to 0 only because 1, which is nearer, comes from before.
    assert passed([0, 10, 2], [0, 0, 1], [0, 10], []) == ([0, 1, 0], 0, [])
    # 1 and 2 both want the only centre, and may not share it: the farther opens one.
    assert passed([0, 1, 2], [0, 1, 1], [0], [(1, 2)]) == ([0, 0, 1], 1, [2])
    assert passed([0, 1, 2], [0, 1, 1], [0], [(1, 2)], adaptive=False) == ([0, 0, -1], 0, [])
    # A third, barred from the first, joins what the second opened rather than opening another.
    owner, count, opened = passed([0, 1, 2, 2.5], [0, 1, 1, 2], [0], [(1, 2), (1, 3)])
    assert (owner, count, opened) == ([0, 0, 1, 1], 1, [2])
    # Where it may not join that one either, it opens its own.
    assert passed([0, 1, 2, 2.5], [0, 1, 1, 2], [0], [(1, 2), (1, 3), (2, 3)])[1] == 2
