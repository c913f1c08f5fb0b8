from dataclasses import replace

import numpy as np
import pytest

from models.matching import MATCHERS, TUNED, MatcherConfig, match, random_search
from tests.conftest import make_detections, random_scene
from utils import mots_io
from utils.boxes import signed_iou, xywh_to_xyxy
from utils.evaluation import association_accuracy


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
    ids, report = match(found, np.zeros((5, 1)), MatcherConfig("mask_iou"))
    assert ids[0] == ids[2] and len(set(ids.tolist())) == 4 and report["tracks"] == 4


def test_the_window_bounds_a_gap():
    found = make_detections([(f, 1, 2, 1.0, (5, 5, 8, 8)) for f in (0, 1, 4, 5)])
    for window, tracks in ((2, 2), (3, 1)):
        ids, _ = match(found, np.zeros((4, 1)), MatcherConfig("mask_iou", window=window))
        assert len(set(ids.tolist())) == tracks


def test_trackrcnn_goes_by_the_vectors_of_the_file_up_to_the_limit():
    found = make_detections([(f, i, 2, 1.0, (5 + 20 * i, 5, 8, 8)) for f in (0, 1) for i in (0, 1)])
    swapped = np.array([[0.0], [3.0], [3.1], [0.2]])
    config = MatcherConfig("trackrcnn", limit=0.5)
    for detections, z in (
        (found, swapped),
        (replace(found, embeddings=swapped), np.zeros((4, 1))),
    ):
        ids, _ = match(detections, z, config)
        assert ids[0] == ids[3] != ids[1] == ids[2]
    ids, _ = match(found, swapped, replace(config, limit=0.1))
    assert ids[1] == ids[2] and ids[0] != ids[3]
    # Twice the scale is half the limit.
    assert (match(found, swapped, replace(config, limit=0.2, scale=2.0))[0] == ids).all()


def test_the_unit_of_embeddings_does_not_count():
    found = make_detections([(f, i, 2, 1.0, (5 + 20 * i, 5, 8, 8)) for f in (0, 1) for i in (0, 1)])
    z = np.array([[0.0], [3.0], [3.1], [0.2]])
    for config in (TUNED["trackrcnn"], TUNED["motsnet"]):
        config = replace(config, min_track_length=1)
        ids = match(found, z, config)[0]
        assert (match(found, 1000 * z, config)[0] == ids).all()
        # Equal vectors have no unit, and match.
        assert match(found, np.ones((4, 1)), config)[0].all()


def test_motsnet_counts_time_and_overlap():
    found = make_detections([(f, 1, 2, 1.0, (5, 5, 8, 8)) for f in (0, 2)])
    z = np.array([[0.0], [0.6]])
    config = MatcherConfig("motsnet", limit=1.0, window=4, scale=0.3)
    # Their spread is 0.3, so pi* = 0.3 * 0.6 / 0.3 + 2 / 4 = 1.1: above the limit; below with
    # an overlap of 1 that weighs 0.2.
    assert len(set(match(found, z, config)[0].tolist())) == 2
    assert len(set(match(found, z, replace(config, overlap_weight=0.2))[0].tolist())) == 1
    assert len(set(match(found, z, replace(config, limit=1.2))[0].tolist())) == 1


def test_weak_detections_and_short_tracks_are_left_out():
    found = make_detections([(f, 1, 2, 0.4, (5, 5, 8, 8)) for f in range(3)])
    ids, report = match(found, np.zeros((3, 1)), MatcherConfig("mask_iou", min_score={2: 0.5}))
    assert not ids.any() and report["weak"] == 3
    ids, report = match(found, np.zeros((3, 1)), MatcherConfig("mask_iou", min_track_length=4))
    assert not ids.any() and report["short"] == 3


def test_invariants_on_random_scenes():
    rng = np.random.default_rng(3)
    for _ in range(10):
        scene = random_scene(rng)
        z = rng.normal(size=(len(scene), 3))
        for config in TUNED.values():
            ids, _ = match(scene, z, config)
            kept = ids > 0
            pairs = set(zip(scene.frames[kept].tolist(), ids[kept].tolist(), strict=True))
            assert len(pairs) == kept.sum()
            for identity in set(ids[kept].tolist()):
                assert len(set(scene.classes[ids == identity].tolist())) == 1
            order = rng.permutation(len(scene))
            assert (match(scene.select(order), z[order], config)[0] == ids[order]).all()


def test_random_search_finds_settings_that_are_no_worse():
    rng = np.random.default_rng(4)
    scene = random_scene(rng, frames=20, miss=0.0)
    z = np.eye(6)[scene.ids] * 10

    def accuracy(tracked):
        return np.mean([association_accuracy(d, ids)[0] for d, ids in tracked])

    start = MatcherConfig("trackrcnn", limit=1.0, scale=100.0)
    z += rng.normal(0, 0.1, z.shape)
    best, value = random_search([(scene, z)], start, accuracy, trials=30)
    before = accuracy([(scene, match(scene, z, start)[0])])
    assert value > before and value > 0.95
    assert random_search([(scene, z)], start, accuracy, trials=30) == (best, value)


def test_settings_without_a_meaning():
    with pytest.raises(ValueError, match=r"matcher must be one of mask_iou, .*, got 'best'"):
        MatcherConfig("best")
    with pytest.raises(ValueError, match="limit must be finite, got inf"):
        MatcherConfig("trackrcnn", limit=float("inf"))
    with pytest.raises(ValueError, match="window must be at least 1 frame, got 0"):
        MatcherConfig("mask_iou", window=0)
    with pytest.raises(ValueError, match="min_track_length must be at least 1, got 0"):
        MatcherConfig("mask_iou", min_track_length=0)
    assert set(TUNED) == set(MATCHERS)


def test_mask_iou_makes_its_known_switches_on_real_masks(real_data):
    path = real_data / "mots_challenge" / "instances_txt"
    switches = 0
    for name in ("0005", "0009"):
        scene = mots_io.read_detections(path / f"{name}.txt")
        scene = scene.select(scene.classes == 2)
        ids, _ = match(scene, np.zeros((len(scene), 1)), TUNED["mask_iou"])
        switches += association_accuracy(scene, ids)[2]
    assert switches == 311
