from dataclasses import asdict, replace

import numpy as np
import pytest

from models.matching import MatchingConfig
from models.motsnet.association import MotsNetConfig
from models.remots.config import RefinementConfig
from models.trackrcnn.association import TrackRcnnConfig
from models.usc_mots.config import UscMotsConfig
from pipeline.settings import settings_for
from tests.conftest import make_detections
from utils.boxes import xywh_to_cxcywh
from utils.data_sets import DATA_SETS, data_set
from utils.rules import DetectionRules, mark


def test_boxes_by_hand():
    boxes = xywh_to_cxcywh([[10, 20, 30, 40]], (100, 200))
    assert boxes.dtype == np.float32 and np.allclose(boxes, [[0.25, 0.2, 0.3, 0.2]])
    assert np.allclose(
        xywh_to_cxcywh([[10, 20, 28, 14]], (100, 200), (28, 28)), [[0.24, 0.135, 1.0, 0.5]]
    )
    assert xywh_to_cxcywh(np.zeros((0, 4)), (1, 1)).shape == (0, 4)


def paper(name):
    return settings_for(data_set(name), "paper")


def test_presets_are_the_papers():
    kitti, mots, mnist, sprites = (paper(n) for n in ("kitti", "mots", "mnist", "sprites"))
    assert (kitti.tracker.tau, mots.tracker.tau) == (1, 2)
    assert kitti.tracker.min_track_length == {0: 3} and mots.tracker.min_track_length == {0: 5}
    assert (mnist.tracker.max_distance, sprites.tracker.max_distance) == (2.5, 1.0)
    assert (mnist.tracker.tau, mnist.tracker.gate, mnist.tracker.min_score) == (2, "embedding", 0.2)
    assert {paper(name).tracker.t_lag for name in DATA_SETS} == {3}
    assert kitti.rules.min_score == {1: 0.7, 2: 0.7} and kitti.rules.min_area == {1: 150, 2: 100}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(t_lag=1), "t_lag must be at least 2 frames, got 1"),
        (dict(gate="box"), "gate must be 'mask_iou' or 'embedding', got box"),
        (dict(centre_rule="last"), "centre_rule must be 'mean' or 'nearest', got last"),
        (dict(order="random"), "order must be 'time' or 'distance', got random"),
        (dict(gated="older"), "gated must be 'either' or 'newer', got older"),
        (dict(fullest="first"), "fullest must be 'oldest' or 'latest', got first"),
        (dict(labelling="none"), "labelling must be 'newest' or 'all', got none"),
        (dict(score_rule="max"), "score_rule must be 'mean' or 'sum', got max"),
        (dict(restarts=0), "restarts must be at least 1, got 0"),
        (dict(tau=-1), "tau must be at least 0"),
        (dict(min_track_length={0: 0}), "at least 1 detection"),
    ],
)
def test_tracker_config_refuses_settings_without_a_meaning(change, message):
    with pytest.raises(ValueError, match=message):
        UscMotsConfig(**change)


def test_the_least_settings_are_settings():
    config = UscMotsConfig(t_lag=2, tau=0, restarts=1, seed=0, max_iterations=1)
    assert (config.tau, config.restarts) == (0, 1)


def test_unknown_data_sets():
    with pytest.raises(ValueError, match=r"dataset must be one of mnist, .*, got 'coco'"):
        data_set("coco")


def apply_rules(found, classes, rules):
    """Return (rows that are kept, what was dropped); no row is cut on the way."""
    keep, dropped = mark(found, classes, rules, ignore=10)
    assert keep.shape == (len(found),) and keep.sum() + sum(dropped.values()) == len(found)
    return found.select(keep), dropped


def test_rules_count_each_detection_once():
    found = make_detections(
        [
            (0, 1, 1, 0.9, (0, 0, 20, 20)),  # kept
            (0, 2, 1, 0.5, (0, 0, 5, 5)),  # low score comes before small box
            (0, 3, 1, 0.9, (0, 0, 5, 5)),  # small
            (0, 4, 2, 0.9, (0, 0, 20, 20)),  # a class not asked for
            (0, 5, 10, 0.9, (0, 0, 20, 20)),  # an ignore region
            (0, 6, 1, 0.9, (0, 0, 0, 0)),  # nothing in the mask
        ]
    )
    kept, dropped = apply_rules(found, (1,), DetectionRules({1: 0.6}, {1: 150}))
    assert kept.ids.tolist() == [1]
    assert dropped == dict(ignore_region=1, other_class=1, empty_mask=1, low_score=1, small_box=1)


def test_score_and_area_rules_are_for_scored_files_only():
    from dataclasses import replace

    found = replace(make_detections([(0, 1, 1, 1.0, (0, 0, 5, 5))]), scored=False)
    kept, dropped = apply_rules(found, (1,), DetectionRules({1: 0.6}, {1: 150}))
    assert len(kept) == 1 and "small_box" not in dropped


def test_limits_are_inclusive():
    for score in (0.6, 0.7, 0.75):  # neither 0.6 nor 0.7 is exact in binary
        found = make_detections([(0, 1, 1, score, (0, 0, 15, 10))])
        assert len(apply_rules(found, (1,), DetectionRules({1: score}, {1: 150}))[0]) == 1


def test_duplicates_are_masks_in_one_place_and_the_higher_score_stays():
    found = make_detections(
        [
            (0, 0, 1, 0.7, (5, 5, 10, 10)),  # IoU 90 / 110 with the next, which scores higher
            (0, 0, 1, 0.9, (6, 5, 10, 10)),
            (0, 0, 1, 0.8, (11, 5, 10, 10)),  # IoU 50 / 150 with it
            (0, 0, 2, 0.6, (6, 5, 10, 10)),  # in its place, but a pedestrian
            (1, 0, 1, 0.6, (6, 5, 10, 10)),  # in its place, but a frame later
        ]
    )
    kept, dropped = apply_rules(found, (1, 2), DetectionRules(max_overlap=0.5))
    assert sorted(kept.scores.round(1).tolist()) == pytest.approx([0.6, 0.6, 0.8, 0.9])
    assert dropped["duplicate"] == 1
    # What is a duplicate itself drops nothing: 0.7 is one of 0.9, 0.6 of 0.7 only.
    chain = [(0, 0, 1, score, (x, 5, 10, 10)) for score, x in ((0.9, 5), (0.7, 8), (0.6, 11))]
    kept, _ = apply_rules(make_detections(chain), (1,), DetectionRules(max_overlap=0.5))
    assert len(kept) == 2
    trusted = replace(make_detections(chain), scored=False)
    assert len(apply_rules(trusted, (1,), DetectionRules(max_overlap=0.5))[0]) == 3


def test_two_detectors_are_fused_by_intersection_over_minimum():
    # A part of a person beside the whole: IoU 0.25, but all of it lies in the other.
    boxes = [(0.9, (5, 5, 10, 20)), (0.8, (5, 5, 10, 5)), (0.7, (30, 5, 10, 20))]
    found = make_detections([(0, 0, 1, score, box) for score, box in boxes])
    assert len(apply_rules(found, (1,), DetectionRules(max_overlap=0.5))[0]) == 3
    kept, dropped = apply_rules(found, (1,), DetectionRules(max_iom=0.9))
    assert kept.scores.round(1).tolist() == pytest.approx([0.9, 0.7])
    assert dropped["duplicate"] == 1
    with pytest.raises(ValueError, match=r"max_iom must be in \(0, 1\]"):
        DetectionRules(max_iom=0.0)


def test_the_least_area_is_of_the_box_not_of_the_mask():
    found = make_detections([(0, 1, 1, 0.9, (0, 0, 10, 10))])
    wide = replace(found, boxes_xywh=np.array([[0, 0, 15.0, 10.0]]))
    for detections, kept in ((found, 0), (wide, 1)):
        assert len(apply_rules(detections, (1,), DetectionRules({}, {1: 150}))[0]) == kept


def test_the_settings_that_the_figures_in_docs_were_measured_with():
    best, kitti = settings_for(data_set("kitti"), "best"), paper("kitti")
    assert asdict(best.tracker) == dict(
        nearness=4.0, mask_weight=8.0, prior=1.0, clutter=4.0, assumed_frames=30,
        assumed_births=3.0, smoothing=0.15, damping=0.96, memory=30, written=0.5, part=0.3,
        min_track_length={0: 3},
    )  # fmt: skip
    assert best.rules == DetectionRules({}, {1: 150, 2: 100}, 0.5)
    assert kitti.rules.max_overlap == 1
    assert kitti.rules.min_score == {1: 0.7, 2: 0.7} and kitti.rules.min_area == {1: 150, 2: 100}
    custom, mots = (settings_for(data_set(name), "best") for name in ("custom", "mots"))
    assert mots.tracker == custom.tracker == best.tracker and mots.rules == best.rules
    assert custom.rules == DetectionRules(max_overlap=0.5)
    assert asdict(kitti.tracker) == dict(
        t_lag=3, tau=1, gate="mask_iou", max_distance=float("inf"), gated="either",
        centre_rule="mean", order="time", fullest="oldest", labelling="newest", score_rule="mean",
        classes_apart=False, use_graph=True, restarts=10, known_clusters=False, seed=0,
        min_score=0.1, min_track_length={0: 3}, max_iterations=50, tolerance=1e-4,
    )  # fmt: skip
    authors = settings_for(data_set("kitti"), "authors").tracker
    assert asdict(authors) == asdict(kitti.tracker) | dict(
        gated="newer", centre_rule="nearest", score_rule="sum", classes_apart=True
    )
    defaults = asdict(RefinementConfig())
    assert (defaults["horizon"], defaults["max_error"], defaults["span"]) == (120, 0.6, 60)
    assert (MatchingConfig().window, MatchingConfig().limit) == (3, 1.0)
    assert (TrackRcnnConfig().window, TrackRcnnConfig().scale) == (5, 0.135)
    motsnet = MotsNetConfig()
    assert (motsnet.window, motsnet.scale, motsnet.overlap_weight) == (14, 0.3135, 0.152)
    assert motsnet.min_track_length == {0: 5}
