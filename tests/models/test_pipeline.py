"""One way from detections to tracks: from files, from memory and frame by frame, the same ids."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.pipeline import Pipeline, frames_of
from models.settings import changed, settings_for
from tests.conftest import make_detections, random_scene, write_scored
from utils.data_sets import data_set
from utils.formats.registry import read_detections

CUSTOM = settings_for(data_set("custom"))
LOOSE = changed(CUSTOM, ["min_track_length=1", "written=0"])


def pipeline_of(name):
    settings = LOOSE if name == "best" else settings_for(data_set("custom"), name)
    if name != "best":
        settings = changed(settings, ["min_track_length=1"] if name != "given" else [])
    return Pipeline(replace(settings, boxes="file"))


@pytest.mark.parametrize(
    "name", ["paper", "authors", "best", "mask_iou", "given", "trackrcnn", "motsnet"]
)
def test_a_stream_of_frames_gives_the_ids_of_the_whole(name):
    # Long enough for `best` to know what scores mean before the end.
    scene = random_scene(np.random.default_rng(5), frames=120, objects=6)
    pipeline = pipeline_of(name)
    whole = pipeline.track(scene).track_ids
    streamed = np.zeros(len(scene), int)
    parts = list(pipeline.stream(scene))
    for row, identity in (pair for part in parts for pair in part):
        assert not streamed[row]
        streamed[row] = identity
    assert (streamed == whole).all() and whole.any()
    if name in ("best", "mask_iou", "given", "paper", "authors"):
        assert any(parts[:-1])  # while the video still runs
    # Frame by frame from a camera: rows are counted through.
    order = np.argsort(scene.frames, kind="stable")
    numbers = np.unique(scene.frames)
    frames = (scene.select(order[scene.frames[order] == n]) for n in numbers)
    live = np.zeros(len(scene), int)
    for row, identity in (pair for part in pipeline.stream(frames) for pair in part):
        live[row] = identity
    assert (live == pipeline.track(scene.select(order)).track_ids).all()


def test_a_stream_keeps_the_rules_and_refuses_what_needs_the_whole():
    scene = random_scene(np.random.default_rng(6), frames=8, objects=5)
    strict = replace(changed(LOOSE, ["min_score=0.8"]), boxes="file")
    pipeline = Pipeline(changed(strict, ["descriptor_weight=0"]))
    kept = pipeline.track(scene)
    assert 0 < kept.keep.sum() < len(scene)
    rows = [row for part in pipeline.stream(scene) for row, _ in part]
    assert set(rows) == set(np.flatnonzero(kept.track_ids).tolist())
    with pytest.raises(ValueError, match="refining needs the whole video"):
        next(Pipeline(replace(strict, refine=True)).stream(scene))
    with pytest.raises(ValueError, match="must come frame by frame"):
        list(pipeline.stream([scene]))


def test_row_i_stays_row_i_from_the_file_to_the_result(tmp_path):
    scene = random_scene(np.random.default_rng(7), frames=10, objects=6)
    write_scored(tmp_path / "0001.txt", scene)
    found = read_detections(tmp_path / "0001.txt")
    settings = replace(changed(LOOSE, ["min_score=0.7"]), boxes="file")
    tracked = Pipeline(settings).track(found)
    n = len(found)
    assert 0 < tracked.keep.sum() < n and sum(tracked.dropped.values()) == n - tracked.keep.sum()
    for column in (tracked.keep, tracked.track_ids, *tracked.columns.values()):
        assert len(column) == n
    assert not tracked.columns["embeddings"][~tracked.keep].any()
    assert tracked.columns["embeddings"][tracked.keep].any(axis=1).all()
    result, hidden = tracked.result()
    assert (result.frames == found.frames).all() and (result.classes == found.classes).all()
    written = result.ids > 0
    assert (written == ((tracked.track_ids > 0) & ~np.isin(np.arange(n), hidden))).all()
    # One id is one track, of one class.
    for identity in set(result.ids[written].tolist()):
        assert len(set(tracked.track_ids[result.ids == identity].tolist())) == 1


def test_columns_are_made_only_where_something_reads_them():
    scene = random_scene(np.random.default_rng(8), frames=6)
    plain = Pipeline(replace(settings_for(data_set("custom"), "mask_iou"), boxes="file"))
    assert plain.track(scene).columns == {} and plain._embedder is None
    refined = Pipeline(replace(plain.settings, refine=True))
    assert refined.needs_embeddings(scene) and not refined.needs_embeddings(scene, images=True)
    vectors = replace(scene, vectors=np.zeros((len(scene), 128), np.float32))
    own = Pipeline(replace(settings_for(data_set("custom"), "trackrcnn"), boxes="file"))
    assert own.needs_embeddings(scene) and not own.needs_embeddings(vectors)
    assert set(own.track(vectors).columns) == {"vectors"}


def test_given_columns_are_taken_as_they_are():
    scene = make_detections([(f, i, 1, 1.0, (5 + 20 * i, 5, 8, 8)) for f in (0, 1) for i in (0, 1)])
    swapped = np.array([[0.0], [3.0], [3.1], [0.2]])
    settings = settings_for(data_set("custom"), "trackrcnn")
    settings = changed(settings, ["limit=0.5", "window=3", "scale=1"])
    ids = Pipeline(settings).track(scene, given={"embeddings": swapped}).track_ids
    assert ids[0] == ids[3] != ids[1] == ids[2]
    # The vectors of the file go before embeddings.
    with_own = replace(scene, vectors=swapped.astype(np.float32))
    ids = Pipeline(settings).track(with_own, given={"embeddings": np.zeros((4, 1))}).track_ids
    assert ids[0] == ids[3] != ids[1] == ids[2]


def test_colours_tell_apart_what_looks_different(tmp_path):
    def images(frame):
        image = np.full((40, 260, 3), 120, np.uint8)
        image[5:13], image[30:] = (120, 120, 120), (90, 90, 90)
        for x, colour in ((2 + 4 * frame, (220, 30, 30)), (238 - 4 * frame, (30, 30, 220))):
            image[5:13, max(0, x) : x + 8] = colour
        return image

    objects = [(f, 1, 1, 1.0, (2 + 4 * f, 5, 8, 8)) for f in range(20)]
    objects += [(f, 2, 1, 1.0, (238 - 4 * f, 5, 8, 8)) for f in range(20)]
    scene = make_detections(objects, width=260)
    settings = changed(LOOSE, ["descriptor_weight=0"])
    tracked = Pipeline(settings).track(scene, images)
    assert set(tracked.columns) == {"colours"}
    looks = tracked.columns["colours"]
    same = np.linalg.norm(looks[0] - looks[5])
    assert same < 0.1 < np.linalg.norm(looks[0] - looks[25])


def test_trust_decides_rules_and_whether_scores_count():
    objects = [(f, i, 1, (0.9, 0.1)[i], (5 + 30 * i, 5, 8, 8)) for f in range(9) for i in (0, 1)]
    low = make_detections(objects)
    plain = replace(low, scored=False)
    changes = ["min_track_length=1", "tracker.min_score=0.5"]
    settings = changed(settings_for(data_set("kitti"), "mask_iou"), changes)
    for detections, trust, trusted in (
        (low, None, False),
        (plain, None, True),
        (low, True, True),
        (plain, False, False),
    ):
        chosen = replace(settings, trust=trust)
        keep, dropped = Pipeline(chosen).mark(detections)
        assert keep.all() == trusted and ("small_box" in dropped) == (not trusted)
    trusting = Pipeline(replace(settings, trust=True, boxes="file"))
    assert trusting.track(low).track_ids.all()
    streamed = [row for part in trusting.stream(low) for row, _ in part]
    assert sorted(streamed) == list(range(18))


def test_calibrating_on_the_whole_video_needs_it_and_a_tracker_that_measures():
    scene = random_scene(np.random.default_rng(5), frames=12, objects=6)
    settings = replace(LOOSE, boxes="file", calibrate=True)
    with pytest.raises(ValueError, match="calibrating needs the whole video, got a stream"):
        list(Pipeline(settings).stream(scene))
    other = replace(settings_for(data_set("custom"), "mask_iou"), boxes="file", calibrate=True)
    with pytest.raises(ValueError, match="needs a tracker that measures, got mask_iou"):
        Pipeline(other).track(scene)


def test_data_sets_without_a_preset_say_so():
    with pytest.raises(ValueError, match="mnist has the presets paper, authors, got best"):
        settings_for(data_set("mnist"), "best")
    assert settings_for(data_set("kitti"), "mask_iou").rules.min_score == {1: 0.6, 2: 0.7}
    by_best = settings_for(data_set("kitti"), "mask_iou", "best")
    assert by_best.rules.min_score == {} and by_best.rules.max_overlap == 0.5


def test_frames_of_nothing_are_none(tmp_path):
    scene = make_detections([])
    assert frames_of(Path(tmp_path), scene) is None and frames_of(None, scene) is None


def test_importing_the_pipeline_loads_no_network():
    import subprocess
    import sys

    code = (
        "import models.pipeline, sys; assert 'tensorflow' not in sys.modules and 'keras' not in "
        "sys.modules"
    )
    root = Path(__file__).resolve().parents[2]
    assert subprocess.run([sys.executable, "-c", code], cwd=root).returncode == 0


def test_real_sequence_streamed_is_the_batch(real_data):
    scene = read_detections(real_data / "kitti_mots" / "detections_rrc" / "0012.txt")
    pipeline = Pipeline(settings_for(data_set("kitti"), "best"))
    whole = pipeline.track(scene)
    streamed = np.zeros(len(scene), int)
    for row, identity in (pair for part in pipeline.stream(scene) for pair in part):
        streamed[row] = identity
    assert (streamed == whole.track_ids).all() and whole.track_ids.any()


def test_boxes_of_ignore_regions_are_not_looked_at():
    cars = [(f, 1, 1, 0.9, (20 + f, 5, 14, 14)) for f in range(3)]
    regions = [(f, 2 + i, 10, 0.9, (30, 20, 9, 9)) for f in range(3) for i in range(3)]
    found = make_detections(cars + regions)
    odd = found.boxes_xywh.copy()
    odd[found.classes == 10, 2:] += 300
    tracked = Pipeline(settings_for(data_set("kitti"), "mask_iou")).track(
        replace(found, boxes_xywh=odd)
    )
    assert tracked.keep.sum() == 3


def test_refining_adds_to_what_the_tracker_counted():
    scene = random_scene(np.random.default_rng(3), frames=10, objects=6)
    settings = replace(settings_for(data_set("custom"), "mask_iou"), boxes="file", refine=True)
    given = {"embeddings": np.random.default_rng(0).normal(size=(len(scene), 4))}
    report = Pipeline(settings).track(scene, given=given).report
    assert report["tracks"] > 0 and report["unclear"] > 0


def test_the_least_score_of_detections_is_not_lambda():
    settings = changed(settings_for(data_set("kitti"), "paper"), ["min_score=0.8"])
    assert settings.rules.min_score == {0: 0.8} and settings.tracker.min_score == 0.1
    settings = changed(settings, ["tracker.min_score=0.3"])
    assert settings.rules.min_score == {0: 0.8} and settings.tracker.min_score == 0.3


def test_boxes_of_a_live_frame_are_believed_and_of_a_sequence_looked_at():
    scene = make_detections([(f, 1, 1, 1.0, (20 + f, 5, 8, 8)) for f in range(4)])
    corners = scene.boxes_xywh.copy()
    corners[:, 2:] += corners[:, :2]
    odd = replace(scene, boxes_xywh=corners)
    pipeline = Pipeline(settings_for(data_set("custom"), "mask_iou"))
    with pytest.raises(ValueError, match="got corners x1 y1 x2 y2"):
        list(pipeline.stream(odd))
    live = list(pipeline.stream(odd.select(odd.frames == f) for f in range(4)))
    assert sorted(row for part in live for row, _ in part) == [0, 1, 2, 3]
    masked = Pipeline(replace(changed(LOOSE, ["descriptor_weight=0"]), boxes="mask"))
    frames = (odd.select(odd.frames == f) for f in range(4))
    assert len([row for part in masked.stream(frames) for row, _ in part]) == 4


def test_boxes_of_the_file_are_believed_when_told_so():
    scene = make_detections([(f, 1, 1, 1.0, (20 + f, 5, 8, 8)) for f in range(4)])
    odd = replace(scene, boxes_xywh=scene.boxes_xywh + 100)
    settings = settings_for(data_set("custom"), "mask_iou")
    with pytest.raises(ValueError, match="boxes must be x y w h"):
        Pipeline(settings).track(odd)
    for boxes, expected in (("file", odd), ("mask", scene)):
        tracked = Pipeline(replace(settings, boxes=boxes)).track(odd)
        assert (tracked.detections.boxes_xywh == expected.boxes_xywh).all()


def test_a_stream_of_a_sequence_in_steps_is_tracked_in_steps():
    scene = make_detections([(5 * f, 1, 1, 1.0, (5 + 2 * f, 5, 8, 8)) for f in range(8)])
    pipeline = Pipeline(changed(LOOSE, ["descriptor_weight=0", "memory=3"]))
    pairs = [pair for part in pipeline.stream(scene) for pair in part]
    assert len(pairs) == 8 and len({identity for _, identity in pairs}) == 1
    assert (pipeline.track(scene).track_ids == 1).all()
