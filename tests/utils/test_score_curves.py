"""P(object | score): fitted by hand-worked counts, shrunk, kept in a file, refused where broken."""

import json

import numpy as np
import pytest

from tests.conftest import make_detections
from utils.score_curves import (
    Observations,
    ScoreCurves,
    brier,
    cross_validated,
    fit,
    observe,
)


def seen(*groups):
    """Return Observations of (score, detections, objects) groups."""
    scores = np.concatenate([np.full(n, s) for s, n, _ in groups])
    objects = np.concatenate([np.arange(n) < hits for _, n, hits in groups])
    return Observations(scores, objects)


def test_a_fit_by_hand():
    # Bins around 0.125 and 0.875: (1 + 4 * 0.125) / 8 and (3 + 4 * 0.875) / 8. The empty bins
    # beside them, around 0.175 and 0.825, would make the curve fall: each is pooled with its own.
    curve = fit([seen((0.125, 4, 1), (0.875, 4, 3))], shrinkage=4, most=np.inf)
    expected = [(1.5 + 4 * 0.175) / 12, (6.5 + 4 * 0.825) / 12]
    assert curve(np.array([0.125, 0.875])) == pytest.approx(expected)
    assert curve.counts.sum() == 8 and curve.hits.sum() == 4
    # Between bins without a detection it is the score itself.
    assert curve(np.array([0.525])) == pytest.approx([0.525])


def test_a_sequence_counts_for_no_more_than_its_most():
    # 300 of two sequences each weigh 75 at the most of 100: (300 * 0.525 + 75) / 450.
    curve = fit([seen((0.525, 300, 0)), seen((0.525, 300, 300))], shrinkage=300, most=100)
    assert curve(np.array([0.525])) == pytest.approx([(300 * 0.525 + 75) / 450])
    assert curve.counts.sum() == 600 and curve.hits.sum() == 300


def test_a_curve_never_falls():
    # 0.325 is right more often than 0.375: both get what they have together.
    curve = fit([seen((0.325, 10, 9), (0.375, 10, 1))], shrinkage=0)
    assert curve(np.array([0.325, 0.375])) == pytest.approx([0.5, 0.5])
    assert (np.diff(curve.probabilities) >= 0).all()


def test_few_frames_move_a_curve_little_and_many_move_it():
    few, one, many = (fit([seen((0.525, n, 0))] * k) for n, k in ((10, 1), (10_000, 1), (500, 50)))
    at = np.array([0.525])
    assert 0.525 > few(at)[0] > 0.47 and few(at)[0] > one(at)[0] > 0.35 and many(at)[0] < 0.15
    nothing = fit([])
    grid = np.linspace(0.03, 0.97, 50)
    assert nothing(grid) == pytest.approx(grid)


def test_a_class_without_a_curve_keeps_its_scores():
    curves = ScoreCurves({"car": fit([seen((0.525, 10**6, 0))], most=np.inf)})
    names = {1: "car", 2: "person"}.get
    classes, scores = np.array([1, 2]), np.array([0.525, 0.525], np.float32)
    got = curves.probability(classes, scores, names)
    assert got[0] < 0.01 and got[1] == scores[1] and got.dtype == np.float32


def test_what_lies_in_ignore_regions_or_unannotated_frames_does_not_count():
    truth = make_detections([(0, 1, 1, 1.0, (0, 0, 10, 10)), (0, 9, 10, 1.0, (30, 0, 20, 20))])
    found = make_detections(
        [
            (0, 0, 1, 0.9, (0, 0, 10, 9)),  # the object
            (0, 0, 1, 0.8, (0, 0, 9, 10)),  # the object once more: not assigned
            (0, 0, 1, 0.7, (2, 25, 10, 10)),  # nothing
            (0, 0, 1, 0.6, (32, 2, 10, 10)),  # in the ignore region
            (0, 0, 2, 0.5, (0, 0, 10, 10)),  # another class
            (1, 0, 1, 0.4, (0, 0, 10, 10)),  # a frame without truth
            (0, 0, 1, 0.3, (2, 25, 10, 10)),  # takes no part
        ]
    )
    by_class = observe(found, truth, found.scores != np.float32(0.3), 10)
    assert set(by_class) == {1, 2}
    rows = sorted(zip(by_class[1].scores.round(2).tolist(), by_class[1].objects, strict=True))
    assert rows == [(0.7, False), (0.8, False), (0.9, True)]
    assert by_class[2].objects.tolist() == [False]
    # An IoU of just a half is a match, as in the benchmark.
    half = make_detections([(0, 0, 1, 0.9, (0, 0, 10, 5))])
    assert observe(half, truth, np.ones(1, bool), 10)[1].objects.all()


def test_each_sequence_is_left_out_of_its_own_fit():
    assert cross_validated([seen((0.5, 5, 2))]) is None
    # Alike sequences: the curve is better than scores that promise too much.
    alike = [seen((0.925, 2000, 200)) for _ in range(40)]
    fitted, plain = cross_validated(alike)
    assert fitted < 0.2 < plain == pytest.approx(0.9 * 0.925**2 + 0.1 * 0.075**2)
    # One that is not like the other: worse than the scores.
    fitted, plain = cross_validated([seen((0.925, 9000, 0)), seen((0.925, 900, 900))])
    assert brier(np.zeros(0), np.zeros(0)) == 0
    assert fitted > 0.2


def test_a_file_holds_the_same_curves(tmp_path):
    curves = ScoreCurves({"car": fit([seen((0.425, 30, 9))])}, {"annotated_frames": {"a": 3}})
    curves.write(tmp_path / "scores.json")
    back = ScoreCurves.read(tmp_path / "scores.json")
    grid = np.linspace(0, 1, 101)
    assert back.curves["car"](grid) == pytest.approx(curves.curves["car"](grid), abs=1e-4)
    assert back.facts == {"annotated_frames": {"a": 3}} and back.curves["car"].hits.sum() == 9


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "must be a file of fit_scores.py, got no JSON"),
        ("[]", "must be a file of fit_scores.py, got other JSON"),
        ('{"kind": "USC-MOTS score curves"}', "must hold a curve, got none"),
        ({"car": 3}, "car: must hold numbers under scores, probabilities, counts, objects, got 3"),
        ({"car": dict(scores=[0.5, 0.2], probabilities=[0, 1])}, "scores must ascend"),
        ({"car": dict(scores=[0.2, 0.5], probabilities=[1, 0])}, "probabilities rise"),
        ({"car": dict(scores=[0.2], probabilities=[1.5])}, r"must be in \[0, 1\], got \[1.5\]"),
        ({"car": dict(scores=[], probabilities=[])}, "scores must ascend"),
    ],
)
def test_a_broken_file_is_refused_in_one_line(tmp_path, content, message):
    if isinstance(content, dict):
        for row in content.values():
            if isinstance(row, dict):
                row |= {"counts": row["scores"], "objects": row["scores"]}
        content = json.dumps({"kind": "USC-MOTS score curves", "classes": content})
    (tmp_path / "scores.json").write_text(content)
    with pytest.raises(ValueError, match=message) as caught:
        ScoreCurves.read(tmp_path / "scores.json")
    assert "\n" not in str(caught.value) and "scores.json" in str(caught.value)
    with pytest.raises(ValueError, match=r"nowhere.json: .*got No such file"):
        ScoreCurves.read(tmp_path / "nowhere.json")
