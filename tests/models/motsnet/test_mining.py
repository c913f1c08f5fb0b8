"""Track mining: what is linked, what is refused, and the files that come of it."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask

import mine_tracks
from models.motsnet.mining import MiningConfig, mine, payoff
from tests.models.motsnet.scene import moving
from utils.formats import mots_txt
from utils.formats.reading import read_detections

ROOT = Path(__file__).resolve().parents[3]


def refused(overlap, now, before, **changes):
    overlap = np.array(overlap)
    gains, why = payoff(
        overlap, np.array(now), np.array(before), np.ones(overlap.shape, bool),
        replace(MiningConfig(), **changes),
    )  # fmt: skip
    return gains.tolist(), {name for name, count in why.items() if count}


def test_the_payoff_is_the_iou_and_each_condition_refuses():
    assert refused([[40]], [50], [60]) == ([[40 / 70]], set())
    assert refused([[9]], [12], [60])[1] == {"small"}
    assert refused([[40], [31]], [80], [60, 60])[1] == {"ambiguous"}
    assert refused([[40], [30]], [80], [60, 60])[1] == set()
    assert refused([[40]], [61], [60])[1] == {"uncovered"}  # 21 px are not covered, 40 < 2 * 21
    assert refused([[40]], [60], [60])[1] == set()
    assert refused([[40]], [61], [60], tau_2=1.9)[1] == set()
    assert refused([[9]], [12], [60], tau_0=9.0, tau_1=9.0)[1] == set()
    gains = refused([[9, 50]], [12, 60], [70])[0]
    assert gains[0][0] == -np.inf and gains[0][1] == 50 / 80


def test_segments_of_another_class_neither_link_nor_cover():
    same = np.array([[True], [False]])
    overlap = np.array([[40], [35]])
    gains, why = payoff(overlap, np.array([80]), np.array([60, 60]), same, MiningConfig())
    assert gains[1, 0] == -np.inf and why["uncovered"] == 1 and not why["ambiguous"]


def test_what_flow_carries_is_linked_where_masks_alone_are_not():
    images, detections = moving(steps=((11, 7), (-11, -7)), frames=4)
    detections = replace(detections, ids=np.zeros(len(detections), np.int32))
    ids, report = mine(detections, images.__getitem__, MiningConfig())
    assert ids.reshape(4, 2).tolist() == [[1, 2]] * 4
    assert report["links"] == 6 and report["tracklets"] == 2
    alone, report = mine(detections, None, replace(MiningConfig(), warp=False))
    assert len(set(alone.tolist())) == 8 and report["uncovered"] == 6


def test_only_frames_a_step_apart_are_linked():
    images, detections = moving(steps=((2, 0), (-2, 0)), frames=5)
    kept = detections.select(np.flatnonzero(detections.frames != 3))
    ids, _ = mine(kept, images.__getitem__, MiningConfig())
    assert ids.reshape(4, 2).tolist() == [[1, 2], [1, 2], [3, 4], [3, 4]]
    every = detections.select(np.flatnonzero(detections.frames % 2 == 1))
    ids, _ = mine(every, images.__getitem__, MiningConfig(), step=2)
    assert ids.reshape(3, 2).tolist() == [[1, 2]] * 3


@pytest.fixture
def video(tmp_path):
    images, detections = moving(steps=((5, 1), (-4, 1)), frames=6, classes=[1, 2])
    (tmp_path / "frames" / "0001").mkdir(parents=True)
    for number, image in images.items():
        path = tmp_path / "frames" / "0001" / f"{number:06d}.png"
        cv2.imwrite(str(path), image[:, :, ::-1])
    mots_txt.write(tmp_path / "found" / "0001.txt", detections)
    return tmp_path


def run(monkeypatch, video, *more):
    arguments = ["--frames", str(video / "frames"), "--detections", str(video / "found")]
    arguments += ["--output", str(video / "mined"), *more]
    monkeypatch.setattr("sys.argv", ["mine_tracks.py", *arguments])
    mine_tracks.main()
    return read_detections(video / "mined" / "instances_txt" / "0001.txt")


def test_mined_tracks_are_mots_txt_that_training_reads(video, monkeypatch, capsys):
    found = run(monkeypatch, video)
    assert len(found) == 12 and len(set(found.ids.tolist())) == 2
    for identity in set(found.ids.tolist()):
        assert (np.bincount(found.classes[found.ids == identity]) > 0).sum() == 1
    text = capsys.readouterr().out
    assert "0001: 2 tracklets of 6.0 segments, of 12" in text and ": 0 segments below" in text
    from models.networks.data import load_sequences
    from utils.data_sets import data_set

    (sequence,) = load_sequences(video / "mined", data_set("custom"), None, video / "frames")
    assert sequence.numbers == [1, 2, 3, 4, 5, 6] and len(sequence.detections) == 12
    with pytest.raises(ValueError, match="must not be there yet, so that no annotation is lost"):
        run(monkeypatch, video)


def test_what_is_left_out_is_ignored_not_background(video, monkeypatch, capsys):
    path = video / "found" / "0001.txt"
    lines = [line for line in path.read_text().splitlines() if not line.startswith("3 ")]
    path.write_text("\n".join(lines) + "\n")
    found = run(monkeypatch, video, "--min-length", "3")
    objects = found.select(np.flatnonzero(found.classes != 10))
    regions = found.select(np.flatnonzero(found.classes == 10))
    assert set(objects.frames.tolist()) == {4, 5, 6}
    assert regions.frames.tolist() == [1, 2] and set(regions.ids.tolist()) == {10000}
    given = read_detections(path)
    for region, frame in zip(regions.coco(), (1, 2), strict=True):
        whole = coco_mask.merge(given.coco(np.flatnonzero(given.frames == frame)))
        assert coco_mask.iou([region], [whole], [0])[0, 0] == 1
    assert "and 4 of tracklets below --min-length are ignore regions" in capsys.readouterr().out


def test_a_sequence_without_a_tracklet_is_not_written(video, monkeypatch, capsys):
    with pytest.raises(ValueError, match="must"):
        run(monkeypatch, video, "--min-length", "7")
    assert "note: 0001: not written: it has no tracklet" in capsys.readouterr().out
    assert not (video / "mined" / "instances_txt" / "0001.txt").exists()


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ("gone", "must hold every frame, got no picture of 3"),
        ("set", "--set must name one of tau_0, tau_1, tau_2, warp, got 'tau'"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(video, change, text):
    more = []
    if change == "gone":
        (video / "frames" / "0001" / "000003.png").unlink()
    else:
        more = ["--set", "tau=3"]
    done = subprocess.run(
        [sys.executable, "mine_tracks.py", "--frames", video / "frames", "--detections",
         video / "found", "--output", video / "mined", *more],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 2 and text in done.stderr and "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == 1 and not (video / "mined").exists()
