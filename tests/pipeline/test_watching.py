"""A line an object while a video is tracked."""

import csv
import os
import sys

import numpy as np

from pipeline.frame_masks import Stop
from pipeline.request import Video
from pipeline.watching import COLUMNS, LiveCsv, Watchers
from tests.conftest import make_detections

IMAGE = np.zeros((40, 60, 3), np.uint8)


def test_a_line_is_there_as_soon_as_the_object_is_seen(tmp_path):
    path = tmp_path / "live.csv"
    video = Video("walk.mp4", live_csv=str(path))
    watchers = Watchers(video, lambda c: {1: "ant, red"}[c], Stop(), 25.0)
    objects = [(3, 7, 1, 0.875, (4, 5, 9, 12)), (3, 0, 1, 0.5, (30, 5, 9, 12))]
    watchers.take(3, IMAGE, make_detections(objects))
    row = ["3", "0.000", "7", "ant, red", "4", "5", "9", "12", "0.875", "108"]
    assert list(csv.reader(path.open())) == [list(COLUMNS), row]  # before it is closed
    watchers.take(4, IMAGE, make_detections([(4, 7, 1, 0.5, (4, 5, 9, 12))]))
    watchers.close()
    assert [line[:3] for line in csv.reader(path.open())][2] == ["4", "0.040", "7"]


def test_a_reader_that_goes_away_ends_the_run(monkeypatch):
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as pipe:
        monkeypatch.setattr(sys, "__stdout__", pipe)
        stop = Stop()
        live = LiveCsv("-", str, stop)
        assert os.read(reading, 1000).decode() == ",".join(COLUMNS) + "\n"
        os.close(reading)
        live.take(0, 0.0, IMAGE, make_detections([(0, 7, 1, 0.5, (4, 5, 9, 12))]))
        assert stop.asked
