"""Algorithm 1's window, frame by frame, by hand."""

import itertools
from collections import Counter

import numpy as np
import pytest

from models.tracking import EMBEDDINGS, MASKS, Frame, Ledger
from models.usc_mots.algorithm import Window
from models.usc_mots.config import UscMotsConfig
from tests.conftest import box_mask

SETTINGS = {"t_lag": 3, "min_score": 0.5, "min_track_length": {0: 1}}


def frame(number, xs, first_row, score=1.0):
    """Return a Frame of boxes 8 px wide at these x, embedded by their place."""
    rles = np.empty(len(xs), object)
    rles[:] = [box_mask(x, 5, 8, 8) for x in xs]
    rows, ones = np.arange(first_row, first_row + len(xs)), np.ones(len(xs), np.int64)
    points = np.array([[x / 60, 0.0] for x in xs], np.float32).reshape(-1, 2)
    scores = np.full(len(xs), score)
    return Frame(number, rows, ones, scores, (40, 60), {EMBEDDINGS: points, MASKS: rles})


def window(**changes):
    report, ledger = Counter(), Ledger()
    config = UscMotsConfig(**{**SETTINGS, **changes})
    return Window(config, itertools.count(1), report, ledger), report, ledger


def test_labels_come_when_the_window_is_full_and_stay():
    running, report, _ = window()
    assert running.update(frame(0, [2, 40], 0)).tolist() == [0, 0]
    assert running.update(frame(1, [4, 42], 2)).tolist() == [0, 0]
    third = running.update(frame(2, [6, 44], 4)).tolist()
    assert sorted(third) == [1, 2] and len(running) == 3
    assert running.update(frame(3, [46, 8], 6)).tolist() == third[::-1]
    assert len(running) == 3 and report["tracks"] == 2


def test_frames_leave_for_the_ledger_with_their_labels():
    running, report, ledger = window()
    kept = {}
    ledger.add = lambda rows, labels, classes: kept.update(
        zip(rows.tolist(), labels.tolist(), strict=True)
    )
    for number in range(4):
        running.update(frame(number, [2 + number, 40][: 2 if number == 1 else 1], 2 * number))
    assert kept == {0: 1}
    running.flush()
    # The second object was seen once: tentative, without an identity.
    assert kept == {0: 1, 2: 1, 3: 0, 4: 1, 6: 1} and report["tentative"] == 1 and not len(running)


@pytest.mark.parametrize(("score", "labels"), [(0.49, 0), (0.51, 1)])
def test_a_cluster_needs_the_mean_score(score, labels):
    running, report, _ = window()
    for number in range(3):
        last = running.update(frame(number, [5], number, score))
    assert last.tolist() == [labels] and bool(report["low_score"]) == (not labels)


def test_a_short_sequence_and_an_empty_frame_are_clustered_too():
    running, _, ledger = window()
    kept = []
    ledger.add = lambda rows, labels, classes: kept.extend(labels.tolist())
    running.update(frame(0, [5], 0))
    running.update(frame(1, [6], 1))
    running.flush()
    assert kept == [1, 1]
    running, _, ledger = window()
    kept.clear()
    ledger.add = lambda rows, labels, classes: kept.extend(labels.tolist())
    running.update(frame(0, [5], 0))
    running.update(frame(1, [6], 1))
    assert len(running.update(frame(3, [], 2))) == 0  # frame 0 leaves, with what it then gets
    assert kept == [1]


def test_masks_that_do_not_touch_are_not_linked_within_tau():
    for tau, ids in ((1, {1, 2}), (0, {1})):
        running, _, ledger = window(tau=tau)
        got = []
        ledger.add = lambda rows, labels, classes, got=got: got.extend(labels.tolist())
        for number, x in enumerate((0, 2, 20, 22)):
            running.update(frame(number, [x], number))
        running.flush()
        assert set(got) == ids
