"""Where the paper and its authors' code differ, or the paper is silent: windows by hand.

A node is (frame, z) with one-dimensional embeddings; masks play no part, the gate is that of
section 4.1: two nodes at most tau frames apart are barred where |z_i - z_j| >= max_distance.
"""

from dataclasses import replace

import numpy as np
import pytest

from models.usc_mots.config import AuthorsConfig, UscMotsConfig
from models.usc_mots.tracker import UscMotsTracker
from pipeline.settings import settings_for
from tests.conftest import make_detections, track_with
from utils.data_sets import DATA_SETS

PAPER = UscMotsConfig(min_track_length={0: 1}, min_score=0.0, gate="embedding", max_distance=8.0)


def ids_of(nodes, scores=None, classes=None, **changes):
    """Return the ids of nodes by the paper's rules with some changes, in the order given."""
    rows = zip(nodes, scores or [1.0] * len(nodes), classes or [1] * len(nodes), strict=True)
    objects = [(f, i + 1, c, s, (2 + 5 * i, 2, 4, 4)) for i, ((f, _), s, c) in enumerate(rows)]
    embeddings = np.array([[float(z)] for _, z in nodes])
    ids, _ = track_with(replace(PAPER, **changes), make_detections(objects), embeddings)
    return ids.tolist()


def test_the_gate_of_a_pair_whose_newer_node_has_an_identity():
    # Frames 0 to 2: 12 is barred from 9 and from 7; 9 and 7 are two frames apart: id 1. Frames 1 to
    # 3: 12 (no identity) and 9 of frame 2 (id 1) are 3 apart. "either" bars them; for "newer" the
    # newer one has its identity, so all three are one cluster, in which two without are the most.
    nodes = [(0, 7), (1, 12), (2, 9), (3, 9)]
    assert ids_of(nodes, max_distance=3.0, gated="either") == [1, 0, 1, 1]
    assert ids_of(nodes, max_distance=3.0, gated="newer") == [1, 1, 1, 1]


def test_centres_are_means_or_the_member_nearest_in_time():
    # |K| = 2, centres 7 and 6. Pass 1: 1 and 5 go to 6, then 7 to 7 and 6 to 6. Mean centres 7 and
    # (1 + 5 + 6) / 3 = 4 change nothing. Nearest: 7 and 1; now 5 goes to 7, and 7, too; 6 is left
    # for 1. Then 5 and 1; now 6 is closer to 5 than 7 is: {5, 6} and {1, 7}.
    nodes = [(0, 7), (0, 6), (1, 5), (2, 1)]
    assert ids_of(nodes, tau=2, max_distance=7.0, centre_rule="mean") == [0, 1, 1, 1]
    assert ids_of(nodes, tau=2, max_distance=7.0, centre_rule="nearest") == [2, 1, 1, 2]


def test_who_chooses_first():
    # 2 is barred from 6 and 8 (4 or more). Centres 5 and 8. By time 2 goes first, to 5; 5 joins it;
    # 6, barred from 2, goes to 8. By distance 6 (1 from 5) goes before 2 (3), which opens its own.
    nodes = [(0, 6), (1, 5), (1, 8), (2, 2)]
    assert ids_of(nodes, tau=2, max_distance=4.0, order="time") == [2, 1, 2, 1]
    assert ids_of(nodes, tau=2, max_distance=4.0, order="distance") == [1, 1, 0, 0]


def test_the_frame_of_the_first_centres():
    # Frames 0 and 1 hold two nodes each, the current one holds one. Oldest: centres 6 and 9; 3.9
    # and then 7 go to 6, which 1 (of 7's frame) may not: it goes to 9. 6 goes to 6, 9 finds 1, from
    # which it is barred (8), and opens its own. Latest: centres 1 and 7; 3.9 goes to 1, 6 to 7.
    nodes = [(0, 6), (0, 9), (1, 1), (1, 7), (2, 3.9)]
    assert ids_of(nodes, max_distance=6.0, fullest="oldest") == [1, 0, 0, 1, 1]
    assert ids_of(nodes, max_distance=6.0, fullest="latest") == [2, 0, 1, 2, 1]
    # The current frame counts where it is among the fullest: centres 2 and 10, of frame 2. 9 goes
    # to 10, 1 to 2; from frame 0, 5 and 10 would be the centres, and 2 would have gone to 5.
    nodes = [(0, 5), (0, 10), (1, 1), (1, 9), (2, 2), (2, 10)]
    for rule in ("oldest", "latest"):
        assert ids_of(nodes, max_distance=4.5, fullest=rule)[2:] == [1, 2, 1, 2]


def test_who_takes_the_identity_of_a_cluster():
    # Frames 0 to 2: 11 and 9 become id 1, 2 and 3 (of one frame) stay alone. Frames 1 to 3: {2, 2}
    # is new, id 2. In {9 (id 1), 3} the newest node has its identity, and the nodes without one (1)
    # are no more than those of id 1: 3 stays without, unless all members take it.
    nodes = [(0, 11), (1, 2), (1, 3), (2, 9), (3, 2)]
    assert ids_of(nodes, labelling="newest") == [1, 2, 0, 1, 2]
    assert ids_of(nodes, labelling="all") == [1, 2, 1, 1, 2]


def test_lambda_of_a_new_cluster():
    # Two clusters of two in a window of three. Means 0.2 and 0.5; sums / t_lag 0.133 and 0.333.
    nodes, scores = [(0, 1), (0, 20), (1, 1), (1, 20)], [0.25, 0.5, 0.25, 0.5]
    for rule, least, expected in (
        ("mean", 0.2, [2, 1, 2, 1]),  # the better one first
        ("mean", 0.25, [0, 1, 0, 1]),  # to be exceeded
        ("sum", 0.2, [0, 1, 0, 1]),
        ("sum", 1 / 3, [0, 1, 0, 1]),  # to be reached
        ("sum", 0.34, [0, 0, 0, 0]),
    ):
        assert ids_of(nodes, scores, score_rule=rule, min_score=least) == expected, (rule, least)


def test_lambda_of_a_cluster_that_has_an_identity():
    # Frames 0 and 1 make id 1 (mean 0.5, sum / 2 = 0.5). With 0.1 in frame 2 the mean is 0.3: by
    # Alg. 1 the cluster is left out; the code asks new clusters only. The other object stays.
    nodes = [(0, 1), (0, 20), (1, 1), (1, 20), (2, 1), (2, 20)]
    scores = [0.5, 0.9, 0.5, 0.9, 0.1, 0.9]
    own = dict(t_lag=2, min_score=0.4)
    assert ids_of(nodes, scores, score_rule="mean", **own) == [2, 1, 2, 1, 0, 1]
    assert ids_of(nodes, scores, score_rule="sum", **own) == [2, 1, 2, 1, 2, 1]


def test_classes_share_a_window_or_have_their_own():
    # Centres 8 (class 1) and 9.5 (class 2). In one window 10 goes first and takes 9.5, which bars
    # the class 2 there; 12 follows 10, and 8 stays alone. In a window of its own class 1 has |K| =
    # 1: 12, 8 and 10 are one object.
    nodes, classes = [(0, 12), (1, 8), (1, 9.5), (2, 10)], [1, 1, 2, 1]
    for apart, expected in ((False, [1, 0, 0, 1]), (True, [1, 1, 0, 1])):
        assert ids_of(nodes, classes=classes, tau=2, classes_apart=apart) == expected


def test_the_presets_differ_in_five_rules():
    changed = {
        "gated": ("either", "newer"),
        "centre_rule": ("mean", "nearest"),
        "score_rule": ("mean", "sum"),
        "classes_apart": (False, True),
    }
    for of in DATA_SETS.values():
        paper, authors = settings_for(of, "paper").tracker, settings_for(of, "authors").tracker
        assert (type(paper), type(authors)) == (UscMotsConfig, AuthorsConfig)
        found = {
            name: (value, getattr(authors, name))
            for name, value in vars(paper).items()
            if value != getattr(authors, name)
        }
        assert found == changed
        scores = [of.presets[name].rules.min_score.get(1) for name in ("paper", "authors")]
        assert scores == ([0.7, 0.6] if of.name in ("kitti", "mots") else [None, None])
        assert (paper.order, paper.fullest, paper.labelling) == ("time", "oldest", "newest")
        assert paper.restarts == 10


def test_tau_is_the_codes():
    for name, tau in (("kitti", 1), ("mots", 2), ("mnist", 2), ("sprites", 2)):
        assert {settings_for(DATA_SETS[name], p).tracker.tau for p in ("paper", "authors")} == {tau}


PLAIN = dict(use_graph=False, t_lag=2)


def test_without_a_graph_what_is_merged_keeps_the_identity_and_votes():
    # Frame 0: 0 and 10; frame 1: 0 and 0.2, one cluster of three with 0 of frame 0 (|K| = 2), id 1
    # for all; 10 is alone. Of 0 and 0.2 of frame 1 the one nearest to what was last written under
    # id 1 (0) is written. Frame 2: 0.2 (which goes on as id 1) and 30: {0, 0.2, 0.2} is id 1.
    nodes = [(0, 0), (0, 10), (1, 0), (1, 0.2), (2, 0.2), (2, 30)]
    assert ids_of(nodes, **PLAIN) == [1, 0, 1, 0, 1, 0]


def test_without_a_graph_two_objects_that_merged_once_are_written_as_one():
    # 0 and 4 merge in frame 1, where 40 makes |K| = 2; they stay 4 apart ever after, 40 is gone,
    # and |K| = 2 separates them: both clusters are id 1. The one near to what was written stays.
    nodes = [(0, 0), (0, 40), (1, 0), (1, 4), (2, 0), (2, 4), (3, 0), (3, 4)]
    assert ids_of(nodes, **PLAIN) == [1, 0, 1, 0, 1, 0, 1, 0]


@pytest.mark.parametrize("seed", range(5))
def test_without_a_graph_the_order_of_rows_decides_nothing(seed):
    rng = np.random.default_rng(seed)
    nodes = [(f, float(z)) for f in range(6) for z in rng.integers(0, 12, 4)]
    order = rng.permutation(len(nodes))
    objects = [(f, i + 1, 1, 1.0, (2 + 5 * (i % 4), 2, 4, 4)) for i, (f, _) in enumerate(nodes)]
    scene, embeddings = make_detections(objects), np.array([[z] for _, z in nodes])
    config = replace(PAPER, use_graph=False)
    ids, report = track_with(config, scene, embeddings)
    shuffled, _ = track_with(config, scene.select(order), embeddings[order])
    assert report["merged"] and (shuffled == ids[order]).all()


def test_the_end_of_a_sequence_clusters_nothing_twice():
    # Frames 0 to 2 make one window; at the end it is given out as it stands.
    nodes = [(0, 4), (1, 4), (1, 0), (2, 9), (2, 12)]
    assert ids_of(nodes) == [1, 1, 0, 0, 0]


def test_lambda_asks_all_members_of_a_cluster():
    # {1 (0.5), 1 (0.35)}: mean 0.425 exceeds 0.4, though the one without an identity does not.
    nodes, scores = [(0, 1), (1, 1), (2, 1)], [0.5, 0.5, 0.35]
    assert ids_of(nodes, scores, t_lag=2, min_score=0.4) == [1, 1, 1]


def test_a_minimum_length_by_class():
    nodes, classes = [(0, 1), (0, 20), (1, 1), (1, 20)], [1, 2, 1, 2]
    assert ids_of(nodes, classes=classes, min_track_length={0: 1, 2: 3}) == [1, 0, 1, 0]


def test_known_clusters_start_from_the_fullest_frame_of_the_rule():
    # |K| is known, 2, so nothing is opened: from frame 0's centres 9 and 2, 4 goes to 2; from frame
    # 1's, 10 and 9, another one is left out.
    objects = [(0, 9, 1), (0, 2, 2), (1, 10, 1), (1, 9, 2), (2, 4, 2)]
    scene = make_detections(
        [(f, i, 1, 1.0, (2 + 5 * n, 2, 4, 4)) for n, (f, _, i) in enumerate(objects)]
    )
    embeddings = np.array([[float(z)] for _, z, _ in objects])
    found = {
        rule: track_with(replace(PAPER, known_clusters=True, fullest=rule), scene, embeddings)[0]
        for rule in ("oldest", "latest")
    }
    assert found["oldest"].tolist() == [1, 0, 2, 1, 2]
    assert found["latest"].tolist() == [1, 2, 1, 2, 2]


def test_without_a_graph_the_one_near_to_what_was_written_is_written_wherever_it_stands():
    # As above, with the rows of each frame the other way round.
    nodes = [(0, 0), (0, 40), (1, 4), (1, 0), (2, 4), (2, 0), (3, 4), (3, 0)]
    assert ids_of(nodes, **PLAIN) == [1, 0, 0, 1, 0, 1, 0, 1]


def test_plain_kmeans_is_started_as_the_settings_say(monkeypatch):
    seen = []

    class Recorded:
        def __init__(self, count, n_init, random_state):
            seen.append((count, n_init, random_state))

        def fit_predict(self, points):
            return np.zeros(len(points), int)

    monkeypatch.setattr("sklearn.cluster.KMeans", Recorded)
    nodes = [(0, 0), (0, 40), (1, 4), (1, 0)]
    for seed, restarts in ((0, 10), (0, 3), (1, 3)):
        ids_of(nodes, seed=seed, restarts=restarts, **PLAIN)
    (first, second, third) = seen
    assert (first[:2], second[:2], third[:2]) == ((2, 10), (2, 3), (2, 3))
    assert first[2] == second[2] != third[2]


def test_plain_kmeans_needs_no_masks():
    assert UscMotsTracker(UscMotsConfig(use_graph=False)).needs == ("embeddings",)
    assert UscMotsTracker(UscMotsConfig()).needs == ("embeddings", "rles")
    assert UscMotsTracker(replace(PAPER, known_clusters=True)).needs == ("embeddings", "ids")
