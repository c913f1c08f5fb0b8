"""Pairs by where they are: the same as by looking at all, in crowds, too."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.scenes import crowd
from models import candidates
from models.assignment import assign_exactly
from models.best import linking
from models.candidates import assign_pairs, near_pairs
from models.pipeline import Pipeline
from models.settings import settings_for
from models.tracking import EMBEDDINGS, track
from utils import compiling
from utils.boxes import generalised_iou
from utils.data_sets import data_set


def boxes(rng, count, room=900):
    """Return xyxy boxes of very different sizes."""
    sides = np.exp(rng.uniform(0, 5, (count, 1))) * rng.uniform(0.5, 1, (count, 2))
    corners = rng.uniform(-50, room, (count, 2))
    return np.concatenate([corners, corners + sides], axis=1)


@pytest.mark.usefixtures("each_way")
@pytest.mark.parametrize("seed", range(6))
def test_all_pairs_above_their_rows_limit_are_found_and_no_other(seed):
    rng = np.random.default_rng(seed)
    first, second = boxes(rng, 150), boxes(rng, 170, room=(900, 90)[seed % 2])
    classes, others = rng.integers(1, 3, 150), rng.integers(1, 3, 170)
    least = rng.uniform(-0.85, 0.3, 150)
    dense = generalised_iou(first, second)
    expected = (dense > least[:, None]) & (classes[:, None] == others)
    found = near_pairs(first, second, classes, others, least)
    assert len(first) * len(second) > candidates.FEW
    assert (np.stack([found.rows, found.columns]) == np.nonzero(expected)).all()
    assert (found.overlap == dense[expected]).all() and found.shape == (150, 170)
    top, column_top, leading = found.highest()
    masked = np.where(expected, dense, -1)
    assert (top == masked.max(axis=1)).all() and (column_top == masked.max(axis=0)).all()
    assert (leading == masked.argmax(axis=1)).all()


def test_far_fewer_pairs_are_looked_at_than_there_are(monkeypatch):
    monkeypatch.setattr(candidates, "compiled", lambda name: None)
    looked_at = []
    exact = candidates.generalised_iou_of_pairs
    monkeypatch.setattr(
        candidates,
        "generalised_iou_of_pairs",
        lambda a, b: looked_at.append(len(a)) or exact(a, b),
    )
    rng = np.random.default_rng(0)
    for count in (1000, 4000):
        corners = rng.uniform(0, 30 * count**0.5, (count, 2))
        square = np.concatenate([corners, corners + 20], axis=1)
        ones = np.ones(count, int)
        near_pairs(square, square, ones, ones, np.full(count, -0.2))
    # Four times the objects, as dense: four times the pairs, not sixteen times.
    assert looked_at[1] < 5 * looked_at[0] < 5 * 1000 * 30


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([(4, 3), (70, 90), (150, 140)]))
def test_assignment_is_as_good_as_by_the_whole_matrix(seed, shape):
    rng = np.random.default_rng(seed)
    chance = rng.choice([0.01, 0.05, 0.5])
    gain = np.where(rng.random(shape) < chance, rng.uniform(-0.3, 1, shape), -1)
    rows, columns = np.nonzero(gain > -1)
    expected = assign_exactly(gain, 0.0)
    # Connected parts of more than 0 cells are left to the sparse solver.
    for way, most in (("plain", 0), ("plain", 100), ("compiled", 0), ("compiled", 100)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(candidates, "SMALL", most)
            if way == "plain":
                patch.setattr(candidates, "compiled", lambda name: None)
            else:
                patch.setattr(compiling, "_loaded", {})
                compiling.load_all()
            made = assign_pairs(rows, columns, gain[rows, columns], shape)
        assert sorted(zip(rows[made], columns[made], strict=True)) == sorted(
            zip(*expected, strict=True)
        )


@pytest.mark.usefixtures("each_way")
def test_ties_are_decided_as_ever():
    # Gains of 0, 1 and 2 only, so that there are many best assignments: SciPy's is the one.
    for seed in range(30):
        gain = np.random.default_rng(seed).integers(0, 3, (6, (4, 9)[seed % 2])).astype(float)
        rows, columns = np.nonzero(gain > -1)
        made = assign_pairs(rows, columns, gain[rows, columns], gain.shape)
        expected = zip(*assign_exactly(gain, 0.0), strict=True)
        assert set(zip(rows[made], columns[made], strict=True)) == set(expected)


@pytest.mark.usefixtures("each_way")
def test_a_crowd_gets_the_ids_of_the_dense_computation(monkeypatch):
    detections, embeddings = crowd(260, 12)

    def ids():
        tracker = Pipeline(settings_for(data_set("kitti"), "best")).tracker()
        return track(detections, tracker, {EMBEDDINGS: embeddings})[0]

    found = ids()
    # All pairs, by NumPy alone.
    monkeypatch.setattr(compiling, "_loaded", {})
    monkeypatch.setattr(compiling, "_done", -(10**12))
    monkeypatch.setattr(candidates, "FEW", 10**12)
    monkeypatch.setattr(linking, "MANY", 10**12)
    assert (ids() == found).all() and len(set(found.tolist())) >= 260


@pytest.mark.usefixtures("each_way")
def test_of_equally_near_ones_the_first_is_taken(monkeypatch):
    grid = np.stack(np.meshgrid(np.arange(20), np.arange(15)), axis=-1).reshape(-1, 2) * 10.0
    squares = np.concatenate([grid, np.full_like(grid, 4)], axis=1)
    classes = np.random.default_rng(0).integers(1, 3, len(grid))
    classes[7] = 9  # alone of its class
    found = linking.nearest(squares, classes)
    assert len(grid) > linking.MANY and found[7] == -1
    # All pairs, by NumPy alone.
    monkeypatch.setattr(linking, "MANY", 10**12)
    monkeypatch.setattr(linking, "compiled", lambda name: None)
    assert (linking.nearest(squares, classes) == found).all()
