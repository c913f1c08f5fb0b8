"""Pairs of `best`: by hand and against NumPy."""

import numpy as np
import pytest

from models.best.pairs import add_masks, expected_boxes, near_pairs, odds_alone
from tests.models.best.tables import RULES, seen, table
from utils.boxes import generalised_iou


def random_boxes(rng, count, room=900):
    """Return xyxy boxes of very different sizes."""
    sides = np.exp(rng.uniform(0, 5, (count, 1))) * rng.uniform(0.5, 1, (count, 2))
    corners = rng.uniform(-50, room, (count, 2))
    return np.concatenate([corners, corners + sides], axis=1)


def pairs_of(tracks, m, now, odds, gap=30, masks=False):
    """Return {(detection, track): gain} of the pairs that are found."""
    expected = expected_boxes(tracks, m, now.number, RULES.damping)
    pairs = near_pairs(expected, tracks, now, odds, RULES.nearness, gap)
    if masks:
        add_masks(pairs, expected, tracks, now, RULES.mask_weight)
    found = {}
    for j in range(len(now.boxes)):
        for p in range(pairs.starts[j], pairs.starts[j + 1]):
            found[j, int(pairs.tracks[p])] = float(pairs.gain[p])
    return found


@pytest.mark.parametrize("seed", range(6))
def test_all_pairs_above_the_limit_are_found_and_no_other(seed):
    rng = np.random.default_rng(seed)
    room = (900, 90)[seed % 2]
    first, second = random_boxes(rng, 150), random_boxes(rng, 170, room)
    classes, others = rng.integers(1, 3, 150), rng.integers(1, 3, 170)
    tracks, now = table(first, classes), seen(second, others)
    odds = rng.uniform(-1, 8, 170)
    overlap = generalised_iou(first, second).T
    gain = odds[:, None] + RULES.nearness * np.log((1 + overlap) / 2)
    expected = (gain > 0) & (others[:, None] == classes)
    found = pairs_of(tracks, 150, now, odds)
    assert set(found) == set(zip(*(k.tolist() for k in np.nonzero(expected)), strict=True))
    assert len(found) > 60
    for (j, i), value in found.items():
        assert value == pytest.approx(gain[j, i])


def test_only_tracks_of_the_last_frames_are_looked_at_where_that_is_asked():
    tracks = table([[0, 0, 10, 10], [0, 0, 10, 10]])
    tracks.last[:2] = 4, 3
    now = seen([[0, 0, 10, 10]], number=5)
    assert set(pairs_of(tracks, 2, now, np.array([5.0]), gap=1)) == {(0, 0)}
    assert set(pairs_of(tracks, 2, now, np.array([5.0]), gap=30)) == {(0, 0), (0, 1)}


def test_gain_by_hand():
    # Boxes 20 wide that share a third: g = 1 / 3, the smallest box around both being their union.
    tracks, now = table([[0, 0, 20, 10]]), seen([[10, 0, 30, 10]])
    odds = np.array([3.0])
    assert pairs_of(tracks, 1, now, odds) == {(0, 0): pytest.approx(3 + 4 * np.log(2 / 3))}
    assert not pairs_of(tracks, 1, now, np.array([-4 * np.log(2 / 3) - 1e-6]))


def test_masks_are_asked_where_a_pair_has_a_rival():
    tracks = table([[0, 0, 20, 10], [12, 0, 32, 10], [300, 0, 320, 10]])
    now = seen([[10, 0, 30, 10], [300, 0, 320, 10]])
    plain = pairs_of(tracks, 3, now, np.full(2, 3.0))
    asked = pairs_of(tracks, 3, now, np.full(2, 3.0), masks=True)
    # Of full masks that share a third, 18 of 22 px; the pair far away has no rival.
    more = {pair: asked[pair] - plain[pair] for pair in plain}
    assert more == pytest.approx({(0, 0): 6 / 3, (0, 1): 6 * 18 / 22, (1, 2): 0}, abs=0.6)
    # A detection with one track has a rival if the track has another detection.
    pair = [[0, 0, 10, 10], [2, 0, 12, 10]]
    alone, both = table([[0, 0, 10, 10]]), seen(pair)
    more = pairs_of(alone, 1, both, np.full(2, 3.0), masks=True)
    assert more[0, 0] == pytest.approx(3 + 6)


def test_odds_alone_by_hand():
    # 2 births in 20 frames; a box of a hundredth of the frame; P of 1, and of 0.8.
    births = np.array([0.0, 2.0])
    boxes = [[0, 0, 10, 10], [50, 50, 60, 60]]
    now = seen(boxes, probability=[1.0, 0.8], area=10_000.0)
    odds = odds_alone(now, births, 20.0, RULES)
    # The square root of a hundredth; a quarter of `clutter`, for 0.2 to 0.8.
    assert odds == pytest.approx([0.5 - np.log(0.1 * 0.1), 0.5 - np.log((0.1 + 0.4 / 4) * 0.1)])
    # A box larger than the frame has the odds of the frame; P of 0 has some, too.
    odds = odds_alone(seen([[0, 0, 500, 500]], area=100.0), births, 20.0, RULES)
    assert odds == pytest.approx([0.5 - np.log(0.1)])
    assert np.isfinite(odds_alone(seen(boxes, probability=0.0), births, 20.0, RULES)).all()


def test_a_velocity_fades_while_a_track_is_missed():
    tracks = table([[0, 0, 10, 10]], velocity=(2.0, -1.0))
    one = expected_boxes(tracks, 1, 1, 0.5)
    assert one.tolist() == [[2, -1, 12, 9]]
    # 1 + 1 / 2 + 1 / 4 of it in three frames.
    assert expected_boxes(tracks, 1, 3, 0.5).tolist() == [[3.5, -1.75, 13.5, 8.25]]
    assert expected_boxes(tracks, 1, 3, 1.0).tolist() == [[6, -3, 16, 7]]
