"""A tracked sequence, and the step of its frame numbers."""

from collections import Counter

import numpy as np
import pytest

from pipeline.tracked import STAGES, Stopwatch, Tracked, find_step, frames_of
from tests.conftest import make_detections


@pytest.mark.parametrize(
    ("frames", "step"),
    [
        ([0, 1, 2], 1),
        ([0, 2, 4], 2),
        ([3, 3, 6, 9, 15], 3),  # 3, 3, 6: two of three are the step
        ([0, 2, 6, 10], 1),  # 2, 4, 4: the common divisor is rare
        ([0, 2, 4, 8], 2),
        ([0, 2, 6], 2),  # one of two differences is half
        ([0, 4], 1),  # two frames show none
        ([5], 1),
        ([], 1),
    ],
)
def test_the_step_is_the_common_divisor_that_half_of_the_gaps_are(frames, step):
    assert find_step(np.array(frames, int)) == step


def scene():
    boxes = [(4, 2, 2, 2), (0, 0, 8, 8), (20, 0, 5, 5), (2, 2, 2, 2)]
    return make_detections(
        [
            (f, 0, 1, 0.9 - i / 10, b)
            for i, (f, b) in enumerate(zip((3, 1, 3, 1), boxes, strict=True))
        ]
    )


def test_frames_come_in_order_and_rows_as_in_the_file():
    parts = list(frames_of(scene()))
    assert [n for n, _ in parts] == [1, 3]
    assert [p.boxes_xywh[:, 0].tolist() for _, p in parts] == [[0, 2], [4, 20]]
    assert list(frames_of(scene().select(np.zeros(0, int)))) == []


def test_counts_and_what_is_hidden():
    tracked = Tracked(
        scene(), np.ones(4, bool), {"score": 2}, 1, {}, np.array([5, 6, 7, 8], np.int32),
        Counter(short=1), in_front=False,
    )  # fmt: skip
    assert tracked.counts() == {"read": 4, "frames": 2, "dropped_score": 2, "tracker_short": 1}
    result, hidden = tracked.result()
    # Row 3 lies within row 1, whose score is higher.
    assert hidden == [3] and result.ids[3] == 0 and (result.ids[:3] > 0).all()


def test_a_stopwatch_adds_up_by_stage():
    watch = Stopwatch()
    assert watch.seconds == dict.fromkeys(STAGES, 0.0)
    for _ in range(2):
        before = watch.seconds["embed"]
        with watch("embed"):
            sum(range(20_000))
        assert watch.seconds["embed"] > before
    assert watch.seconds["write"] == 0
