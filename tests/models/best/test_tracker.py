from dataclasses import replace

import numpy as np
import pytest

from benchmarks.scenes import crowd
from models.best.confidence import Confidence
from models.best.evidence import Evidence
from models.best.linking import settled
from models.best.tracker import BestTracker
from models.candidates import Candidates
from models.tracking import iterate_frames, track
from tests.conftest import frames_of, make_detections, random_scene, track_with
from utils import masks
from utils.boxes import scaled_boxes
from utils.config import BestConfig
from utils.data_sets import data_set
from utils.evaluation import association_accuracy, identity_f1
from utils.formats.registry import read_detections

LOOSE = BestConfig(reach=0.4, slack=0.4, min_track_length={0: 1})


class Scores(Confidence):
    """Scores that are probabilities, among as many false detections as objects."""

    def ready(self, cls):
        return True

    def purity(self, classes):
        return np.full(len(classes), 0.5)

    def probability(self, classes, scores):
        return np.asarray(scores, float)


def line(identity, frames, x, step, score=1.0, cls=1, y=5):
    return [(f, identity, cls, score, (x + step * f, y, 8, 8)) for f in frames]


def run(objects, config=LOOSE, **size):
    detections = make_detections(objects, **size)
    return track_with(config, detections, np.zeros((len(detections), 1)))


def test_an_identity_survives_an_occlusion_longer_than_the_window():
    # Hidden for 7 frames while it moves on: the paper's window of 3 frames cannot bridge that.
    objects = line(1, [*range(6), *range(13, 18)], 5, 2)
    ids, _ = run(objects)
    assert len(set(ids.tolist())) == 1 and ids[0]
    forgotten, _ = run(objects, replace(LOOSE, memory=3))
    assert len(set(forgotten.tolist())) == 2


def test_objects_that_cross_keep_their_motion():
    ids, _ = run(line(1, range(12), 2, 4) + line(2, range(12), 50, -4, y=7))
    assert len(set(ids[:12].tolist())) == 1 == len(set(ids[12:].tolist())) and ids[0] != ids[12]


def test_no_mask_overlap_is_needed_once_the_motion_is_known():
    # Steps of 10 px with boxes 8 px wide: masks never overlap.
    ids, _ = run(line(1, range(5), 2, 10))
    assert len(set(ids.tolist())) == 1 and ids[0]


def believed(objects, config=LOOSE):
    """Track with scores that are known to be probabilities."""
    found = make_detections(objects)
    tracker = BestTracker(replace(config, descriptor_weight=0), Scores())
    return track(found, tracker)


def test_unlikely_detections_continue_but_do_not_revive():
    weak = 0.2
    continued = line(1, range(8), 5, 1) + line(1, (8,), 5, 1, weak)
    assert set(believed(continued)[0].tolist()) == {1}
    # Missed in frame 8: the unlikely detection of frame 9 does not bring it back.
    late, report = believed(line(1, range(8), 5, 1) + line(1, (9,), 5, 1, weak))
    assert late.tolist() == [1] * 8 + [0] and report["doubtful"] == 1
    # A likely one chooses first, even where the unlikely one fits better.
    rivals = [*line(1, range(8), 5, 0), (8, 1, 1, weak, (5, 5, 8, 8)), (8, 2, 1, 0.9, (7, 5, 8, 8))]
    assert believed(rivals)[0].tolist()[-2:] == [0, 1]


def test_what_is_no_object_takes_nothing_from_what_is():
    # A false detection's track lies exactly where the object comes next; the object's own does not.
    objects = line(1, range(8), 5, 0, 0.9) + line(2, range(8), 10, 0, 0.1)
    ids, _ = believed([*objects, (8, 1, 1, 0.9, (9, 5, 8, 8))])
    assert ids[8 - 1] == ids[-1] == ids[0] != 0 and not ids[8:16].any()


def test_a_single_detection_and_short_tracks_are_dropped():
    ids, report = run([(3, 1, 1, 1.0, (5, 5, 8, 8))], replace(LOOSE, min_track_length={0: 2}))
    assert ids.tolist() == [0] and report["tentative"] == 1 and not report["short"]
    ids, report = run(line(1, range(2), 5, 1), replace(LOOSE, min_track_length={0: 3}))
    assert not ids.any() and report["short"] == 2 and not report["tentative"]


def test_classes_never_share_an_identity():
    ids, _ = run(line(1, range(3), 5, 0) + line(1, range(3, 6), 5, 0, cls=2))
    assert set(ids[:3].tolist()).isdisjoint(ids[3:].tolist())


def test_no_uncertainty_makes_a_pedestrian_of_a_car():
    # When the pedestrian comes the limit is far below -1, the value of pairs that cannot be.
    config = replace(LOOSE, reach=0.6, slack=1.0)
    objects = [*line(1, range(5), 5, 0, cls=1), *line(2, range(25, 30), 5, 0, cls=2)]
    ids, _ = run(objects, config)
    assert len(set(ids[:5].tolist())) == len(set(ids[5:].tolist())) == 1 and ids[0] != ids[5]


def test_invariants_on_random_scenes():
    rng = np.random.default_rng(2)
    for _ in range(15):
        scene = random_scene(rng)
        z = np.zeros((len(scene), 1))
        config = replace(
            data_set("kitti").presets["best"].tracker, min_track_length={0: int(rng.integers(1, 4))}
        )
        ids, _ = track_with(config, scene, z)
        kept = ids > 0
        pairs = set(zip(scene.frames[kept].tolist(), ids[kept].tolist(), strict=True))
        assert len(pairs) == kept.sum()
        for identity in set(ids[kept].tolist()):
            assert (ids == identity).sum() >= config.min_track_length[0]
            assert len(set(scene.classes[ids == identity].tolist())) == 1
        order = rng.permutation(len(scene))
        shuffled, _ = track_with(config, scene.select(order), z[order])
        assert (shuffled == ids[order]).all()


def test_streaming_holds_only_live_tracks_and_frames_must_ascend():
    scene, z = crowd(20, 30, height=540, width=960)
    tracker = BestTracker(LOOSE)
    frames = frames_of(LOOSE, scene, z)
    done = [pair for frame in frames for pair in tracker.update(frame)]
    assert len(tracker._tracks) <= 40
    with pytest.raises(ValueError, match="frames must ascend: got frame 1 after 30"):
        tracker.update(frames[0])
    assert tracker.flush() == []
    ids = np.zeros(len(scene), int)
    for row, identity in done:
        ids[row] = identity
    assert (ids == track_with(LOOSE, scene, z)[0]).all()
    assert association_accuracy(scene, ids)[0] > 0.99


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(reach=1.5), r"reach must be in \[0, 1\], got 1.5"),
        (dict(clutter=-1), "clutter must be at least 0, got -1"),
        (dict(innovation=0), "innovation must be above 0, got 0"),
        (dict(confident=1.1), r"confident must be in \[0, 1\]"),
        (dict(written=-0.1), r"written must be in \[0, 1\]"),
        (dict(patience=-1), "patience must be at least 0 frames"),
        (dict(recency=0), r"recency must be in \(0, 1\]"),
        (dict(smoothing=0), "smoothing must be in"),
        (dict(damping=1.5), "damping must be in"),
        (dict(slack=2), r"slack must be in \[0, 1\], got 2"),
        (dict(mask_weight=-1), "mask_weight must be at least 0, got -1"),
        (dict(size_weight=-1), "size_weight must be at least 0"),
        (dict(descriptor_weight=-1), "descriptor_weight must be at least 0"),
        (dict(memory=0), "memory must be at least 1 frame"),
        (dict(t_lag=1), "t_lag must be at least 2"),
        (dict(min_track_length={0: 0}), "min_track_length must be at least 1"),
    ],
)
def test_settings_without_a_meaning(change, message):
    with pytest.raises(ValueError, match=message):
        BestConfig(**change)


def test_real_sequences_beat_the_paper_preset(real_data):
    for name in ("0012", "0017", "0019"):
        scene = read_detections(real_data / "kitti_mots" / "instances_txt" / f"{name}.txt")
        scene = scene.select(scene.classes != 10)
        z = scaled_boxes(scene, None)
        best, _ = track_with(data_set("kitti").presets["best"].tracker, scene, z)
        paper, _ = track_with(data_set("kitti").presets["paper"].tracker, scene, z)
        assert identity_f1(scene.ids, best)[0] >= identity_f1(scene.ids, paper)[0]
        assert association_accuracy(scene, best)[0] >= association_accuracy(scene, paper)[0]


def test_the_position_gets_uncertain_and_the_limit_falls_with_it():
    # Back after 8 frames 2.2 widths from where it is expected: beyond the limit unless it fell.
    objects = [(f, 1, 1, 1.0, (5, 5, 8, 8)) for f in range(5)]
    objects += [(f, 1, 1, 1.0, (27, 5, 8, 8)) for f in range(12, 16)]
    strict = replace(LOOSE, slack=0.0)
    assert len(set(run(objects, strict)[0].tolist())) == 2
    # What only the slack admits, evidence must carry: masks do not say, so it stays apart.
    assert len(set(run(objects, replace(strict, slack=0.4))[0].tolist())) == 2
    near = [o if o[0] < 5 else (*o[:4], (14, 5, 8, 8)) for o in objects]
    assert len(set(run(near, strict)[0].tolist())) == 1


def test_a_change_of_size_counts_against_a_pair_where_detections_may_be_false():
    # A resting object and a rival of a fraction of its size in its place, which may be false.
    objects = [*line(1, range(5), 5, 0), (5, 2, 1, 1.0, (7, 7, 3, 3))]
    assert believed(objects, replace(LOOSE, size_weight=0))[0][-1] == 1
    assert believed(objects, replace(LOOSE, size_weight=1))[0][-1] == 2
    # Where every detection is an object it is the same one, half hidden.
    assert run(objects, replace(LOOSE, size_weight=1))[0][-1] == 1


def test_masks_decide_between_detections_with_like_boxes():
    # Two objects in one box, upper left and lower right triangle, swap nothing but their order.
    upper = np.zeros((40, 60), np.uint8)
    upper[5:25, 5:25] = np.tri(20)[:, ::-1]
    lower = np.zeros((40, 60), np.uint8)
    lower[5:25, 5:25] = np.tri(20)
    found = make_detections([(f, i, 1, 1.0, (5, 5, 20, 20)) for f in range(4) for i in (1, 2)])
    rles = found.rles.copy()
    rles[:] = [masks.encode(upper if i == 1 else lower) for i in found.ids]
    found = replace(found, rles=rles)
    ids, _ = track_with(LOOSE, found, np.zeros((8, 1)))
    assert (ids.reshape(4, 2) == ids[:2]).all() and ids[0] != ids[1]


def test_a_track_that_left_at_the_border_is_not_expected_back():
    def pause(x):
        return [(f, 1, 1, 1.0, (x, 5, 8, 8)) for f in (*range(4), *range(9, 13))]

    assert len(set(run(pause(20))[0].tolist())) == 1
    assert len(set(run(pause(52))[0].tolist())) == 2


def test_what_is_less_likely_than_the_limit_is_not_written():
    # Mean 0.5: not in itself; then the track rises to 0.9, in time for the last of them.
    low = line(1, range(6), 5, 1, score=0.5)
    ids, report = believed(low)
    assert not ids.any() and report["doubtful"] == 6 and not report["short"]
    ids, report = believed(low + line(1, range(6, 14), 5, 1, 0.9))
    assert ids.tolist() == [1] * 14 and not report["doubtful"]
    ids, report = believed(low + line(1, range(6, 14), 5, 1, 0.9), replace(LOOSE, patience=4))
    assert ids[6:].tolist() == [1] * 8 and 0 < report["doubtful"] == (ids == 0).sum()


def test_detections_of_a_track_leave_in_order():
    scores = [0.9, 0.9, 0.2, 0.9, 0.9, 0.3, 0.9, 0.9, 0.9]
    found = make_detections([(f, 1, 1, s, (5 + f, 5, 8, 8)) for f, s in enumerate(scores)])
    tracker = BestTracker(replace(LOOSE, descriptor_weight=0, written=0.75), Scores())
    frames = list(iterate_frames(found, tracker))
    done = [row for frame in frames for row, _ in tracker.update(frame)]
    done += [row for row, _ in tracker.flush()]
    assert done == sorted(done) and 0 in done and len(set(done)) == len(done)


def test_descriptors_tell_crossing_objects_apart():
    # Two objects meet, hide each other for some frames and turn back: motion alone swaps them.
    def path(f):
        return 4 * f if f < 30 else 4 * (59 - f)

    objects = [(f, 1, 1, 1.0, (2 + path(f), 5, 8, 8)) for f in range(60) if not 26 < f < 33]
    objects += [(f, 2, 1, 1.0, (238 - path(f), 5, 8, 8)) for f in range(60) if not 26 < f < 33]
    objects += [(f, i, 1, 1.0, (40 * i, 30, 8, 8)) for f in range(60) for i in (3, 4)]
    found = make_detections(objects, width=260)
    look = np.eye(5)[found.ids] + np.random.default_rng(0).normal(0, 0.1, (len(found), 5))
    config = replace(LOOSE, slack=1.0)
    blind, _ = track_with(config, found, np.zeros((len(found), 1)))
    seeing, _ = track_with(config, found, look.astype(np.float32))
    assert identity_f1(found.ids, blind)[0] < 1
    assert identity_f1(found.ids, seeing)[0] == 1
    # Colours are a second descriptor, and as good.
    coloured, _ = track_with(config, found, np.zeros((len(found), 1)), look.astype(np.float32))
    assert identity_f1(found.ids, coloured)[0] == 1


@pytest.mark.usefixtures("each_way")
def test_a_pair_far_above_its_rivals_needs_no_other_cues():
    overlap = np.array([[0.9, 0.1, -0.5], [0.15, 0.6, 0.7], [-0.9, 0.4, -0.9]])
    # Row 0 leads row and column by more than 0.7; 1 and 2 contest the rest. Cells of 0 are closed.
    expected = [[True, True, True], [True, False, False], [True, False, False]]

    def certain(matrix):
        rows, columns = np.nonzero(matrix > -1)
        pairs = Candidates(rows, columns, matrix[rows, columns], matrix.shape)
        found = np.zeros(matrix.shape, bool)
        found[rows, columns] = settled(pairs)
        return found

    assert certain(overlap).tolist() == expected
    assert not certain(np.array([[0.45, -0.9]])).any()  # not near enough itself
    assert not certain(np.array([[0.9, 0.3]])).any()  # a rival in the row
    assert not certain(np.array([[0.9], [0.3]])).any()  # a rival in the column
    # So masks of objects that are apart are never decoded.
    found = make_detections(line(1, range(5), 2, 1) + line(2, range(5), 40, 1), width=200)
    broken = found.rles.copy()
    broken[:] = [b"~"] * len(broken)
    ids, _ = track_with(LOOSE, replace(found, rles=broken), np.zeros((len(found), 1)))
    assert ids.tolist() == found.ids.tolist()


def test_tentative_tracks_are_forgotten_first_at_the_border_too():
    # One detection waits t_lag - 1 = 2 frames for a second one, wherever it is.
    for x in (0, 25):
        for gap, tracks in ((2, 1), (3, 2)):
            ids, _ = run([(f, 1, 1, 1.0, (x, 5, 8, 8)) for f in (0, gap)])
            assert len(set(ids.tolist())) == tracks, (x, gap)


def test_evidence_counts_half_where_the_position_is_certain(monkeypatch):
    config = replace(LOOSE, mask_weight=0, descriptor_weight=1.0)
    scene = make_detections(
        [(f, i, 1, 1.0, (5 + 30 * i, 5, 8, 8)) for f in (0, 2, 3) for i in (0, 1)]
    )
    scene = scene.select(~((scene.frames == 2) & (scene.ids == 1)))
    monkeypatch.setattr(Evidence, "log_ratio", lambda self, tracks, rows, *_: np.ones(len(rows)))
    tracker = BestTracker(config)
    frames = frames_of(config, scene, np.zeros((len(scene), 1)))
    for frame in frames[:2]:
        tracker.update(frame)
    rows, columns = np.array([0, 1]), np.array([0, 1])
    added = tracker._other_cues(frames[2], tracker._tracks, np.zeros((2, 4)), rows, columns)
    gaps = 3 - tracker._tracks["frames"]
    assert sorted(zip(gaps.tolist(), added.tolist(), strict=True)) == [(1, 0.5), (3, 1.0)]


def triangles():
    upper, lower = np.zeros((40, 60), np.uint8), np.zeros((40, 60), np.uint8)
    upper[5:25, 5:25], lower[5:25, 5:25] = np.tri(20)[:, ::-1], np.tri(20)
    return {1: masks.encode(upper), 2: masks.encode(lower)}


def test_a_mask_tells_up_to_three_frames_after_it_was_seen():
    objects = [(f, i, 1, 1.0, (5, 5, 20, 20)) for f in (0, 1) for i in (1, 2)]
    found = make_detections([*objects, (4, 2, 1, 1.0, (5, 5, 20, 20))])
    rles = found.rles.copy()
    rles[:] = [triangles()[i] for i in found.ids.tolist()]
    ids, _ = track_with(LOOSE, replace(found, rles=rles), np.zeros((5, 1)))
    second = ids[(found.frames == 1) & (found.ids == 2)]
    assert ids[-1] == second[0]


def test_a_probability_of_just_the_limit_is_written():
    for score in (0.7, 0.6, 0.35):  # none of them exact in binary
        config = replace(LOOSE, written=score)
        assert believed(line(1, range(3), 5, 0, score=score), config)[0].all()


def test_a_track_at_the_border_is_expected_for_three_frames():
    for gap, tracks in ((3, 1), (4, 2)):
        frames = [0, 1, 2, 2 + gap, 3 + gap]
        ids, _ = run([(f, 1, 1, 1.0, (52, 5, 8, 8)) for f in frames])
        assert len(set(ids.tolist())) == tracks, gap
        # Two pixels from the border is at it, three are not.
        for x, at_border in ((50, True), (49, False)):
            ids, _ = run([(f, 1, 1, 1.0, (x, 5, 8, 8)) for f in frames])
            assert len(set(ids.tolist())) == (tracks if at_border else 1)


def test_a_change_of_size_counts_up_to_two():
    config = replace(LOOSE, descriptor_weight=0)
    objects = [
        (0, 1, 1, 1.0, (5, 5, 8, 8)),
        (1, 1, 1, 1.0, (5, 5, 16, 8)),
        (1, 2, 1, 1.0, (0, 0, 50, 40)),
    ]
    scene, tracker = make_detections(objects), BestTracker(config)
    frames = frames_of(config, scene, None)
    tracker.update(frames[0])
    boxes = frames[1]["boxes_xywh"][:, 2]
    pairs = np.zeros(2, int), np.arange(2)
    change = tracker._size_change(frames[1], tracker._tracks, *pairs)
    found = dict(zip(boxes.tolist(), change.tolist(), strict=True))
    assert found == pytest.approx({16: np.log(2), 50: 2})


def hidden(gap, look=1, frames=60):
    """Return a scene of four objects, the first hidden for `gap` frames, and what they look like.

    Where it comes back it looks like object `look`.
    """
    end = frames + gap + 5
    seen = [*range(frames), *range(frames + gap, end)]
    objects = line(1, seen, 60, 0)
    for i in (2, 3, 4):
        objects += line(i, range(end), 60 + 24 * (i - 1), 0, y=30)
    found = make_detections(objects, width=260)
    looks = found.ids.copy()
    looks[(found.ids == 1) & (found.frames >= frames)] = look
    noise = np.random.default_rng(0).normal(0, 0.05, (len(found), 5))
    return found, (np.eye(5)[looks] + noise).astype(np.float32)


def returned(gap, look=1, **changes):
    """Return whether the first object has its identity again, where colours show it."""
    found, looks = hidden(gap, look)
    config = replace(LOOSE, slack=0.0, **changes)
    ids, _ = track_with(config, found, np.zeros((len(found), 1)), looks)
    mine = ids[found.ids == 1]
    assert mine[0] and mine[-1]
    return bool(mine[0] == mine[-1])


def test_a_lost_track_comes_back_by_proof_alone():
    # Within memory its place is enough; after that it has to look like itself, and not for ever.
    assert returned(40, memory=50, colour_weight=0.0)
    assert not returned(40, colour_weight=0.0)
    assert returned(40) and returned(99)
    assert not returned(40, look=2) and not returned(40, look=4)
    assert not returned(101) and not returned(60, recall=50)
    # Evidence of 2 times the weight at most: what cannot be proven is not waited for.
    assert not returned(40, colour_weight=0.3) and returned(40, colour_weight=0.36)
    assert not returned(40, proof=0.9)


def test_what_cannot_prove_itself_is_not_kept():
    found, looks = hidden(40)
    for colours, kept in ((None, 3), (looks, 4)):
        config = replace(LOOSE, descriptor_weight=0)
        tracker = BestTracker(config)
        for frame in frames_of(config, found, np.zeros((len(found), 1)), colours):
            if frame.number == 99:
                break
            tracker.update(frame)
        assert len(tracker._tracks) == kept


@pytest.mark.usefixtures("each_way")
def test_boxes_without_area_and_of_other_kinds_are_tracked_as_ever():
    found = make_detections(
        line(1, range(8), 0, 2) + line(2, range(8), 60, 2) + line(3, range(8), 90, 0), width=200
    )
    flat = found.boxes_xywh.copy()
    flat[found.ids == 3, 2] = 0
    whole, _ = track_with(LOOSE, found, np.zeros((len(found), 1)))
    narrow = replace(found, boxes_xywh=flat)
    ids, _ = track_with(LOOSE, narrow, np.zeros((len(found), 1)))
    assert (ids[found.ids < 3] == whole[found.ids < 3]).all()
    single = replace(found, boxes_xywh=np.asfortranarray(found.boxes_xywh, np.float32))
    ids, _ = track_with(LOOSE, single, np.zeros((len(found), 1)))
    assert (ids == whole).all()
