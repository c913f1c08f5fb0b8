"""Parts of the network, each against cases worked out by hand or by brute force."""

from dataclasses import replace

import keras
import numpy as np
import pytest
from keras import ops

from models.maskrcnn.config import MaskRcnnConfig
from models.maskrcnn.network import MaskRCNN
from models.networks import boxes, losses, nms, roi_align
from models.networks.anchors import base_anchors, level_anchors
from models.networks.inference import NetworkSegmenter
from models.networks.transform import batch_of, paste, resize, resized_shape

SMALL = MaskRcnnConfig(
    classes=("cat", "dog"),
    numbers=(3, 7),
    depth=18,
    width=4,
    channels=8,
    norm="batch",
    anchor_sizes=((8,), (16,), (32,), (64,), (128,)),
    box_units=8,
    mask_convs=1,
    mask_channels=8,
    min_size=64,
    max_size=96,
    proposals_before=(40, 20),
    proposals_after=(30, 12),
    box_samples=16,
    min_score=0.0,
    detections=6,
)


def numpy(value):
    return keras.ops.convert_to_numpy(value)


def random_boxes(rng, n, side=40.0):
    corner = rng.uniform(0, side, (n, 2))
    return np.concatenate([corner, corner + rng.uniform(2, side, (n, 2))], 1).astype(np.float32)


def test_decoding_takes_back_what_was_encoded_and_growth_is_limited():
    rng = np.random.default_rng(0)
    a, b = random_boxes(rng, 20), random_boxes(rng, 20)
    deltas = boxes.encode(a, b, boxes.HEAD_WEIGHTS)
    assert np.allclose(numpy(boxes.decode(deltas, b, boxes.HEAD_WEIGHTS)), a, atol=1e-4)
    grown = numpy(boxes.decode(np.float32([[0, 0, 99, 0]]), np.float32([[0, 0, 2, 4]]), (1,) * 4))
    assert np.allclose(grown, [[1 - 62.5, 0, 1 + 62.5, 4]])  # 2 px * 1000 / 16


def test_anchors_are_whole_pixels_around_the_corner_of_their_cell():
    # Area 64, height / width 0.5 and 2: sides 11.3 and 5.7, their halves rounded.
    assert base_anchors((8,), (0.5, 2.0)).tolist() == [[-6, -3, 6, 3], [-3, -6, 3, 6]]
    anchors = level_anchors((2, 3), (17, 30), (8,), (1.0,))
    assert anchors.shape == (6, 4)
    assert anchors[4].tolist() == [10 - 4, 8 - 4, 10 + 4, 8 + 4]  # steps of 17 // 2 and 30 // 3


def greedy(own, threshold, classes):
    """Return the places that greedy suppression keeps, best first."""
    left, kept = list(range(len(own))), []
    while left:
        best = left.pop(0)
        kept.append(best)
        overlap = numpy(boxes.iou(own[best : best + 1], own))[0]
        left = [i for i in left if overlap[i] <= threshold or classes[i] != classes[best]]
    return kept


@pytest.mark.parametrize("block", [3, 16, 64])  # boxes at once: in many parts, two, one
def test_the_best_boxes_apart_are_those_of_greedy_suppression_by_class(block, monkeypatch):
    monkeypatch.setattr(nms, "BLOCK", block)
    for seed in range(8):
        rng = np.random.default_rng(seed)
        own, classes = random_boxes(rng, 100), rng.integers(1, 4, (2, 50)).astype(np.int32)
        own, most = own.reshape(2, 50, 4), 12 if seed % 2 else 50
        scores = rng.uniform(-0.3, 1, (2, 50)).round(2).astype(np.float32)  # some are equal
        places, real = map(numpy, nms.best_apart(own, scores, classes, 0.4, most))
        for i in range(2):
            order = np.argsort(-scores[i], kind="stable")
            order = order[scores[i][order] >= 0]
            expected = order[greedy(own[i][order], 0.4, classes[i][order])][:most]
            assert places[i][real[i]].tolist() == expected.tolist()
            assert real[i].sum() == len(expected) and real[i][: len(expected)].all()


def test_roi_align_reads_a_slope_where_it_is():
    # A level whose value is 10 x + y at the middle of cell (x, y); stride 8 of a 128 px picture.
    y, x = np.mgrid[:16, :16].astype(np.float32)
    level = (10 * x + y)[None, :, :, None]
    found = numpy(
        roi_align.align([level], np.float32([[[16, 32, 48, 64]]]), np.float32([[128, 128]]), 4)
    )
    assert found.shape == (1, 1, 4, 4, 1)
    # The box is cells 2 to 6 and 4 to 8; a bin is one cell, its two samples a quarter off its ends.
    expected = 10 * (2 + np.arange(4) + 0.5)[None] + (4 + np.arange(4) + 0.5)[:, None]
    assert np.allclose(found[0, 0, :, :, 0], expected)


def test_each_box_is_read_from_the_level_of_its_size():
    sizes = np.float32([[256, 256]])
    levels = [np.full((1, 256 // s, 256 // s, 1), s, np.float32) for s in (4, 8, 16, 32)]
    own = np.float32([[[0, 0, n, n] for n in (20, 111, 112, 223, 224, 250)]])
    found = numpy(roi_align.align(levels, own, sizes, 2))[0, :, 0, 0, 0]
    assert found.tolist() == [4, 4, 8, 8, 16, 16]


def test_mask_targets_are_the_shares_of_the_bins():
    mask = np.zeros((1, 20, 20), np.uint8)
    mask[0, :, 10:] = 1
    found = numpy(
        roi_align.crop_masks(
            mask[None], np.int32([[0]]), np.float32([[[4, 0, 16, 12]]]), np.float32([[20, 20]]), 3
        )
    )[0]
    assert np.allclose(found[0, :, 0], 0) and np.allclose(found[0, :, 2], 1)
    assert 0.3 < found[0, 1, 1] < 0.7


def test_matching_and_sampling_of_four_boxes():
    truth = np.float32([[[0, 0, 10, 10], [20, 0, 30, 10], [0, 0, 0, 0]]])
    real = np.array([[True, True, False]])
    own = np.float32([[0, 0, 10, 10], [0, 0, 10, 15], [21, 8, 29, 18], [50, 50, 60, 60]])
    places, kind = losses.match(own, truth, real, 0.7, 0.3, False)
    assert numpy(places)[0, :3].tolist() == [0, 0, 1]
    # IoU 1, 2/3, 16 / 164 and 0: object, neither, background twice.
    assert numpy(kind)[0].tolist() == [1, -1, 0, 0]
    kind = numpy(losses.match(own, truth, real, 0.7, 0.3, True)[1])
    assert kind[0].tolist() == [1, -1, 1, 0]  # the second object's best box, however low
    chosen, used = losses.sample(kind, np.float32([[0.1, 0.9, 0.2, 0.3]]), 3, 0.5)
    chosen, used = numpy(chosen)[0], numpy(used)[0]
    assert chosen[used].tolist() == [2, 3]  # int(3 / 2) objects, the luckiest, then background


def test_background_where_nothing_is_annotated_teaches_nothing():
    mask = np.zeros((1, 20, 30), np.uint8)
    mask[0, :, 15:] = 1
    own = np.float32([[[0, 0, 10, 10], [10, 0, 20, 10], [12, 0, 20, 10], [16, 2, 60, 60]]])
    assert np.allclose(numpy(boxes.covered(own, mask))[0], [0, 0.5, 5 / 8, 1])
    kind = np.zeros((1, 4), np.int32)
    assert numpy(losses.ignore(kind, own, mask, 0.5))[0].tolist() == [0, 0, -1, -1]
    assert numpy(losses.ignore(kind + 1, own, mask, 0.5))[0].tolist() == [1, 1, 1, 1]


def test_pictures_are_resized_by_the_shorter_side_unless_the_longer_gets_too_long():
    config = replace(SMALL, min_size=60, max_size=100)
    assert resized_shape(30, 40, config) == (60, 80) and resized_shape(30, 90, config) == (33, 100)
    image = np.full((30, 40, 3), 255, np.uint8)
    assert np.allclose(resize(image, config), (1 - np.array(config.mean)) / config.std, atol=1e-5)
    grey = resize(np.full((30, 40, 3), 51, np.uint8), config, 2.0)  # 0.2 squared
    assert np.allclose(grey, (0.04 - np.array(config.mean)) / config.std, atol=1e-5)
    batch = batch_of([image, image[:, :20]], config)
    assert batch["images"].shape == (2, 96, 96, 3) and not batch["images"][1, :, 66:].any()
    assert batch["sizes"].tolist() == [[60, 80], [90, 60]] or batch["sizes"][1].min() == 60


def test_a_mask_is_pasted_into_its_box_and_cut_at_the_picture():
    values, x, y = paste(np.ones((4, 4), np.float32), np.float32([-3, 2, 5, 10]), 20, 30)
    inside = values > 0.5
    rows, columns = np.flatnonzero(inside.any(1)) + y, np.flatnonzero(inside.any(0)) + x
    # The framed box is 12 px long and 13 whole ones; half a mask's pixel is left of each end.
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (2, 10, 0, 5)
    assert paste(np.ones((4, 4), np.float32), np.float32([40, 2, 50, 9]), 20, 30)[0].size == 0


@pytest.fixture(scope="module")
def network():
    keras.utils.set_random_seed(0)
    return MaskRCNN(SMALL)


def frames_of(count, seed=0, size=(48, 64)):
    rng = np.random.default_rng(seed)
    return [(n, rng.integers(0, 256, (*size, 3)).astype(np.uint8)) for n in range(5, 5 + count)]


def columns_of(found):
    return [
        (n, d.frames.tolist(), d.classes.tolist(), d.scores.tolist(), d.rles.tolist())
        for n, _, d in found
    ]


def test_detections_are_within_the_frame_best_first_and_numbered_as_the_data(network):
    found = list(NetworkSegmenter(network, 2).stream(frames_of(3)))
    assert [n for n, _, _ in found] == [5, 6, 7]
    for number, image, detections in found:
        assert detections.size == image.shape[:2] and set(detections.frames.tolist()) <= {number}
        assert set(detections.classes.tolist()) <= {3, 7}
        assert (np.diff(detections.scores) <= 0).all() and len(detections) <= 6
    assert any(len(d) for _, _, d in found)


def test_batches_that_are_known_do_not_go_through_the_network(network, monkeypatch):
    frames = frames_of(7)
    segmenter = NetworkSegmenter(network, 2)
    whole = {n: d for n, _, d in segmenter.stream(frames)}
    ran = []
    plain = segmenter._found
    monkeypatch.setattr(
        segmenter, "_found", lambda b, here, a: ran.append(len(here)) or plain(b, here, a)
    )
    again = list(segmenter.stream(frames, lambda n: whole[n] if n < 8 else None))
    assert ran == [2, 2, 1]  # of frames 5 to 11 the batch of 5 and 6 is known, 7 with 8 is not
    assert columns_of(again) == [(n, d.frames.tolist(), d.classes.tolist(), d.scores.tolist(),
                                  d.rles.tolist()) for n, d in whole.items()]  # fmt: skip


def test_a_network_comes_back_from_its_file(network, tmp_path):
    network.save(tmp_path / "n.keras")
    again = keras.saving.load_model(tmp_path / "n.keras", safe_mode=True)
    assert again.config == SMALL
    first, second = (
        columns_of(NetworkSegmenter(n, 2).stream(frames_of(2))) for n in (network, again)
    )
    assert first == second


def test_stages_that_are_frozen_are_not_trained():
    frozen = MaskRCNN(replace(SMALL, frozen_stages=2, norm="frozen"))
    names = {v.path for v in frozen.trainable_variables}
    assert not any(n.startswith("conv1/") or "layer1_" in n for n in names)
    assert any("layer2_" in n for n in names) and not any("bn" in n for n in names)
    c4 = {"pyramid": False, "anchor_sizes": ((32,),), "norm": "batch"}
    stem, whole = (MaskRCNN(replace(SMALL, frozen_stages=n, **c4)) for n in (1, 5))
    names = {v.path for v in stem.trainable_variables}
    assert not any(n.startswith(("conv1/", "bn1/")) for n in names)
    assert any(n.startswith("layer1_0_bn1/") for n in names)
    assert not any(v.path.startswith(("layer", "conv1", "bn1")) for v in whole.trainable_variables)
    assert any("rpn" in v.path for v in whole.trainable_variables)


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        ("depth", 20, "depth must be one of"),
        ("norm", "none", "norm must be frozen or batch"),
        ("numbers", (1,), "numbers must be one for each class"),
        ("anchor_sizes", ((8,),), "anchor_sizes must be those of 5 levels"),
        ("nms", 1.5, "nms must be from 0 to 1"),
        ("box_samples", 0, "box_samples must be at least 1"),
    ],
)
def test_settings_without_a_meaning_are_refused(field, value, text):
    with pytest.raises(ValueError, match=text):
        replace(SMALL, **{field: value})
    with pytest.raises(ValueError, match="settings of the network must be known, got colour"):
        MaskRcnnConfig.from_dict({"colour": 1})
    assert MaskRcnnConfig.from_dict(SMALL.as_dict()) == SMALL


def test_ops_of_one_mistaken_box_do_no_harm():
    # A box without sides and one of no number of pixels: nothing is not-a-number.
    empty = np.zeros((1, 2, 4), np.float32)
    level = np.ones((1, 8, 8, 2), np.float32)
    assert np.isfinite(numpy(roi_align.align([level], empty, np.float32([[32, 32]]), 3))).all()
    assert numpy(boxes.iou(empty, empty)).tolist() == [[[0, 0], [0, 0]]]
    assert ops.shape(boxes.clip(empty, np.float32([[4, 4]])))[1] == 2
