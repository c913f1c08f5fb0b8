"""Tracking from Python: whole sequences, and frame by frame with what is final."""

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from models.api import Tracker, track
from models.live import Live
from models.pipeline import Pipeline
from models.settings import changed, settings_for
from models.tracking import VECTORS, trackers
from tests.conftest import make_detections, random_scene
from utils.data_sets import CUSTOM, data_set
from utils.formats.registry import read_detections
from utils.results import finished

SETTINGS = {"mask_iou": {}, "best": {"descriptor_weight": "0"}}


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
def test_frame_by_frame_gives_the_ids_of_the_whole(name):
    found = walkers()
    numbers = range(int(found.frames.max()) + 1)
    whole = track((masks_of(found, f) for f in numbers), name, size=found.size, **SETTINGS[name])
    tracker, done = Tracker(name, **SETTINGS[name]), []
    for frame in numbers:
        done += tracker.update(masks_of(found, frame), frame=frame)
    done += tracker.flush()
    assert [d.frame for d in done] == list(numbers)
    assert np.concatenate([d.ids for d in done]).tolist() == whole.ids.tolist()
    assert whole.ids.max() > 0
    for d in done:
        assert d.ids.tolist() == whole.of_frame(d.frame).tolist()


def test_a_frame_comes_back_with_its_picture_and_disjoint_masks():
    tracker, picture = Tracker("mask_iou"), np.zeros((40, 60, 3), np.uint8)
    overlap = np.zeros((2, 40, 60), bool)
    overlap[0, 5:20, 5:20], overlap[1, 10:30, 10:30] = True, True
    (done,) = tracker.update((overlap, [0.9, 0.8], [1, 1]), picture)
    assert done.image is picture and done.ids.tolist() == [1001, 1002]
    first, second = (coco_mask.decode(m) for m in done.result.coco())
    assert first.sum() == 225 and second.sum() == 400 - 100 and not (first & second).any()


@pytest.mark.parametrize("name", [n for n in trackers() if VECTORS not in trackers()[n].needs])
def test_every_tracker_says_from_when_on_frames_are_open(name):
    """A frame that is given back never gets another identity: as in the whole."""
    found = walkers(60, seed=3)
    settings = settings_for(data_set(CUSTOM), name)
    if name == "best":
        settings = changed(settings, ["descriptor_weight=0"])
    if name == "mask_iou":
        settings = changed(settings, ["tracker.min_track_length=3"])
    pipeline = Pipeline(settings)
    if name in ("paper", "authors"):
        rng = np.random.default_rng(0)
        table = {key: rng.normal(size=8).astype(np.float32) for key in found.rles.tolist()}
        pipeline.columns = lambda part, keep, tracker, images, given=None: {  # type: ignore
            "embeddings": np.array([table[r] for r in part.rles.tolist()]).reshape(-1, 8)
        }
    live, done, most = Live(pipeline), [], 0
    for frame in range(60):
        rows = np.flatnonzero(found.frames == frame)
        part = found.select(rows)
        done += live.update(part) if len(rows) else live.empty(frame, found.size)
        most = max(most, live.waiting)
    before = len(done)
    done += live.flush()
    whole = pipeline.track(found)
    result, _ = finished(found, whole.track_ids, live.tracker.in_front)
    for d in done:
        assert d.ids.tolist() == result.ids[found.frames == d.frame].tolist()
    assert [d.frame for d in done] == list(range(60))
    limit = {"mask_iou": 12, "given": 1, "paper": 25, "authors": 25, "best": 59}[name]
    assert most <= limit and before >= 60 - limit > 0


def test_memory_holds_what_is_not_final_also_of_a_class_that_is_hardly_seen():
    tracker = Tracker("best", descriptor_weight="0")
    common, rare = np.zeros((1, 40, 60), bool), np.zeros((1, 40, 60), bool)
    common[0, 5:15, 5:15], rare[0, 25:35, 40:50] = True, True
    waiting = []
    for frame in range(700):
        both = 5 <= frame < 8
        masks = np.concatenate([common, rare]) if both else common
        scores = 0.5 + 0.4 * np.sin(frame + np.arange(len(masks)))
        tracker.update((masks, scores, [1, 2][: len(masks)]))
        waiting.append(tracker._live.waiting)
    assert max(waiting) < 640 and waiting[-1] < 40


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
