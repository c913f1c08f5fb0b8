"""Sinks: what each writes of a small sequence."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from pipeline.results import PICTURES
from pipeline.run import write
from pipeline.settings import settings_for
from pipeline.sinks import (
    FormatsSink,
    MotsSink,
    PicturesSink,
    ReportSink,
    ScoresSink,
    write_formats,
)
from pipeline.stages import Pipeline
from pipeline.tracked import Outcome, frames_of
from tests.conftest import make_detections
from utils.data_sets import data_set
from utils.formats.base import Output
from utils.formats.reading import read_detections
from utils.formats.writing import WRITERS


@pytest.fixture
def pipeline():
    named = replace(data_set("custom"), class_names={1: "cup", 2: "fork"})
    return Pipeline(settings_for(named, "mask_iou"))


def result():
    objects = [(0, 1001, 1, 1.0, (0, 0, 8, 8)), (0, 2001, 2, 1.0, (20, 0, 8, 8)),
               (1, 1001, 1, 1.0, (1, 0, 8, 8)), (1, 0, 1, 1.0, (40, 20, 5, 5))]  # fmt: skip
    return make_detections(objects)


def outcome(truth=None, whole=True):
    detections = result()
    return Outcome(
        "seq", detections.size, 1, lambda: ((n, part, None) for n, part in frames_of(detections)),
        lambda: True, truth, result=detections if whole else None,
    )  # fmt: skip


def test_mots_is_written_as_frames_come_and_counted(tmp_path, pipeline):
    counts = Counter()
    write(outcome(), [MotsSink(tmp_path, counts, pipeline)])
    back = read_detections(tmp_path / WRITERS["mots"].place("seq"))
    assert back.ids.tolist() == [1001, 2001, 1001] and back.frames.tolist() == [0, 0, 1]
    assert counts == {"written": 3, "tracks": 2}


@pytest.mark.parametrize("whole", [True, False])
def test_formats_get_the_whole_sequence_and_the_classes_names(tmp_path, pipeline, whole):
    notes = []
    write(outcome(whole=whole), [FormatsSink(tmp_path, ["coco", "mots", "coco"], notes, pipeline)])
    back = read_detections(next((tmp_path / "coco").iterdir()))
    assert back.class_names == {1: "cup", 2: "fork"} and back.scored and len(back) == 3
    assert notes == [] and [p.name for p in tmp_path.iterdir()] == ["coco"]


def test_what_a_format_cannot_hold_is_a_note_and_the_others_are_written(tmp_path):
    wide = replace(result(), ids=np.array([500_001, 1, 500_001, 0], np.int32))
    output = Output(wide, {1: "cup", 2: "fork"}, False)
    (note,) = write_formats(tmp_path, ["png", "coco"], "seq", output)
    assert note.startswith("seq: not written as png: png holds ids of class * 1000 + number")
    assert [p.name for p in tmp_path.rglob("*.json")] == ["seq.json"]


def test_scores_are_of_the_sequences_with_truth(pipeline):
    sink, summary = ScoresSink(pipeline, False, {}), {"scores": {}}
    write(outcome(), [sink])
    sink.finish(summary)
    assert summary == {"scores": {}}
    truth = result().select(np.array([0, 1, 2]))
    write(outcome(truth), [sink])
    sink.finish(summary)
    assert set(summary["by_sequence"]) == {"seq"}
    rows = summary["scores"]["masks"]
    assert {name: row["sMOTSA"] for name, row in rows.items() if name in ("cup", "fork")} == {
        "cup": 100.0,
        "fork": 100.0,
    }


def test_a_picture_and_a_page_are_drawn(tmp_path, pipeline):
    notes = []
    pictures = PicturesSink(tmp_path, 0, notes, pipeline)
    page = ReportSink(tmp_path, pipeline)
    write(outcome(), [pictures, page])
    assert {p.name for p in (tmp_path / PICTURES).iterdir()} == {"seq.mp4", "seq.png"}
    assert notes == ["seq: no t-SNE picture: mask_iou needs no embeddings"]
    (review,) = page.reviews
    assert set(review.tracks) == {1001, 2001} and list(review.frames) == [0, 1]
