"""What is asked of a run, and what of it does not go together."""

from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.request import Files, Request, Video, shown
from pipeline.settings import settings_for
from utils.data_sets import data_set

SETTINGS = settings_for(data_set("custom"), "best")


def test_what_is_read_is_listed_and_may_not_be_written_over():
    files = Files([Path("a"), Path("b")], images=Path("frames"))
    request = Request(SETTINGS, files, Path("out"), ground_truth=Path("truth"))
    assert request.inputs == [Path(p) for p in ("a", "b", "truth", "frames")]
    video = Request(SETTINGS, Video("walk.mp4", [Path("m.json")]), Path("out"))
    assert video.inputs == [Path("m.json"), Path("walk.mp4")]


def test_refining_in_parts_is_refused():
    refined = replace(SETTINGS, refine=True)
    Request(refined, Files([Path("a")]), Path("out"))
    with pytest.raises(ValueError, match="--refine needs the whole video, got --chunk 40"):
        Request(refined, Files([Path("a")], chunk=40), Path("out"))


def test_settings_wait_for_the_names_of_classes():
    named = replace(data_set("custom"), class_names={1: "cup"})
    files = Files([Path("a")])
    assert Request(SETTINGS, files, Path("o")).settled(named).data_set is named
    asked = []
    later = Request(SETTINGS, files, Path("o"), named=lambda d: asked.append(d) or "settings")
    assert later.settled(named) == "settings" and asked == [named]


def test_only_a_few_numbers_are_shown():
    assert shown([4, 5, 6]) == "4, 5, 6" and shown([4, 5, 6, 7]) == "4, 5, 6, ..."
