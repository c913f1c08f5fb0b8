from dataclasses import replace

import numpy as np
import pytest

from models.remots.adaptation import short_tracklets
from models.remots.clustering import RefinementConfig, find_threshold, merge, refine
from tests.conftest import make_detections

QUICK = RefinementConfig(intra_frame_steps=10, tracklet_steps=60, batch_size=64, dimensions=8)


def scene(noise, objects=16, length=40, gap=10, seed=0):
    """Return objects that are each hidden once, their broken tracks and what they look like."""
    rng = np.random.default_rng(seed)
    found = [
        (f, i + 1, 2, 1.0, (2 + 12 * i, 5, 8, 8))
        for i in range(objects)
        for f in range(length)
        if not (i % 2 and length // 2 - gap <= f < length // 2)
    ]
    detections = make_detections(found, width=12 * objects + 10)
    late = (detections.ids % 2 == 0) & (detections.frames >= length // 2)
    track_ids = detections.ids + objects * late
    looks = rng.normal(0, 1, (objects + 1, 12))[detections.ids]
    return detections, track_ids, looks + rng.normal(0, noise, (len(found), 12))


def test_broken_tracks_are_merged_where_looks_tell():
    detections, track_ids, looks = scene(noise=0.3)
    refined, report = refine(detections, track_ids, [looks], QUICK)
    assert report["joined"] == 8 and report["unclear"] == 0
    assert (refined == detections.ids).all()
    again, _ = refine(detections, track_ids, [looks], QUICK)
    assert (again == refined).all()


def test_nothing_is_merged_where_looks_do_not_tell():
    detections, track_ids, _ = scene(noise=0.3)
    noise = np.random.default_rng(1).normal(size=(len(detections), 12))
    refined, report = refine(detections, track_ids, [noise], QUICK)
    assert (refined == track_ids).all() and report["unclear"] == 1


def test_too_few_tracks_to_measure_by_are_left_alone():
    detections, track_ids, looks = scene(noise=0.1, objects=4)
    refined, report = refine(detections, track_ids, [looks], QUICK)
    assert (refined == track_ids).all() and report["unclear"] == 1
    assert find_threshold(looks, detections.frames, track_ids, QUICK) == (0.0, 2.0)


def test_looks_that_never_change_put_the_threshold_between():
    detections, track_ids, looks = scene(noise=0)
    inputs = (looks - looks.mean(axis=0)).astype(np.float32)
    threshold, error = find_threshold(inputs, detections.frames, track_ids, QUICK)
    assert threshold > 0.02 and error < 0.05


def test_what_is_no_track_stays_none_and_classes_stay_apart():
    detections, track_ids, looks = scene(noise=0.3)
    classes = np.where(detections.ids <= 8, 1, 2).astype(np.int16)
    track_ids[::7] = 0
    refined, _ = refine(replace(detections, classes=classes), track_ids, [looks, looks], QUICK)
    assert ((refined == 0) == (track_ids == 0)).all()
    for identity in set(refined[refined > 0].tolist()):
        rows = refined == identity
        assert len(set(classes[rows].tolist())) == 1
        assert len(set(detections.frames[rows].tolist())) == rows.sum()


def merged(spans, points, threshold=0.5, horizon=10):
    """Return the ids of tracks given by (first, last) frame and a 2-D look each."""
    frames = np.concatenate([np.arange(a, b + 1) for a, b in spans])
    ids = np.repeat(np.arange(1, len(spans) + 1), [b - a + 1 for a, b in spans])
    looks = np.array(points, float)
    looks /= np.linalg.norm(looks, axis=1, keepdims=True)
    result = merge(looks[ids - 1], frames, ids, threshold, horizon)
    return [int(result[ids == i][0]) for i in range(1, len(spans) + 1)]


def test_merging_by_hand():
    same, other = (1, 0), (0, 1)
    assert merged([(0, 4), (6, 9)], [same, same]) == [1, 1]
    assert merged([(0, 4), (6, 9)], [same, other]) == [1, 2]  # distance 1
    assert merged([(0, 4), (4, 9)], [same, same]) == [1, 2]  # share frame 4
    assert merged([(0, 4), (15, 19)], [same, same]) == [1, 2]  # gap 11
    # 2 lies in a gap of 1, near enough to both its parts.
    frames = np.array([0, 1, 2, 22, 23, 10, 12])
    ids = np.array([1, 1, 1, 1, 1, 2, 2])
    assert merge(np.ones((7, 1)), frames, ids, 0.5, 10).tolist() == [1] * 7
    assert merge(np.ones((7, 1)), frames, ids, 0.5, 7).tolist() == ids.tolist()
    # A chain is near enough link by link; the id is that of the earliest.
    assert merged([(12, 14), (0, 4), (22, 25)], [same] * 3) == [2, 2, 2]
    # 1 and 3 both fit 2, but share frames: the nearer one takes it, and bars the other.
    assert merged([(0, 4), (6, 9), (2, 4)], [same, same, (1, 0.4)]) == [1, 1, 3]
    # Mean distances: 1 and 2 merge to a mean 45 degrees from 3, beyond the threshold of 0.2.
    looks = [(1, 0), (np.cos(0.5), np.sin(0.5)), (np.cos(1.2), np.sin(1.2))]
    assert merged([(0, 1), (3, 4), (6, 7)], looks, threshold=0.25) == [1, 1, 3]


def test_short_tracklets_end_where_a_frame_is_missing():
    frames = np.array([3, 1, 2, 5, 6, 1])
    labels = short_tracklets(frames, np.array([1, 1, 1, 1, 1, 2]))
    assert labels[0] == labels[1] == labels[2] != labels[3] == labels[4]
    assert labels[5] not in labels[:5]


@pytest.mark.parametrize("count", [0, 1])
def test_hardly_any_tracks(count):
    detections = make_detections([(1, 1, 2, 1.0, (5, 5, 8, 8))] * count)
    refined, _ = refine(detections, np.ones(count, int), [np.zeros((count, 3))], QUICK)
    assert refined.tolist() == [1] * count


def test_the_threshold_hardly_depends_on_the_seed():
    detections, track_ids, looks = scene(noise=1.5, objects=40)
    inputs = (looks - looks.mean(axis=0)).astype(np.float32)
    found = [
        find_threshold(inputs, detections.frames, track_ids, replace(QUICK, seed=seed))[0]
        for seed in range(3)
    ]
    assert 0.1 < min(found) and max(found) - min(found) < 0.03


def test_what_is_merged_shares_no_frame_with_what_joins_it():
    # The second and the third share frame 8: once the first two are one, the third stays out.
    looks = [(1, 0), (1, 0), (1, 0.4)]
    assert merged([(0, 4), (6, 9), (8, 12)], looks) == [1, 1, 3]


def test_a_gap_of_just_the_horizon_is_near():
    assert merged([(0, 4), (14, 19)], [(1, 0), (1, 0)]) == [1, 1]


def test_merged_tracklets_look_like_the_mean_of_all_their_detections():
    def at(angle):
        return (np.cos(angle), np.sin(angle))

    # Nine detections at 0 and two at 0.5: their mean is near 0, and 1.0 stays beyond 0.3.
    spans = [(0, 1), (2, 9), (10, 11), (12, 13)]
    assert merged(spans, [at(0), at(0), at(0.5), at(1.0)], threshold=0.3) == [1, 1, 1, 4]


def test_more_candidates_make_the_threshold_stricter():
    detections, track_ids, looks = scene(noise=0.9, objects=24, length=60)
    inputs = (looks - looks.mean(axis=0)).astype(np.float32)
    few, many = (
        find_threshold(inputs, detections.frames, track_ids, replace(QUICK, horizon=h))
        for h in (1, 60)
    )
    assert many[0] <= few[0] and many[1] > few[1]
