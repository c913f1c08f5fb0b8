"""MOTSNet: pooling under masks, embeddings of a class on the unit sphere, its loss."""

from dataclasses import replace

import keras
import numpy as np
import pytest

from models.frame_networks import NETWORKS
from models.motsnet.config import MotsNetNetworkConfig
from models.motsnet.network import MOTSNet, mask_pool, often
from models.networks.frame_network import variables_of
from models.networks.inference import NetworkSegmenter
from models.networks.roi_align import align
from models.networks.starting import start_with
from models.networks.triplets import batch_hard
from tests.models.trackrcnn.test_network import batch, brute_force, frames_of, numpy

SMALL = MotsNetNetworkConfig(
    depth=18, width=4, channels=8, norm="batch", box_units=8, mask_convs=1, mask_channels=8,
    anchor_sizes=((8,), (16,), (32,), (64,), (128,)), min_size=64, max_size=96,
    proposals_before=(40, 20), proposals_after=(30, 12), box_samples=16, min_score=0.0,
    detections=6, vector_size=5, tracking_units=7, classes=("car", "pedestrian"),
)  # fmt: skip


@pytest.fixture(scope="module")
def network():
    keras.utils.set_random_seed(4)
    return MOTSNet(SMALL)


def test_pooling_takes_the_mean_under_the_mask_and_of_all_where_there_is_none():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(2, 3, 4, 4, 5)).astype(np.float32)
    inside = rng.random((2, 3, 4, 4)) < 0.5
    inside[0, 0], inside[1, 2] = True, False
    found = numpy(mask_pool(features, inside))
    whole = features.mean(axis=(2, 3))
    assert np.allclose(found[0, 0], whole[0, 0], atol=1e-6)
    assert np.allclose(found[1, 2], whole[1, 2], atol=1e-6)
    assert np.allclose(found[0, 1], features[0, 1][inside[0, 1]].mean(axis=0), atol=1e-6)


def test_the_loss_compares_objects_of_one_class_alone():
    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(14, 3)).astype(np.float32)
    tracks = rng.integers(0, 6, 14).astype(np.int32)
    classes = tracks % 2 + 1
    apart = [brute_force(vectors[classes == c], tracks[classes == c], 0.2) for c in (1, 2)]
    counts = [np.sum(tracks[classes == c] > 0) for c in (1, 2)]
    wanted = np.dot(apart, counts) / sum(counts)
    found = float(batch_hard(vectors, tracks, 0.2, classes.astype(np.int32)))
    assert np.isclose(found, wanted, atol=1e-5)
    assert not np.isclose(found, brute_force(vectors, tracks, 0.2), atol=1e-3)


def test_tracks_of_half_of_the_frames_or_fewer_can_be_left_out():
    tracks = np.int32([[1, 2, 0], [1, 2, 3], [1, 0, 0], [4, 1, 0]])
    assert numpy(often(tracks)).tolist() == [[1, 0, 0], [1, 0, 0], [1, 0, 0], [0, 1, 0]]
    few = batch(SMALL)
    few["tracks"] = np.int32([[1, 2], [1, 2], [3, 4], [5, 6]])
    heeding = MOTSNet(replace(SMALL, mined=True))
    assert float(heeding(few, training=True)["association"]) == 0
    assert float(MOTSNet(SMALL)(few, training=True)["association"]) > 0


def test_embeddings_are_of_their_class_and_of_length_one(network):
    rng = np.random.default_rng(2)
    levels = [rng.normal(size=(1, s, s, 8)).astype(np.float32) for s in (16, 8, 4, 2, 1)]
    boxes = np.float32([[[4, 4, 40, 40]] * 3])
    sizes = np.float32([[64, 64]])
    inside = rng.random((1, 3, 14, 14)) < 0.5
    inside[:, 2] = inside[:, 0]
    labels = np.int32([[1, 1, 2]])
    found = numpy(network.embeddings(levels, boxes, sizes, inside, labels))[0]
    assert np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    assert not np.allclose(found[0], found[1], atol=1e-3)  # another mask
    assert not np.allclose(found[0], found[2], atol=1e-3)  # another class


def test_detections_carry_the_embeddings_of_their_own_masks(network):
    parts = [d for _, _, d in NetworkSegmenter(network, 2).stream(frames_of(3))]
    assert all(d.vectors.shape == (len(d), 5) for d in parts)
    every = np.concatenate([d.vectors for d in parts])
    assert len(every) and np.allclose(np.linalg.norm(every, axis=1), 1, atol=1e-5)


def test_lambda_weighs_all_but_the_tracking_heads_loss(network):
    terms = {name: float(v) for name, v in network(batch(SMALL), training=True).items()}
    assert set(terms) == {"rpn_score", "rpn_box", "class", "box", "mask", "association"}
    rest = sum(terms.values()) - terms["association"]
    weighed = MOTSNet(replace(SMALL, loss_factor=0.1))
    assert np.isclose(weighed.total(terms), terms["association"] + 0.1 * rest)


def test_training_pools_under_true_masks(network):
    inputs = batch(SMALL)
    other = {**inputs, "masks": inputs["masks"].copy()}
    other["masks"][:, 0, 8:19] = 0
    found = []
    for given in (inputs, inputs, other):
        fresh = MOTSNet(SMALL)
        fresh.set_weights(network.get_weights())
        found.append(float(fresh(given, training=True)["association"]))
    assert found[0] == found[1] and abs(found[2] - found[0]) > 1e-3


def test_a_batch_without_objects_teaches_the_normalisation_nothing():
    empty = batch(SMALL)
    empty["labels"][:] = 0
    empty["masks"][:] = 0
    own = MOTSNet(replace(SMALL, head_norm=True))
    layer = own.tracking_head.get_layer("tracking_bn")
    layer.moving_mean.assign(np.full(7, 3.0))
    own(empty, training=True)
    assert np.allclose(numpy(layer.moving_mean), 3) and np.allclose(numpy(layer.moving_variance), 1)
    mask_norm = own.mask_head.get_layer("mask_conv_0_bn")
    assert np.allclose(numpy(mask_norm.moving_variance), 1)
    own(batch(SMALL), training=True)
    assert not np.isclose(numpy(layer.moving_mean), 3).any()


def test_the_papers_shapes_take_one_step():
    chosen = NETWORKS["motsnet"].profiles["paper"]
    small = {"min_size": 64, "max_size": 64, "proposals_before": (60, 30), "box_samples": 8,
             "proposals_after": (20, 10), "detections": 4, "width": 8, "channels": 32}  # fmt: skip
    config = NETWORKS["motsnet"].config(**{**chosen.network, **small})
    assert config.depth == 50 and config.vector_size == 32 and config.tracking_units == 128
    network = MOTSNet(config)
    network.compile(keras.optimizers.SGD(1e-2), jit_compile=False)
    kernel = network.tracking_head.get_layer("tracking_dense").kernel
    before = numpy(kernel)
    assert np.isfinite(np.ravel(network.train_on_batch(batch(config, 2)))).all()
    assert not np.array_equal(before, numpy(kernel))


def test_a_network_comes_back_from_its_file(network, tmp_path):
    network.save(tmp_path / "n.keras")
    again = keras.saving.load_model(tmp_path / "n.keras", safe_mode=True)
    assert again.config == SMALL
    first, second = (
        [d for _, _, d in NetworkSegmenter(n, 2).stream(frames_of(2))] for n in (network, again)
    )
    for a, b in zip(first, second, strict=True):
        assert (a.vectors == b.vectors).all() and a.rles.tolist() == b.rles.tolist()


def test_weights_to_start_with_are_taken_class_by_class(network):
    own = MOTSNet(replace(SMALL, classes=("pedestrian", "dog", "car")))
    name = "tracking_vectors/kernel"
    before = numpy(variables_of(own)[name])
    taken = start_with(own, network)
    assert taken.classes == ("pedestrian", "car") and taken.new == ("dog",) and not taken.begun
    kernel, theirs = (numpy(variables_of(n)[name]) for n in (own, network))
    assert (kernel[:, :5] == theirs[:, 5:]).all() and (kernel[:, 10:] == theirs[:, :5]).all()
    assert (kernel[:, 5:10] == before[:, 5:10]).all()
    longer = MOTSNet(replace(SMALL, vector_size=6))
    assert start_with(longer, network).begun == ("tracking_vectors",)


def test_settings_without_a_meaning_are_refused():
    with pytest.raises(ValueError, match="vector_size must be at least 1"):
        replace(SMALL, vector_size=0)


def test_pooling_of_the_box_does_not_heed_the_mask():
    keras.utils.set_random_seed(4)
    networks = {kind: MOTSNet(replace(SMALL, pooling=kind)) for kind in ("mask", "box")}
    networks["box"].set_weights(networks["mask"].get_weights())
    boxes, sizes = np.float32([[[4, 4, 40, 40]]]), np.float32([[64, 64]])
    images = np.random.default_rng(0).random((1, 64, 64, 3), np.float32)
    levels = networks["box"].features(images, sizes)
    side, labels = SMALL.mask_size, np.int32([[1]])
    half = np.zeros((1, 1, side, side), bool)
    half[..., : side // 2] = True
    found = {}
    for kind, network in networks.items():
        for name, inside in (("half", half), ("whole", np.ones_like(half))):
            found[kind, name] = numpy(network.embeddings(levels, boxes, sizes, inside, labels))
    assert np.allclose(found["box", "half"], found["box", "whole"])
    assert np.allclose(found["box", "whole"], found["mask", "whole"])
    assert not np.allclose(found["mask", "half"], found["mask", "whole"])
    with pytest.raises(ValueError, match="pooling must be mask or box"):
        replace(SMALL, pooling="none")


@pytest.mark.parametrize("pooling", ["mask", "box"])
def test_without_a_tracking_head_the_pooled_features_are_the_embeddings(pooling):
    keras.utils.set_random_seed(4)
    network = MOTSNet(replace(SMALL, tracking_head=False, pooling=pooling))
    assert "association" not in network.loss_names()
    boxes, sizes = np.float32([[[4, 4, 40, 40]]]), np.float32([[64, 64]])
    images = np.random.default_rng(0).random((1, 64, 64, 3), np.float32)
    levels = network.features(images, sizes)
    half = np.zeros((1, 1, SMALL.mask_size, SMALL.mask_size), bool)
    half[..., : SMALL.mask_size // 2] = True
    found = numpy(network.embeddings(levels, boxes, sizes, half, np.int32([[1]])))[0, 0]
    cells = numpy(align(levels[: network.pooled], boxes, sizes, SMALL.mask_size))[0, 0]
    mean = cells[half[0, 0]].mean(axis=0) if pooling == "mask" else cells.mean(axis=(0, 1))
    assert np.allclose(found, mean / np.linalg.norm(mean), atol=1e-4)
    network.compile(keras.optimizers.SGD(0.01))
    losses = network.train_on_batch(batch(SMALL, 2), return_dict=True)
    parts = [losses[name] for name in network.loss_names() if name != "loss"]
    assert np.isclose(losses["loss"], sum(parts), rtol=1e-4)
