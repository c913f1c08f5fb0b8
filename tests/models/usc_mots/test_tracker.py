import itertools
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.scenes import crowd
from models.tracking import Frame
from models.usc_mots.config import AuthorsConfig, UscMotsConfig
from models.usc_mots.tracker import UscMotsTracker
from pipeline.settings import settings_for
from tests.conftest import frames_of, make_detections, random_scene, track_with
from utils import masks
from utils.boxes import scaled_boxes
from utils.data_sets import data_set
from utils.evaluation import association_accuracy
from utils.formats.reading import read_detections

LOOSE = UscMotsConfig(min_track_length={0: 1}, min_score=0.0)
AUTHORS = AuthorsConfig(min_track_length={0: 1}, min_score=0.0)


def boxes_as_embeddings(detections):
    return scaled_boxes(detections, None)


def run(objects, config=LOOSE, **size):
    detections = make_detections(objects, **size)
    return track_with(config, detections, boxes_as_embeddings(detections))


def line(identity, frames, x, step, y=5, score=1.0, cls=1):
    return [(f, identity, cls, score, (x + step * i, y, 8, 8)) for i, f in enumerate(frames)]


def test_two_objects_four_points_by_hand():
    ids, report = run(line(1, (0, 1), 2, 1) + line(2, (0, 1), 40, 1))
    assert ids[0] == ids[1] != 0 and ids[2] == ids[3] != 0 and ids[0] != ids[2]
    assert report["tracks"] == 2


def test_objects_that_pass_each_other_keep_their_identity():
    objects = line(1, range(6), 5, 4, y=2) + line(2, range(6), 25, -4, y=14)
    ids, _ = run(objects)
    assert len(set(ids[:6])) == len(set(ids[6:])) == 1 and ids[0] != ids[6]


def test_masks_that_do_not_overlap_are_not_linked_within_tau():
    # Steps of 20 px with masks 8 px wide: no overlap, and tau = 2 covers the window.
    ids, report = run(line(1, range(4), 0, 14), replace(LOOSE, tau=2))
    assert not ids.any() and report["tentative"] == 4


def test_a_single_detection_stays_tentative():
    ids, report = run([(3, 1, 1, 1.0, (5, 5, 8, 8))])
    assert ids.tolist() == [0] and report["tentative"] == 1


def test_a_missed_frame_is_bridged_within_the_window():
    ids, _ = run(line(1, (0, 1, 2, 4, 5), 5, 1))
    assert len(set(ids)) == 1 and ids[0]


def test_a_gap_longer_than_the_window_starts_a_new_track():
    ids, _ = run(line(1, (0, 1, 2), 5, 0) + line(1, (9, 10, 11), 5, 0))
    assert len(set(ids[:3])) == len(set(ids[3:])) == 1 and ids[0] != ids[3]


def test_classes_never_share_a_track():
    ids, _ = run(line(1, range(3), 5, 0) + line(2, range(3), 5, 0, cls=2))
    assert set(ids[:3]).isdisjoint(ids[3:]) and ids.all()


def test_score_threshold_lambda():
    # Two detections of 0.2 in a window of three: mean 0.2, sum / t_lag 0.133.
    objects = line(1, (0, 1), 5, 0, score=0.2)
    for config, mean in ((LOOSE, 0.2), (AUTHORS, 0.4 / 3)):
        assert run(objects, replace(config, min_score=mean - 0.01))[0].all()
        ids, report = run(objects, replace(config, min_score=mean + 0.01))
        assert not ids.any() and report["low_score"] >= 1


def test_tracks_below_the_minimum_length_are_dropped():
    objects = line(1, range(3), 5, 0) + line(2, range(4), 40, 0)
    ids, report = run(objects, replace(LOOSE, min_track_length={0: 4}))
    assert not ids[:3].any() and ids[3:].all() and report["short"] == 3


def test_embedding_gate():
    detections = make_detections(line(1, range(4), 0, 14))  # no masks overlap
    embeddings = np.array([[0.0], [1.0], [2.0], [9.0]], np.float32)
    config = replace(LOOSE, gate="embedding", max_distance=2.5, tau=2)
    ids, _ = track_with(config, detections, embeddings)
    assert ids[0] and len(set(ids[:3])) == 1 and ids[3] == 0


def test_frames_must_ascend():
    detections = make_detections(line(1, (4, 3), 5, 0))
    frames = frames_of(LOOSE, detections, boxes_as_embeddings(detections))
    tracker = UscMotsTracker(LOOSE)
    tracker.update(frames[1])
    with pytest.raises(ValueError, match="got frame 3 after 4"):
        tracker.update(frames[0])


def test_no_detections_at_all():
    detections = make_detections([])
    ids, _ = track_with(LOOSE, detections, np.zeros((0, 4)))
    assert len(ids) == 0 and len(UscMotsTracker().flush()[0]) == 0


@pytest.mark.parametrize("preset", [LOOSE, AUTHORS], ids=["paper", "authors"])
@pytest.mark.parametrize("seed", range(25))
def test_invariants_on_random_scenes(seed, preset):
    rng = np.random.default_rng(seed)
    scene = random_scene(rng, frames=14, objects=7)
    if not len(scene):
        return
    embeddings = boxes_as_embeddings(scene)
    config = replace(preset, t_lag=int(rng.integers(2, 6)), tau=1)
    ids, report = track_with(config, scene, embeddings)
    assert report["contradictions"] == 0
    for frame in np.unique(scene.frames):
        here = ids[(scene.frames == frame) & (ids > 0)]
        assert len(here) == len(set(here.tolist()))  # one detection per frame per track
    for identity in set(ids.tolist()) - {0}:
        rows = np.flatnonzero(ids == identity)
        assert len(rows) >= 2 and len(set(scene.classes[rows])) == 1
        rows = rows[np.argsort(scene.frames[rows])]
        for a, b in itertools.pairwise(rows):
            assert scene.frames[b] - scene.frames[a] < config.t_lag
            if scene.frames[b] - scene.frames[a] <= config.tau:
                assert masks.overlap(scene.coco([a]), scene.coco([b])).all()
    order = rng.permutation(len(scene))
    shuffled, _ = track_with(config, scene.select(order), embeddings[order])
    assert (shuffled == ids[order]).all()  # shuffling rows changes no track


@pytest.mark.parametrize("config", [LOOSE, AUTHORS], ids=["paper", "authors"])
@pytest.mark.parametrize("seed", range(10))
def test_streaming_gives_the_ids_of_batch(seed, config):
    scene = random_scene(np.random.default_rng(100 + seed), frames=20, objects=8)
    check_streaming(scene, boxes_as_embeddings(scene), replace(config, min_track_length={0: 3}))


@pytest.mark.parametrize("seed", range(20))
def test_frames_without_detections_change_nothing(seed):
    rng = np.random.default_rng(200 + seed)
    scene = random_scene(rng, frames=10, objects=3, miss=0.5)
    scene = replace(scene, frames=scene.frames + 3)
    embeddings = boxes_as_embeddings(scene)
    batch, _ = track_with(LOOSE, scene, embeddings)
    frames = {f.number: f for f in frames_of(LOOSE, scene, embeddings)}
    none = np.zeros(0, int)
    tracker, got = UscMotsTracker(LOOSE), np.zeros(len(scene), np.int32)
    for number in range(16):
        empty = Frame(number, none, none, none)
        tracker.update(frames.get(number, empty))
    rows, ids = tracker.flush()
    got[rows] = ids
    assert (got == batch).all()


def test_two_linked_detections_before_a_gap_are_a_track():
    ids, _ = run(line(1, (0, 1), 5, 0) + line(2, (9, 10, 11), 5, 0))
    assert ids[0] == ids[1] != 0 and ids[2] != ids[0]


def check_streaming(scene, embeddings, config):
    """Feed frame by frame; identities at once must be those of batch, or none yet."""
    batch, _ = track_with(config, scene, embeddings)
    tracker, streamed = UscMotsTracker(config), np.zeros(len(scene), np.int32)
    for frame in frames_of(config, scene, embeddings):
        now = tracker.update(frame)
        kept = (now > 0) & (batch[frame.rows] > 0)
        assert (now[kept] == batch[frame.rows][kept]).all()
        assert max(map(len, tracker._windows.values())) <= config.t_lag
    rows, ids = tracker.flush()
    streamed[rows] = ids
    assert (streamed == batch).all()


PLAIN = replace(LOOSE, use_graph=False)


def test_plain_kmeans_writes_one_of_what_it_merges():
    objects = [(0, 1, 1, 1.0, (5, 5, 8, 8)), (0, 2, 1, 1.0, (40, 5, 8, 8))]
    objects += [(1, 1, 1, 1.0, (5, 5, 8, 8)), (1, 2, 1, 1.0, (40, 5, 8, 8))]
    scene = make_detections(objects)
    # |K| = 2, but both detections of frame 1 look like the first of frame 0.
    embeddings = np.array([[0.0], [9.0], [0.0], [0.1]])
    ids, report = track_with(replace(PLAIN, t_lag=2), scene, embeddings)
    assert ids.tolist() == [1, 0, 1, 0]
    # Detection 3 is merged; detection 1 is alone in its cluster.
    assert (report["merged"], report["tentative"]) == (1, 1)


def test_plain_kmeans_gives_one_id_per_frame_streaming_and_shuffled():
    rng = np.random.default_rng(4)
    for _ in range(10):
        scene = random_scene(rng)
        embeddings = boxes_as_embeddings(scene)
        ids, _ = track_with(PLAIN, scene, embeddings)
        kept = ids > 0
        pairs = set(zip(scene.frames[kept].tolist(), ids[kept].tolist(), strict=True))
        assert len(pairs) == kept.sum()
        check_streaming(scene, embeddings, PLAIN)
        order = rng.permutation(len(scene))
        shuffled, _ = track_with(PLAIN, scene.select(order), embeddings[order])
        assert (shuffled == ids[order]).all()


def test_known_clusters_open_no_other():
    # Object 1 jumps beyond its mask, which opens a second cluster; one true identity allows one.
    objects = line(1, (0, 1), 5, 1) + line(1, (2, 3), 40, 1)
    ids, _ = run(objects)
    assert len(set(ids.tolist())) == 2 and all(ids)
    known, _ = run(objects, replace(LOOSE, known_clusters=True))
    assert set(known.tolist()) != set(ids.tolist())


def test_known_clusters_need_true_ids():
    with pytest.raises(ValueError, match="true ids, got 1 without in frame 0"):
        run(line(0, (0, 1), 5, 1), replace(LOOSE, known_clusters=True))


def test_plain_kmeans_keeps_classes_apart():
    # The object changes its class: plain k-means may merge detections, never classes.
    objects = line(1, range(3), 5, 0) + line(1, range(3, 6), 5, 0, cls=2)
    ids, _ = run(objects, PLAIN)
    assert set(ids[:3]).isdisjoint(set(ids[3:]) - {0})


def test_crowd_is_tracked():
    scene, embeddings = crowd(60, 15, height=540, width=960)
    ids, _ = track_with(LOOSE, scene, embeddings)
    assert association_accuracy(scene, ids)[0] > 0.95


def test_real_sequences_streaming_shuffled_and_accurate(real_data):
    for name, least in (("0012", 0.97), ("0003", 0.97), ("0017", 0.94)):
        scene = read_detections(real_data / "kitti_mots" / "instances_txt" / f"{name}.txt")
        scene = scene.select(scene.classes != 10)
        embeddings = boxes_as_embeddings(scene)
        for preset in ("paper", "authors"):
            config = settings_for(data_set("kitti"), preset).tracker
            check_streaming(scene, embeddings, config)
            ids, _ = track_with(config, scene, embeddings)
            assert association_accuracy(scene, ids)[0] > least
            order = np.random.default_rng(0).permutation(len(scene))
            shuffled, _ = track_with(config, scene.select(order), embeddings[order])
            assert (shuffled == ids[order]).all()


def test_a_window_that_a_gap_kept_from_filling_is_clustered_before_it_goes():
    ids, _ = run(line(1, (0, 1, 3), 5, 0))
    assert ids.tolist() == [1, 1, 1]


def test_the_gate_bars_from_the_limit_on():
    detections = make_detections(line(1, range(2), 0, 14))
    for limit, linked in ((2.0, False), (2.0001, True)):
        config = replace(LOOSE, gate="embedding", max_distance=limit, t_lag=2)
        ids, _ = track_with(config, detections, np.array([[0.0], [2.0]]))
        assert bool(ids[0] and ids[0] == ids[1]) == linked


def test_the_window_is_clustered_as_soon_as_it_is_full():
    detections = make_detections(line(1, range(3), 5, 0))
    tracker, started = UscMotsTracker(LOOSE), []
    for frame in frames_of(LOOSE, detections, boxes_as_embeddings(detections)):
        tracker.update(frame)
        started.append(tracker.report["tracks"])
    assert started == [0, 0, 1]
