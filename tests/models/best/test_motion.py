import numpy as np
import pytest

from models.assignment import assign_exactly
from models.best.motion import Motion, camera_shift, expected_pairs
from models.best.track_table import TrackTable
from utils.boxes import generalised_iou, xywh_to_xyxy

pytestmark = pytest.mark.usefixtures("each_way")


def test_generalised_iou_by_hand():
    boxes = xywh_to_xyxy([[0, 0, 1, 1], [2, 0, 1, 1], [0, 0, 2, 1]])
    # Apart: no overlap, union 2, enclosing box 3. Half inside: 1 / 2, the enclosing box is full.
    expected = [[1, -1 / 3, 1 / 2], [-1 / 3, 1, 0], [1 / 2, 0, 1]]
    assert generalised_iou(boxes, boxes) == pytest.approx(np.array(expected))
    assert generalised_iou(np.zeros((0, 4)), boxes).shape == (0, 3)


class Moving:
    """Tracks of 4 x 2 boxes with a Motion, as the tracker holds them."""

    def __init__(self, steps, **arguments):
        self.motion = Motion(**arguments)
        self.tracks = TrackTable(**Motion.columns())
        self.add([steps[0]], 0)
        for frame, x in enumerate(steps[1:], 1):
            self.move(x, frame)

    def add(self, lefts, frame):
        self.tracks.append(**Motion.start([[x, 0, 4, 2] for x in lefts], frame))

    def move(self, x, frame, row=0):
        self.motion.move(self.tracks, np.array([row]), [[x, 0, 4, 2]], frame)

    def predict(self, frame):
        return self.motion.predict(self.tracks, frame)


def test_constant_velocity_is_expected_exactly_without_damping():
    assert Moving([0, 3, 6], damping=1).predict(5).tolist() == [[15, 0, 19, 2]]


def test_velocity_fades_with_the_frames_passed():
    # 10 px per frame: 10 + 5 after two frames, 10 + 5 + 2.5 after three.
    moving = Moving([0, 10], damping=0.5)
    assert [moving.predict(f)[0, 0] for f in (2, 3, 4)] == [20, 25, 27.5]
    # And what has faded is how uncertain the position is: nothing a frame ago, then a half.
    assert [moving.motion.uncertainty(moving.tracks, f)[0] for f in (2, 3, 4)] == [0, 0.5, 0.75]


def test_first_steps_count_alike_and_later_ones_by_the_smoothing():
    # Steps 2 and 6: their mean, 4. Then 4 and a step of 8 with share 0.4: 5.6.
    moving = Moving([0, 2, 8], smoothing=0.4)
    assert moving.tracks["velocities"][0].tolist() == [4, 0]
    moving.move(16, 3)
    assert moving.tracks["velocities"][0, 0] == pytest.approx(5.6)


def test_a_missed_frame_shares_the_step():
    moving = Moving([0])
    moving.move(12, 3)
    assert moving.tracks["velocities"][0].tolist() == [4, 0]
    assert (moving.tracks["frames"][0], moving.tracks["steps"][0]) == (3, 1)


def test_size_and_place_are_those_of_the_last_detection():
    moving = Moving([0, 2])
    moving.motion.move(moving.tracks, np.array([0]), [[4, 0, 8, 6]], 2)
    assert moving.motion.boxes(moving.tracks).tolist() == [[4, 0, 12, 6]]


def test_add_and_keep():
    moving = Moving([0, 3])
    moving.add([50, 90], 1)
    moving.tracks.keep(np.array([True, False, True]))
    assert len(moving.tracks) == 2 and moving.predict(2)[:, 0].tolist() == [6, 90]


def test_camera_shift_is_robust_to_one_object_of_its_own_will():
    predicted = xywh_to_xyxy([[0, 0, 4, 4], [20, 0, 4, 4], [40, 0, 4, 4], [60, 0, 4, 4]])
    moved = predicted + np.array([7, 2, 7, 2])
    moved[3] += 9
    rows = np.arange(4)
    assert camera_shift(predicted, moved, (rows, rows)).tolist() == [7, 2]
    assert camera_shift(predicted, moved, (rows[:2], rows[:2])).tolist() == [0, 0]  # too few


def test_the_cameras_shift_is_removed_from_expected_pairs():
    motion, tracks = Motion(), TrackTable(classes=np.zeros(0, int), **Motion.columns())
    boxes = np.array([[0, 0, 8, 8], [30, 0, 8, 8], [60, 0, 8, 8], [90, 0, 8, 8]], float)
    tracks.append(classes=np.ones(4), **Motion.start(boxes, 0))
    moved = boxes + np.array([4, 0, 0, 0])
    for classes, rows in ((np.ones(4), [0, 1, 2, 3]), (np.array([2, 1, 1, 1]), [1, 2, 3])):
        pairs, _ = expected_pairs(motion, tracks, 1, moved, classes, -0.4, np.full(4, -0.4))
        assert pairs.rows.tolist() == pairs.columns.tolist() == rows
        assert pairs.overlap == pytest.approx(1)


def test_assignment_is_exact_and_makes_no_pair_for_the_sake_of_another():
    # Greedy takes 0.9 and is left with 0.1; exact takes 0.8 twice.
    rows, columns = assign_exactly(np.array([[0.9, 0.8], [0.8, 0.1]]), 0.0)
    assert sorted(zip(rows.tolist(), columns.tolist(), strict=True)) == [(0, 1), (1, 0)]
    # Two pairs of 0.1 above the limit would be more pairs, but less than 0.9 alone.
    rows, columns = assign_exactly(np.array([[0.9, 0.1], [0.1, -1.0]]), 0.0)
    assert (rows.tolist(), columns.tolist()) == ([0], [0])
    assert assign_exactly(np.zeros((0, 3)), 0.0)[0].tolist() == []


def test_three_tracks_are_enough_to_tell_the_cameras_shift():
    predicted = xywh_to_xyxy([[20 * i, 0, 4, 4] for i in range(3)])
    rows = np.arange(3)
    assert camera_shift(predicted, predicted + np.tile([7, 2], 2), (rows, rows)).tolist() == [7, 2]


def test_tracks_missed_for_longer_say_nothing_of_the_camera():
    tracks = TrackTable(classes=np.zeros(0, int), **Motion.columns())
    boxes = np.array([[30 * i, 0, 8, 8] for i in range(4)], float)
    tracks.append(classes=np.ones(4), **Motion.start(boxes, 0))
    moved = boxes + np.array([4, 0, 0, 0])
    for frame, iou in ((2, 1), (3, 1 / 3)):
        pairs, _ = expected_pairs(
            Motion(), tracks, frame, moved, np.ones(4), -0.4, np.full(4, -0.4)
        )
        assert pairs.overlap == pytest.approx(iou) and len(pairs.rows) == 4
