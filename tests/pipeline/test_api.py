"""Tracking from Python: whole sequences, and frame by frame with identities at once."""

from dataclasses import replace

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from pipeline.api import Tracker, track
from tests.conftest import make_detections, random_scene
from utils.formats.reading import read_detections

SETTINGS = {"mask_iou": {}, "best": {"memory": "20"}}


def walkers(frames=40, seed=0):
    rng = np.random.default_rng(seed)
    return random_scene(rng, frames=frames, objects=7, miss=0.15)


def masks_of(found, frame):
    """Return (masks, scores, classes) of a frame, None where there are none."""
    rows = np.flatnonzero(found.frames == frame)
    if not len(rows):
        return None
    stack = np.array([coco_mask.decode(m) for m in found.coco(rows)]).astype(bool)
    return stack, found.scores[rows], found.classes[rows]


@pytest.mark.parametrize("name", SETTINGS)
def test_frame_by_frame_gives_the_tracks_of_the_whole(name):
    found = walkers()
    numbers = range(int(found.frames.max()) + 1)
    whole = track((masks_of(found, f) for f in numbers), name, size=found.size, **SETTINGS[name])
    tracker = Tracker(name, **SETTINGS[name])
    now = {frame: tracker.update(masks_of(found, frame), frame=frame) for frame in numbers}
    final = tracker.flush()
    assert [*final] == [*now] == [*numbers]
    pairs = set()
    for frame in numbers:
        assert final[frame].shape == now[frame].shape == whole.of_frame(frame).shape
        pairs |= set(zip(final[frame].tolist(), whole.of_frame(frame).tolist(), strict=True))
        both = (now[frame] > 0) & (final[frame] > 0)
        assert (now[frame][both] == final[frame][both]).all()
    # One identity of each for one of the other; a mask that others hide is not written.
    known = {(a, b) for a, b in pairs if a and b}
    assert len(known) == len({a for a, _ in known}) == len({b for _, b in known}) > 2
    assert not any(b and not a for a, b in pairs)


def test_identities_are_there_at_once():
    tracker = Tracker("best")
    walker = np.zeros((1, 40, 60), bool)
    answers = []
    for frame in range(60):
        walker[:] = False
        walker[0, 10:30, frame // 2 : frame // 2 + 10] = True
        answers.append(tracker.update((walker, [0.9], [1])).tolist())
    assert answers[1:] == [[1001]] * 59
    assert set(np.concatenate([*tracker.flush().values()]).tolist()) == {1001}
    assert Tracker("best").flush() == {}


def test_memory_holds_live_tracks_and_no_frames():
    tracker = Tracker("best")
    mask = np.zeros((1, 40, 60), bool)
    for frame in range(200):
        mask[:] = False
        mask[0, 5:15, (7 * frame) % 50 : (7 * frame) % 50 + 8] = True
        tracker.update((mask, [0.9], [1]))
    assert tracker._live.tracker._count < 40 and len(tracker._live.tracker._tracks.ids) == 64


def test_label_stacks_files_and_names(tmp_path):
    stack = np.zeros((6, 30, 40), np.int32)
    for t in range(6):
        stack[t, 5:12, 4 + t : 12 + t] = 1 + t % 2  # labels of a segmenter are no identities
    tracks = track(stack, "mask_iou", class_names={1: "cell"})
    assert set(tracks.ids.tolist()) == {1001} and tracks.names == {1: "cell"}
    paths = tracks.write(tmp_path, "mots", "coco", "npz")
    assert [p.name for p in paths] == ["sequence.txt", "sequence.json", "sequence.npz"]
    back = read_detections(paths[0])
    assert set(back.ids.tolist()) == {1001} and len(back) == 6
    again = track(paths[1])
    assert again.names == {1: "cell"} and again.ids.tolist() == tracks.ids.tolist()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: track(np.zeros((5, 6), int)), "must have frames, got one label image"),
        (lambda: track(7), "a sequence must have frames, got int"),
        (lambda: track("nowhere.json"), "nowhere.json: must be a file or a folder of files"),
        (lambda: track([], "no_such"), "tracker must be one of"),
        (lambda: track([], memory="x"), "memory"),
        (lambda: track(walkers(3), "mask_iou").write(".", "gif"), "a format must be one of mots"),
        (lambda: Tracker("mask_iou").update((np.ones((1, 4, 5), bool), [2.5, 1], [1])), "scores"),
    ],
)
def test_bad_input_is_one_line(call, message):
    with pytest.raises(ValueError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_frames_out_of_order_and_of_another_size_are_refused():
    tracker, mask = Tracker("mask_iou"), np.ones((1, 4, 5), bool)
    tracker.update(mask, frame=3)
    with pytest.raises(ValueError, match="frames must ascend: got frame 3 after 3"):
        tracker.update(mask, frame=3)
    with pytest.raises(ValueError, match="frame size must be 4 5"):
        tracker.update(np.ones((1, 5, 5), bool))
    with pytest.raises(ValueError, match="frame size must be 4 5"):
        track([mask, np.ones((1, 5, 5), bool)])


def test_numbers_beyond_a_thousand_stay_unique():
    found = make_detections([(0, 0, 1 + i % 2, 1.0, (i % 50, i // 50, 1, 1)) for i in range(1990)])
    from utils.results import Numbering

    numbering = Numbering()
    ids = np.concatenate([numbering.ids(np.arange(1, 1991) + k, found.classes) for k in (0, 1990)])
    assert len(set(ids.tolist())) == 3980 and ids.min() == 1001 and ids.max() < 10**9
    assert numbering.ids(np.arange(1, 1991), found.classes).tolist() == ids[:1990].tolist()


def walking(frame):
    """Return (masks, scores, classes) of one object that walks."""
    mask = np.zeros((1, 40, 60), bool)
    mask[0, 10:30, frame : frame + 10] = True
    return mask, [0.9], [1]


def test_a_tracker_begins_a_new_video_after_its_flush():
    tracker = Tracker("best")
    for _ in range(2):
        for frame in range(6):
            tracker.update(walking(frame))
        assert {f: ids.tolist() for f, ids in tracker.flush().items()} == {
            frame: [1001] for frame in range(6)
        }
    assert tracker.flush() == {}


def test_a_refused_frame_may_be_given_again():
    tracker = Tracker("best")
    for frame in range(6):
        if frame == 3:
            with pytest.raises(ValueError, match="score must be in"):
                tracker.update((*walking(frame)[:1], [1.5], [1]), frame=frame)
            wrong = make_detections([(frame, 0, 1, 0.9, (3, 10, 10, 20))])
            with pytest.raises(ValueError, match="frame 3: scores must be from 0 to 1, got nan"):
                tracker.update(replace(wrong, scores=np.float32([np.nan])), frame=frame)
        tracker.update(walking(frame), frame=frame)
    assert [ids.tolist() for ids in tracker.flush().values()] == [[1001]] * 6


def test_vectors_of_single_frames_are_joined():
    frames = []
    for frame in range(5):
        found = make_detections([(frame, 0, 1, 0.9, (3 + frame, 10, 10, 20))])
        frames.append(replace(found, vectors=np.float32([[1, frame / 10]])))
    assert set(track(frames, "trackrcnn").ids.tolist()) == {1001}


def test_tracks_print_in_one_line():
    mask = np.zeros((20, 30), bool)
    mask[4:9, 5:12] = True
    shown = repr(track([[mask]] * 3))
    assert shown == "Tracks('sequence': 3 frames, 3 detections, 1 tracks)"
