"""Which frame is this: numbers from names, and the pictures of frames."""

import cv2
import numpy as np
import pytest

from tests.conftest import make_detections
from utils.frames import (
    LISTED,
    MIXED,
    NATURAL,
    NUMBERS,
    FrameFolder,
    by_name,
    find_pictures,
    number_frames,
)


@pytest.mark.parametrize(
    ("names", "numbers", "how"),
    [
        (["000012.png", "000007.png"], [12, 7], NUMBERS),
        (["s/img1/frame_3.JPG", "s/img1/frame_10.JPG"], [3, 10], NUMBERS),
        (["well_t000_c2_cp_masks.png", "well_t001_c2_cp_masks.png"], [0, 1], NUMBERS),
        (["cam2_000005.png", "cam2_000006.png"], [5, 6], NUMBERS),
        (["frame_0012_jpg.rf.3f2a9c.png", "frame_0013_jpg.rf.aa11c0.png"], [12, 13], NUMBERS),
        (["img1.png", "frame2.png"], [1, 2], MIXED),  # one number each
        (["000004.png"], [4], NUMBERS),
        (["cam2_000005.png"], [5], NUMBERS),  # of one name, the last
        (["c-12-31-00.png", "c-12-30-55.png"], [1, 0], NATURAL),
        (["1_9.png", "1_10.png", "2_1.png"], [0, 1, 2], NATURAL),  # 9 before 10
        (["t0.5.png", "t0.25.png", "t1.0.png"], [1, 0, 2], NATURAL),  # seconds
        (["1403636579763555584.png", "1403636579813555456.png"], [0, 1], NATURAL),
        (["9f3c1.png", "03ab.png", "d7e.png"], [0, 1, 2], LISTED),
        (["front.png", "back.png"], [0, 1], LISTED),
    ],
)
def test_numbers_of_names(names, numbers, how):
    assert number_frames(names) == (numbers, how)


def pictures(folder, names):
    folder.mkdir(parents=True, exist_ok=True)
    for k, name in enumerate(names):
        cv2.imwrite(str(folder / name), np.full((40, 60, 3), 10 * k, np.uint8))
    return folder


def test_two_pictures_of_one_frame_are_refused(tmp_path):
    pictures(tmp_path / "v", ["a_1.png", "b_1.png"])
    with pytest.raises(ValueError, match=r"b_1.png: a frame must be there once \(also a_1.png\)"):
        find_pictures(tmp_path, "v")


def test_pictures_are_found_by_name_where_frames_are_no_numbers(tmp_path):
    names = ["9f3c1.png", "03ab.png", "d7e.png"]
    pictures(tmp_path / "seq", names)
    detections = make_detections([(f, 1, 1, 1.0, (1, 1, 5, 5)) for f in (0, 1)])
    object.__setattr__(detections, "pictures", {0: "d7e", 1: "03ab"})
    reader = FrameFolder.of(tmp_path, detections)
    assert reader.files[0].name == "d7e.png" and reader(1)[0, 0, 0] == 10
    assert reader.missing([0, 1, 2]) == [2]


def test_names_that_tools_made_longer(tmp_path):
    files = sorted(pictures(tmp_path / "p", ["well_t0_c2.png", "well_t0.png"]).iterdir())
    names = {0: "well_t0_c2_cp_masks", 1: "well_t0-mask", 2: "other", 3: "well_t0.png"}
    found = by_name(files, names)
    assert {frame: path.name for frame, path in found.items()} == {
        0: "well_t0_c2.png",
        1: "well_t0.png",
        3: "well_t0.png",
    }
