"""The network beside torchvision's, and mistakes in it that the comparison must notice."""

import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import ops

from models.maskrcnn import weights as weights_file
from models.networks import anchors, backbone, heads, losses, nms, roi_align, transform
from models.networks import detector as network_file
from models.networks import rpn as rpn_file
from tests import parity
from tests.conftest import JAX

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def recorded():
    return {kind: parity.load(kind) for kind in parity.KINDS}


def beyond(found, limits):
    """Return what differs by more than its limit."""
    return {name: value for name, value in found.items() if not value <= limits[name]}


@pytest.mark.parametrize("kind", parity.KINDS)
def test_every_stage_is_torchvisions(recorded, kind):
    limits = parity.limits_of(recorded[kind])
    assert not beyond(parity.differences(kind), limits)


def test_every_stage_is_torchvisions_in_jax(recorded):
    pytest.importorskip("jax")
    done = subprocess.run(
        [sys.executable, "-m", "tests.parity", "v1"],
        cwd=ROOT,
        env=os.environ | JAX,
        capture_output=True,
        text=True,
    )
    assert not done.returncode, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert not beyond(found["v1"], parity.limits_of(recorded["v1"]))


# Mistakes: each replaces a part by a wrong one. Inference alone does not see all of them.


def unrounded(monkeypatch):
    monkeypatch.setattr(anchors.np, "round", lambda x: x)


def half_a_cell(monkeypatch):
    plain = anchors.level_anchors

    def moved(grid, padded, sizes, ratios):
        return plain(grid, padded, sizes, ratios) + np.float32(padded[0] // grid[0] / 2)

    monkeypatch.setattr(rpn_file, "level_anchors", moved)


def ratios_turned(monkeypatch):
    plain = anchors.base_anchors
    monkeypatch.setattr(anchors, "base_anchors", lambda s, r: plain(s, [1 / x for x in r]))


def one_weight_for_the_box_coder(monkeypatch):
    for module in (network_file, losses):
        monkeypatch.setattr(module, "HEAD_WEIGHTS", (1.0, 1.0, 1.0, 1.0))


def no_clipping(monkeypatch):
    monkeypatch.setattr(rpn_file, "clip", lambda b, s: b)


def levels_suppress_each_other(monkeypatch):
    plain = rpn_file.best_apart
    monkeypatch.setattr(
        rpn_file, "best_apart", lambda b, s, c, t, m: plain(b, s, ops.zeros_like(c), t, m)
    )


def classes_suppress_each_other(monkeypatch):
    plain = nms.best_apart
    monkeypatch.setattr(
        network_file, "best_apart", lambda b, s, c, t, m: plain(b, s, ops.ones_like(c), t, m)
    )


def neighbours_in_score_stay(monkeypatch):
    monkeypatch.setattr(nms, "_kept", lambda left, overlapped: left)


def canonical_level_is_off(monkeypatch):
    monkeypatch.setattr(roi_align, "CANONICAL_SIDE", 112.0)


def half_a_pixel_in_roi_align(monkeypatch):
    plain = roi_align._corners
    monkeypatch.setattr(
        roi_align, "_corners", lambda a, b, n, bins: plain(a - 0.5, b - 0.5, n, bins)
    )


def one_sample_a_bin(monkeypatch):
    monkeypatch.setattr(roi_align, "SAMPLES", 1)


def dense_layer_in_torchs_order(monkeypatch):
    plain = weights_file._laid_out

    def laid_out(value, layer, variable, size):
        if layer == "box_dense_0" and variable == "kernel":
            return value.T
        return plain(value, layer, variable, size)

    monkeypatch.setattr(weights_file, "_laid_out", laid_out)


def kernels_turned(monkeypatch):
    plain = weights_file._laid_out

    def laid_out(value, layer, variable, size):
        found = plain(value, layer, variable, size)
        return (
            found.transpose(1, 0, 2, 3)
            if layer.startswith("fpn_layer") and found.ndim == 4
            else found
        )

    monkeypatch.setattr(weights_file, "_laid_out", laid_out)


def keras_padding(monkeypatch):
    plain = keras.layers.Conv2D

    class Same(plain):
        def __init__(self, *args, **kwargs):
            if kwargs.get("strides", 1) > 1:
                kwargs["padding"] = "same"
            super().__init__(*args, **kwargs)

    monkeypatch.setattr(backbone.layers, "Conv2D", Same)
    pad = keras.layers.ZeroPadding2D
    monkeypatch.setattr(
        backbone.layers, "ZeroPadding2D", lambda *a, **k: (lambda x: x) if k else pad(*a)
    )


def smooth_upsampling(monkeypatch):
    def call(self, inputs):
        coarse, fine = inputs
        return ops.image.resize(coarse, fine.shape[1:3], interpolation="bilinear")

    monkeypatch.setattr(backbone.UpsampleLike, "call", call)


def fifth_level_takes_the_next_cell(monkeypatch):
    plain = backbone.Subsample.call

    def call(self, x):
        return ops.roll(plain(self, x), 1, axis=1) if self.name == "fpn_pool" else plain(self, x)

    monkeypatch.setattr(backbone.Subsample, "call", call)


def other_epsilon(monkeypatch):
    plain = keras.layers.BatchNormalization

    def normal(*args, **kwargs):
        return plain(*args, **{**kwargs, "epsilon": kwargs["epsilon"] + 1e-3})

    monkeypatch.setattr(backbone.layers, "BatchNormalization", normal)


def no_border_around_masks(monkeypatch):
    plain = transform._bilinear
    monkeypatch.setattr(
        transform,
        "_bilinear",
        lambda image, *a: plain(image[1:-1, 1:-1] if image.ndim == 2 else image, *a),
    )


def masks_a_pixel_short(monkeypatch):
    plain = transform._bilinear

    def short(image, h, w, *rest):
        less = int(image.ndim == 2)
        return plain(image, max(1, h - less), max(1, w - less), *rest)

    monkeypatch.setattr(transform, "_bilinear", short)


def masks_of_the_next_class(monkeypatch):
    plain = network_file.Detector.mask_outputs
    monkeypatch.setattr(
        network_file.Detector, "mask_outputs", lambda *a, **k: ops.roll(plain(*a, **k), 1, axis=-1)
    )


def corners_are_centres_in_resizing(monkeypatch):
    def neighbours(old, new, first, last):
        at = np.arange(first, max(first, last)) * ((old - 1) / max(new - 1, 1))
        low = np.minimum(at.astype(int), old - 1)
        return low, np.minimum(low + 1, old - 1), (at - low).astype(np.float32)

    monkeypatch.setattr(transform, "_neighbours", neighbours)


def unnormalised_pictures(monkeypatch):
    plain = transform.resize
    monkeypatch.setattr(transform, "resize", lambda i, c: plain(i, c) + np.float32(1e-3))


def detections_with_background(monkeypatch):
    plain = network_file.ops.softmax
    monkeypatch.setattr(network_file.ops, "softmax", lambda x, axis: plain(x[..., ::-1], axis=axis))


SEEN_BY_INFERENCE = [
    half_a_cell, ratios_turned, one_weight_for_the_box_coder, no_clipping,
    levels_suppress_each_other, classes_suppress_each_other, neighbours_in_score_stay,
    canonical_level_is_off, half_a_pixel_in_roi_align, one_sample_a_bin,
    dense_layer_in_torchs_order, kernels_turned, keras_padding, smooth_upsampling,
    fifth_level_takes_the_next_cell, other_epsilon, no_border_around_masks, masks_a_pixel_short,
    masks_of_the_next_class, corners_are_centres_in_resizing, unnormalised_pictures,
    detections_with_background,
]  # fmt: skip


@pytest.mark.parametrize("mistake", SEEN_BY_INFERENCE, ids=lambda f: f.__name__)
def test_a_mistake_in_the_network_is_noticed(recorded, monkeypatch, mistake):
    arrays = recorded["v1"]
    mistake(monkeypatch)
    found = parity.inference(parity.network_for("v1", arrays), arrays)
    assert beyond(found, parity.LIMITS)


def stride_in_the_first_convolution(monkeypatch):
    plain = backbone.conv

    def conv(x, filters, size, name, stride=1, *more, **kinds):
        if name.endswith("_0_conv1") and name[5] != "1":
            stride = 2
        if name.endswith("_0_conv2"):
            stride = 1
        return plain(x, filters, size, name, stride, *more, **kinds)

    monkeypatch.setattr(backbone, "conv", conv)


def heads_without_normalisation(monkeypatch):
    monkeypatch.setattr(
        heads, "normalised", lambda x, *a, **k: backbone.normalised(x, *a, **k) * 1.01
    )


@pytest.mark.parametrize("mistake", [stride_in_the_first_convolution, heads_without_normalisation])
def test_a_mistake_in_version_2_is_noticed(recorded, monkeypatch, mistake):
    arrays = recorded["v2"]
    mistake(monkeypatch)
    found = parity.inference(parity.network_for("v2", arrays), arrays)
    assert beyond(found, parity.LIMITS)


# Mistakes that only the losses show.


def straight_from_one(monkeypatch):
    monkeypatch.setattr(losses, "BETA", 1.0)


def low_matches_are_left(monkeypatch):
    plain = losses.match
    monkeypatch.setattr(losses, "match", lambda b, t, r, p, n, every: plain(b, t, r, p, n, False))


def neither_is_background(monkeypatch):
    plain = losses.match

    def match(*args):
        places, kind = plain(*args)
        return places, ops.maximum(kind, 0)

    monkeypatch.setattr(losses, "match", match)


def other_objects(monkeypatch):
    plain = losses.match
    monkeypatch.setattr(
        losses, "match", lambda b, t, r, p, n, every: plain(b, t, r, p + 0.1, max(n, 0.3), every)
    )


def true_boxes_are_no_proposals(monkeypatch):
    plain = losses.choose_boxes

    def choose(proposals, valid, truth, labels, *rest):
        chosen = plain(proposals, valid, truth, labels, *rest)
        return {**chosen, "boxes": chosen["boxes"] + 0.25}

    monkeypatch.setattr(network_file.losses, "choose_boxes", choose)


def masks_by_two_samples(monkeypatch):
    plain = roi_align.ops.ceil
    monkeypatch.setattr(roi_align.ops, "ceil", lambda x: ops.ones_like(plain(x)))


def masks_of_the_padded_picture(monkeypatch):
    plain = losses.crop_masks
    monkeypatch.setattr(
        losses,
        "crop_masks",
        lambda m, p, b, s, bins: plain(m, p, b, ops.zeros_like(s) + m.shape[2], bins),
    )


def boxes_over_objects_alone(monkeypatch):
    plain = losses.rpn_losses

    def rpn_losses(*args):
        score, box = plain(*args)
        return score, box * 2

    monkeypatch.setattr(network_file.losses, "rpn_losses", rpn_losses)


def masks_over_background_too(monkeypatch):
    plain = losses.mask_loss
    monkeypatch.setattr(
        network_file.losses,
        "mask_loss",
        lambda logits, labels, *rest: plain(logits, ops.maximum(labels, 1), *rest),
    )


SEEN_BY_LOSSES = [
    unrounded, straight_from_one, low_matches_are_left, neither_is_background, other_objects,
    true_boxes_are_no_proposals, masks_by_two_samples, masks_of_the_padded_picture,
    boxes_over_objects_alone, masks_over_background_too,
]  # fmt: skip


@pytest.mark.parametrize("mistake", SEEN_BY_LOSSES, ids=lambda f: f.__name__)
def test_a_mistake_in_the_losses_is_noticed(recorded, monkeypatch, mistake):
    arrays = recorded["v1"]
    mistake(monkeypatch)
    network = parity.network_for("v1", arrays, **parity.EVERYTHING)
    assert beyond(parity.training(network, arrays, gradients=False), parity.LIMITS)
