"""The table of live tracks."""

import numpy as np
import pytest

from models.best.table import detections_of, forget, move, place
from tests.models.best.tables import FULL, seen, table


def test_a_velocity_is_the_mean_of_all_moves_and_then_of_the_latest():
    tracks = table([[0, 0, 10, 10]])
    for number, left in ((1, 4), (3, 12), (4, 12)):  # 4, then 4 a frame for two, then 0
        now = seen([[left, 0, left + 10, 10]], number=number)
        move(tracks, 0, now, 0, 0.4)
        place(tracks, 0, now, 0)
    # Means of 4 and 4; the third move has a share of 0.4, not of a third.
    assert tracks.velocities[0].tolist() == pytest.approx([4 * 0.6, 0])
    assert tracks.steps[0] == 3 and tracks.last[0] == 4 and tracks.counts[0] == 4
    assert tracks.totals[0] == 4 and tracks.centres[0].tolist() == [17, 5]


def test_tracks_are_forgotten_with_all_that_is_known_of_them():
    tracks = table([[k, 0, k + 5, 5] for k in range(4)])
    tracks.last[:4] = 9, 2, 8, 1
    assert forget(tracks, 4, 10, 2) == 2
    assert tracks.ids[:2].tolist() == [1, 3] and tracks.last[:2].tolist() == [9, 8]
    assert tracks.centres[:2, 0].tolist() == [2.5, 4.5]
    assert forget(tracks, 2, 12, 2) == 0


def test_columns_of_any_frame_are_taken():
    boxes = np.array([[1.0, 2.0, 4.0, 0.0]])
    columns = np.array([3], np.int16), np.array([0.25], np.float32), np.array([FULL])
    now = detections_of(boxes, *columns, 7, 50.0, False)
    assert now.boxes.tolist() == [[1, 2, 5, 3]]  # one pixel high at least
    assert now.classes.tolist() == [3] and now.probability.tolist() == [0.25] and now.number == 7
