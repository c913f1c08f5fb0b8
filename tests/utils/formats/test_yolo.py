"""YOLO txt."""

from dataclasses import replace

import numpy as np
import pytest

from tests.utils.formats.scenes import check_reading, check_writing, read
from utils.files import FormatError
from utils.formats.yolo import YoloTxt


def yolo_file(folder, *lines):
    folder.mkdir(exist_ok=True)
    (folder / "v_3.txt").write_text("\n".join(lines) + "\n")
    return folder


SQUARE = "0.1 0.1 0.5 0.1 0.5 0.5 0.1 0.5"


@pytest.mark.parametrize(
    ("lines", "scores", "ids"),
    [
        ([f"0 {SQUARE}", f"1 {SQUARE}"], [1, 1], [0, 0]),
        ([f"0 {SQUARE} 0.75", f"1 {SQUARE} 0.5"], [0.75, 0.5], [0, 0]),
        ([f"0 {SQUARE} 7", f"1 {SQUARE} 1"], [1, 1], [7, 1]),
        ([f"0 {SQUARE} 0.75 7", f"1 {SQUARE} 0.5 12"], [0.75, 0.5], [7, 12]),
        ([f"0 {SQUARE} 0.75 1", f"1 {SQUARE} 0.5 1"], [0.75, 0.5], [1, 1]),
        ([f"0 {SQUARE} 0.75 7", f"1 {SQUARE} 0.5"], [0.75, 0.5], [7, 0]),
    ],
)
def test_yolo_scores_and_ids_are_told_apart(tmp_path, lines, scores, ids):
    if ids == [1, 1]:  # a single track, a line a frame
        (tmp_path / "clip").mkdir()
        (tmp_path / "clip" / "v_4.txt").write_text(lines.pop() + "\n")
    found = read(yolo_file(tmp_path / "clip", *lines), size=(40, 60))
    if ids == [1, 1]:
        found = replace(found, frames=np.array([3, 3], np.int32))
    assert found.frames.tolist() == [3, 3] and found.classes.tolist() == [1, 2]
    assert found.scores == pytest.approx(scores) and found.ids.tolist() == ids
    assert found.scored == (scores != [1, 1])
    assert found.boxes_xywh[0].tolist() == [6, 4, 24, 16]


def test_polygons_are_read(tmp_path):
    check_reading(tmp_path, "yolo", (YoloTxt,))


def test_written_files_round_trip(tmp_path):
    check_writing(tmp_path, "yolo")


def test_boxes_with_key_points_are_no_polygons(tmp_path):
    pose = "0 .5 .5 .2 .4 .1 .1 2 .2 .2 1 .3 .3 0"
    with pytest.raises(FormatError, match=r"these are poses.* got 14 fields in every line"):
        read(yolo_file(tmp_path / "poses", pose, pose.replace(".5", ".6")), size=(20, 30))
