import numpy as np
import pytest

from models.usc_mots.constraints import build_graph


def pairs(graph):
    """Return the cannot-linked pairs of nodes (i < j)."""
    between = graph.cannot_link[np.ix_(graph.groups, graph.groups)]
    return {tuple(p) for p in np.argwhere(np.triu(between, 1)).tolist()}


NONE = np.zeros((4, 4), bool)


def test_four_unlabelled_nodes_by_hand():
    # Frame 2: nodes 0, 1. Frame 1: nodes 2, 3. Node 1 is of another class; 0 and 3 do not overlap.
    apart = NONE.copy()
    apart[0, 3] = apart[3, 0] = True
    graph = build_graph([2, 2, 1, 1], [1, 2, 1, 1], [0, 0, 0, 0], apart)
    assert graph.groups.tolist() == [0, 1, 2, 3]
    # same frame: 01, 23; classes: 12, 13; gate: 03. Only 0-2 is left.
    assert pairs(graph) == {(0, 1), (2, 3), (1, 2), (1, 3), (0, 3)}


def test_labels_by_hand():
    # Node 0 is new; nodes 1 and 3 are track 7 in two frames, node 2 is track 8.
    graph = build_graph([3, 2, 2, 1], [1, 1, 1, 1], [0, 7, 8, 7], NONE)
    assert graph.groups.tolist() == [0, 1, 2, 1] and graph.heads == [0, 1, 2]
    assert pairs(graph) == {(1, 2), (2, 3)}  # different labels; 3 through its must-link to 1


def test_gate_holds_for_a_whole_group_but_not_between_labelled_nodes():
    # 0 is new and apart from 1 only; 1 and 2 are one track, so 0 may not join 2 either.
    apart = NONE.copy()
    apart[0, 1] = apart[1, 0] = True
    apart[1, 2] = apart[2, 1] = True  # Eq. 6 asks it of pairs with an unlabelled node only
    graph = build_graph([3, 2, 1, 1], [1, 1, 1, 1], [0, 5, 5, 0], apart)
    assert graph.groups.tolist() == [0, 1, 1, 2]
    assert pairs(graph) == {(0, 1), (0, 2), (2, 3), (1, 3)}


def test_two_nodes_of_one_label_in_one_frame_contradict():
    # The earlier node keeps the label; the later one is reported and barred from every label.
    graph = build_graph([2, 2, 1, 1], [1, 1, 1, 1], [4, 4, 4, 0], NONE)
    assert graph.contradictions == (1,)
    assert graph.groups.tolist() == [0, 1, 0, 2]
    assert (0, 1) in pairs(graph) and (1, 2) in pairs(graph)


def test_one_label_on_two_classes_contradicts():
    graph = build_graph([2, 1], [1, 2], [4, 4], np.zeros((2, 2), bool))
    assert graph.contradictions == (1,) and pairs(graph) == {(0, 1)}


def test_empty_and_single():
    assert build_graph([], [], [], np.zeros((0, 0), bool)).cannot_link.shape == (0, 0)
    one = build_graph([1], [1], [3], np.zeros((1, 1), bool))
    assert one.groups.tolist() == [0] and not one.cannot_link.any()


def test_columns_of_different_lengths_are_refused():
    with pytest.raises(ValueError, match=r"same nodes, got lengths 2, 1, 2 and \(2, 2\)"):
        build_graph([1, 2], [1], [0, 0], np.zeros((2, 2), bool))


def equation_six(frames, classes, labels, apart):
    """Eqs. 5 and 6 pair by pair, with the closure by repetition: slow and obvious."""
    n = len(frames)
    must = np.eye(n, dtype=bool)
    cannot = np.zeros((n, n), bool)
    for i in range(n):
        for j in range(n):
            if i == j:
                continue
            same_label = labels[i] and labels[i] == labels[j]
            if frames[i] == frames[j] or classes[i] != classes[j]:
                cannot[i, j] = True
            elif same_label:
                must[i, j] = True
            elif labels[i] and labels[j]:
                cannot[i, j] = True
            elif apart[i, j]:
                cannot[i, j] = True
    for _ in range(n):
        must = (must.astype(int) @ must.astype(int)) > 0
        cannot = (must.astype(int) @ cannot.astype(int) @ must.astype(int)) > 0
    return must, cannot


@pytest.mark.parametrize("seed", range(40))
def test_random_windows_agree_with_the_equations(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 14))
    frames = np.sort(rng.integers(0, 4, n))[::-1]
    classes = rng.integers(1, 3, n)
    labels = np.zeros(n, int)
    for i in range(n):  # consistent labels: one class each, once a frame
        label = int(rng.integers(0, 5))
        clash = [
            j
            for j in range(i)
            if labels[j] == label and (frames[j] == frames[i] or classes[j] != classes[i])
        ]
        labels[i] = 0 if clash else label
    apart = np.triu(rng.random((n, n)) < 0.4, 1)
    apart |= apart.T
    graph = build_graph(frames, classes, labels, apart)
    must, cannot = equation_six(frames, classes, labels, apart)
    assert graph.contradictions == ()
    assert ((graph.groups[:, None] == graph.groups) == must).all()
    assert (graph.cannot_link[np.ix_(graph.groups, graph.groups)] == cannot).all()
    assert graph.heads == [int(np.argmax(graph.groups == g)) for g in range(len(graph.heads))]
