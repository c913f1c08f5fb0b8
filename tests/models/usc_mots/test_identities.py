import numpy as np
import pytest

from models.usc_mots.config import UscMotsConfig
from models.usc_mots.identities import identity_and_takers, newest_node, scores_enough


@pytest.mark.parametrize(
    ("labels", "newest", "every"),
    [
        ([0, 7], (7, [0]), (7, [0])),  # a tie goes to the identity
        ([7, 0], (7, []), (7, [1])),  # the newest has its own, one other has none
        ([0, 7, 7], (7, [0]), (7, [0])),
        ([7, 0, 7], (7, []), (7, [1])),
        ([0, 0, 7], (7, [0, 1]), (7, [0, 1])),  # none is the most frequent: all take the largest
        ([7, 0, 0], (7, [1, 2]), (7, [1, 2])),
        ([0, 0, 7, 7], (7, [0]), (7, [0, 1])),  # a tie of none and 7
        ([0, 5, 7], (7, [0]), (7, [0])),  # a tie of 5 and 7
        ([0, 7, 5, 5], (5, [0]), (5, [0])),
        ([0, 0, 0, 5, 5, 7], (7, [0, 1, 2]), (5, [0, 1, 2])),  # the largest, not the most frequent
        ([0, 0], (0, [0, 1]), (0, [0, 1])),  # a new cluster
        ([0], (0, [0]), (0, [0])),
        ([3, 3], (3, []), (3, [])),
    ],
)
def test_who_takes_which_identity(labels, newest, every):
    nodes = range(len(labels))
    assert identity_and_takers(nodes, labels, 0, "newest") == newest
    assert identity_and_takers(nodes, labels, 0, "all") == every


def test_nodes_keep_their_numbers():
    assert identity_and_takers([4, 9, 11], [0, 0, 6], 4, "newest") == (6, [4, 9])
    assert identity_and_takers([4, 9], [0, 6], 9, "newest") == (6, [])


def test_of_several_newest_nodes_the_one_nearest_to_the_mean():
    points = np.array([[9.0], [1.0], [3.0], [2.0]])
    frames = np.array([5, 5, 5, 4])
    # The mean of 9, 3 and 2 is 4.67.
    assert newest_node([0, 2, 3], frames, points) == 2
    assert newest_node([3], frames, points) == 3
    assert newest_node([1, 3], frames, points) == 1


def test_scores():
    scores = [0.2, 0.4]

    def enough(scores, new, rule, least):
        config = UscMotsConfig(t_lag=3, score_rule=rule, min_score=least)
        return scores_enough(scores, new, config)

    assert enough(scores, True, "mean", 0.29)
    assert not enough([0.25, 0.25], True, "mean", 0.25)
    assert not enough(scores, False, "mean", 0.31)
    assert enough([0.25, 0.5], True, "sum", 0.25)
    assert not enough(scores, True, "sum", 0.21)
    assert enough(scores, False, "sum", 0.9)
