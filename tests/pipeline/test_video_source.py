"""A video as a source: frame numbers, masks of other frames, what is refused."""

import json
import os
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from pipeline.frame_masks import Stop, segmenter_stamp, stamp
from pipeline.request import Request, Video
from pipeline.settings import settings_for
from pipeline.video_source import VideoSource
from tests.conftest import make_detections, write_scored
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
