import math

import numpy as np
import pytest

from utils.cli import import_keras

keras = import_keras()
from models.usc_mots.losses import UncertaintyWeighting  # noqa: E402  (after Keras is muted)

# One object with M = 2, D = 1: mask errors 0.5, 0, 0, 0.1 (squares 0.25 + 0.01 = 0.26), box errors
# 0.1, 0.2, 0, 0 (squares 0.05).
MASK = np.array([1.0, 0.0, 1.0, 0.0]).reshape(1, 2, 2, 1)
MASK_OUT = np.array([0.5, 0.0, 1.0, 0.1]).reshape(1, 2, 2, 1)
BOX, BOX_OUT = np.array([[0.1, 0.2, 0.3, 0.4]]), np.array([[0.2, 0.4, 0.3, 0.4]])
S_M, S_B = 1 / 4, 1 / 4  # log sigma^2 at the start: 1 / M^2 and 1 / N


def call(**arguments):
    layer = UncertaintyWeighting(2, **arguments)
    values = layer(*(keras.ops.cast(v, "float32") for v in (MASK, MASK_OUT, BOX, BOX_OUT)))
    return [float(v) for v in values]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        # Eq. 3: E / (2 sigma^2) + log sigma, sums
        ({}, 0.26 / 2 * math.exp(-S_M) + 0.05 / 2 * math.exp(-S_B) + (S_M + S_B) / 2),
        # means: 0.26 / 4 and 0.05 / 4, penalty s
        (
            {"reduction": "mean"},
            0.065 / 2 * math.exp(-S_M) + 0.0125 / 2 * math.exp(-S_B) + S_M + S_B,
        ),
        # sums, box times 196, penalty s
        (
            {"reduction": "scaled_sum"},
            0.26 / 2 * math.exp(-S_M) + 196 * 0.05 / 2 * math.exp(-S_B) + S_M + S_B,
        ),
        # sigma = 1 for both
        ({"loss": "equal"}, 0.13 + 0.025),
    ],
)
def test_loss_by_hand(arguments, expected):
    total, mask_mse, box_mse = call(**arguments)
    assert total == pytest.approx(expected, rel=1e-5)
    assert (mask_mse, box_mse) == (pytest.approx(0.065), pytest.approx(0.0125))


def test_sigmas_start_as_in_the_paper_and_equal_weights_are_fixed():
    learned, fixed = UncertaintyWeighting(128), UncertaintyWeighting(128, loss="equal")
    assert [float(s) for s in learned.log_variances] == pytest.approx([1 / 128**2, 1 / 4])
    assert len(learned.trainable_weights) == 2 and not fixed.trainable_weights
    assert [float(s) for s in fixed.log_variances] == [0, 0]


def test_config_round_trip_and_bad_arguments():
    layer = UncertaintyWeighting(28, reduction="scaled_sum", box_factor=3)
    again = UncertaintyWeighting.from_config(layer.get_config())
    assert (again.reduction, again.box_factor, again.mask_size) == ("scaled_sum", 3, 28)
    with pytest.raises(ValueError, match="Received: 'median'"):
        UncertaintyWeighting(28, reduction="median")
    with pytest.raises(ValueError, match="Received: 'half'"):
        UncertaintyWeighting(28, loss="half")


def test_a_branch_alone_has_its_own_term_only():
    layer = UncertaintyWeighting(2, loss="equal")
    mask, mask_out, box, box_out = (
        keras.ops.cast(v, "float32") for v in (MASK, MASK_OUT, BOX, BOX_OUT)
    )
    assert [float(v) for v in layer(mask, mask_out, box, None)] == pytest.approx([0.13, 0.065, 0])
    assert [float(v) for v in layer(mask, None, box, box_out)] == pytest.approx([0.025, 0, 0.0125])
