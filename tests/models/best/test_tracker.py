"""The preset `best` as a user sees it: who keeps an identity, what is written, and when."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.scenes import crowd
from models.best.config import BestConfig
from models.best.tracker import BestTracker
from models.streaming import iterate_frames, track
from pipeline.settings import settings_for
from tests.conftest import frames_of, make_detections, random_scene, track_with
from utils import masks
from utils.boxes import scaled_boxes
from utils.data_sets import data_set
from utils.evaluation import association_accuracy, identity_f1
from utils.formats.reading import read_detections

LOOSE = BestConfig(min_track_length={0: 1})


def line(identity, frames, x, step, score=1.0, cls=1, y=5):
    return [(f, identity, cls, score, (x + step * f, y, 8, 8)) for f in frames]


def run(objects, config=LOOSE, **size):
    return track(make_detections(objects, **size), BestTracker(config))


def test_an_identity_survives_an_occlusion_longer_than_the_window():
    # Hidden for 7 frames while it moves on: the paper's window of 3 frames cannot bridge that.
    objects = line(1, [*range(6), *range(13, 18)], 5, 2)
    ids, _ = run(objects)
    assert len(set(ids.tolist())) == 1 and ids[0]
    forgotten, _ = run(objects, replace(LOOSE, memory=3))
    assert len(set(forgotten.tolist())) == 2


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("pace", [1, 3])
def test_a_lone_walker_hidden_for_twenty_frames_keeps_his_identity(seed, pace):
    scores = np.random.default_rng(seed).uniform(0.6, 0.95, 90)
    frames = [*range(40), *range(60, 90)]
    objects = [(f, 1, 1, scores[f], (20 + pace * f, 60, 60, 150)) for f in frames]
    ids, _ = run(objects, height=300, width=640)
    assert len(set(ids.tolist())) == 1 and ids[0]


def test_objects_that_cross_keep_their_motion():
    ids, _ = run(line(1, range(12), 2, 4) + line(2, range(12), 50, -4, y=7))
    assert len(set(ids[:12].tolist())) == 1 == len(set(ids[12:].tolist())) and ids[0] != ids[12]


def test_no_mask_overlap_is_needed_once_the_motion_is_known():
    # Steps of 10 px with boxes 8 px wide: masks never overlap.
    ids, _ = run(line(1, range(5), 2, 10))
    assert len(set(ids.tolist())) == 1 and ids[0]


def test_a_camera_that_turns_takes_all_identities_along():
    # Everything jumps by 24 px at frame 5: the third comes to where the fourth is expected.
    places = (20, 70, 200, 230)
    objects = [
        (f, i, 1, 1.0, (x + 24 * (f >= 5), 20, 10, 10))
        for f in range(9)
        for i, x in enumerate(places)
    ]
    ids, _ = run(objects, width=300)
    assert (ids.reshape(9, 4) == ids[:4]).all() and len(set(ids[:4].tolist())) == 4


def test_unlikely_detections_continue_but_do_not_revive():
    weak = 0.35
    config = replace(LOOSE, part=0.4, written=0.5)
    ids, report = run(line(1, range(8), 5, 1) + line(1, (8,), 5, 1, weak), config)
    assert ids.tolist() == [1] * 8 + [0] and report["tracks"] == 1  # part of it, not written
    ids, report = run(line(1, range(8), 5, 1) + line(1, (9,), 5, 1, weak), config)
    assert ids.tolist() == [1] * 8 + [0] and report["tracks"] == 2
    # A likely one chooses first, even where the unlikely one fits better.
    rivals = [*line(1, range(8), 5, 0), (8, 1, 1, weak, (5, 5, 8, 8)), (8, 2, 1, 0.9, (7, 5, 8, 8))]
    assert run(rivals, config)[0].tolist()[-2:] == [0, 1]


def test_what_is_no_object_takes_nothing_from_what_is():
    # A false detection's track lies exactly where the object comes next; the object's own does not.
    objects = line(1, range(8), 5, 0, 0.9) + line(2, range(8), 10, 0, 0.1)
    ids, _ = run([*objects, (8, 1, 1, 0.9, (9, 5, 8, 8))])
    assert ids[8 - 1] == ids[-1] == ids[0] != 0 and not ids[8:16].any()


def test_a_single_detection_and_short_tracks_are_dropped():
    ids, report = run([(3, 1, 1, 1.0, (5, 5, 8, 8))], replace(LOOSE, min_track_length={0: 2}))
    assert ids.tolist() == [0] and report["tentative"] == 1 and not report["short"]
    ids, report = run(line(1, range(2), 5, 1), replace(LOOSE, min_track_length={0: 3}))
    assert not ids.any() and report["short"] == 2 and not report["tentative"]
    ids, _ = run(line(1, range(3), 5, 1), replace(LOOSE, min_track_length={0: 1, 1: 3}))
    assert ids.all()


def test_classes_never_share_an_identity():
    ids, _ = run(line(1, range(3), 5, 0) + line(1, range(3, 6), 5, 0, cls=2))
    assert set(ids[:3].tolist()).isdisjoint(ids[3:].tolist())


def test_any_class_number_is_tracked():
    ids, _ = run(line(1, range(4), 5, 0, cls=32767) + line(2, range(4), 30, 0, cls=3))
    assert len(set(ids[:4].tolist())) == 1 == len(set(ids[4:].tolist())) and ids[0] != ids[4]


def test_a_tracks_mean_decides_and_each_detection_for_itself():
    # Means of 0.5, which is just enough, and of 0.49.
    for last, written in ((0.7, True), (0.67, False)):
        scores = [0.4, 0.4, last]
        found = make_detections([(f, 1, 1, s, (5, 5, 8, 8)) for f, s in enumerate(scores)])
        ids, report = track(found, BestTracker(LOOSE))
        assert ids.all() == written == ids.any() and report["doubtful"] == 3 * (not written)
    # Of a track that is written a detection below `part` is not; one of just `part` is.
    scores = [0.9, 0.29, 0.3, 0.9, 0.9]
    ids, report = run([(f, 1, 1, s, (5, 5, 8, 8)) for f, s in enumerate(scores)])
    assert ids.tolist() == [1, 0, 1, 1, 1] and report["doubtful"] == 1


def test_an_identity_is_given_at_once_where_it_is_believed():
    def answers(scores):
        found = make_detections([(f, 1, 1, s, (5, 5, 8, 8)) for f, s in enumerate(scores)])
        tracker = BestTracker(replace(LOOSE, part=0.3, written=0.6))
        return [int(tracker.update(f)[0]) for f in iterate_frames(found, tracker)], tracker

    # (0.3 + 1) / 2, (0.3 + 0.8) / 2, then (0.3 + 1.6) / 3.
    assert answers([1.0, 1.0])[0] == [1, 1]
    assert answers([0.8, 0.8, 0.8])[0] == [0, 1, 1]
    now, tracker = answers([1.0, 0.2, 1.0])
    assert now == [1, 0, 1]  # a detection below `part` never has one
    assert tracker.flush()[1].tolist() == [1, 1]


def test_an_identity_given_at_once_is_kept_on_real_detections(real_data):
    folder = real_data / "mots_challenge" / "detections_yolov8n_seg"
    found = read_detections(folder / "0009.txt")
    tracker, now = BestTracker(), np.zeros(len(found), int)
    for frame in iterate_frames(found, tracker):
        now[frame.rows] = tracker.update(frame)
    final = np.zeros(len(found), int)
    rows, ids = tracker.flush()
    final[rows] = ids
    both = (now > 0) & (final > 0)
    assert (now[both] == final[both]).all()
    # The first answer is mostly the last word (benchmarks.accuracy --tables at_once).
    assert (now == final).mean() > 0.85


def test_invariants_on_random_scenes():
    rng = np.random.default_rng(2)
    for _ in range(15):
        scene = random_scene(rng)
        config = BestConfig(min_track_length={0: int(rng.integers(1, 4))})
        ids, _ = track(scene, BestTracker(config))
        kept = ids > 0
        pairs = set(zip(scene.frames[kept].tolist(), ids[kept].tolist(), strict=True))
        assert len(pairs) == kept.sum()
        for identity in set(ids[kept].tolist()):
            assert len(set(scene.classes[ids == identity].tolist())) == 1
        order = rng.permutation(len(scene))
        shuffled, _ = track(scene.select(order), BestTracker(config))
        assert (shuffled == ids[order]).all()


def test_only_live_tracks_are_held_and_a_crowd_keeps_its_identities():
    scene, _ = crowd(20, 60, height=540, width=960)
    tracker = BestTracker(LOOSE)
    for frame in iterate_frames(scene, tracker):
        tracker.update(frame)
        assert tracker._count <= 60
    rows, ids = tracker.flush()
    assert (ids == track(scene, BestTracker(LOOSE))[0][rows]).all()
    whole = np.zeros(len(scene), int)
    whole[rows] = ids
    assert association_accuracy(scene, whole)[0] > 0.99


def test_a_table_grows_with_the_scene():
    # More objects than a new table has room for, of classes that come later, too.
    objects = [(f, i, 1 + i % 3, 1.0, (12 * i, 5, 8, 8)) for f in range(4) for i in range(200)]
    ids, _ = run([*objects, *line(500, range(2, 4), 30, 0, cls=40, y=25)], width=2500)
    assert len(set(ids[:200].tolist())) == 200
    assert (ids[:800].reshape(4, 200) == ids[:200]).all() and ids[-1] == ids[-2] > 200


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(nearness=0), "nearness must be above 0, got 0"),
        (dict(mask_weight=-1), "mask_weight must be at least 0, got -1"),
        (dict(clutter=-1), "clutter must be at least 0, got -1"),
        (dict(assumed_frames=0), "assumed_frames must be at least 1 frame"),
        (dict(assumed_births=0), "assumed_births must be above 0"),
        (dict(written=-0.1), r"written must be in \[0, 1\]"),
        (dict(part=1.1), r"part must be in \[0, 1\]"),
        (dict(smoothing=0), "smoothing must be in"),
        (dict(damping=1.5), "damping must be in"),
        (dict(memory=0), "memory must be at least 1 frame"),
        (dict(min_track_length={0: 0}), "min_track_length must be at least 1"),
    ],
)
def test_settings_without_a_meaning(change, message):
    with pytest.raises(ValueError, match=message):
        BestConfig(**change)


def test_no_constant_stands_outside_the_settings():
    """Every number that changes a result is a setting; docs/best.md counts on at most twelve."""
    assert len(BestConfig.__dataclass_fields__) <= 12


def test_real_sequences_beat_the_paper_preset(real_data):
    for name in ("0012", "0017", "0019"):
        scene = read_detections(real_data / "kitti_mots" / "instances_txt" / f"{name}.txt")
        scene = scene.select(scene.classes != 10)
        best, _ = track(scene, BestTracker())
        paper = settings_for(data_set("kitti"), "paper").tracker
        paper, _ = track_with(paper, scene, scaled_boxes(scene, None))
        assert identity_f1(scene.ids, best)[0] >= identity_f1(scene.ids, paper)[0]
        assert association_accuracy(scene, best)[0] >= association_accuracy(scene, paper)[0]


def triangles():
    upper, lower = np.zeros((40, 60), np.uint8), np.zeros((40, 60), np.uint8)
    upper[5:25, 5:25], lower[5:25, 5:25] = np.tri(20)[:, ::-1], np.tri(20)
    return {1: masks.encode(upper), 2: masks.encode(lower)}


@pytest.mark.parametrize("gap", [1, 3, 12])
def test_masks_decide_between_detections_with_like_boxes(gap):
    # Two objects in one box, upper left and lower right triangle, swap nothing but their order.
    found = make_detections(
        [(f, i, 1, 1.0, (5, 5, 20, 20)) for f in (0, 1, 1 + gap, 2 + gap) for i in (1, 2)]
    )
    rles = found.rles.copy()
    rles[:] = [triangles()[i] for i in found.ids.tolist()]
    ids, _ = track(replace(found, rles=rles), BestTracker(LOOSE))
    assert (ids.reshape(4, 2) == ids[:2]).all() and ids[0] != ids[1]


def test_boxes_without_area_and_of_other_kinds_are_tracked_as_ever():
    found = make_detections(
        line(1, range(8), 0, 2) + line(2, range(8), 60, 2) + line(3, range(8), 90, 0), width=200
    )
    flat = found.boxes_xywh.copy()
    flat[found.ids == 3, 2] = 0
    whole, _ = track(found, BestTracker(LOOSE))
    ids, _ = track(replace(found, boxes_xywh=flat), BestTracker(LOOSE))
    assert (ids[found.ids < 3] == whole[found.ids < 3]).all()
    single = replace(found, boxes_xywh=np.asfortranarray(found.boxes_xywh, np.float32))
    assert (track(single, BestTracker(LOOSE))[0] == whole).all()


def test_a_frame_without_detections_changes_nothing():
    frames = frames_of(LOOSE, make_detections(line(1, (0, 2), 5, 0)), None)
    tracker = BestTracker(LOOSE)
    none = np.zeros(0, int)
    tracker.update(frames[0])
    assert len(tracker.update(replace(frames[0], number=1, rows=none, classes=none, scores=none,
                                      columns={}))) == 0  # fmt: skip
    assert tracker.update(frames[1]).tolist() == [1]
