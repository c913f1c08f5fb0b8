"""Scores on other scales: told apart by their range."""

import numpy as np
import pytest

from utils.score_scales import ScoreError, to_unit


@pytest.mark.parametrize(
    ("scores", "expected", "note"),
    [
        ([0, 1, 0.25], [0, 1, 0.25], None),
        ([0.5, 100], [0.005, 1], "scores are from 0.5 to 100: taken as percent"),
        (
            [31, 0.2, 0.3, 0.4],
            [0.31, 0.002, 0.003, 0.004],
            "scores are from 0.2 to 31: taken as percent",
        ),
        ([30, 0.2], [1, 0.54983], "scores are from 0.2 to 30: taken as logits"),
        ([-30, 0], [0, 0.5], "scores are from -30 to 0: taken as logits"),
    ],
)
def test_scales_by_their_range(scores, expected, note):
    unit, said = to_unit(np.array(scores, float))
    assert unit == pytest.approx(expected, abs=1e-5) and said == note


@pytest.mark.parametrize(
    ("scores", "row"),
    [([0.1, 0.2, 0.3, 0.4, 90], 4), ([101, 0], 0), ([-31, 0], 0), ([-1, 50], 0)],
)
def test_scores_that_no_scale_explains_are_refused(scores, row):
    with pytest.raises(ScoreError, match=r"score must be in \[0, 1\], or all of them percent"):
        to_unit(np.array(scores, float))
    with pytest.raises(ScoreError) as caught:
        to_unit(np.array(scores, float), other=False)
    assert caught.value.row == row and caught.value.value == scores[row]
    assert caught.value.rule == "score must be in [0, 1]"
