"""Boxes on their way into the head."""

import numpy as np
import pytest

from models.usc_mots.fusing import check_inputs, gained

CONFIG = {"location_gain": 2.0, "latent_scale": 3.0, "location_centre": None,
          "box_mean": (0.5, 0.5, 0.1, 0.1), "patch_size": 28, "channels": 1}  # fmt: skip


def test_the_gain_moves_boxes_off_their_centre():
    boxes = np.array([[0.75, 0.5, 0.1, 0.3]], np.float32)
    moved, scale = gained(CONFIG, boxes)
    assert moved == pytest.approx(np.array([[1.0, 0.5, 0.1, 0.5]])) and scale == 3.0
    moved, scale = gained(CONFIG, boxes, 0.0, 1.5, (0.1, 0.2, 0.3, 0.4))
    assert moved == pytest.approx(np.array([[0.1, 0.2, 0.3, 0.4]])) and scale == 1.5
    moved, _ = gained({**CONFIG, "location_centre": (0.0, 0.0, 0.0, 0.0)}, boxes)
    assert moved == pytest.approx(2 * boxes)


@pytest.mark.parametrize(
    ("patches", "boxes"),
    [
        ((3, 28, 28, 1), (2, 4)),
        ((3, 28, 28, 3), (3, 4)),
        ((3, 28, 27, 1), (3, 4)),
        ((3, 28, 28, 1), (3, 5)),
    ],
)
def test_shapes_that_do_not_fit_are_refused(patches, boxes):
    check_inputs(CONFIG, np.zeros((3, 28, 28, 1)), np.zeros((3, 4)))
    with pytest.raises(ValueError, match=r"patches and boxes must have shapes \(3, 28, 28, 1\)"):
        check_inputs(CONFIG, np.zeros(patches), np.zeros(boxes))
