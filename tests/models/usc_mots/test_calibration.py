"""Calibration keeps the best of what it tries, and leaves the model as it is."""

from types import SimpleNamespace

import numpy as np
import pytest

from models.usc_mots import calibration
from models.usc_mots.calibration import associate, calibrate
from models.usc_mots.config import UscMotsConfig
from tests.conftest import make_detections

MASKS = UscMotsConfig(min_track_length={0: 1}, min_score=0.0)
GATED = UscMotsConfig(
    gate="embedding", max_distance=2.0, tau=2, min_track_length={0: 1}, min_score=0.0
)


class Model:
    """Embeds the box, scaled by gain and unit, beside a useless feature of size 1."""

    def __init__(self):
        self.config = {"location_gain": 7.0, "latent_scale": 7.0}

    def encode_masks(self, patches):
        return patches

    def fuse(self, features, boxes, location_gain, latent_scale, location_centre=None):
        centre = 0 if location_centre is None else np.asarray(location_centre)
        return latent_scale * np.concatenate([features, location_gain * (boxes - centre)], axis=1)


def sequence(noise, width=400):
    """Return two objects side by side that touch, with features that mislead by `noise`."""
    objects = [(f, i + 1, 1, 1.0, (10 + 2 * f + 7 * i, 5, 8, 8)) for f in range(8) for i in (0, 1)]
    found = make_detections(objects, width=width)
    rng = np.random.default_rng(0)
    features = rng.normal(0, noise, (len(found), 2))
    return SimpleNamespace(detections=found, boxes=found.boxes_xywh[:, :1], patches=features)


def test_the_gain_with_the_best_association_is_kept_and_the_model_is_not_changed():
    model, made = Model(), sequence(noise=20)
    result = calibrate(model, [made], MASKS)
    scores = {}
    for gain in calibration.LOCATION_GAINS:
        z = model.fuse(made.patches, made.boxes, gain, 1.0)
        scores[gain] = associate([made], [z], MASKS)["car"]
    assert min(scores.values()) < max(scores.values())  # the choice matters
    assert result["association"] == max(scores.values()) == scores[result["location_gain"]]
    assert result["association_car"] == result["association"] and result["latent_scale"] == 1.0
    assert model.config == {"location_gain": 7.0, "latent_scale": 7.0}
    # Of equals the first is kept; a given gain is not searched.
    first = next(g for g in calibration.LOCATION_GAINS if scores[g] == max(scores.values()))
    assert result["location_gain"] == first
    assert calibrate(model, [made], MASKS, gain=3.0)["location_gain"] == 3.0


def test_the_unit_lets_through_what_an_object_does_from_frame_to_frame():
    model, made = Model(), sequence(noise=0)
    result = calibrate(model, [made], GATED)
    # Every step is 2 px: the limit of 2.0 must not be below it.
    step = 2 * result["location_gain"] * result["latent_scale"]
    assert step <= GATED.max_distance + 1e-9
    assert result["location_gain"] == 1.0
    thorough = calibrate(model, [made], GATED, thorough=True)
    assert thorough["association"] >= result["association"]


def test_association_counts_switches_and_misses_by_class():
    objects = [(f, 1, 1, 1.0, (5 + f, 5, 8, 8)) for f in range(6)]
    objects += [(f, 2, 2, 1.0, (5 + 30 * (f % 2), 25, 8, 8)) for f in range(6)]  # jumps about
    found = make_detections(objects)
    made = SimpleNamespace(detections=found)
    scores = associate([made], [found.boxes_xywh], MASKS)
    assert scores["car"] == 1.0 and scores["pedestrian"] < 1.0
    gated = associate([made], [found.boxes_xywh / 2], GATED)
    # Where embeddings gate, the mean of accuracy and IDF1. The pedestrian's places alternate: two
    # tracks of three, 5 switches of 6 and IDF1 6 / 12.
    assert gated["car"] == 1.0
    assert gated["pedestrian"] == pytest.approx((1 - 5 / 6 + 0.5) / 2)


def test_steps_are_from_one_detection_of_an_object_to_its_next():
    found = make_detections([(f, i, 1, 1.0, (5, 5, 8, 8)) for f in (0, 1) for i in (1, 2)])
    made = SimpleNamespace(detections=found)
    steps = calibration._steps([made], [np.array([[0.0], [10.0], [2.0], [13.0]])])
    assert steps.tolist() == [2, 3]


def test_a_thorough_search_keeps_what_was_best_before(monkeypatch):
    calls = []

    def associate(sequences, embeddings, config):
        calls.append(1)
        return {"car": 1.0 if len(calls) == 1 else 0.5}

    monkeypatch.setattr(calibration, "associate", associate)
    result = calibrate(Model(), [sequence(noise=0)], GATED, thorough=True)
    assert result["association"] == 1.0 and len(calls) > 24
    assert result["location_gain"] == calibration.THOROUGH_GAINS[0]
