"""Cells that divide, by hand: who is whose mother, and what is none."""

import numpy as np
import pytest

from tests.conftest import make_detections
from utils.divisions import divided


def cells(*objects):
    """Return Detections of (frame, id, x, y, w, h)."""
    return make_detections([(f, i, 1, 1.0, (x, y, w, h)) for f, i, x, y, w, h in objects], 60, 90)


def mother(frames, identity=1001):
    return [(f, identity, 30, 20, 16, 12) for f in frames]


def test_one_daughter_keeps_the_identity_until_it_is_looked_for():
    scene = cells(*mother(range(3)), *[(f, 1001, 26, 20, 8, 12) for f in (3, 4)],
                  *[(f, 1002, 42, 20, 8, 12) for f in (3, 4)])  # fmt: skip
    result = divided(scene)
    by_frame = {f: sorted(result.ids[result.frames == f].tolist()) for f in range(5)}
    assert by_frame == {0: [1001], 1: [1001], 2: [1001], 3: [1002, 1003], 4: [1002, 1003]}
    assert result.parents == {1002: 1001, 1003: 1001}


@pytest.mark.parametrize("wait", [0, 1])
def test_two_daughters_begin_where_a_mother_ends(wait):
    later = range(3 + wait, 6)
    scene = cells(*mother(range(3)), *[(f, 1002, 26, 20, 8, 12) for f in later],
                  *[(f, 1003, 42, 20, 8, 12) for f in later])  # fmt: skip
    result = divided(scene)
    assert result.parents == {1002: 1001, 1003: 1001}
    assert result.ids.tolist() == scene.ids.tolist()


def test_steps_of_the_video_count_and_daughters_divide_again():
    first = [*mother(range(0, 30, 10)), *[(f, 1002, 26, 20, 8, 12) for f in range(30, 60, 10)],
             *[(f, 1003, 42, 20, 8, 12) for f in range(30, 60, 10)]]  # fmt: skip
    again = [(60, 1004, 42, 20, 8, 6), (60, 1005, 42, 27, 8, 6)]
    result = divided(cells(*first, *again), step=10)
    assert result.parents == {1002: 1001, 1003: 1001, 1004: 1003, 1005: 1003}
    assert divided(cells(*first, *again)).parents == {}  # ten frames apart are not one


@pytest.mark.parametrize(
    "daughters",
    [
        [(3, 1002, 26, 20, 8, 12), (3, 1003, 70, 20, 8, 12)],  # far away
        [(3, 1002, 26, 20, 16, 12), (3, 1003, 42, 20, 16, 12)],  # as large as she
        [(3, 1002, 26, 20, 3, 3), (3, 1003, 42, 20, 3, 3)],  # far too small
        [(3, 1002, 26, 20, 8, 12)],  # one alone
        [(8, 1002, 26, 20, 8, 12), (8, 1003, 42, 20, 8, 12)],  # too late
        [(3, 1002, 16, 20, 8, 12), (3, 1003, 20, 34, 8, 12)],  # both on one side
    ],
)
def test_what_is_no_division(daughters):
    result = divided(cells(*mother(range(3)), *daughters))
    assert result.parents == {}


def test_another_class_is_no_daughter_and_nobody_is_born_in_the_first_frame():
    objects = [(f, 1001, 1, 1.0, (30, 20, 16, 12)) for f in range(3)]
    objects += [(3, 2001, 2, 1.0, (26, 20, 8, 12)), (3, 2002, 2, 1.0, (42, 20, 8, 12))]
    assert divided(make_detections(objects, 60, 90)).parents == {}
    empty = cells().select(np.zeros(0, int))
    assert divided(empty).parents == {}
