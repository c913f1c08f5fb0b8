"""Pixel embeddings: losses against brute force, clusters, masks that never overlap, linking."""

from dataclasses import replace

import keras
import numpy as np
import pytest
from pycocotools import mask as coco_mask

from models.frame_networks import NETWORKS
from models.pixel_embeddings import losses
from models.pixel_embeddings.association import PixelTrackerConfig, greedy
from models.pixel_embeddings.clusters import Cluster, clusters_of, enlarged
from models.pixel_embeddings.config import PixelConfig
from models.pixel_embeddings.inference import PixelSegmenter
from models.pixel_embeddings.network import PixelEmbeddings
from models.streaming import track
from models.tracking import make_tracker
from pipeline.settings import settings_for
from pipeline.stages import Pipeline
from tests.models.trackrcnn.test_network import frames_of, numpy
from utils import masks
from utils.data_sets import data_set
from utils.detections import Detections

SMALL = PixelConfig(
    depth=18, width=4, channels=8, low_channels=4, rates=(1, 2), norm="batch", samples=60,
    min_size=64, max_size=96, neighbours=(3,), least=(64,), classes=("car", "pedestrian"),
)  # fmt: skip


def inputs(frames=3):
    """Return a batch in which track 4 walks to the right and track 9 (class 2) stands."""
    rng = np.random.default_rng(0)
    found = {
        "images": rng.normal(size=(frames, 64, 64, 3)).astype(np.float32),
        "sizes": np.tile(np.float32([[64, 52]]), (frames, 1)),
        "labels": np.tile(np.int32([1, 2, 0]), (frames, 1)),
        "tracks": np.tile(np.int32([4, 9, 0]), (frames, 1)),
        "masks": np.zeros((frames, 3, 64, 64), np.uint8),
        "boxes": np.zeros((frames, 3, 4), np.float32),
    }
    for t in range(frames):
        found["masks"][t, 0, 8:24, 4 + 8 * t : 16 + 8 * t] = 1
        found["masks"][t, 1, 40:60, 20:40] = 1
    found["labels"][1, 1] = 0  # it is hidden in the second frame
    return found


def test_cells_know_their_object_and_what_does_not_count():
    given = inputs()
    given["ignored"] = np.zeros((3, 64, 64), np.uint8)
    given["ignored"][0, :4] = 1
    cells = {name: numpy(value) for name, value in losses.cells_of(given).items()}
    assert cells["track"].shape == (3, 16, 16)
    assert (cells["track"][0, 2:6, 1:4] == 4).all() and (cells["track"][1, 2:6, 3:6] == 4).all()
    assert (cells["label"][0, 10:15, 5:10] == 2).all() and (cells["track"][1, 10:15] == 0).all()
    assert (cells["track"][0] == 4).sum() == 12
    assert not cells["valid"][0, 0].any() and cells["valid"][1, 0, :13].all()
    assert not cells["valid"][:, :, 13:].any()


def test_the_embedding_loss_is_that_of_all_pairs():
    rng = np.random.default_rng(3)
    points = rng.normal(size=(9, 3)).astype(np.float32) * 3
    tracks = rng.integers(0, 3, 9).astype(np.int32)
    total = 0.0
    for a in range(9):
        for b in range(9):
            apart = np.linalg.norm(points[a] - points[b])
            total += apart**2 if tracks[a] == tracks[b] else max(5 - apart, 0) ** 2
    # Divided by the number of embeddings, not of pairs.
    assert np.isclose(float(losses.contrastive(points, tracks, 5.0)), total / 9, rtol=1e-4)


def test_losses_of_centres_by_hand():
    away = np.float32([[0.5, -2.0], [0.0, 3.0]])
    for kind, expected in (
        ("l1", [2.5, 3.0]),
        ("l2", [0.25 + 4, 9.0]),
        ("huber", [0.125 + 1.5, 2.5]),  # squares up to a pixel, then a line
    ):
        assert numpy(losses.regression_loss(away, kind)).tolist() == expected


def drawn(how, count=600):
    rng = np.random.default_rng(1)
    tracks = np.repeat(np.int32([0, 7, 3, 5]), (500, 100, 20, 380))
    labels = np.repeat(np.int32([0, 1, 1, 2]), (500, 100, 20, 380))
    valid = np.ones(1000, bool)
    valid[:50] = valid[600:610] = False
    order = rng.permutation(1000)
    chance = rng.random(count).astype(np.float32)
    places = numpy(losses.sampled(tracks[order], labels[order], valid[order], chance, how, 3))
    assert valid[order][places].all()
    return tracks[order][places], places


def test_each_instance_gets_as_many_samples_or_each_class_or_each_pixel():
    tracks, places = drawn("instance")
    counts = {t: int((tracks == t).sum()) for t in (0, 3, 5, 7)}
    assert max(counts.values()) - min(counts.values()) <= 2, counts
    assert len(np.unique(places[tracks == 0])) > 100  # not the same pixel again and again
    tracks, _ = drawn("balanced")
    assert [int((tracks == t).sum()) // 10 for t in (0, 5)] == [20, 20]
    assert abs(int((tracks == 7).sum()) - 100) <= 2 and abs(int((tracks == 3).sum()) - 100) <= 2
    tracks, _ = drawn("random", 940)
    assert {t: int((tracks == t).sum()) for t in (0, 7, 3, 5)} == {0: 450, 7: 100, 3: 10, 5: 380}


def test_pixels_vote_for_centres_now_and_before():
    given = inputs()
    centres = numpy(losses.centres_of(given))
    assert centres[0, 0].tolist() == [16, 10] and centres[2, 1].tolist() == [50, 30]
    where, was = (numpy(v) for v in losses.before(given, centres, 1))
    assert was.tolist() == [[False] * 3, [True, False, False], [True, False, False]]
    assert where[1, 0].tolist() == [16, 10] and where[2, 0].tolist() == [16, 18]
    where, was = (numpy(v) for v in losses.before(given, centres, 2))
    assert was[2].tolist() == [True, True, False]
    cells = losses.cells_of(given)
    right = np.zeros((3, 16, 16, 5), np.float32)
    place = np.stack(np.mgrid[:16, :16], -1) * 4 + 2
    owner = numpy(cells["place"])
    for t in range(3):
        for k in range(2):
            own = owner[t] == k
            right[t, own, :2] = centres[t, k] - place[own]
            right[t, own, 2:4] = numpy(losses.before(given, centres, 1)[0])[t, k] - place[own]
            right[t, own, 4] = 50 if numpy(losses.before(given, centres, 1)[1])[t, k] else -50
    way, there = (float(v) for v in losses.vote_losses(right, cells, given, 1))
    assert way == pytest.approx(0, abs=1e-5) and there == pytest.approx(0, abs=1e-5)
    right[..., 0] += 3
    assert float(losses.vote_losses(right, cells, given, 1)[0]) == pytest.approx(3, abs=1e-4)
    right[..., 0] -= 3
    right[..., 3] -= 2  # counts where the object was there before alone
    assert float(losses.vote_losses(right, cells, given, 1)[0]) == pytest.approx(2, abs=1e-4)
    right[..., 4] *= -1
    assert float(losses.vote_losses(right, cells, given, 1)[1]) == pytest.approx(50, rel=1e-3)


def frame(noise=0.1, gap=6.0):
    """Return classes and embeddings of a frame of 16 x 24 cells with two objects side by side."""
    rng = np.random.default_rng(5)
    classes = np.zeros((16, 24, 3), np.float32)
    classes[..., 0] = 1
    classes[4:12, 4:20] = 0.05, 0.9, 0.05
    embeddings = rng.normal(0, noise, (16, 24, 16)).astype(np.float32)
    embeddings[:, 12:, 0] += gap
    return classes, embeddings


def test_objects_that_touch_are_told_apart_by_their_embeddings():
    classes, embeddings = frame()
    found = clusters_of(classes, embeddings, None, SMALL, 1.0)
    assert len(found) == 2 and {c.label for c in found} == {1}
    left, right = sorted(found, key=lambda c: np.nonzero(c.inside)[1].mean())
    assert (left.inside > 0)[4:12, 4:12].mean() > 0.9 and not left.inside[:, 12:].any()
    assert not ((left.inside > 0) & (right.inside > 0)).any()
    assert left.score == pytest.approx(0.9) and left.representatives.shape == (5, 18)
    assert abs(left.representatives[:, 0]).max() < 1 < right.representatives[:, 0].min() - 3
    # `least` is of the frame: of one half as large along a side the clusters are too small.
    large = replace(SMALL, least=(900,), single=False)
    assert len(clusters_of(classes, embeddings, None, large, 1.0)) == 2
    assert clusters_of(classes, embeddings, None, large, 2.0) == []


def test_position_counts_among_the_features():
    classes, embeddings = frame(noise=0.01, gap=0.0)
    classes[4:12, 9:15] = 1, 0, 0
    apart = clusters_of(classes, embeddings, None, replace(SMALL, position=30.0), 1.0)
    assert len(apart) == 2
    same = clusters_of(classes, embeddings, None, replace(SMALL, position=0.0, least=(400,)), 1.0)
    assert len(same) == 1


def test_a_single_object_gets_all_its_sure_pixels():
    classes, embeddings = frame(noise=1.0, gap=0.0)
    few = clusters_of(classes, embeddings, None, replace(SMALL, single=False, least=(1200,)), 1.0)
    whole = clusters_of(classes, embeddings, None, replace(SMALL, least=(1200,)), 1.0)
    assert len(whole) == 1 and (whole[0].inside > 0).sum() == 8 * 16
    assert sum((c.inside > 0).sum() for c in few) < 8 * 16


def test_masks_never_overlap_and_blocks_keep_their_place():
    one, two = np.zeros((8, 8), np.float32), np.zeros((8, 8), np.float32)
    one[2:6, 1:4], two[2:6, 4:7] = 0.9, 0.8
    both = [Cluster(1, c, 0.9, np.zeros((1, 1)), np.zeros(0)) for c in (one, two)]
    owner = enlarged(both, (32, 32), (64, 64), "nearest")
    assert (owner[16:48, 8:32] == 0).all() and (owner[16:48, 32:56] == 1).all()
    assert (owner >= 0).sum() == 32 * 48
    smooth = enlarged(both, (32, 32), (64, 64), "bilinear")
    assert (smooth[20:44, 12:28] == 0).all() and (smooth[20:44, 36:52] == 1).all()
    assert ((smooth == 0).sum(), (smooth == 1).sum()) == pytest.approx((760, 760), rel=0.2)
    assert smooth[15, 20] == -1  # below 0.5


def scene(vectors, frames):
    n = len(frames)
    rles = np.empty(n, object)
    rles[:] = [masks.encode_at(np.ones((4, 4)), 4 * i, 0, 8, 64) for i in range(n)]
    boxes = masks.tight_boxes_xywh(rles, 8, 64)
    return Detections(
        "s", 8, 64, np.int32(frames), np.ones(n, np.int16), np.ones(n, np.float32), boxes, rles,
        np.zeros(n, np.int32), np.float32(vectors),
    )  # fmt: skip


def test_clusters_are_linked_by_their_nearest_representatives():
    near = [[0, 9, 50], [0.5, 20, 70], [30, 40, 90], [41, 60, 31]]
    detections = scene(near, [1, 2, 1, 2])
    config = PixelTrackerConfig(features=1, representatives=3)
    ids, _ = track(
        detections, make_tracker("pixel_embeddings", config), {"vectors": detections.vectors}
    )
    assert ids.tolist() == [1, 1, 2, 2]
    far = track(
        detections, make_tracker("pixel_embeddings", replace(config, limit=0.7)),
        {"vectors": detections.vectors},
    )[0]  # fmt: skip
    assert far.tolist() == [1, 1, 2, 3]
    with pytest.raises(ValueError, match=r"must hold 3 representatives of 5 values .* got 3"):
        track(
            detections, make_tracker("pixel_embeddings", replace(config, features=5)),
            {"vectors": detections.vectors},
        )  # fmt: skip
    other = np.pad(detections.vectors, ((0, 0), (0, 125)))  # as a file of another network has them
    for wrong in (replace(config, representatives=2), replace(config, representatives=9)):
        with pytest.raises(ValueError, match="must hold"):
            track(detections, make_tracker("pixel_embeddings", wrong), {"vectors": other})
    assert track(detections, make_tracker("pixel_embeddings", config), {"vectors": other})[0].all()
    pipeline = Pipeline(settings_for(data_set("custom"), "pixel_embeddings"))
    with pytest.raises(ValueError, match="must have vectors for tracker pixel_embeddings"):
        pipeline.track(replace(detections, vectors=None))


def test_the_cheapest_link_is_made_first():
    costs = np.array([[1.0, 0.9], [5.0, 1.0]])
    rows, columns = greedy(costs, 4.0)
    assert list(zip(rows.tolist(), columns.tolist(), strict=True)) == [(0, 1)]
    rows, columns = greedy(costs, 6.0)
    assert list(zip(rows.tolist(), columns.tolist(), strict=True)) == [(0, 1), (1, 0)]
    assert len(greedy(np.zeros((0, 3)), 4.0)[0]) == 0


@pytest.fixture(scope="module")
def network():
    keras.utils.set_random_seed(2)
    made = PixelEmbeddings(replace(SMALL, centres=True, past=1))
    bias = made.class_branch.get_layer("class_values").bias
    bias.assign([0.0, 4.0, 0.0])
    return made


def test_detections_are_disjoint_and_carry_their_representatives(network):
    segmenter = network.segmenter(2)
    assert isinstance(segmenter, PixelSegmenter)
    parts = [d for _, _, d in segmenter.stream(frames_of(4))]
    assert any(len(d) for d in parts)
    for found in parts:
        assert found.vectors.shape == (len(found), 5 * 20 + 3)
        if len(found):
            every = coco_mask.decode(found.coco()).sum(axis=2)
            assert every.max() <= 1 and set(found.classes.tolist()) == {1}


def test_a_network_comes_back_from_its_file(network, tmp_path):
    network.save(tmp_path / "n.keras")
    again = keras.saving.load_model(tmp_path / "n.keras", safe_mode=True)
    given = {k: inputs()[k] for k in ("images", "sizes")}
    first, second = (n(given) for n in (network, again))
    assert set(first) == {"classes", "embeddings", "votes"}
    assert all((numpy(first[k]) == numpy(second[k])).all() for k in first)
    assert again.config == network.config


def test_time_changes_nothing_at_first(network):
    given = {k: inputs()[k] for k in ("images", "sizes")}
    whole = numpy(network(given)["embeddings"])
    alone = numpy(network({k: v[1:2] for k, v in given.items()})["embeddings"])
    assert np.allclose(whole[1:2], alone, atol=1e-5)


def test_the_losses_are_weighed_as_the_thesis_says(network):
    terms = {k: float(v) for k, v in network(inputs(), training=True).items()}
    assert set(terms) == {"class", "embedding", "centre", "before"}
    wanted = terms["class"] + 0.1 * terms["embedding"]
    assert float(network.total(terms)) == pytest.approx(
        wanted + 0.001 * terms["centre"] + 0.1 * terms["before"], rel=1e-5
    )


def test_the_papers_shapes_take_one_step():
    chosen = NETWORKS["pixel_embeddings"].profiles["paper"]
    config = NETWORKS["pixel_embeddings"].config(
        **{**chosen.network, "min_size": 64, "width": 8, "channels": 16, "samples": 50,
           "classes": ("car", "pedestrian")}
    )  # fmt: skip
    assert config.margin == 8 and config.embedding == 16 and config.loss_factor == 0.1
    assert [config.of_class(config.least, k) for k in (1, 2)] == [250, 650]
    made = PixelEmbeddings(config)
    made.compile(keras.optimizers.SGD(1e-3), jit_compile=False)
    kernel = made.embedding_branch.get_layer("embedding_values").kernel
    before = numpy(kernel)
    assert np.isfinite(np.ravel(made.train_on_batch(inputs(2)))).all()
    assert not np.array_equal(before, numpy(kernel))


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        ("sampling", "even", "sampling must be one of instance, balanced, random"),
        ("upsampling", "cubic", "upsampling must be one of nearest, bilinear"),
        ("samples", 0, "samples must be at least 1"),
        ("neighbours", (), "neighbours must be at least 1 each"),
        ("representatives", 8, "have at most 128 values"),
    ],
)
def test_settings_without_a_meaning_are_refused(field, value, text):
    with pytest.raises(ValueError, match=text):
        replace(SMALL, **{field: value})


def test_3d_convolutions_stand_after_the_encoder_or_the_decoder():
    networks = {}
    for place in ("encoder", "decoder"):
        keras.utils.set_random_seed(5)
        networks[place] = PixelEmbeddings(replace(SMALL, time_convs=("average",), time_place=place))
    images = np.random.default_rng(0).random((3, 64, 96, 3), np.float32)
    seen = {}
    for place, network in networks.items():
        layer, taken = network.time_convs[0], []
        network.time_convs = [lambda x, layer=layer, taken=taken: taken.append(x.shape) or layer(x)]
        network({"images": images, "sizes": np.float32([[64, 96]] * 3)})
        seen[place] = tuple(taken[0][1:3])
    assert seen == {"encoder": (4, 6), "decoder": (16, 24)}  # at strides of 16 and 4
