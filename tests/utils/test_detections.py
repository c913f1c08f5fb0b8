"""Rows of detections."""

from tests.conftest import make_detections


def test_rows_of_a_frame_come_by_score_then_class_then_place():
    objects = [
        (0, 1, 2, 0.5, (2, 2, 5, 5)),
        (0, 2, 1, 0.5, (9, 2, 5, 5)),
        (0, 3, 1, 0.9, (20, 2, 5, 5)),
    ]
    objects.append((0, 4, 1, 0.5, (8, 2, 5, 5)))
    ((frame, rows),) = make_detections(objects).rows_by_frame()
    assert (frame, rows.tolist()) == (0, [2, 3, 1, 0])
