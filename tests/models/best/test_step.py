"""The compiled step of `best` by hand."""

import os
import subprocess
import sys

import numpy as np
import pytest

from models.best import step
from models.best.pairs import near_pairs
from tests.models.best.tables import RULES, seen, table


def test_the_cameras_turn_is_the_median_of_what_is_sure():
    boxes = np.array([[0, 0, 10, 10], [40, 0, 50, 10], [80, 0, 90, 10], [200, 0, 210, 10]], float)
    tracks, moved = table(boxes), boxes + np.array([3, 1, 3, 1])
    moved[2] += [1, 1, 1, 1]  # moves itself
    now, expected = seen(moved[:3]), boxes.copy()
    pairs = near_pairs(expected, tracks, now, np.full(3, 9.0), 4.0, 1)
    step.follow_camera(expected, now, pairs)
    assert (expected == boxes + np.array([3, 1, 3, 1])).all()


def after(tracks, m, now):
    """Return the ids of the detections, those given at once, and the births of class 1."""
    births = np.array([0.0, 1.0])
    count, new_id, ids, at_once = step.step(tracks, m, now, births, 10.0, 100, RULES)
    assert new_id == 100 + (ids >= 100).sum() and count == m + new_id - 100
    return ids.tolist(), at_once.tolist(), births[1]


def test_who_is_left_starts_a_track_and_counts_as_new_by_its_probability():
    now = seen([[0, 0, 10, 10], [60, 60, 70, 70]], probability=[1.0, 0.7])
    tracks = table([[0, 0, 10, 10]])
    ids, _, births = after(tracks, 1, now)
    assert ids == [1, 100] and births == pytest.approx(1.7)
    assert tracks.ids[:2].tolist() == [1, 100] and tracks.counts[:2].tolist() == [2, 1]
    # In the first frame nothing is new.
    assert after(table([]), 0, seen([[0, 0, 9, 9]], first=True))[2] == 1.0


def test_likely_ones_choose_first_and_weak_ones_bring_nothing_back():
    box, beside = [0, 0, 10, 10], [3, 0, 13, 10]
    # The weak detection fits exactly; the likely one beside it is asked first.
    now = seen([box, beside], probability=[0.2, 0.9])
    assert after(table([box]), 1, now)[0] == [100, 1]
    # A track of the last frame goes on with a weak one; one that was missed does not.
    assert after(table([box]), 1, seen([box], probability=0.2))[0] == [1]
    late = seen([box], probability=0.2, number=2)
    assert after(table([box]), 1, late)[0] == [100]
    assert after(table([box], probability=0.1), 1, late)[0] == [1]  # unless it is weak itself


def test_who_is_believed_is_said_at_once():
    box = [0, 0, 10, 10]
    # (0.3 + 1 + 0.5) / 3 is 0.6, (0.3 + 1 + 0.49) / 3 is not.
    assert after(table([box]), 1, seen([box], probability=0.5))[1] == [1]
    assert after(table([box]), 1, seen([box], probability=0.49))[1] == [0]
    assert after(table([box], probability=9.0), 1, seen([box], probability=0.29))[1] == [0]
    # The first detection: (0.3 + 0.9) / 2.
    assert after(table([]), 0, seen([box], probability=0.9))[1] == [100]
    assert after(table([]), 0, seen([box], probability=0.89))[1] == [0]


def test_the_same_lines_run_as_python():
    """Compiled and uncompiled give the same identities, to the last bit of a gain."""
    code = (
        "import numpy as np\n"
        "from benchmarks.scenes import crowd\n"
        "from models.streaming import track\nfrom models.tracking import make_tracker\n"
        "found, _ = crowd(12, 12, height=240, width=320)\n"
        "found.scores[:] = np.random.default_rng(0).uniform(0.3, 1, len(found))\n"
        "print(track(found, make_tracker('best'))[0].tolist())\n"
    )
    results = [
        subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "NUMBA_DISABLE_JIT": jit},
            capture_output=True, text=True, check=True,
        ).stdout.splitlines()[-1]
        for jit in ("0", "1")
    ]  # fmt: skip
    assert results[0] == results[1] and len(set(eval(results[0]))) > 8
