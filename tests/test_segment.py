"""segment.py: frames in, detections out, gone on with byte by byte; and inside track_video.py."""

import json
import re
from dataclasses import replace

import cv2
import keras
import numpy as np
import pytest

import segment
import track_video
from models.maskrcnn.network import MaskRCNN
from models.trackrcnn.network import TrackRCNN
from pipeline.frame_masks import FrameMasks
from pipeline.segmenting import scores_of
from tests.conftest import make_detections
from tests.models.networks.test_parts import SMALL as PLAIN
from tests.models.trackrcnn.test_network import SMALL as TRACKING
from utils import masks
from utils.detections import Detections
from utils.formats.reading import read_detections
from utils.formats.tracking_only import line_of
from utils.suppression import intersection_over_minimum, kept_by_iom


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Return a folder with 7 frames and two untrained networks."""
    folder = tmp_path_factory.mktemp("segment")
    rng = np.random.default_rng(0)
    (folder / "walk").mkdir()
    for n in range(1, 8):
        picture = rng.integers(0, 256, (48, 64, 3)).astype(np.uint8)
        cv2.imwrite(str(folder / "walk" / f"{n:06d}.png"), picture)
    keras.utils.set_random_seed(0)
    MaskRCNN(PLAIN).save(folder / "plain.keras")
    TrackRCNN(replace(TRACKING, vector_size=128)).save(folder / "tracking.keras")
    return folder


def run(monkeypatch, world, output, *more, weights="plain"):
    arguments = [str(world / "walk"), "--output", str(output), "--batch", "2"]
    arguments += ["--weights", str(world / f"{weights}.keras"), *more]
    monkeypatch.setattr("sys.argv", ["segment.py", *arguments])
    segment.main()
    return json.loads((output / "summary.json").read_text())


@pytest.mark.parametrize("weights", ["plain", "tracking"])
def test_a_run_that_was_stopped_ends_with_the_same_file(world, tmp_path, monkeypatch, weights):
    whole = run(monkeypatch, world, tmp_path / "a", weights=weights)
    plain = FrameMasks.each
    taken = []

    def killed(self, frames):
        for item in plain(self, frames):
            taken.append(item[0])
            if len(taken) == 4:
                raise KeyboardInterrupt
            yield item

    monkeypatch.setattr(FrameMasks, "each", killed)
    with pytest.raises(KeyboardInterrupt):
        run(monkeypatch, world, tmp_path / "b", weights=weights)
    monkeypatch.setattr(FrameMasks, "each", plain)
    assert not (tmp_path / "b" / "detections").exists()
    again = run(monkeypatch, world, tmp_path / "b", "--resume", weights=weights)
    first, second = ((tmp_path / n / "detections" / "walk.txt").read_bytes() for n in "ab")
    assert first == second and first
    assert whole["counts"] == again["counts"] and whole["counts"]["frames"] == 7
    fields = {len(line.split()) for line in first.decode().splitlines()}
    assert fields == {138 if weights == "tracking" else 10}


def test_what_is_written_is_what_the_network_found(world, tmp_path, monkeypatch, capsys):
    summary = run(monkeypatch, world, tmp_path / "o", "--class-names", "5=cat", "--write", "coco")
    found = read_detections(tmp_path / "o" / "detections" / "walk.txt")
    assert (
        set(found.frames.tolist()) <= set(range(1, 8))
        and len(found) == summary["counts"]["written"]
    )
    assert set(found.classes.tolist()) <= {5, 7}  # cat as asked; dog as the network has it
    tight = masks.tight_boxes_xywh(found.rles, *found.size)
    assert np.allclose(found.boxes_xywh, tight)
    text = capsys.readouterr().out
    assert "note: coco: detections have no identity" in text and "classes: " in text
    assert len(
        json.loads((tmp_path / "o" / "coco" / "walk.json").read_text())["annotations"]
    ) == len(found)


def test_rules_that_drop_detections_are_counted(world, tmp_path, monkeypatch):
    counts = run(monkeypatch, world, tmp_path / "b", "--iom", "0.1", "--min-score", "0.3")["counts"]
    found = read_detections(tmp_path / "b" / "detections" / "walk.txt")
    assert counts["dropped_iom"] > 0 and counts["written"] == len(found)
    assert (found.scores >= 0.3).all()
    for _, rows in found.rows_by_frame():
        assert kept_by_iom(found.select(rows), 0.1).all()


def test_detections_are_scored_where_there_is_truth(world, tmp_path, monkeypatch, capsys):
    run(monkeypatch, world, tmp_path / "all")
    truth = tmp_path / "all" / "detections" / "walk.txt"
    same = run(monkeypatch, world, tmp_path / "a", "--ground-truth", str(truth))["scores"]
    assert same["AP50"]["box"]["mean"] == same["AP75"]["mask"]["mean"] == pytest.approx(100)
    assert "AP50: box " in capsys.readouterr().out
    scores = read_detections(truth).scores
    least = str(float(np.median(scores)))
    more = ["--ground-truth", str(truth.parent), "--min-score", least]
    half = run(monkeypatch, world, tmp_path / "b", *more)["scores"]["AP50"]
    assert 20 < half["mask"]["mean"] < 80
    other = tmp_path / "other.txt"
    other.write_text(re.sub(r"(?m)^\d+", "900", truth.read_text().splitlines()[0]) + "\n")
    summary = run(monkeypatch, world, tmp_path / "c", "--ground-truth", str(other))
    assert "scores" not in summary and summary["counts"]["written"] == len(scores)
    (said,) = summary["notes"]
    assert "ground truth must be of the frames 1 to 7, got frames 900 to 900" in said


def test_a_network_segments_within_track_video(world, tmp_path, monkeypatch):
    arguments = [
        str(world / "walk"),
        "--output",
        str(tmp_path / "v"),
        "--no-report",
        "--tracker",
        "mask_iou",
    ]
    arguments += ["--segmenter", str(world / "plain.keras")]
    monkeypatch.setattr("sys.argv", ["track_video.py", *arguments])
    track_video.main()
    summary = json.loads((tmp_path / "v" / "summary.json").read_text())
    run(monkeypatch, world, tmp_path / "s", "--batch", "4")
    found = read_detections(tmp_path / "s" / "detections" / "walk.txt")
    assert summary["counts"]["read"] == len(found) and summary["counts"]["frames"] == 7


def test_bad_input_is_refused_and_nothing_is_left(world, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match=r"none\.keras: must be a network as \.keras"):
        run(monkeypatch, world, tmp_path / "o", "--weights", "none.keras")
    assert not (tmp_path / "o").exists()


def two_masks():
    big, small = np.zeros((20, 20), np.uint8), np.zeros((20, 20), np.uint8)
    big[2:18, 2:18], small[4:8, 4:9] = 1, 1
    small[4:8, 0:2] = 1
    rles = np.empty(2, object)
    rles[:] = [masks.encode(big), masks.encode(small)]
    return Detections(
        "s", 20, 20, np.ones(2, np.int32), np.ones(2, np.int16), np.float32([0.9, 0.8]),
        masks.tight_boxes_xywh(rles, 20, 20), rles, np.zeros(2, np.int32),
    )  # fmt: skip


def test_iom_is_the_share_of_the_smaller_mask():
    found = two_masks()
    # 20 of the small mask's 28 pixels are in the large one of 256.
    assert np.allclose(intersection_over_minimum(found.coco()), [[1, 20 / 28], [20 / 28, 1]])
    assert kept_by_iom(found, 0.7).tolist() == [True, False]
    assert kept_by_iom(found, 0.72).tolist() == [True, True]
    better = replace(found, scores=np.float32([0.8, 0.9]))
    assert kept_by_iom(better, 0.7).tolist() == [False, True]
    other = replace(found, classes=np.int16([1, 2]))
    assert kept_by_iom(other, 0.1).all()


def test_scores_are_of_the_frames_so_far_and_say_what_is_left_out(tmp_path):
    truth = make_detections([(n, n + 1, 1 + n % 2, 1.0, (5, 5, 10, 10)) for n in range(6)])
    found = make_detections([(n, 0, 1, 0.9, (5, 5, 10, 10)) for n in (0, 1, 2)])
    (tmp_path / "f.txt").write_bytes(b"".join(line_of(found, row) for row in range(3)))
    scores, notes = scores_of(truth, tmp_path / "f.txt", [0, 1, 2], {1: "cup"})
    # Frame 1 holds an object of class 2: the second detection by order of score is wrong.
    assert scores["AP50"]["mask"]["cup"] == pytest.approx(83.498, abs=1e-3)
    assert "not scored: 3 frames of the truth that are not in it (3, 4, 5)" in notes
    assert "not scored: classes of the truth that are not looked for: 2" in notes
    with pytest.raises(ValueError, match=r"one of the network's classes 7=cat .*, got 1, 2"):
        scores_of(truth, tmp_path / "f.txt", [0, 1], {7: "cat"})
