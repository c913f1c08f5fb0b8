from dataclasses import replace

import numpy as np
import pytest

from benchmarks.tune_matchers import random_search
from models.matching import MatchingConfig
from models.motsnet.association import MotsNetConfig
from models.trackrcnn.association import TrackRcnnConfig, TrackRcnnTracker
from tests.conftest import frames_of, make_detections, random_scene, track_with
from utils.boxes import signed_iou, xywh_to_xyxy
from utils.evaluation import association_accuracy
from utils.formats.reading import read_detections


def test_signed_iou_by_hand():
    boxes = xywh_to_xyxy([[0, 0, 2, 2], [1, 0, 2, 2], [3, 0, 2, 2], [3, 3, 2, 2]])
    # Half over: 2 of 6. One column apart: extended area -(1 * 2) of 4 + 4 + 2.
    # Apart in both: the product of two negative sides still counts as negative.
    expected = [1, 2 / 6, -2 / 10, -1 / 9]
    assert signed_iou(boxes[:1], boxes)[0] == pytest.approx(expected)
    assert signed_iou(np.zeros((0, 4)), boxes).shape == (0, 4)
    assert signed_iou(np.zeros((1, 4)), np.zeros((1, 4))).tolist() == [[0]]  # no area, no NaN


def test_mask_iou_takes_what_overlaps_most_and_nothing_that_does_not():
    found = make_detections(
        [
            (0, 1, 2, 1.0, (5, 5, 8, 8)),
            (0, 2, 2, 1.0, (20, 5, 8, 8)),
            (1, 1, 2, 1.0, (9, 5, 8, 8)),
            (1, 3, 2, 1.0, (40, 5, 8, 8)),
            (1, 4, 1, 1.0, (20, 5, 8, 8)),  # in the place of 2, but a car
        ]
    )
    ids, report = track_with(MatchingConfig(), found, np.zeros((5, 1)))
    assert ids[0] == ids[2] and len(set(ids.tolist())) == 4 and report["tracks"] == 4


def test_the_window_bounds_a_gap():
    found = make_detections([(f, 1, 2, 1.0, (5, 5, 8, 8)) for f in (0, 1, 4, 5)])
    for window, tracks in ((2, 2), (3, 1)):
        ids, _ = track_with(MatchingConfig(window=window), found, np.zeros((4, 1)))
        assert len(set(ids.tolist())) == tracks


def test_trackrcnn_goes_by_the_vectors_of_the_file_up_to_the_limit():
    found = make_detections([(f, i, 2, 1.0, (5 + 20 * i, 5, 8, 8)) for f in (0, 1) for i in (0, 1)])
    swapped = np.array([[0.0], [3.0], [3.1], [0.2]])
    config = TrackRcnnConfig(limit=0.5, window=3, scale=1.0)
    ids, _ = track_with(config, found, swapped)
    assert ids[0] == ids[3] != ids[1] == ids[2]
    ids, _ = track_with(replace(config, limit=0.1), found, swapped)
    assert ids[1] == ids[2] and ids[0] != ids[3]
    # Twice the scale is half the limit.
    assert (track_with(replace(config, limit=0.2, scale=2.0), found, swapped)[0] == ids).all()


def test_the_unit_of_embeddings_does_not_count():
    found = make_detections([(f, i, 2, 1.0, (5 + 20 * i, 5, 8, 8)) for f in (0, 1) for i in (0, 1)])
    z = np.array([[0.0], [3.0], [3.1], [0.2]])
    for config in (TrackRcnnConfig(), MotsNetConfig()):
        config = replace(config, min_track_length={0: 1})
        ids = track_with(config, found, z)[0]
        assert (track_with(config, found, 1000 * z)[0] == ids).all()
        # Equal vectors have no unit, and match.
        assert track_with(config, found, np.ones((4, 1)))[0].all()


def test_motsnet_counts_time_and_overlap():
    found = make_detections([(f, 1, 2, 1.0, (5, 5, 8, 8)) for f in (0, 2)])
    z = np.array([[0.0], [0.6]])
    config = MotsNetConfig(
        limit=1.0, window=4, scale=0.3, overlap_weight=0.0, min_track_length={0: 1}
    )
    # Their spread is 0.3, so pi* = 0.3 * 0.6 / 0.3 + 2 / 4 = 1.1: above the limit; below with
    # an overlap of 1 that weighs 0.2.
    assert len(set(track_with(config, found, z)[0].tolist())) == 2
    assert len(set(track_with(replace(config, overlap_weight=0.2), found, z)[0].tolist())) == 1
    assert len(set(track_with(replace(config, limit=1.2), found, z)[0].tolist())) == 1
    # Without the time it is 0.6.
    assert len(set(track_with(replace(config, time_weight=0.0), found, z)[0].tolist())) == 1


def test_weak_detections_and_short_tracks_are_left_out():
    found = make_detections([(f, 1, 2, 0.4, (5, 5, 8, 8)) for f in range(3)])
    ids, report = track_with(MatchingConfig(min_score={2: 0.5}), found, np.zeros((3, 1)))
    assert not ids.any() and report["weak"] == 3
    ids, report = track_with(MatchingConfig(min_track_length={0: 4}), found, np.zeros((3, 1)))
    assert not ids.any() and report["short"] == 3


def test_invariants_on_random_scenes():
    rng = np.random.default_rng(3)
    for _ in range(10):
        scene = random_scene(rng)
        z = rng.normal(size=(len(scene), 3))
        for config in (MatchingConfig(), TrackRcnnConfig(), MotsNetConfig()):
            ids, _ = track_with(config, scene, z)
            kept = ids > 0
            pairs = set(zip(scene.frames[kept].tolist(), ids[kept].tolist(), strict=True))
            assert len(pairs) == kept.sum()
            for identity in set(ids[kept].tolist()):
                assert len(set(scene.classes[ids == identity].tolist())) == 1
            order = rng.permutation(len(scene))
            assert (track_with(config, scene.select(order), z[order])[0] == ids[order]).all()


def test_random_search_finds_settings_that_are_no_worse():
    rng = np.random.default_rng(4)
    scene = random_scene(rng, frames=20, miss=0.0)
    z = np.eye(6)[scene.ids] * 10

    def accuracy(tracked):
        return np.mean([association_accuracy(d, ids)[0] for d, ids in tracked])

    start = TrackRcnnConfig(limit=1.0, window=3, scale=100.0)
    z += rng.normal(0, 0.1, z.shape)
    best, value = random_search([(scene, z)], TrackRcnnTracker, start, accuracy, trials=30)
    before = accuracy([(scene, track_with(start, scene, z)[0])])
    assert value > before and value > 0.95
    assert random_search([(scene, z)], TrackRcnnTracker, start, accuracy, trials=30) == (
        best,
        value,
    )


def test_settings_without_a_meaning():
    with pytest.raises(ValueError, match="limit must be finite, got inf"):
        TrackRcnnConfig(limit=float("inf"))
    with pytest.raises(ValueError, match="window must be at least 1 frame, got 0"):
        MatchingConfig(window=0)
    with pytest.raises(ValueError, match="min_track_length must be at least 1"):
        MatchingConfig(min_track_length={0: 0})
    with pytest.raises(ValueError, match="unit must be above 0, or none, got 0"):
        MotsNetConfig(unit=0)


def test_with_a_unit_ids_come_while_the_video_runs_and_are_the_same():
    rng = np.random.default_rng(8)
    scene = random_scene(rng, frames=15)
    z = rng.normal(size=(len(scene), 3))
    late = TrackRcnnTracker(TrackRcnnConfig())
    assert not any(late.update(f).any() for f in frames_of(TrackRcnnConfig(), scene, z))
    late.flush()
    config = TrackRcnnConfig(unit=late._unit)
    soon = TrackRcnnTracker(config)
    frames = frames_of(config, scene, z)
    ids = np.zeros(len(scene), int)
    for frame in frames:
        ids[frame.rows] = soon.update(frame)
    assert (ids > 0).all()
    assert (ids == track_with(TrackRcnnConfig(), scene, z)[0]).all()


def test_mask_iou_makes_its_known_switches_on_real_masks(real_data):
    path = real_data / "mots_challenge" / "instances_txt"
    switches = 0
    for name in ("0005", "0009"):
        scene = read_detections(path / f"{name}.txt")
        scene = scene.select(scene.classes == 2)
        ids, _ = track_with(MatchingConfig(), scene, np.zeros((len(scene), 1)))
        switches += association_accuracy(scene, ids)[2]
    assert switches == 311


def test_the_unit_is_measured_on_rows_of_the_file_evenly():
    rng = np.random.default_rng(0)
    objects = [(f, i, 2, 1.0, (5 + 9 * i, 5, 8, 8)) for f in range(130) for i in range(10)]
    order = rng.permutation(len(objects))
    found = make_detections([objects[i] for i in order], width=120)
    z = np.cumsum(rng.random((len(found), 2)), axis=0)
    tracker = TrackRcnnTracker(TrackRcnnConfig())
    for frame in frames_of(TrackRcnnConfig(), found, z):
        tracker.update(frame)
    tracker.flush()
    sample = z[:: len(z) // 500]
    expected = np.linalg.norm(sample - sample.mean(axis=0), axis=1).mean()
    assert tracker._unit == pytest.approx(expected)


def test_the_windows_and_lengths_of_the_papers():
    for gap, tracks in ((5, 1), (6, 2)):
        found = make_detections([(f, 1, 2, 1.0, (5, 5, 8, 8)) for f in (0, gap)])
        ids, _ = track_with(TrackRcnnConfig(), found, np.ones((2, 1)))
        assert len(set(ids.tolist())) == tracks
    for length, written in ((4, False), (5, True)):
        found = make_detections([(f, 1, 2, 1.0, (5, 5, 8, 8)) for f in range(length)])
        ids, report = track_with(MotsNetConfig(), found, np.ones((length, 1)))
        assert ids.any() == written and report["short"] == (0 if written else length)
