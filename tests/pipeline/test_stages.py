"""One way from detections to tracks: from files, from memory and frame by frame, the same ids."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.best.config import BestConfig
from pipeline.live import Live
from pipeline.settings import changed, settings_for
from pipeline.stages import Pipeline, reader_of
from tests.conftest import make_detections, random_scene, write_scored
from utils.data_sets import data_set
from utils.formats.reading import read_detections
from utils.score_curves import Curve, ScoreCurves

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
def test_frame_by_frame_gives_the_ids_of_the_whole(name):
    scene = random_scene(np.random.default_rng(5), frames=60, objects=6)
    scene = scene.select(np.argsort(scene.frames, kind="stable"))
    pipeline = pipeline_of(name)
    whole = pipeline.track(scene).track_ids
    live, now = Live(pipeline), []
    for number in range(int(scene.frames.max()) + 1):
        now.append(live.update(number, scene.select(scene.frames == number)))
    final, at_once = live.flush(), np.concatenate(now)
    # The same tracks; their numbers follow the order in which they were believed.
    pairs = set(zip(final.tolist(), whole.tolist(), strict=True))
    assert len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})
    assert (final > 0).any() and ((final > 0) == (whole > 0)).all()
    both = (at_once > 0) & (final > 0)
    assert (at_once[both] == final[both]).all()
    if name not in ("trackrcnn", "motsnet"):  # which need the whole video
        assert both.sum() > 0.7 * (final > 0).sum()


def test_live_keeps_the_rules_and_refuses_what_needs_the_whole():
    scene = random_scene(np.random.default_rng(6), frames=8, objects=5)
    strict = replace(changed(LOOSE, ["min_score=0.8"]), boxes="file")
    kept, live = Pipeline(strict).track(scene), Live(Pipeline(strict))
    assert 0 < kept.keep.sum() < len(scene)
    order = np.argsort(scene.frames, kind="stable")
    now = [live.update(n, scene.select(order[scene.frames[order] == n])) for n in range(8)]
    assert not np.concatenate(now)[~kept.keep[order]].any()
    assert ((live.flush() > 0) == (kept.track_ids[order] > 0)).all()
    assert live.dropped["low_score"] == (~kept.keep).sum()
    with pytest.raises(ValueError, match="refining needs the whole video"):
        Live(Pipeline(replace(strict, refine=True)))
    with pytest.raises(ValueError, match="must come frame by frame, got 1 with 0"):
        Live(Pipeline(strict)).update(0, scene.select(scene.frames < 2))
    again = Live(Pipeline(strict))
    again.update(3, scene.select(scene.frames == 3))
    with pytest.raises(ValueError, match="frames must ascend: got frame 3 after 3"):
        again.update(3, scene.select(scene.frames == 3))


def test_row_i_stays_row_i_from_the_file_to_the_result(tmp_path):
    scene = random_scene(np.random.default_rng(7), frames=10, objects=6)
    write_scored(tmp_path / "0001.txt", scene)
    found = read_detections(tmp_path / "0001.txt")
    paper = settings_for(data_set("custom"), "paper")
    paper = changed(paper, ["min_track_length=1", "rules.min_score=0.7"])
    tracked = Pipeline(replace(paper, boxes="file")).track(found)
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
    best = Pipeline(replace(settings_for(data_set("custom"), "best"), boxes="file"))
    assert best.track(scene).columns == {} and not best.needs_embeddings(scene)
    refined = Pipeline(replace(plain.settings, refine=True))
    assert not refined.needs_embeddings(scene)
    with pytest.raises(ValueError, match="--refine needs every frame of the video"):
        refined.track(scene)
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
    tracked = Pipeline(replace(LOOSE, refine=True)).track(scene, images)
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


def test_curves_say_what_scores_mean():
    found = make_detections([(f, 1, 1, 0.9, (5, 5, 8, 8)) for f in range(5)])
    zero = Curve(np.array([0.0, 1.0]), np.array([0.0, 0.2]), np.zeros(2), np.zeros(2))
    curves = ScoreCurves({"class 1": zero})
    assert Pipeline(LOOSE).track(found).track_ids.all()
    judged = Pipeline(replace(LOOSE, curves=curves, tracker=BestConfig()))
    tracked = judged.track(found)
    # Each is so likely false that it is no ground to go on with the one before.
    assert not tracked.track_ids.any() and tracked.report["tentative"] == 5
    # The file's own scores stay what they are, and a file without scores has none to map.
    assert (tracked.detections.scores == found.scores).all()
    assert judged.track(replace(found, scored=False)).track_ids.all()


def test_data_sets_without_a_preset_say_so():
    with pytest.raises(ValueError, match="mnist has the presets paper, authors, got best"):
        settings_for(data_set("mnist"), "best")
    assert settings_for(data_set("kitti"), "mask_iou").rules.min_score == {1: 0.6, 2: 0.7}
    by_best = settings_for(data_set("kitti"), "mask_iou", "best")
    assert by_best.rules.min_score == {} and by_best.rules.max_overlap == 0.5


def test_frames_of_nothing_are_none(tmp_path):
    scene = make_detections([])
    assert reader_of(Path(tmp_path), scene) is None and reader_of(None, scene) is None


def test_importing_the_pipeline_loads_no_network():
    import subprocess
    import sys

    code = (
        "import pipeline.stages, sys; assert 'tensorflow' not in sys.modules and 'keras' not in "
        "sys.modules"
    )
    root = Path(__file__).resolve().parents[2]
    assert subprocess.run([sys.executable, "-c", code], cwd=root).returncode == 0


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


def test_refining_adds_to_what_the_tracker_counted_and_says_so():
    scene = random_scene(np.random.default_rng(3), frames=10, objects=6)
    settings = replace(settings_for(data_set("custom"), "mask_iou"), boxes="file", refine=True)
    pictures = np.random.default_rng(0).integers(0, 255, (10, 60, 80, 3), np.uint8)
    tracked = Pipeline(settings).track(scene, lambda frame: pictures[frame])
    assert tracked.report["tracks"] > 0 and tracked.report["unclear"] == 2
    assert any("2 classes: looks and motion do not tell objects apart" in n for n in tracked.notes)


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
        pipeline.track(odd)
    for settings in (pipeline.settings, replace(LOOSE, boxes="mask")):
        live = Live(Pipeline(settings))
        for frame in range(4):
            live.update(frame, odd.select(odd.frames == frame))
        assert (live.flush() > 0).all()


def test_boxes_of_the_file_are_believed_when_told_so():
    scene = make_detections([(f, 1, 1, 1.0, (20 + f, 5, 8, 8)) for f in range(4)])
    odd = replace(scene, boxes_xywh=scene.boxes_xywh + 100)
    settings = settings_for(data_set("custom"), "mask_iou")
    with pytest.raises(ValueError, match="boxes must be x y w h"):
        Pipeline(settings).track(odd)
    for boxes, expected in (("file", odd), ("mask", scene)):
        tracked = Pipeline(replace(settings, boxes=boxes)).track(odd)
        assert (tracked.detections.boxes_xywh == expected.boxes_xywh).all()


def test_frames_in_steps_are_tracked_in_steps():
    scene = make_detections([(5 * f, 1, 1, 1.0, (5 + 2 * f, 5, 8, 8)) for f in range(8)])
    pipeline = Pipeline(changed(LOOSE, ["memory=3"]))
    assert (pipeline.track(scene).track_ids == 1).all()
    live = Live(pipeline, step=5)
    for frame in range(0, 40, 5):
        live.update(frame, scene.select(scene.frames == frame))
    assert set(live.flush().tolist()) == {1001}
