"""A video as a source: frame numbers, masks of other frames, what is refused."""

import json
import os
from dataclasses import replace
from fractions import Fraction

import cv2
import numpy as np
import pytest

from pipeline.frame_masks import Stop, segmenter_stamp, stamp
from pipeline.request import Request, Video
from pipeline.settings import settings_for
from pipeline.video_source import VideoSource
from tests.conftest import make_detections, write_scored, write_tracks
from utils.data_sets import data_set
from utils.video_writing import VideoWriter


def request(tmp_path, first=0, frames=6, size=(40, 60), more=(), **video):
    with VideoWriter(tmp_path / "walk.mp4", (40, 60), Fraction(10)) as writer:
        for _ in range(frames):
            writer.write(np.full((40, 60, 3), 90, np.uint8))
    objects = [(first + f, 1, 1, 0.9, (4 + f, 4, 8, 8)) for f in (*range(frames), *more)]
    write_scored(tmp_path / "masks" / "walk.txt", make_detections(objects, *size))
    source = Video(str(tmp_path / "walk.mp4"), [tmp_path / "masks"], **video)
    settings = settings_for(data_set("custom"), "mask_iou")
    return Request(settings, source, tmp_path / "out")


def tracked(asked):
    asked.output.mkdir(exist_ok=True)
    source = VideoSource(asked, Stop())
    source.sinks(asked.output)
    (outcome,) = (o for o in source.outcomes())
    return source, outcome


def test_frames_come_with_masks_ids_and_pictures(tmp_path):
    source, outcome = tracked(request(tmp_path))
    rows = list(outcome.frames())
    assert [n for n, _, _ in rows] == list(range(6))
    assert {tuple(part.ids.tolist()) for _, part, _ in rows} == {(1001,)}
    assert all(image.shape == (40, 60, 3) for _, _, image in rows)
    assert source.counts["frames"] == source.counts["read"] == 6
    assert source.facts()["frames_per_second"] == "10" and not source.facts()["stopped"]


@pytest.mark.parametrize(("first", "taken"), [(0, 0), (1, 1)])
def test_the_masks_say_the_number_of_the_first_frame(tmp_path, first, taken):
    source, _ = tracked(request(tmp_path, first))
    assert source.frames.first == taken and source.counts["read"] == 6
    said = [n for n in source.notes if "its first frame is taken as number 1" in n]
    assert len(said) == first


def test_masks_of_frames_that_are_not_there_are_said(tmp_path):
    source, _ = tracked(request(tmp_path, first_frame=2))
    assert source.frames.first == 2 and source.counts["read"] == 4
    (note,) = source.notes
    assert note.startswith("2 masks are of 2 frames that the video has not (0, 1): left out")


def test_masks_of_another_size_or_of_two_sequences_are_refused(tmp_path):
    with pytest.raises(
        ValueError, match=r"frame size \(40, 60\) \(height, width\), got \(41, 60\)"
    ):
        VideoSource(request(tmp_path, size=(41, 60)), Stop())
    asked = request(tmp_path)
    write_scored(tmp_path / "masks" / "b.txt", make_detections([(0, 1, 1, 0.9, (4, 4, 8, 8))]))
    with pytest.raises(ValueError, match="must hold one sequence for a video, got b, walk"):
        VideoSource(asked, Stop())


def test_a_run_of_other_settings_is_not_gone_on_with(tmp_path):
    asked = request(tmp_path, marks={"tracker": "a"})
    asked.output.mkdir()
    VideoSource(asked, Stop())
    other = replace(asked.source, resume=True, marks={"tracker": "b"})
    with pytest.raises(ValueError, match="settings"):
        VideoSource(replace(asked, source=other), Stop())
    assert json.dumps(asked.source.marks) == '{"tracker": "a"}'


def test_a_stop_ends_it_at_the_next_frame(tmp_path):
    asked, stop = request(tmp_path), Stop()
    asked.output.mkdir()
    source = VideoSource(asked, stop)
    source.sinks(asked.output)
    stop.asked = True
    for outcome in source.outcomes():
        assert list(outcome.frames()) == []
    assert source.facts()["stopped"] and source.counts["frames"] == 0
    assert "stopped after 0 frames (--resume goes on)" in source.notes


def test_masks_of_another_resolution_are_scaled_if_asked(tmp_path):
    with pytest.raises(ValueError, match=r"\(40, 60\) .*\(--fit-masks scales them\), got \(80"):
        VideoSource(request(tmp_path, size=(80, 120)), Stop())
    source, outcome = tracked(request(tmp_path, size=(80, 120), fit_masks=True))
    assert "masks of 80 x 120 are scaled to 40 x 60" in source.notes
    (_, part, _), *_ = outcome.frames()
    assert part.size == (40, 60) and part.boxes_xywh.tolist() == [[2, 2, 4, 4]]
    with pytest.raises(ValueError, match=r"\(height, width\), got \(40, 80\)"):
        VideoSource(request(tmp_path, size=(40, 80), fit_masks=True), Stop())


@pytest.mark.parametrize("change", ["time", "content", "another"])
def test_a_stamp_changes_with_any_file_of_a_folder(tmp_path, change):
    folder = tmp_path / "frames"
    folder.mkdir()
    for n in range(3):
        (folder / f"{n}.png").write_bytes(bytes(100_000))
    before, times = stamp(folder), (folder / "1.png").stat()
    assert stamp(folder) == before and stamp(tmp_path / "none") == ""
    if change == "time":
        os.utime(folder / "1.png", ns=(times.st_atime_ns, times.st_mtime_ns - 1))
    elif change == "content":
        (folder / "1.png").write_bytes(bytes(99_999) + b"x")
        os.utime(folder / "1.png", ns=(times.st_atime_ns, times.st_mtime_ns))
    else:
        (folder / "3.png").write_bytes(b"")
    assert stamp(folder) != before


def test_a_segmenter_is_known_by_its_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text("def blobs(image): ...")
    (tmp_path / "w.keras").write_bytes(b"x")
    module, weights = segmenter_stamp("mine:blobs"), segmenter_stamp("w.keras")
    assert module and weights and segmenter_stamp("coco") == "" == segmenter_stamp(None)
    (tmp_path / "mine.py").write_text("def blobs(image): 1")
    assert segmenter_stamp("mine:blobs") != module


def pictures(tmp_path, names, **video):
    """Return a request of a folder of pictures, with masks that name all but the first of them."""
    (tmp_path / "walk").mkdir()
    for k, name in enumerate(names):
        cv2.imwrite(str(tmp_path / "walk" / f"{name}.png"), np.full((40, 60, 3), 9 * k, np.uint8))
    for k, name in enumerate(names):
        if k:
            image = np.zeros((40, 60), np.uint8)
            image[4:14, 4 + k : 14 + k] = 1
            (tmp_path / "masks").mkdir(exist_ok=True)
            cv2.imwrite(str(tmp_path / "masks" / f"{name}.png"), image)
    source = Video(str(tmp_path / "walk"), [tmp_path / "masks"], **video)
    return Request(settings_for(data_set("custom"), "mask_iou"), source, tmp_path / "out")


@pytest.mark.parametrize(
    "names",
    [[f"cam_12-0{k // 2}-5{k}" for k in range(6)], ["a1b", "b2a", "bb3", "c1d", "dd1", "e5f"]],
)
def test_masks_go_to_the_pictures_of_their_names(tmp_path, names):
    _, outcome = tracked(pictures(tmp_path, names))
    for number, part, image in outcome.frames():
        assert image[0, 0, 0] == 9 * number
        assert part.boxes_xywh[:, 0].tolist() == ([4 + number] if number else [])


def test_the_first_frame_of_pictures_cannot_be_set(tmp_path):
    with pytest.raises(ValueError, match="--first-frame is for a video"):
        tracked(pictures(tmp_path, [f"{k:04d}" for k in range(6)], first_frame=1))


@pytest.mark.parametrize("shift", [0, 1])
def test_truth_that_fits_the_next_frame_better_is_said(tmp_path, shift):
    asked = request(tmp_path, frames=12)
    objects = [(f + shift, 1001, 1, 1.0, (4 + f, 4, 8, 8)) for f in range(12 - shift)]
    truth = make_detections(objects, 40, 60)
    write_tracks(tmp_path / "truth.txt", truth, truth.ids)
    source = VideoSource(replace(asked, ground_truth=tmp_path / "truth.txt"), Stop())
    said = [note for note in source.notes if "matches far better one frame earlier" in note]
    assert len(said) == shift
    assert any("walk: scored against truth" in note for note in source.notes)
