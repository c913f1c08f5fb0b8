"""Which video is this: names from paths."""

import pytest

from utils.video_names import informative, repeated, video_names


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["a/gt", "b/gt"], ["a", "b"]),
        (["videoA/gt/gt", "videoB/gt/gt"], ["videoA", "videoB"]),
        (["train/cam1", "val/cam1", "train/cam2"], ["train_cam1", "val_cam1", "cam2"]),
        (["x/0001", "x/0002"], ["0001", "0002"]),
        (["p/a/x", "q/a/x", "q/b/x"], ["p_a_x", "q_a_x", "b_x"]),
        (["day1/cam/masks", "day2/cam/masks"], ["day1_cam", "day2_cam"]),
        (["gt"], ["gt"]),
        (["data/masks"], ["masks"]),
        (["a", "a"], ["a", "a"]),  # one path is one video
        (["a/x", "x"], ["a_x", "x"]),
        ([], []),
    ],
)
def test_the_shortest_end_of_the_path_that_tells_all_apart(paths, names):
    assert video_names([p.split("/") for p in paths]) == names


def test_parts_that_name_a_kind_of_content_say_nothing():
    assert informative(("s1", "Masks", "img1")) == ("s1",)
    assert informative(("gt",)) == ("gt",) and informative(("masks", "v")) == ("masks", "v")
    assert repeated(["a", "b", "a", "c", "c", "a"]) == ["a", "c"]
