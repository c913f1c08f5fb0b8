"""Settings of frame networks, of detectors among them, and how long they are trained."""

from dataclasses import replace

import pytest

from models.networks.config import FrameConfig
from models.networks.detector_config import DetectorConfig
from models.networks.plan import STRIDES, TINY_DETECTOR, Plan, octaves


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("depth", 34, 33),
        ("norm", "batch", "layer"),
        ("classes", ("a", "b"), ()),
        ("numbers", (7,), (7, 8)),
        ("frozen_stages", 5, 6),
        ("width", 1, 0),
        ("min_size", 1, 0),
        ("divisor", 1, 0),
    ],
)
def test_settings_of_all_networks(name, good, bad):
    assert getattr(FrameConfig(**{name: good}), name) == good
    with pytest.raises(ValueError, match=f"{name} must be"):
        FrameConfig(**{name: bad})


def test_numbers_of_classes_and_the_way_through_json():
    config = FrameConfig(classes=("a", "b"))
    assert config.class_numbers == (1, 2)
    assert replace(config, numbers=(7, 3)).class_numbers == (7, 3)
    listed = {k: list(v) if isinstance(v, tuple) else v for k, v in config.as_dict().items()}
    assert FrameConfig.from_dict(listed) == config
    with pytest.raises(ValueError, match="settings of the network must be known, got colour"):
        FrameConfig.from_dict({"colour": 3})


def test_given_weights_decide_shapes_and_sizes():
    given = DetectorConfig(depth=18, width=16, channels=48, min_size=256, nms=0.4)
    mine = DetectorConfig(nms=0.6)
    like = mine.like(given)
    assert (like.depth, like.width, like.channels, like.min_size) == (18, 16, 48, 256)
    assert like.nms == 0.6
    like.check_like(given)
    with pytest.raises(
        ValueError, match="depth must be 18, as in the weights to start with, got 50"
    ):
        mine.check_like(given)
    with pytest.raises(ValueError, match="channels must be 48"):
        replace(like, channels=64).check_like(given)
    # Of another kind of network only the ResNet is shared.
    plain = FrameConfig(depth=18, width=16)
    replace(like, channels=64).check_like(plain)
    assert mine.like(plain).channels == mine.channels


@pytest.mark.parametrize(
    ("name", "value"),
    [("batch", 0), ("steps", 0), ("epochs", 0), ("learning_rate", 0.0), ("gamma", 0.9),
     ("clip_norm", 0.0), ("evaluate_every", 0), ("evaluate_frames", 0)],
)  # fmt: skip
def test_plans_without_a_meaning(name, value):
    least = {"learning_rate": 1e-9, "gamma": 1.0, "clip_norm": 1e-9}.get(name, 1)
    assert getattr(Plan(**{name: least}), name) == least
    with pytest.raises(ValueError, match=f"{name} must be"):
        Plan(**{name: value})


@pytest.mark.parametrize(
    ("name", "bad"),
    [
        ("anchor_sizes", ((8,),)),
        ("nms", 1.1),
        ("nms", -0.1),
        ("box_samples", 0),
        ("min_score", 1.5),
    ],
)
def test_detectors_without_a_meaning(name, bad):
    with pytest.raises(ValueError, match=f"{name} must be"):
        DetectorConfig(**{name: bad})
    assert DetectorConfig(nms=1.0, min_score=0.0).nms == 1.0


def test_anchors_of_the_tiny_profile_are_half_an_octave_apart():
    sizes = octaves(STRIDES, 4)
    assert [level[0] for level in sizes] == [16, 32, 64, 128, 256]
    assert sizes[1] == pytest.approx((32, 32 * 2**0.5))
    assert DetectorConfig(**TINY_DETECTOR).anchor_sizes == sizes
