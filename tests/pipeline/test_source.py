"""Files as a source: checked before anything is tracked, notes and counts after."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.request import Files, Request
from pipeline.settings import settings_for
from pipeline.source import FileSource
from tests import independent
from tests.conftest import make_detections, write_scored, write_tracks
from utils.data_sets import data_set


def scene(frames=(0, 1, 2), ids=True):
    return make_detections([(f, int(ids), 1, 0.9, (4 + f, 4, 8, 8)) for f in frames], name="walk")


def request(tmp_path, tracker="mask_iou", **source):
    write_scored(tmp_path / "in" / "walk.txt", scene())
    settings = settings_for(data_set("custom"), tracker)
    return Request(settings, Files([tmp_path / "in"], **source), tmp_path / "out")


def pictures(folder, numbers, size=(40, 60)):
    (folder / "walk").mkdir(parents=True)
    for number in numbers:
        cv2.imwrite(str(folder / "walk" / f"{number:06d}.png"), np.zeros((*size, 3), np.uint8))
    return folder


def test_sequences_are_tracked_and_counted(tmp_path):
    source = FileSource(request(tmp_path))
    (outcome,) = source.outcomes()
    assert (outcome.name, outcome.size, outcome.step) == ("walk", (40, 60), 1)
    assert len(set(outcome.result.ids.tolist())) == 1 and outcome.result.ids.all()
    assert [number for number, _, _ in outcome.frames()] == [0, 1, 2]
    facts = source.facts()
    assert source.counts["read"] == 3 and facts["steps"] == {"walk": 1}
    assert facts["class_names"] == {"1": "class 1"} or facts["class_names"]["1"]


def test_missing_pictures_are_counted_and_none_at_all_is_refused(tmp_path):
    some = FileSource(request(tmp_path, images=pictures(tmp_path / "some", (0, 2))))
    assert "walk: no picture of 1 frames (1): they are drawn grey" in some.notes
    assert not some.complete and set(some.readers) == {"walk"}
    every = FileSource(request(tmp_path, images=pictures(tmp_path / "all", (0, 1, 2))))
    assert every.complete == {"walk"} and not every.notes
    with pytest.raises(ValueError, match="none of the 3 frames that have detections"):
        FileSource(request(tmp_path, images=pictures(tmp_path / "none", (7,))))
    with pytest.raises(ValueError, match="40"):
        FileSource(request(tmp_path, images=pictures(tmp_path / "size", (0, 1, 2), (30, 60))))


def test_refining_needs_every_frame(tmp_path):
    asked = request(tmp_path, "best", images=pictures(tmp_path / "some", (0, 2)))
    with pytest.raises(ValueError, match="must hold every frame, got no 1"):
        FileSource(replace(asked, settings=replace(asked.settings, refine=True)))


def test_trackers_that_read_ids_refuse_rows_without(tmp_path):
    with pytest.raises(
        ValueError, match="given needs MOTS txt with ids, got 3 of 3 without in walk"
    ):
        FileSource(request(tmp_path, "given"))


def test_the_truths_ids_are_no_inputs_and_its_sequence_is_asked_for(tmp_path):
    asked = request(tmp_path)
    truth = scene()
    (tmp_path / "gt" / "instances_txt").mkdir(parents=True)
    write_tracks(tmp_path / "gt" / "instances_txt" / "walk.txt", truth, truth.ids)
    source = FileSource(replace(asked, ground_truth=tmp_path / "gt"))
    (outcome,) = source.outcomes()
    assert len(outcome.truth) == 3
    with pytest.raises(ValueError, match="got other"):
        FileSource(replace(asked, source=replace(asked.source, sequences=["other"])))
    assert not Path(tmp_path / "out").exists()


@pytest.mark.parametrize("step", [1, 2])
def test_frames_without_detections_are_shown_if_they_have_a_picture(tmp_path, step):
    write_scored(tmp_path / "in" / "walk.txt", scene((0, step, 2 * step)))
    folder = pictures(tmp_path / "all", range(8))
    settings = settings_for(data_set("custom"), "mask_iou")
    source = FileSource(Request(settings, Files([tmp_path / "in"], folder), tmp_path / "out"))
    (outcome,) = source.outcomes()
    shown = {number: len(part) for number, part, _ in outcome.frames()}
    assert shown == {n: int(n <= 2 * step) for n in range(0, 8, step)}


def test_one_folder_of_pictures_is_not_that_of_two_sequences(tmp_path):
    images = pictures(tmp_path / "flat", (0, 1, 2)) / "walk"
    asked = request(tmp_path, images=images)
    FileSource(asked)
    write_scored(tmp_path / "in" / "run.txt", replace(scene(), sequence="run"))
    with pytest.raises(
        ValueError, match=r"a folder of pictures for each sequence, got .* run, walk"
    ):
        FileSource(asked)


def test_a_class_whose_number_the_user_gave_to_another_is_said(tmp_path):
    path = independent.coco(independent.Scene.of(scene()), tmp_path, names={1: "dog"})
    named = replace(data_set("custom"), class_names={1: "cat"})
    settings = settings_for(named, "mask_iou")
    source = FileSource(Request(settings, Files([path]), tmp_path / "out"))
    assert "class dog has number 1001: 1 is cat" in source.notes
