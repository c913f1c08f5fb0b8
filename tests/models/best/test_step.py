"""The compiled step of `best`, part by part: by hand, and against NumPy and SciPy."""

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from models.best import step as best
from utils.boxes import generalised_iou

RULES = best.Rules(4.0, 6.0, 0.5, 0.4, 0.25, 0.9, 30, 0.3, 0.6)
FULL = np.uint64(2**64 - 1)  # a mask that fills its box


def table(boxes, classes=None, last=0, velocity=(0.0, 0.0), probability=1.0):
    """Return a table of tracks with these boxes xyxy, each seen once."""
    boxes = np.asarray(boxes, float).reshape(-1, 4)
    m = len(boxes)
    tracks = best.empty_table(m + 50)
    tracks.centres[:m] = (boxes[:, :2] + boxes[:, 2:]) / 2
    tracks.sizes[:m] = boxes[:, 2:] - boxes[:, :2]
    tracks.velocities[:m], tracks.last[:m], tracks.ids[:m] = velocity, last, np.arange(1, m + 1)
    tracks.classes[:m] = 1 if classes is None else classes
    tracks.totals[:m], tracks.counts[:m], tracks.cells[:m] = probability, 1, FULL
    return tracks


def seen(boxes, classes=None, probability=1.0, number=1, area=900.0**2, first=False):
    boxes = np.asarray(boxes, float).reshape(-1, 4)
    n = len(boxes)
    of = np.ones(n, np.int64) if classes is None else np.asarray(classes, np.int64)
    p = np.broadcast_to(np.asarray(probability, float), n).copy()
    return best.Seen(boxes, of, p, np.full(n, FULL), number, area, first)


def random_boxes(rng, count, room=900):
    """Return xyxy boxes of very different sizes."""
    sides = np.exp(rng.uniform(0, 5, (count, 1))) * rng.uniform(0.5, 1, (count, 2))
    corners = rng.uniform(-50, room, (count, 2))
    return np.concatenate([corners, corners + sides], axis=1)


def pairs_of(tracks, m, now, odds, gap=30, masks=False):
    """Return {(detection, track): gain} of the pairs that are found."""
    expected = best.expected_boxes(tracks, m, now.number, RULES.damping)
    pairs = best.near_pairs(expected, tracks, now, odds, RULES.nearness, gap)
    if masks:
        best.add_masks(pairs, expected, tracks, now, RULES.mask_weight)
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
    odds = best.odds_alone(now, births, 20.0, RULES)
    # The square root of a hundredth; a quarter of `clutter`, for 0.2 to 0.8.
    assert odds == pytest.approx([0.5 - np.log(0.1 * 0.1), 0.5 - np.log((0.1 + 0.4 / 4) * 0.1)])
    # A box larger than the frame has the odds of the frame; P of 0 has some, too.
    odds = best.odds_alone(seen([[0, 0, 500, 500]], area=100.0), births, 20.0, RULES)
    assert odds == pytest.approx([0.5 - np.log(0.1)])
    assert np.isfinite(best.odds_alone(seen(boxes, probability=0.0), births, 20.0, RULES)).all()


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
    taken = best.assign(best.Pairs(starts, i, gain[j, i]), shape[1])
    made = taken >= 0
    chosen = gain[taken[made], np.flatnonzero(made)]
    assert (chosen > 0).all() and len(set(taken[made].tolist())) == made.sum()
    useful = np.maximum(gain, 0)
    rows, columns = linear_sum_assignment(useful, maximize=True)
    assert chosen.sum() == pytest.approx(useful[rows, columns].sum(), abs=1e-9)


def test_a_velocity_fades_while_a_track_is_missed():
    tracks = table([[0, 0, 10, 10]], velocity=(2.0, -1.0))
    one = best.expected_boxes(tracks, 1, 1, 0.5)
    assert one.tolist() == [[2, -1, 12, 9]]
    # 1 + 1 / 2 + 1 / 4 of it in three frames.
    assert best.expected_boxes(tracks, 1, 3, 0.5).tolist() == [[3.5, -1.75, 13.5, 8.25]]
    assert best.expected_boxes(tracks, 1, 3, 1.0).tolist() == [[6, -3, 16, 7]]


def test_a_velocity_is_the_mean_of_all_moves_and_then_of_the_latest():
    tracks = table([[0, 0, 10, 10]])
    for number, left in ((1, 4), (3, 12), (4, 12)):  # 4, then 4 a frame for two, then 0
        now = seen([[left, 0, left + 10, 10]], number=number)
        best.move(tracks, 0, now, 0, 0.4)
        best.place(tracks, 0, now, 0)
    # Means of 4 and 4; the third move has a share of 0.4, not of a third.
    assert tracks.velocities[0].tolist() == pytest.approx([4 * 0.6, 0])
    assert tracks.steps[0] == 3 and tracks.last[0] == 4 and tracks.counts[0] == 4
    assert tracks.totals[0] == 4 and tracks.centres[0].tolist() == [17, 5]


def test_the_cameras_turn_is_the_median_of_what_is_sure():
    boxes = np.array([[0, 0, 10, 10], [40, 0, 50, 10], [80, 0, 90, 10], [200, 0, 210, 10]], float)
    tracks, moved = table(boxes), boxes + np.array([3, 1, 3, 1])
    moved[2] += [1, 1, 1, 1]  # moves itself
    now, expected = seen(moved[:3]), boxes.copy()
    pairs = best.near_pairs(expected, tracks, now, np.full(3, 9.0), 4.0, 1)
    best.follow_camera(expected, now, pairs)
    assert (expected == boxes + np.array([3, 1, 3, 1])).all()


def test_tracks_are_forgotten_with_all_that_is_known_of_them():
    tracks = table([[k, 0, k + 5, 5] for k in range(4)])
    tracks.last[:4] = 9, 2, 8, 1
    assert best.forget(tracks, 4, 10, 2) == 2
    assert tracks.ids[:2].tolist() == [1, 3] and tracks.last[:2].tolist() == [9, 8]
    assert tracks.centres[:2, 0].tolist() == [2.5, 4.5]
    assert best.forget(tracks, 2, 12, 2) == 0


def after(tracks, m, now):
    """Return the ids of the detections, those given at once, and the births of class 1."""
    births = np.array([0.0, 1.0])
    count, new_id, ids, at_once = best.step(tracks, m, now, births, 10.0, 100, RULES)
    assert new_id == 100 + (ids >= 100).sum() and count == m + new_id - 100
    return ids.tolist(), at_once.tolist(), births[1]


def test_who_is_left_starts_a_track_and_counts_as_new_by_its_probability():
    now = seen([[0, 0, 10, 10], [60, 60, 70, 70]], probability=[1.0, 0.7])
    tracks = table([[0, 0, 10, 10]])
    ids, _, births = after(tracks, 1, now)
    assert ids == [1, 100] and births == pytest.approx(1.7)
    assert tracks.ids[:2].tolist() == [1, 100] and tracks.counts[:2].tolist() == [2, 1]
    # In the first frame nothing is new.
    assert after(table([]), 0, seen([[0, 0, 9, 9]], first=True))[2] == 1.0


def test_likely_ones_choose_first_and_weak_ones_bring_nothing_back():
    box, beside = [0, 0, 10, 10], [3, 0, 13, 10]
    # The weak detection fits exactly; the likely one beside it is asked first.
    now = seen([box, beside], probability=[0.2, 0.9])
    assert after(table([box]), 1, now)[0] == [100, 1]
    # A track of the last frame goes on with a weak one; one that was missed does not.
    assert after(table([box]), 1, seen([box], probability=0.2))[0] == [1]
    late = seen([box], probability=0.2, number=2)
    assert after(table([box]), 1, late)[0] == [100]
    assert after(table([box], probability=0.1), 1, late)[0] == [1]  # unless it is weak itself


def test_who_is_believed_is_said_at_once():
    box = [0, 0, 10, 10]
    # (0.3 + 1 + 0.5) / 3 is 0.6, (0.3 + 1 + 0.49) / 3 is not.
    assert after(table([box]), 1, seen([box], probability=0.5))[1] == [1]
    assert after(table([box]), 1, seen([box], probability=0.49))[1] == [0]
    assert after(table([box], probability=9.0), 1, seen([box], probability=0.29))[1] == [0]
    # The first detection: (0.3 + 0.9) / 2.
    assert after(table([]), 0, seen([box], probability=0.9))[1] == [100]
    assert after(table([]), 0, seen([box], probability=0.89))[1] == [0]


def test_columns_of_any_frame_are_taken():
    boxes = np.array([[1.0, 2.0, 4.0, 0.0]])
    columns = np.array([3], np.int16), np.array([0.25], np.float32), np.array([FULL])
    now = best.detections_of(boxes, *columns, 7, 50.0, False)
    assert now.boxes.tolist() == [[1, 2, 5, 3]]  # one pixel high at least
    assert now.classes.tolist() == [3] and now.probability.tolist() == [0.25] and now.number == 7


def test_the_same_lines_run_as_python():
    """Compiled and uncompiled give the same identities, to the last bit of a gain."""
    code = (
        "import numpy as np\n"
        "from benchmarks.scenes import crowd\n"
        "from models.streaming import track\nfrom models.tracking import make_tracker\n"
        "found, _ = crowd(12, 12, height=240, width=320)\n"
        "found.scores[:] = np.random.default_rng(0).uniform(0.3, 1, len(found))\n"
        "print(track(found, make_tracker('best'))[0].tolist())\n"
    )
    results = [
        subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "NUMBA_DISABLE_JIT": jit},
            capture_output=True, text=True, check=True,
        ).stdout.splitlines()[-1]
        for jit in ("0", "1")
    ]  # fmt: skip
    assert results[0] == results[1] and len(set(eval(results[0]))) > 8
