"""Masks scaled to frames of another resolution."""

import pytest
from pycocotools import mask as coco_mask

from tests.conftest import make_detections
from utils.rescaling import same_aspect, scaled


@pytest.mark.parametrize(
    ("first", "second", "alike"),
    [((1080, 1920), (360, 640), True), ((1080, 1920), (541, 961), True),
     ((1080, 1920), (640, 640), False), ((40, 60), (60, 40), False)],
)  # fmt: skip
def test_sizes_of_one_shape(first, second, alike):
    assert same_aspect(first, second) == same_aspect(second, first) == alike


def test_a_mask_and_its_box_grow_and_shrink_with_the_frame():
    found = make_detections([(0, 1, 1, 1.0, (10, 4, 20, 8)), (1, 1, 1, 1.0, (0, 0, 60, 40))])
    large = scaled(found, (80, 120))
    assert large.size == (80, 120) and large.boxes_xywh.tolist() == [
        [20, 8, 40, 16],
        [0, 0, 120, 80],
    ]
    assert coco_mask.toBbox(large.coco()).tolist() == large.boxes_xywh.tolist()
    assert coco_mask.area(large.coco()).tolist() == [640, 9600]
    small = scaled(found, (20, 30))
    assert coco_mask.toBbox(small.coco()).tolist() == [[5, 2, 10, 4], [0, 0, 30, 20]]
    assert scaled(found.select(slice(0, 0)), (20, 30)).size == (20, 30)
