"""What is written: ids by class, masks disjoint."""

import numpy as np
import pytest

from tests.conftest import make_detections, write_tracks
from utils import masks
from utils.formats.reading import read_detections
from utils.results import finished, output_ids


def test_output_ids_per_class_and_beyond_999():
    classes = np.array([1, 2, 1, 1, 2])
    assert output_ids(np.array([7, 9, 7, 3, 0]), classes).tolist() == [
        1001,
        2001,
        1001,
        1002,
        0,
    ]
    many = np.arange(1, 1201)
    ids = output_ids(np.append(many, 5000), np.append(np.ones(1200, int), 2))
    assert ids[0] == 10001 and ids[1199] == 11200 and ids[1200] == 20001
    assert len(set(ids.tolist())) == 1201


def test_written_masks_are_disjoint_and_pixels_go_to_the_higher_score(tmp_path):
    found = make_detections(
        [
            (1, 1, 1, 0.9, (0, 0, 10, 10)),
            (1, 2, 2, 0.8, (5, 0, 10, 10)),  # loses its left half
            (1, 3, 1, 0.7, (6, 2, 3, 3)),  # covered whole: nothing left
            (2, 1, 1, 0.5, (0, 0, 10, 10)),
        ]
    )
    dropped = write_tracks(tmp_path / "out.txt", found, np.array([1, 2, 3, 1]))
    assert dropped == [2]
    back = read_detections(tmp_path / "out.txt")
    assert back.frames.tolist() == [1, 1, 2]
    assert back.boxes_xywh.tolist() == [[0, 0, 10, 10], [10, 0, 5, 10], [0, 0, 10, 10]]
    assert not np.triu(masks.overlap(back.coco([0, 1]), back.coco([0, 1])), 1).any()


@pytest.mark.parametrize(
    ("first", "second", "left"),
    [
        ((0, 0, 20, 20), (5, 5, 4, 4), [400 - 16, 16]),  # inside: else nothing would be left of it
        ((0, 0, 20, 12), (5, 5, 4, 15), [240 - 28, 60]),  # in front: it reaches lower
        ((0, 0, 20, 20), (5, 5, 20, 10), [400, 50]),  # behind, though smaller
        ((0, 0, 20, 20), (16, 10, 5, 10), [400 - 40, 50]),  # neither: the smaller one
    ],
)
def test_equal_scores_give_the_pixel_to_what_is_in_front(tmp_path, first, second, left):
    for order in (1, -1):
        both = [(1, 1, 1, 1, first), (1, 2, 1, 1, second)][::order]
        assert write_tracks(tmp_path / "out.txt", make_detections(both), np.array([1, 2])) == []
        back = read_detections(tmp_path / "out.txt")
        assert masks.areas(*masks.decode_runs(back.rles, 2400)).tolist() == left[::order]


def test_what_several_better_masks_cover_is_taken_from_all(tmp_path):
    found = make_detections(
        [
            (1, 1, 1, 0.9, (0, 0, 10, 10)),
            (1, 2, 1, 0.8, (20, 0, 10, 10)),
            (1, 3, 1, 0.7, (5, 0, 20, 10)),  # loses its left and its right quarter
        ]
    )
    assert write_tracks(tmp_path / "out.txt", found, np.array([1, 2, 3])) == []
    back = read_detections(tmp_path / "out.txt")
    assert back.boxes_xywh.tolist() == [[0, 0, 10, 10], [20, 0, 10, 10], [10, 0, 10, 10]]


def test_a_mask_that_is_hidden_whole_loses_its_id_and_nothing_else():
    objects = [(1, 1, 1, 0.9, (0, 0, 10, 10)), (1, 2, 1, 0.8, (2, 2, 4, 4))]
    result, dropped = finished(make_detections(objects), np.array([5, 6]))
    assert (result.ids.tolist(), dropped) == ([1001, 0], [1]) and len(result) == 2
