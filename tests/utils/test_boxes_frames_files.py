import stat
from dataclasses import replace

import cv2
import numpy as np
import pytest

from tests.conftest import make_detections
from utils.boxes import likely_reading, paired_iou, scaled_boxes
from utils.files import atomic_path, find_sequences
from utils.formats import mots_txt
from utils.formats.mot import read_mot
from utils.formats.reading import read_detections
from utils.frames import GREY, FrameFolder

TIGHT = np.array([[30, 12, 10, 20], [50, 40, 12, 16], [70, 20, 8, 24]], float)
SIZE = (100, 200)  # height, width


def test_iou_of_pairs_by_hand():
    other = TIGHT + np.array([[5, 0, 0, 0], [0, 0, 0, 0], [100, 0, 0, 0]])
    assert paired_iou(TIGHT, other) == pytest.approx([100 / 300, 1, 0])
    assert paired_iou(np.zeros((1, 4)), np.zeros((1, 4))).tolist() == [0]


@pytest.mark.parametrize(
    ("columns", "scale", "reading"),
    [
        ([0, 1, 2, 3], 1, None),
        ([1, 0, 3, 2], 1, "y x h w in pixels"),
        ([0, 1, 2, 3], 0, "zeros"),
    ],
)
def test_readings_of_boxes_by_columns(columns, scale, reading):
    assert likely_reading(TIGHT[:, columns] * scale, TIGHT, SIZE) == reading


def test_readings_of_corners_and_fractions():
    corners = np.c_[TIGHT[:, :2], TIGHT[:, :2] + TIGHT[:, 2:]]
    share = np.array([200, 100, 200, 100])  # width, height
    assert likely_reading(corners, TIGHT, SIZE) == "corners x1 y1 x2 y2 in pixels"
    assert likely_reading(corners[:, [1, 0, 3, 2]], TIGHT, SIZE) == "corners y1 x1 y2 x2 in pixels"
    centres = np.c_[TIGHT[:, :2] + TIGHT[:, 2:] / 2, TIGHT[:, 2:]]
    assert likely_reading(centres / share, TIGHT, SIZE) == "centres cx cy w h normalised to 0..1"
    assert likely_reading(TIGHT + 500, TIGHT, SIZE) == "no reading of them that fits"
    assert likely_reading(np.zeros((0, 4)), np.zeros((0, 4)), SIZE) is None


def test_boxes_of_whole_objects_around_what_shows_are_believed():
    whole = TIGHT + np.array([0, 0, 0, 1.5]) * TIGHT[:, 3:]  # IoU 1 / 2.5
    assert likely_reading(whole, TIGHT, SIZE) is None
    most = np.concatenate([TIGHT, TIGHT[:2] + 300])  # two of five are wrong
    assert likely_reading(most, np.concatenate([TIGHT, TIGHT[:2]]), SIZE) is None


def test_boxes_are_scaled_by_width_and_height_of_the_frame():
    found = make_detections([(0, 1, 1, 1.0, (30, 10, 20, 20))], 40, 80)
    assert scaled_boxes(found, None)[0].tolist() == [0.5, 0.5, 0.25, 0.5]
    assert scaled_boxes(found, 10)[0].tolist() == [0.5, 0.5, 2, 2]


def test_frames_are_rgb_and_grey_where_there_is_none(tmp_path):
    (tmp_path / "s").mkdir()
    image = np.zeros((40, 60, 3), np.uint8)
    image[:, :, 0] = 200  # blue in OpenCV's order
    cv2.imwrite(str(tmp_path / "s" / "00007.png"), image)
    frames = FrameFolder(tmp_path, "s", (40, 60))
    assert frames(7)[0, 0].tolist() == [0, 0, 200] == frames.drawn(7)[0, 0].tolist()
    assert frames.drawn(8)[0, 0].tolist() == [GREY] * 3 and frames.missing([6, 7, 8]) == [6, 8]
    with pytest.raises(ValueError, match="s: must hold a picture of frame 8, got none"):
        frames(8)
    (tmp_path / "s" / "00009.png").write_text("no image")
    frames = FrameFolder(tmp_path, "s", (40, 61))
    for number, rule, got in (
        (7, r"must be an image .* got \(40, 60\)", r"\(40, 60\)"),
        (9, "must be a whole picture, got one that ends early", "no image"),
    ):
        with pytest.raises(ValueError, match=rf"0000{number}\.png: {rule}"):
            frames(number)
        with pytest.raises(ValueError, match=f"got {got}"):
            frames.check([number])


def test_sequences_ascend_and_written_files_can_be_read_by_all(tmp_path):
    for name in ("b", "c", "a"):
        (tmp_path / f"{name}.txt").write_text("")
    assert list(find_sequences(tmp_path)) == ["a", "b", "c"]
    assert list(find_sequences(tmp_path, ["c", "a"])) == ["c", "a"]
    with atomic_path(tmp_path / "new" / "x.txt") as temporary:
        temporary.write_text("1")
    assert stat.S_IMODE((tmp_path / "new" / "x.txt").stat().st_mode) == 0o644


def test_mots_txt_is_written_by_frame_and_without_rows_of_no_id(tmp_path):
    objects = [(f, f + 1, 1, 1.0, (5, 5, 8, 8)) for f in (4, 0, 2, 7)]
    found = make_detections(objects)
    mots_txt.write(tmp_path / "x.txt", replace(found, ids=np.array([5, 1, 0, 8])))
    back = read_detections(tmp_path / "x.txt")
    assert (back.frames.tolist(), back.ids.tolist()) == ([0, 4, 7], [1, 5, 8])


def test_errors_in_mot_txt_name_the_line(tmp_path):
    file = tmp_path / "gt.txt"
    file.write_text("1,1,2,3,4,5,1,-1,-1,-1\n\n1,2,x,3,4,5\n")
    with pytest.raises(ValueError, match=r"gt\.txt:3: field must be a finite number, got 'x'"):
        read_mot(file)
    file.write_text("1,1,2,3,4,5,1,-1,-1,-1\n7,2,3,4,5\n")
    with pytest.raises(ValueError, match=r"gt\.txt:2: expected frame,id,x,y,w,h, got 5 fields"):
        read_mot(file)
