"""Every tracker keeps the promises of the interface; frames are read only."""

from dataclasses import replace

import numpy as np
import pytest

from models.best.config import BestConfig
from models.motsnet.association import MotsNetConfig
from models.pixel_embeddings.association import PixelTrackerConfig
from models.streaming import iterate_frames, track
from models.tracking import Frame, describe_trackers, make_tracker, trackers
from models.trackrcnn.association import TrackRcnnConfig
from models.usc_mots.config import AuthorsConfig, UscMotsConfig
from tests.conftest import make_detections, random_scene

SETTINGS = {
    "paper": UscMotsConfig(min_track_length={0: 1}, min_score=0.0),
    "authors": AuthorsConfig(min_track_length={0: 1}, min_score=0.0),
    "best": BestConfig(min_track_length={0: 1}),
    "mask_iou": None,
    "given": None,
    "trackrcnn": TrackRcnnConfig(),
    "motsnet": MotsNetConfig(min_track_length={0: 1}),
    "pixel_embeddings": PixelTrackerConfig(features=1, representatives=3),
}


def scene_of(seed, frames=14):
    rng = np.random.default_rng(seed)
    scene = random_scene(rng, frames=frames, objects=6)
    columns = {"embeddings": rng.normal(size=(len(scene), 3)).astype(np.float32)}
    columns |= {"vectors": columns["embeddings"], "colours": rng.random((len(scene), 4))}
    return scene, columns


def test_the_registry_has_every_tracker_of_the_papers():
    assert set(trackers()) == set(SETTINGS)
    with pytest.raises(ValueError, match=r"tracker must be one of paper, .*, got 'sort'"):
        make_tracker("sort")
    assert "    tau = 1  (int)" in describe_trackers()


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("seed", range(6))
def test_the_same_frames_through_two_trackers_give_what_fresh_ones_give(name, seed):
    scene, columns = scene_of(seed)

    def ids_of(frames, config):
        tracker, ids = make_tracker(name, config), np.zeros(len(scene), int)
        for frame in frames:
            tracker.update(frame)
        rows, final = tracker.flush()
        ids[rows] = final
        return ids

    first = SETTINGS[name]
    other = replace(first, tau=0) if hasattr(first, "tau") else first
    frames = list(iterate_frames(scene, make_tracker(name, first), columns))
    ids_of(frames, first)
    again = list(iterate_frames(scene, make_tracker(name, other), columns))
    assert (ids_of(frames, other) == ids_of(again, other)).all()


@pytest.mark.parametrize("name", SETTINGS)
def test_a_frame_cannot_be_written_to(name):
    scene, columns = scene_of(1)
    for frame in iterate_frames(scene, make_tracker(name, SETTINGS[name]), columns):
        for array in (frame.rows, frame.classes, frame.scores, *frame.columns.values()):
            with pytest.raises((ValueError, TypeError)):
                array[0] = array[0]
    given = np.arange(3)
    frame = Frame(1, given, given, given)
    given[0] = 9  # whoever made the array may still write to it
    with pytest.raises(AttributeError):
        frame.number = 2
    with pytest.raises(ValueError, match="frame 1 must have the column masks, got none"):
        frame["masks"]


@pytest.mark.parametrize("name", SETTINGS)
def test_flush_gives_each_row_once_and_forgets(name):
    scene, columns = scene_of(3)
    tracker = make_tracker(name, SETTINGS[name])
    frames = list(iterate_frames(scene, tracker, columns))
    for frame in frames:
        tracker.update(frame)
    rows, ids = tracker.flush()
    assert len(rows) == len(ids) == len(set(rows.tolist())) > 0 and (ids > 0).all()
    with pytest.raises(ValueError, match="frames must ascend: got frame"):
        tracker.update(frames[1])
        tracker.update(frames[0])
    tracker.flush()
    assert len(tracker.update(frames[0])) == len(frames[0])  # a new sequence may start anywhere
    tracker.flush()
    assert [len(part) for part in tracker.flush()] == [0, 0]


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("seed", range(4))
def test_an_identity_given_at_once_stays_with_its_object(name, seed):
    """What `update` says is what `flush` says, or one of both says nothing."""
    scene, columns = scene_of(seed, frames=30)
    tracker, now = make_tracker(name, SETTINGS[name]), np.zeros(len(scene), int)
    for frame in iterate_frames(scene, tracker, columns):
        answer = tracker.update(frame)
        assert answer.shape == (len(frame),) and (answer >= 0).all()
        given = answer[answer > 0]
        assert len(set(given.tolist())) == len(given)
        now[frame.rows] = answer
    rows, ids = tracker.flush()
    final = np.zeros(len(scene), int)
    final[rows] = ids
    both = (now > 0) & (final > 0)
    assert (now[both] == final[both]).all()
    # Trackers that need the whole video, for the unit of vectors, say nothing before its end.
    late = name in ("trackrcnn", "motsnet")
    assert (both.sum() == 0) if late else (both.sum() > 0.5 * (final > 0).sum())


def test_rows_that_do_not_take_part_have_no_id_and_the_others_keep_their_place():
    scene, columns = scene_of(4)
    keep = np.arange(len(scene)) % 3 > 0
    ids, _ = track(scene, make_tracker("mask_iou"), columns, keep)
    assert ids.shape == (len(scene),) and not ids[~keep].any() and ids[keep].all()
    alone, _ = track(scene.select(keep), make_tracker("mask_iou"))
    assert (ids[keep] == alone).all()


def test_steps_count_frames_and_may_not_make_one_of_two():
    found = make_detections([(f, 1, 1, 1.0, (5, 5, 8, 8)) for f in (3, 7, 11)])
    frames = list(iterate_frames(found, make_tracker("mask_iou"), step=4))
    assert [f.number for f in frames] == [1, 2, 3]
    with pytest.raises(ValueError, match="at least a step of 9 apart, got frame 11"):
        list(iterate_frames(found, make_tracker("mask_iou"), step=9))


def test_given_ids_may_stand_once_in_a_frame_per_class():
    found = make_detections([(0, 1, c, 1.0, (20 * c, 5, 8, 8)) for c in (1, 2)])
    ids, report = track(found, make_tracker("given"))
    assert ids[0] != ids[1] and report["tracks"] == 2
    twice = make_detections([(0, 1, 1, 1.0, (x, 5, 8, 8)) for x in (2, 20)])
    with pytest.raises(ValueError, match="id 1 must be given once in frame 0"):
        track(twice, make_tracker("given"))
    with pytest.raises(ValueError, match="needs ids, got 0 in frame 0"):
        track(make_detections([(0, 0, 1, 1.0, (2, 5, 8, 8))]), make_tracker("given"))


def test_the_next_sequence_starts_anew():
    tracker = make_tracker("given")
    for identity in (7, 9):
        found = make_detections([(f, identity, 1, 1.0, (5, 5, 8, 8)) for f in (0, 1)])
        ids, report = track(found, tracker)
        assert ids.tolist() == [1, 1] and report["tracks"] == 1
    paper = make_tracker("paper", UscMotsConfig(min_track_length={0: 1}))
    first = make_detections([(f, 1, 1, 1.0, (5, 5, 8, 8)) for f in range(3)])
    track(first, paper, {"embeddings": np.zeros((3, 1))})
    scores = (0.14, 0.14, 1.0)
    later = make_detections([(10 + k, 1, 1, s, (5, 5, 8, 8)) for k, s in enumerate(scores)])
    before = paper.report["low_score"]
    track(later, paper, {"embeddings": np.zeros((3, 1))})
    # Nothing is done before the second sequence's window is full: its first two score too low.
    assert paper.report["low_score"] == before


@pytest.mark.parametrize("name", SETTINGS)
def test_the_same_frame_twice_is_refused(name):
    scene, columns = scene_of(2)
    tracker = make_tracker(name, SETTINGS[name])
    frame = next(iterate_frames(scene, tracker, columns))
    tracker.update(frame)
    with pytest.raises(ValueError, match="frames must ascend"):
        tracker.update(frame)
