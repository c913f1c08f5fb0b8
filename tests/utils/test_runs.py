"""Compiled run lengths, held to decoded pixels and to pycocotools; patches to OpenCV's."""

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from tests.conftest import make_detections
from utils import masks, runs


def shapes(rng, height, width):
    """Return masks: blobs, slivers, whole columns, exact multiples of a patch, the whole frame."""
    found = []
    for _ in range(60):
        h, w = (int(np.exp(rng.uniform(0, np.log(side)))) for side in (height, width))
        y, x = rng.integers(0, height - h + 1), rng.integers(0, width - w + 1)
        mask = np.zeros((height, width), np.uint8)
        mask[y : y + h, x : x + w] = rng.random((h, w)) < rng.choice([0.2, 0.6, 1])
        mask[y, x : x + w] = mask[y : y + h, x] = 1
        found.append(mask)
    for h, w in ((32, 32), (64, 32), (16, 8), (48, 48), (height, 3), (1, 1), (height, width)):
        mask = np.zeros((height, width), np.uint8)
        mask[:h, :w] = rng.random((h, w)) < 0.7
        mask[:h, 0] = mask[0, :w] = 1
        found.append(mask)
    return found


@pytest.fixture(scope="module")
def pictures():
    return shapes(np.random.default_rng(3), 150, 170)


@pytest.fixture(scope="module")
def rles(pictures):
    return [masks.encode(picture) for picture in pictures]


def test_runs_are_those_of_the_pixels(pictures, rles):
    found, offsets = masks.decode_runs(rles, 150 * 170)
    for i, picture in enumerate(pictures):
        own = found[offsets[i] : offsets[i + 1]]
        assert (np.repeat(np.arange(len(own)) % 2, own) == picture.ravel(order="F")).all()


def test_boxes_are_those_of_pycocotools(rles):
    size = [150, 170]
    expected = coco_mask.toBbox([{"size": size, "counts": rle} for rle in rles])
    assert (masks.tight_boxes_xywh(rles, *size) == expected).all()
    assert not masks.tight_boxes_xywh([masks.encode(np.zeros(size))], *size).any()


def test_parts_are_those_of_the_pixels(pictures, rles):
    found, offsets = masks.decode_runs(rles, 150 * 170)
    for i, picture in enumerate(pictures):
        x, y, w, h = box = masks.tight_boxes_xywh([rles[i]], 150, 170)[0].astype(int)
        part = masks.crop(found[offsets[i] : offsets[i + 1]], box, 150)
        assert (part == 255 * picture[y : y + h, x : x + w]).all()


def test_masks_touch_where_they_share_a_pixel(pictures, rles):
    flat = np.array(pictures).reshape(len(pictures), -1).astype(int)
    first = list(range(0, 60, 3))
    expected = flat[first] @ flat.T > 0
    assert (masks.touching([rles[i] for i in first], rles, (150, 170)) == expected).all()
    assert 0 < expected.mean() < 1


@pytest.mark.parametrize("size", [16, 32, 128])
def test_patches_are_scaled_as_the_paper_says(pictures, rles, size):
    """Longer side M, centred, cut at one half: by hand for whole factors, within bounds else."""
    columns = np.empty(len(rles), object)
    columns[:] = rles
    blank = make_detections([(0, 1, 1, 1.0, (0, 0, 1, 1))] * len(rles), 150, 170)
    from dataclasses import replace

    patches = masks.crop_patches(replace(blank, rles=columns), size)[..., 0]
    assert patches.shape == (len(rles), size, size) and set(np.unique(patches)) <= {0, 255}
    for picture, patch, box in zip(
        pictures, patches, masks.tight_boxes_xywh(rles, 150, 170).astype(int), strict=True
    ):
        x, y, w, h = box
        assert (patch == masks.fit_square(255 * picture[y : y + h, x : x + w], size)).all()


def test_the_first_broken_mask_is_named_by_rule_and_value():
    good = masks.encode(np.ones((2, 3), np.uint8))
    text = np.frombuffer(bytearray(good + good + b"4"), np.uint8)
    starts = np.array([0, len(good), 2 * len(good), len(text)])
    *_, fault, row, value = runs.decode(text, starts, 6)
    assert (fault, row, value) == (runs.TOTAL, 2, 4)
