import numpy as np
import pytest

from models.usc_mots.config import UscMotsConfig
from models.usc_mots.constraints import build_graph
from models.usc_mots.kmeans import constrained_kmeans as kmeans_of
from models.usc_mots.kmeans import (
    farthest_first,
    fullest_frame,
    plain_kmeans,
)
from tests.models.usc_mots import oracle


def constrained_kmeans(points, frames, graph, initial=None, adaptive=True, **settings):
    return kmeans_of(points, frames, graph, UscMotsConfig(**settings), initial, adaptive)


def cluster_nodes(points, frames, labels=None, apart=None, classes=None, **options):
    """Build the graph, cluster, return the clusters as sets of nodes."""
    n = len(frames)
    points = np.asarray(points, float).reshape(n, -1)
    labels = np.zeros(n, int) if labels is None else np.asarray(labels)
    apart = np.zeros((n, n), bool) if apart is None else apart
    classes = np.ones(n, int) if classes is None else classes
    graph = build_graph(frames, classes, labels, apart)
    result = constrained_kmeans(points, frames, graph, **options)
    return {
        frozenset(np.flatnonzero(np.isin(graph.groups, groups)).tolist())
        for groups in result.clusters
    }, result


@pytest.mark.parametrize("rule", ["mean", "nearest"])
def test_two_objects_two_frames_by_hand(rule):
    # Frame 2: 0.0 and 10.0. Frame 1: 9.0 and 1.0. K = 2, centres 0 and 10.
    clusters, result = cluster_nodes([0, 10, 9, 1], [2, 2, 1, 1], centre_rule=rule)
    assert clusters == {frozenset({0, 3}), frozenset({1, 2})}
    assert result.opened == 0


def test_cannot_link_sends_a_node_to_the_next_centre():
    # Both nodes of frame 1 are nearest to centre 0; the closer one (1.0) goes first, so 2.0 goes
    # to centre 10 although it is far: nothing forbids it.
    clusters, _ = cluster_nodes([0, 10, 2, 1], [2, 2, 1, 1])
    assert clusters == {frozenset({0, 3}), frozenset({1, 2})}


def test_node_without_a_feasible_centre_opens_a_cluster():
    # As before, but node 2 may not join node 1 (masks apart).
    apart = np.zeros((4, 4), bool)
    apart[1, 2] = apart[2, 1] = True
    clusters, result = cluster_nodes([0, 10, 2, 1], [2, 2, 1, 1], apart=apart)
    assert clusters == {frozenset({0, 3}), frozenset({1}), frozenset({2})}
    assert result.opened == 1 or result.iterations > 1


def test_must_link_group_goes_along():
    # Nodes 2 (frame 1) and 3 (frame 0) are track 5. Node 2 is nearest to 0, node 3 to 10: the node
    # nearest to the current frame decides for both.
    clusters, _ = cluster_nodes([0, 10, 1, 9], [2, 2, 1, 0], labels=[0, 0, 5, 5])
    assert clusters == {frozenset({0, 2, 3}), frozenset({1})}


@pytest.mark.parametrize(
    ("order", "expected"), [("time", {(0, 2), (1, 3)}), ("distance", {(1, 2), (0, 3)})]
)
def test_who_chooses_first(order, expected):
    # Frame 0 is the fullest: centres 0.0 and 10.0 (nodes 2, 3). The node of frame 2 at 4.0 and the
    # one of frame 1 at 1.0 bar each other, and both want centre 0: by "time" the current one gets
    # it, by "distance" the closer one (first pass).
    apart = np.zeros((4, 4), bool)
    apart[0, 1] = apart[1, 0] = True
    clusters, _ = cluster_nodes(
        [4, 1, 0, 10], [2, 1, 0, 0], apart=apart, max_iterations=1, order=order
    )
    assert clusters == {frozenset(pair) for pair in expected}


def test_a_later_node_may_join_an_opened_cluster():
    # Node 0 opens a cluster because both first centres (frame 1) bar it; node 3 of frame 0 is
    # closest to it and follows.
    apart = np.zeros((4, 4), bool)
    apart[0, 1] = apart[1, 0] = apart[0, 2] = apart[2, 0] = True
    clusters, _ = cluster_nodes([50, 0, 10, 49], [2, 1, 1, 0], apart=apart, centre_rule="mean")
    assert frozenset({0, 3}) in clusters


def test_centre_rules_differ_by_hand():
    # Two objects, at 0 and 20 in the current frame. Of the first pass 9 and 9.9 go to 0, and 10.5
    # to 20 (9.5 against 10.5).
    points, frames = [0, 20, 9, 20, 9.9, 10.5], [3, 3, 2, 2, 1, 0]
    by_mean, _ = cluster_nodes(points, frames, centre_rule="mean")
    by_nearest, _ = cluster_nodes(points, frames, centre_rule="nearest")
    # The means then are 6.3 and 16.8: 10.5 is nearer to the former.
    assert by_mean == {frozenset({0, 2, 4, 5}), frozenset({1, 3})}
    # The members nearest in time are 0 and 20 still.
    assert by_nearest == {frozenset({0, 2, 4}), frozenset({1, 3, 5})}


def test_fullest_frame_is_the_current_one_else_the_oldest_of_equals():
    assert fullest_frame(np.array([5, 5, 4, 3, 3])).tolist() == [0, 1]
    assert fullest_frame(np.array([5, 4, 4, 3])).tolist() == [1, 2]
    assert fullest_frame(np.array([5, 4, 4, 3, 3])).tolist() == [3, 4]
    assert fullest_frame(np.array([5, 4, 4, 3, 3]), "latest").tolist() == [1, 2]


def no_constraints(classes):
    n = len(classes)
    return build_graph(range(n), classes, [0] * n, np.zeros((n, n), bool))


def test_without_constraints_it_is_lloyds_kmeans():
    # {0, 1, 2} and {10, 11}: frames would forbid it, plain k-means does not care.
    points = np.array([[0.0], [10.0], [11.0], [2.0], [1.0]])
    result = constrained_kmeans(points, [2, 2, 1, 1, 1], no_constraints([1] * 5), initial=[0, 1])
    assert result.clusters == [[0, 3, 4], [1, 2]]


def test_plain_kmeans_reaches_sklearns_fixed_point():
    from sklearn.cluster import KMeans

    rng = np.random.default_rng(3)
    points = np.concatenate([rng.normal(c, 0.5, (20, 3)) for c in (0, 3, 6)])
    mine = constrained_kmeans(points, np.zeros(60), no_constraints([1] * 60), initial=[0, 20, 40])
    theirs = KMeans(3, init=points[[0, 20, 40]], n_init=1).fit(points).labels_
    labels = np.empty(60, int)
    for k, members in enumerate(mine.clusters):
        labels[members] = k
    assert (labels == theirs).all()


@pytest.mark.parametrize("seed", range(60))
@pytest.mark.parametrize("rule", ["mean", "nearest"])
def test_invariants_on_random_windows(seed, rule):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 40))
    frames = np.sort(rng.integers(0, 4, n))[::-1]
    labels = np.zeros(n, int)
    for i in range(n):
        label = int(rng.integers(0, 6))
        taken = any(labels[j] == label and frames[j] == frames[i] for j in range(i))
        labels[i] = 0 if taken else label
    apart = np.triu(rng.random((n, n)) < 0.5, 1)
    apart |= apart.T
    points = rng.normal(size=(n, 5))
    graph = build_graph(frames, np.ones(n, int), labels, apart)
    result = constrained_kmeans(points, frames, graph, centre_rule=rule)
    members = [g for c in result.clusters for g in c]
    assert sorted(members) == list(range(len(graph.heads)))  # each group once
    for groups in result.clusters:
        assert not graph.cannot_link[np.ix_(groups, groups)].any()
    again = constrained_kmeans(points, frames, graph, centre_rule=rule)
    assert again == result
    assert result.iterations <= 50
    # Shuffling the nodes of a frame changes no cluster.
    order = np.concatenate(
        [rng.permutation(np.flatnonzero(frames == f)) for f in np.unique(frames)[::-1]]
    )
    shuffled = build_graph(frames, np.ones(n, int), labels[order], apart[np.ix_(order, order)])
    other = constrained_kmeans(points[order], frames, shuffled, centre_rule=rule)

    def nodes(graph, result, names):
        return {frozenset(names[np.isin(graph.groups, c)].tolist()) for c in result.clusters}

    assert nodes(graph, result, np.arange(n)) == nodes(shuffled, other, order)


def test_many_objects_at_once():
    rng = np.random.default_rng(0)
    places = rng.uniform(0, 1000, (300, 2))
    points = np.concatenate([places, places + rng.normal(0, 0.01, places.shape)])
    clusters, _ = cluster_nodes(points, np.repeat([1, 0], 300))
    assert clusters == {frozenset({i, i + 300}) for i in range(300)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(points=np.zeros((3, 2))), "for the graph's n = 2"),
        (dict(points=np.array([[0.0], [np.nan]])), "must be finite"),
        (dict(frames=[1, 2]), "frames must descend"),
        (dict(centre_rule="median"), "centre_rule must be 'mean' or 'nearest', got median"),
        (dict(initial=[]), "at least one node"),
        (dict(max_iterations=0), "max_iterations must be at least 1"),
        (dict(order="random"), "order must be 'time' or 'distance', got random"),
    ],
)
def test_bad_arguments(change, message):
    arguments = dict(points=np.zeros((2, 1)), frames=[2, 1], graph=no_constraints([1] * 2)) | change
    with pytest.raises(ValueError, match=message):
        constrained_kmeans(**arguments)


def test_farthest_first_by_hand():
    # From 0 the farthest is 10; then 4, since 1 is nearer to 0 than 4 is to either.
    points = np.array([[0.0], [1.0], [10.0], [4.0]])
    assert farthest_first(points, [0], 3).tolist() == [0, 2, 3]
    assert farthest_first(points, [0, 1], 1).tolist() == [0, 1]  # never fewer than given
    assert farthest_first(np.zeros((3, 1)), [1], 9).tolist() == [1, 0, 2]  # all coincide


def test_known_number_of_clusters_leaves_out_what_fits_nowhere():
    # One centre; node 1 may not join node 0, and a cluster is opened for it only when adaptive.
    graph = build_graph([2, 2, 1], [1, 1, 1], [0, 0, 0], np.zeros((3, 3), bool))
    points = np.array([[0.0], [5.0], [1.0]])
    result = constrained_kmeans(points, [2, 2, 1], graph, initial=[0], adaptive=False)
    assert (result.clusters, result.opened) == ([[0, 2]], 0)
    mean = constrained_kmeans(points, [2, 2, 1], graph, [0], centre_rule="mean", adaptive=False)
    assert mean.clusters == [[0, 2]]
    assert constrained_kmeans(points, [2, 2, 1], graph, initial=[0]).clusters == [[0, 2], [1]]


def test_plain_kmeans_by_hand():
    # Frames of 2 and 1 detections: |K| = 2, and {0, 0.1} / {9} is stable from every start; class
    # 2 has a cluster of its own although it lies between.
    points = np.array([[0.0], [9.0], [0.1], [5.0]])
    clusters = plain_kmeans(points, np.array([2, 2, 1, 1]), np.array([1, 1, 1, 2]))
    assert sorted(clusters) == [[0, 2], [1], [3]]


def test_plain_kmeans_takes_the_number_of_clusters_from_the_truth():
    # One detection per frame: |K| is estimated as 1, but there are two objects.
    points, frames, classes = np.array([[0.0], [9.0]]), np.array([2, 1]), np.array([1, 1])
    assert plain_kmeans(points, frames, classes) == [[0, 1]]
    assert sorted(plain_kmeans(points, frames, classes, np.array([7, 8]))) == [[0], [1]]


def test_nothing_to_cluster():
    result = constrained_kmeans(np.zeros((0, 3)), [], no_constraints([1] * 0))
    assert result.clusters == []


def test_the_tolerance_is_a_share_of_the_points_variance():
    points = np.array([[800.0], [300], [400], [700], [100], [300]])
    frames, n = np.arange(5, -1, -1), 6
    graph = build_graph(frames, np.ones(n), np.zeros(n, int), np.zeros((n, n), bool))
    passes = [
        constrained_kmeans(points, frames, graph, [0, 1], tolerance=t).iterations
        for t in (0.5, 1e-12)
    ]
    assert passes == [1, 2]


def test_known_identities_are_counted_class_by_class():
    points = np.array([[0.0], [1], [50], [51]])
    classes = np.array([1, 1, 2, 2])
    frames = np.array([1, 0, 1, 0])
    assert plain_kmeans(points, frames, classes, classes) == [[0, 1], [2, 3]]


def test_the_nearest_member_is_the_newest():
    # First centres 6 and 20 (frame 0): {0, 5, 6} and {11, 20}. Their newest, 0 and 11, draw 6 over
    # to 11, and 20, barred there by its frame, goes to 0.
    clusters, _ = cluster_nodes([0, 5, 11, 6, 20], [2, 1, 1, 0, 0], centre_rule="nearest",
                                initial=np.array([3, 4]))  # fmt: skip
    assert clusters == {frozenset({0, 1, 4}), frozenset({2, 3})}


def test_plain_kmeans_counts_each_class_in_its_fullest_frame():
    points = np.array([[0.0], [3.0], [6.0], [9.0]])
    found = plain_kmeans(points, np.array([2, 2, 2, 1]), np.array([2, 2, 1, 1]))
    assert sorted(found) == [[0], [1], [2, 3]]
    # The fullest frame is not the current one.
    points, frames = np.array([[0.0], [0.0], [9.0]]), np.array([2, 1, 1])
    assert sorted(plain_kmeans(points, frames, np.ones(3, int))) == [[0, 1], [2]]


@pytest.mark.parametrize("seed", range(40))
def test_graphs_and_clusters_are_those_of_numpy(seed):
    """Windows with many constraints, so that nodes go to further centres and open clusters."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(3, 12, 4)
    frames = np.repeat([9, 8, 7, 5], sizes)
    n = len(frames)
    points, classes = rng.normal(0, 1, (n, 6)), rng.integers(1, (2, 4)[seed % 2], n)
    if seed % 3 == 1:  # many equal distances
        points = rng.integers(0, 3, (n, 6)).astype(float)
    labels = np.where(rng.random(n) < 0.4, rng.integers(1, 9, n), 0)
    apart = rng.random((n, n)) < (0.2, 0.6)[seed % 3 > 0]
    apart |= apart.T
    initial = None if seed % 2 else rng.permutation(n)[:2]
    rules = {
        "centre_rule": ("mean", "nearest")[seed % 2],
        "order": ("time", "distance")[seed % 3 == 0],
        "adaptive": seed % 5 > 0,
        "max_iterations": (1, 50)[seed % 2],  # openings are counted in the last pass
    }

    def outcome(graph, found):
        links = graph.groups.tolist(), graph.heads, graph.cannot_link.tolist()
        return links, graph.contradictions, found.clusters, found.iterations, found.opened

    graph = build_graph(frames, classes, labels, apart)
    found = outcome(graph, constrained_kmeans(points, frames, graph, initial, **rules))
    plain = oracle.graph_of(frames, classes, labels, apart)
    first = fullest_frame(frames) if initial is None else initial
    clusters = oracle.clusters_of(points, frames, plain, first, tolerance=1e-4, **rules)
    assert outcome(plain, clusters) == found
    assert len(found[2]) > 1 and found[4] >= (seed % 2 == 0 and seed % 5 > 0)
