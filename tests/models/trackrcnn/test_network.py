"""TrackR-CNN: convolutions over time, the association loss, vectors that go with detections."""

import itertools
from dataclasses import asdict, replace

import keras
import numpy as np
import pytest
from scipy.ndimage import convolve

from models.frame_networks import NETWORKS
from models.maskrcnn.config import MaskRcnnConfig
from models.maskrcnn.network import MaskRCNN
from models.networks import triplets
from models.networks.inference import NetworkSegmenter
from models.networks.temporal import SeparableConv3D
from models.networks.transform import batch_of
from models.networks.triplets import batch_hard
from models.trackrcnn.config import TrackRcnnNetworkConfig
from models.trackrcnn.network import TrackRCNN

SMALL = TrackRcnnNetworkConfig(
    depth=18, width=4, channels=8, norm="batch", box_units=8, mask_convs=1, mask_channels=8,
    anchor_sizes=((8,), (16,), (32,), (64,), (128,)), min_size=64, max_size=96,
    proposals_before=(40, 20), proposals_after=(30, 12), box_samples=16, min_score=0.0,
    detections=6, vector_size=5,
)  # fmt: skip


def numpy(value):
    return keras.ops.convert_to_numpy(value)


def features(shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def test_identity_changes_nothing_bit_for_bit():
    x = features((6, 9, 7, 5))
    assert (numpy(SeparableConv3D("identity", relu=False)(x)) == x).all()
    assert (numpy(SeparableConv3D("identity")(abs(x))) == abs(x)).all()


def test_average_is_the_mean_of_three_frames_and_nothing_is_beyond_the_ends():
    x = features((4, 3, 3, 2))
    found = numpy(SeparableConv3D("average", relu=False)(x))
    assert np.allclose(found[1], x[:3].mean(0), atol=1e-6)
    assert np.allclose(found[0], x[:2].sum(0) / 3, atol=1e-6)


def test_beyond_the_ends_of_a_video_there_is_nothing():
    # Of three frames in a batch of four, with two of context, five frames are absent.
    keras.utils.set_random_seed(5)
    network = TrackRCNN(replace(SMALL, time_convs=("average", "average")))
    rng = np.random.default_rng(1)
    images = [rng.integers(0, 256, (48, 64, 3)).astype(np.uint8) for _ in range(3)]
    alone = network(batch_of(images, network.config), training=False)
    found = [d for _, _, d in NetworkSegmenter(network, 4).stream(enumerate(images))]
    for k, detections in enumerate(found):
        real = numpy(alone["real"])[k]
        assert np.allclose(detections.scores, numpy(alone["scores"])[k][real], atol=1e-5)
        assert np.allclose(detections.vectors, numpy(alone["vectors"])[k][real], atol=1e-4)


def test_a_convolution_over_time_is_a_3d_convolution_channel_by_channel():
    x = features((5, 6, 7, 3))
    layer = SeparableConv3D("random", relu=True)
    layer(x)
    kernel, mixing = numpy(layer.depthwise)[..., 0], numpy(layer.pointwise)
    apart = np.stack(
        [convolve(x[..., c], kernel[::-1, ::-1, ::-1, c], mode="constant") for c in range(3)], -1
    )
    assert np.allclose(numpy(layer(x)), np.maximum(apart @ mixing, 0), atol=1e-4)


def brute_force(vectors, tracks, margin):
    terms = []
    for a, own in enumerate(tracks):
        same = [
            np.linalg.norm(vectors[a] - vectors[p])
            for p, t in enumerate(tracks)
            if own and t == own
        ]
        other = [
            np.linalg.norm(vectors[a] - vectors[n])
            for n, t in enumerate(tracks)
            if own and t and t != own
        ]
        if other:
            terms.append(max(max(same) - min(other) + margin, 0))
    return np.mean(terms) if terms else 0.0


def test_the_association_loss_is_that_of_the_hardest_triplets():
    for seed in range(6):
        rng = np.random.default_rng(seed)
        vectors = rng.normal(size=(12, 3)).astype(np.float32)
        tracks = rng.integers(0, 4, 12).astype(np.int32)
        assert np.isclose(
            float(batch_hard(vectors, tracks, 0.2)), brute_force(vectors, tracks, 0.2), atol=1e-5
        )
    alone = np.ones(4, np.int32)
    assert float(batch_hard(features((4, 3)), alone, 0.2)) == 0
    # Hand-worked: anchors at 0 and 1 (track 1) and 3 (track 2).
    found = batch_hard(np.float32([[0], [1], [3]]), np.int32([1, 1, 2]), 0.5)
    assert np.isclose(float(found), (0 + 0 + 0) / 3)
    found = batch_hard(np.float32([[0], [2], [3]]), np.int32([1, 1, 2]), 0.5)
    assert np.isclose(float(found), (0 + (2 - 1 + 0.5) + 0) / 3)


def test_with_equal_vectors_the_loss_has_a_slope_that_is_a_number():
    if keras.backend.backend() != "tensorflow":
        pytest.skip("written for TensorFlow's tape")
    import tensorflow as tf

    vectors = tf.zeros((4, 3))
    with tf.GradientTape() as tape:
        tape.watch(vectors)
        loss = batch_hard(vectors, np.int32([1, 1, 2, 2]), 0.2)
    assert np.isfinite(tape.gradient(loss, vectors).numpy()).all() and np.isclose(float(loss), 0.2)


@pytest.fixture(scope="module")
def networks():
    """Return a TrackR-CNN at its start and a Mask R-CNN with the same weights."""
    keras.utils.set_random_seed(1)
    tracking = TrackRCNN(SMALL)
    names = {f for f in MaskRcnnConfig.__dataclass_fields__}
    plain = MaskRCNN(MaskRcnnConfig(**{k: v for k, v in asdict(SMALL).items() if k in names}))
    for part in ("backbone", "rpn", "box_head", "box_predictor", "mask_head"):
        getattr(plain, part).set_weights(getattr(tracking, part).get_weights())
    return tracking, plain


def frames_of(count):
    rng = np.random.default_rng(3)
    return [(n, rng.integers(0, 256, (48, 64, 3)).astype(np.uint8)) for n in range(count)]


def test_at_its_start_it_finds_what_mask_rcnn_finds(networks):
    first, second = (
        [d for _, _, d in NetworkSegmenter(n, 3).stream(frames_of(5))] for n in networks
    )
    for a, b in zip(first, second, strict=True):
        assert np.allclose(a.scores, b.scores, atol=1e-6) and a.rles.tolist() == b.rles.tolist()
        assert a.vectors.shape == (len(a), 5) and b.vectors is None


def test_a_frame_is_seen_with_its_neighbours_wherever_batches_begin(networks):
    keras.utils.set_random_seed(2)
    network = TrackRCNN(replace(SMALL, time_convs=("random", "average")))
    found = []
    for batch in (2, 3, 9):
        parts = [d for _, _, d in NetworkSegmenter(network, batch).stream(frames_of(9))]
        found.append(parts)
    for other in found[1:]:
        for a, b in zip(found[0], other, strict=True):
            assert np.allclose(a.scores, b.scores, atol=1e-5)
            assert np.allclose(a.vectors, b.vectors, atol=1e-3)
    alone = [d for _, _, d in NetworkSegmenter(network, 1).stream(frames_of(9)[4:5])]
    assert not np.allclose(alone[0].scores, found[0][4].scores, atol=1e-5)


def batch(config, frames=4):
    rng = np.random.default_rng(0)
    side = config.min_size
    masks = np.zeros((frames, 2, side, side), np.uint8)
    masks[:, 0, 8:30, 10:32], masks[:, 1, 30:60, 20:50] = 1, 1
    boxes = np.tile(np.float32([[10, 8, 32, 30], [20, 30, 50, 60]]), (frames, 1, 1))
    return {
        "images": rng.normal(size=(frames, side, side, 3)).astype(np.float32),
        "sizes": np.full((frames, 2), side, np.float32),
        "boxes": boxes,
        "labels": np.ones((frames, 2), np.int32),
        "tracks": np.tile(np.int32([4, 9]), (frames, 1)),
        "masks": masks,
    }


def test_lambda_weighs_the_association_loss_alone(networks):
    terms = {name: float(v) for name, v in networks[0](batch(SMALL), training=True).items()}
    assert set(terms) == {"rpn_score", "rpn_box", "class", "box", "mask", "association"}
    assert all(np.isfinite(v) for v in terms.values()) and terms["association"] > 0
    weighed = TrackRCNN(replace(SMALL, loss_factor=3.0))
    assert np.isclose(weighed.total(terms), sum(terms.values()) + 2 * terms["association"])


def test_the_papers_shapes_take_one_step():
    chosen = NETWORKS["trackrcnn"].profiles["paper"]
    config = NETWORKS["trackrcnn"].config(**{**chosen.network, "min_size": 64, "max_size": 64,
                                     "proposals_before": (60, 30), "proposals_after": (20, 10),
                                     "box_samples": 8, "detections": 4})  # fmt: skip
    network = TrackRCNN(config)
    assert network.rpn.input_shape[-1] == 1024 and network.box_head.output_shape[-1] == 2048
    assert network.rpn.output_shape[0][-1] == 15 and config.vector_size == 128
    assert network.mask_head.output_shape[1:3] == (28, 28)
    network.compile(keras.optimizers.SGD(1e-3), jit_compile=False)
    bias = network.rpn.get_layer("rpn_logits").bias
    before = numpy(bias)
    loss = network.train_on_batch(batch(config, 2))
    assert np.isfinite(np.ravel(loss)).all()
    assert not np.array_equal(before, numpy(bias))


def test_the_thesis_variants_are_settings():
    for a, b in itertools.combinations(("identity", "random", "average"), 2):
        assert replace(SMALL, time_convs=(a, b)).context == 2
    with pytest.raises(ValueError, match="time_convs must be of identity, random, average"):
        replace(SMALL, time_convs=("none",))
    with pytest.raises(ValueError, match="margin must be at least 0"):
        replace(SMALL, margin=-1.0)


# Two of track 1 at 0 and 3, one of track 2 at 5, and a row that is no detection.
LINE, WHO = np.float32([[0.0], [3.0], [5.0], [9.0]]), np.int32([1, 1, 2, 0])


def test_batch_all_is_the_mean_over_all_triplets():
    # (0, 3, 5): 3 - 5 + 1 < 0; (3, 0, 5): 3 - 2 + 1 = 2. The lone one of track 2 has no positive.
    assert float(triplets.batch_all(LINE, WHO, 1.0)) == pytest.approx((0 + 2) / 2)
    assert float(triplets.batch_all(LINE, np.int32([1, 2, 3, 0]), 1.0)) == 0


def test_the_quantile_takes_the_hardest_triplets():
    points, who = np.float32([[0.0], [1.0], [2.0], [4.0]]), np.int32([1, 1, 2, 2])
    each = sorted(
        (
            max(abs(a - p) - abs(a - n) + 0.5, 0)
            for i, a in enumerate(points.ravel())
            for j, p in enumerate(points.ravel())
            for k, n in enumerate(points.ravel())
            if i != j and who[i] == who[j] and who[i] != who[k]
        ),
        reverse=True,
    )
    assert len(each) == 8
    for share, count in ((0.25, 2), (0.3, 3), (1.0, 8), (0.01, 1)):
        loss = float(triplets.quantile(points, who, 0.5, share))
        assert loss == pytest.approx(sum(each[:count]) / count, abs=1e-6)


def test_pairs_by_hand():
    # Within: 3 apart, both ways, squared: 18. Between, margin 6: 1 and 4 closer, both ways: 34.
    assert float(triplets.contrastive_pairs(LINE, WHO, 6.0)) == pytest.approx((18 + 34) / 3)


@pytest.mark.parametrize("kind", ["batch_all", "quantile", "contrastive"])
def test_the_association_loss_is_a_setting(kind):
    network = TrackRCNN(replace(SMALL, association_loss=kind))
    assert network.config.association_loss == kind
    with pytest.raises(ValueError, match="association_loss must be one of batch_hard"):
        replace(SMALL, association_loss="none")
    with pytest.raises(ValueError, match=r"hardest must be in \(0, 1\]"):
        replace(SMALL, hardest=0.0)
