import numpy as np
import pytest

from models.motion import Motion, camera_shift, expected_overlap
from models.motion_tracker import assign_exactly
from utils.boxes import generalised_iou, xywh_to_xyxy


def test_generalised_iou_by_hand():
    boxes = xywh_to_xyxy([[0, 0, 1, 1], [2, 0, 1, 1], [0, 0, 2, 1]])
    # Apart: no overlap, union 2, enclosing box 3. Half inside: 1 / 2, the enclosing box is full.
    expected = [[1, -1 / 3, 1 / 2], [-1 / 3, 1, 0], [1 / 2, 0, 1]]
    assert generalised_iou(boxes, boxes) == pytest.approx(np.array(expected))
    assert generalised_iou(np.zeros((0, 4)), boxes).shape == (0, 3)


def moving(steps, **arguments):
    """Return the Motion of one 4 x 2 box whose left edge is at the given x, a frame each."""
    motion = Motion(**arguments)
    motion.add([[steps[0], 0, 4, 2]], 0)
    for frame, x in enumerate(steps[1:], 1):
        motion.update(np.array([0]), [[x, 0, 4, 2]], frame)
    return motion


def test_constant_velocity_is_expected_exactly_without_damping():
    assert moving([0, 3, 6], damping=1).predict(5).tolist() == [[15, 0, 19, 2]]


def test_velocity_fades_with_the_frames_passed():
    # 10 px per frame: 10 + 5 after two frames, 10 + 5 + 2.5 after three.
    motion = moving([0, 10], damping=0.5)
    assert motion.predict(2)[0, 0] == 20
    assert motion.predict(3)[0, 0] == 25
    assert motion.predict(4)[0, 0] == 27.5


def test_first_steps_count_alike_and_later_ones_by_the_smoothing():
    # Steps 2 and 6: their mean, 4. Then 4 and a step of 8 with share 0.4: 5.6.
    motion = moving([0, 2, 8], smoothing=0.4)
    assert motion.velocities[0].tolist() == [4, 0]
    motion.update(np.array([0]), [[16, 0, 4, 2]], 3)
    assert motion.velocities[0, 0] == pytest.approx(5.6)


def test_a_missed_frame_shares_the_step():
    motion = moving([0])
    motion.update(np.array([0]), [[12, 0, 4, 2]], 3)
    assert motion.velocities[0].tolist() == [4, 0]


def test_add_and_keep():
    motion = moving([0, 3])
    motion.add([[50, 0, 4, 2], [90, 0, 4, 2]], 1)
    motion.keep(np.array([True, False, True]))
    assert len(motion) == 2 and motion.predict(2)[:, 0].tolist() == [6, 90]


def test_camera_shift_is_robust_to_one_object_of_its_own_will():
    predicted = xywh_to_xyxy([[0, 0, 4, 4], [20, 0, 4, 4], [40, 0, 4, 4], [60, 0, 4, 4]])
    moved = predicted + np.array([7, 2, 7, 2])
    moved[3] += 9
    rows = np.arange(4)
    assert camera_shift(predicted, moved, (rows, rows)).tolist() == [7, 2]
    assert camera_shift(predicted, moved, (rows[:2], rows[:2])).tolist() == [0, 0]  # too few


def test_expected_overlap_removes_the_cameras_shift():
    motion = Motion()
    boxes = np.array([[0, 0, 8, 8], [30, 0, 8, 8], [60, 0, 8, 8], [90, 0, 8, 8]], float)
    motion.add(boxes, 0)
    moved = boxes + np.array([4, 0, 0, 0])
    same = np.ones((4, 4), bool)
    overlap, _ = expected_overlap(motion, 1, moved, same, lambda s: assign_exactly(s, -0.4))
    assert np.diag(overlap) == pytest.approx(1)
    same[0, 0] = False
    overlap, _ = expected_overlap(motion, 1, moved, same, lambda s: assign_exactly(s, -0.4))
    assert overlap[0, 0] == -1


def test_assignment_is_exact_and_makes_no_pair_for_the_sake_of_another():
    # Greedy takes 0.9 and is left with 0.1; exact takes 0.8 twice.
    rows, columns = assign_exactly(np.array([[0.9, 0.8], [0.8, 0.1]]), 0.0)
    assert sorted(zip(rows.tolist(), columns.tolist(), strict=True)) == [(0, 1), (1, 0)]
    # Two pairs of 0.1 above the limit would be more pairs, but less than 0.9 alone.
    rows, columns = assign_exactly(np.array([[0.9, 0.1], [0.1, -1.0]]), 0.0)
    assert (rows.tolist(), columns.tolist()) == ([0], [0])
    assert assign_exactly(np.zeros((0, 3)), 0.0)[0].tolist() == []
