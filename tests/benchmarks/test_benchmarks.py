"""What the benchmarks' figures rest on, on scenes small enough to work out by hand."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks import accuracy, beside_torch, gpu, readings, speed, strides, tune_matchers
from benchmarks.compare_trackers import (
    BOUND,
    DATA,
    MATCHED,
    Scene,
    associate,
    by_truth,
    pipeline_of,
)
from benchmarks.scenes import crowd
from tests.conftest import generate, make_detections, write_tracks
from utils import masks as masks_file
from utils.data_sets import data_set

KITTI = data_set("kitti")


def test_growth_is_the_power_of_the_objects():
    # From 100 to 10,000 objects 1,000 times as long: 100^1.5.
    assert speed.exponent({10: 9.0, 100: 0.01, 1000: 1.0, 10000: 10.0}) == pytest.approx(1.5)
    assert np.isnan(speed.exponent({10: 9.0, 100: 0.01}))


def test_growth_times_each_tracker_until_it_takes_too_long(tmp_path):
    found = speed.growth((3, 6, 9), ("best", "paper"), 1, 10.0)
    assert set(found) == {"best", "paper"} and set(found["best"]) == {3, 6, 9}
    assert min(found["best"].values()) > 0
    assert set(speed.growth((3, 6), ("paper",), 1, 0.0)["paper"]) == {3}
    speed.plot(found, tmp_path / "growth.png")
    assert (tmp_path / "growth.png").stat().st_size


def cars(frames=8, score=0.9, name="0001"):
    """Return two cars side by side, large enough for the rules."""
    objects = [(f, i, 1, score, (3 + f, 2 + 18 * i, 14, 14)) for f in range(frames) for i in (1, 2)]
    return make_detections(objects, 60, 80, name)


def scene_of(detections):
    return Scene(detections, {"embeddings": np.zeros((len(detections), 2), np.float32)})


def test_the_bound_takes_the_true_identities_of_what_matches_and_nothing_else():
    truth = cars(3)
    shifted = replace(truth, boxes_xywh=truth.boxes_xywh + 1)
    assert by_truth(shifted, truth).tolist() == truth.ids.tolist()
    far = make_detections(
        [(0, 0, 1, 0.9, (60, 2, 14, 14)), (9, 0, 1, 0.9, (3, 20, 14, 14))], 60, 80
    )
    assert by_truth(far, truth).tolist() == [0, 0]
    other = replace(truth, classes=np.full(len(truth), 2, np.int16))
    assert not by_truth(other, truth).any()
    # What others cover does not count: the second is what is left of a large one.
    objects = [(0, 1, 1, 1.0, (2, 2, 10, 20)), (0, 2, 1, 1.0, (12, 2, 6, 20))]
    whole = [(0, 0, 1, 0.9, (2, 2, 10, 20)), (0, 0, 1, 0.8, (2, 2, 16, 20))]
    assert by_truth(make_detections(whole), make_detections(objects)).tolist() == [1, 2]


def test_trackers_get_the_rows_that_their_rules_leave(tmp_path):
    truth = cars()
    write_tracks(tmp_path / "0001.txt", truth, truth.ids)
    weak = replace(truth, scores=np.where(truth.ids == 1, 0.3, 0.9).astype(np.float32))
    kept = {
        name: set(truth.ids[associate(name, KITTI, tmp_path, scene_of(weak)) > 0].tolist())
        for name in ("mask IoU", "paper", BOUND)
    }
    # 0.3 is below all their thresholds; `best`, whose rows the bound has, takes every score.
    assert kept == {"mask IoU": {2}, "paper": {2}, BOUND: {1, 2}}
    assert pipeline_of("trackers SORT, weak too", KITTI).settings.rules.min_score == {}
    assert pipeline_of("trackers SORT", KITTI).settings.rules.min_score[1] == 0.6
    for label, name in (*MATCHED.items(), ("paper", "paper"), ("authors", "authors")):
        assert pipeline_of(label, KITTI).settings.name == name


@pytest.mark.parametrize("scored", [True, False])
def test_a_part_left_out_changes_what_it_does(scored):
    truth = cars()
    seen = truth.select(truth.frames != 4)
    scene = accuracy.Scene("rrc", replace(seen, scored=scored), truth)

    def counts(**changes):
        return accuracy.measured(accuracy.Job(scene, changes))["car"]["counts"]

    whole = counts()
    assert (whole["IDS"], whole["FN"]) == (0, 2)
    assert counts(min_track_length={0: 20})["FN"] == 16
    # Without memory the two cars get new identities after the missing frame.
    assert counts(memory=1, min_track_length={0: 1})["IDS"] == 2
    assert [name for name, changes in accuracy.PARTS.items() if not changes] == ["best"]


def test_a_constant_is_chosen_without_the_data_set_it_counts_on():
    table = {
        "a": {"x": 90.0, "y": 60.0, "z": 60.0},
        "b": {"x": 60.0, "y": 80.0, "z": 80.0},
    }
    # Without x, b is better; without y, 75 against 70; the same without z.
    assert accuracy.left_out(table) == ({"x": "b", "y": "a", "z": "a"}, (60 + 60 + 60) / 3)
    level = {"a": {"x": 1.0, "y": 1.0}, "b": {"x": 1.0, "y": 1.0}}
    assert accuracy.left_out(level)[1] == 1


def test_means_are_over_the_classes_of_a_data_set():
    row = {"sMOTSA": 60.0, "IDF1": 70.0, "HOTA": 80.0}
    rows = {"rrc car": row, "rrc person": {m: 0.0 for m in row}, "MOTS GT person": row}
    assert accuracy.averages(rows) == {"rrc": 35, "MOTS GT": 70}


def test_curves_are_fitted_on_the_frames_that_are_asked_for():
    truth = cars(20)
    found = replace(truth, scores=np.where(truth.frames < 10, 0.9, 0.5).astype(np.float32))
    scene = accuracy.Scene("rrc", found, truth)
    assert len(accuracy.observations_of(scene)["car"].scores) == 40
    few = accuracy.observations_of(scene, 10)["car"]
    assert len(few.scores) == 20 and few.scores.min() > 0.8 and few.objects.all()
    both = accuracy.curves_of([{"car": few}, accuracy.observations_of(scene)], 1.0)
    assert both.curves["car"].counts.sum() == 60


def test_the_data_of_the_comparison_is_named_once():
    assert {of.name for of, _ in DATA.values()} == {"kitti", "mots"}


def test_tuning_counts_misses_and_switches():
    truth = cars(4)
    ids = truth.ids.copy()
    assert tune_matchers.accuracy([(truth, ids)]) == 1
    ids[0] = 0
    assert tune_matchers.accuracy([(truth, ids)]) == pytest.approx(7 / 8)
    ids[ids == 2] = 0
    assert tune_matchers.accuracy([(truth, ids)]) == pytest.approx(3 / 8)


def test_a_crowd_is_as_large_as_asked_and_stays_in_the_frame():
    scene, embeddings = crowd(7, 5, height=200, width=300)
    assert len(scene) == 35 and embeddings.shape == (35, 128)
    assert set(scene.frames.tolist()) == {1, 2, 3, 4, 5} and set(scene.ids.tolist()) == set(
        range(1, 8)
    )
    x, y, w, h = scene.boxes_xywh.T
    assert (x >= 0).all() and (y >= 0).all() and (x + w <= 300).all() and (y + h <= 200).all()
    assert (w > 0).all() and (w < 40).all()


def test_the_fastest_of_several_calls_counts():
    import time

    waits = iter((0.05, 0.01, 0.05))
    assert 0.01 <= speed.fastest(lambda: time.sleep(next(waits)), 3) < 0.05


def test_the_bound_matches_from_an_iou_of_one_half_on():
    truth = make_detections([(0, 1, 1, 1.0, (2, 2, 10, 10))])
    for width, identity in ((6, 1), (5, 1), (4, 0)):
        found = make_detections([(0, 0, 1, 0.9, (2, 2, width, 10))])
        assert by_truth(found, truth).tolist() == [identity]


def test_readings_change_one_rule_of_every_row():
    cells = readings.rows_of(True)
    assert {c.run.settings().tracker.t_lag for c in cells} == set(readings.T_LAGS)
    for name, changes in readings.VARIANTS.items():
        for cell, made in readings.runs_of(cells, changes).items():
            own, other = (vars(r.settings().tracker) for r in (cell.run, made))
            changed = {f: v for f, v in other.items() if own[f] != v}
            assert set(changed) <= {name.partition("=")[0]} and made.weights == cell.run.weights
    scores = {c.run: {n: {"sMOTSA": 98.25, "IDS": 7} for n in ("car", "pedestrian")} for c in cells}
    row = readings.as_row("x", readings.runs_of(cells, ()), scores)
    assert row == "| x | " + " | ".join([" ".join(["98.2 (7)"] * 3)] * 3) + " |"


def test_a_coarse_map_shows_the_middle_pixel_of_each_cell():
    mask = np.zeros((5, 8), np.uint8)
    mask[1, 1] = mask[2:4, 6] = 1
    assert strides.coarse(mask, 1).tolist() == mask.tolist()
    wanted = np.zeros((5, 8), np.uint8)
    wanted[:2, :2] = 1  # the pixel at (1, 1); those at (2, 6) and (3, 6) are in no middle
    assert strides.coarse(mask, 2).tolist() == wanted.tolist()
    wanted = np.zeros((5, 8), np.uint8)
    wanted[:4, 4:] = 1  # the pixel at (2, 6) is the middle of its 4 x 4
    assert strides.coarse(mask, 4).tolist() == wanted.tolist()
    truth = make_detections([(0, 1, 1, 1.0, (1, 1, 1, 1)), (0, 2, 1, 1.0, (2, 2, 9, 9))], 20, 30)
    assert strides.at_stride(truth, 4).ids.tolist() == [2]


def test_a_way_to_train_is_measured_with_its_parts(tmp_path):
    generate(tmp_path, "sprites", "train", 1, 8, 3, 0)
    changes = ["width=4", "channels=8", "box_units=8", "mask_convs=1", "mask_channels=8",
               "min_size=64", "proposals_before=20,20", "proposals_after=10,10", "box_samples=8",
               "batch=2"]  # fmt: skip
    row = gpu.measure("maskrcnn", "tiny", "no", "float32", tmp_path, changes)
    assert set(row) == set(gpu.HEADER) and row["batch"] == 2
    assert row["a second"] == pytest.approx(2 / row["s a step"], rel=0.05)
    assert row["first step s"] > row["s a step"] > 0 and row["GiB"] > 0.1
    assert row["RoIAlign %"] > 0 and row["NMS %"] >= 0
    row = gpu.measure("dhae", "paper", "no", "float32", tmp_path, [])
    assert row["batch"] > 8 and "RoIAlign %" not in row


def test_the_table_has_a_row_for_each_way_and_says_what_was_not_measured(tmp_path, monkeypatch):
    def one_way(words, limit):
        return {"why": "no time left"} if words[0] == "dhae" else {"model": words[0], "GiB": 1.5}

    monkeypatch.setattr(gpu, "one_way", one_way)
    monkeypatch.setattr(gpu, "generate", lambda folder: None)
    words = ["gpu", "--models", "dhae", "remots", "--ways", "no,float32", "--profile", "paper"]
    monkeypatch.setattr("sys.argv", [*words, "--output", str(tmp_path / "gpu.md")])
    gpu.main()
    text = (tmp_path / "gpu.md").read_text()
    assert text.startswith("cpu, Keras with tensorflow\n\n| model | profile |")
    assert "| remots | - | - | - | - | - | - | 1.5 |" in text
    assert text.endswith("not measured: dhae paper no float32: no time left\n")


def test_detections_are_alike_by_class_and_overlap():
    masks = np.zeros((3, 10, 10), bool)
    masks[0, :5], masks[1, 5:], masks[2, :, :5] = True, True, True
    items = [
        {"size": [10, 10], "counts": masks_file.encode(m), "category_id": c, "score": s}
        for m, c, s in ((masks[0], 1, 0.9), (masks[1], 3, 0.8), (masks[2] & masks[0], 1, 0.7))
    ]
    scores = np.array([0.8, 0.8, 0.7])
    # The first is alike, the second of another class, the third half of it.
    near, apart = beside_torch.matched(items, masks, np.array([0, 0, 0]), scores)
    assert near == 1 and apart == pytest.approx(0.1)
    assert beside_torch.matched([], masks, np.array([0, 0, 0]), scores) == (0, 0.0)
