"""Values of JSON files: refused by place and rule; masks of every notation."""

import io
import json

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from utils.files import FormatError
from utils.formats.json_values import (
    JsonWriter,
    categories,
    mask_of,
    optional_size,
    place_of,
    value,
)
from utils.formats.rows import Rows, polygon_rle

SIZE = (3, 4)


@pytest.fixture
def rows(tmp_path):
    return Rows(tmp_path / "a.json", "a")


def test_a_mask_in_every_notation_is_the_same(rows):
    mask = np.zeros(SIZE, np.uint8)
    mask[1:, 1:3] = 1
    packed = coco_mask.encode(np.asfortranarray(mask))
    # Column by column: 3 of the first and 1, then 2 of the second, 1, 2 of the third, 3.
    runs = {"size": [3, 4], "counts": [4, 2, 1, 2, 3]}
    text = {"size": [3, 4], "counts": packed["counts"].decode()}
    square = [[1, 1, 3, 1, 3, 3, 1, 3]]
    for notation in (runs, text, square):
        assert mask_of(rows, "x", notation, SIZE) == packed["counts"]


@pytest.mark.parametrize(
    ("notation", "message"),
    [
        (
            {"size": [3, 4], "counts": [13]},
            "RLE run must be a whole number in 0..12, got 13",
        ),
        (
            {"size": [3, 4], "counts": [12, -1]},
            "RLE run must be a whole number in 0..12, got -1",
        ),
        (
            {"size": [4, 3], "counts": [12]},
            "a mask must have its frame's size 3 4 (height width), got 4 3",
        ),
    ],
)
def test_masks_that_break_a_rule(rows, notation, message):
    with pytest.raises(FormatError) as caught:
        mask_of(rows, "annotation 1", notation, SIZE)
    assert str(caught.value).endswith(f"annotation 1: {message}")


def test_values_are_of_their_kind(rows):
    item = {"id": 3, "name": "cup", "ok": True}
    assert value(rows, "x", item, "id", int) == 3 and value(rows, "x", item, "name", str) == "cup"
    for key, rule in (("gone", "must have 'gone'"), ("name", "'name' must"), ("ok", "'ok' must")):
        with pytest.raises(FormatError, match=f"a.json: x: {rule}"):
            value(rows, "x", item, key, int)
    assert place_of("image", 2, item) == "image id 3" and place_of("image", 2, {}) == "image 2"
    assert categories(rows, [{"id": 1, "name": " cup "}, {"id": 2, "name": ""}]) == {
        1: "cup",
        2: "class 2",
    }
    assert optional_size({"height": 3, "width": 4}) == (3, 4)
    assert optional_size({"height": 3}) is None


def test_polygons_by_hand(rows):
    # Pixels whose centres are inside; two parts are one mask.
    one = polygon_rle(rows, "x", [[0, 0, 2, 0, 2, 2, 0, 2]], SIZE)
    assert coco_mask.decode({"size": SIZE, "counts": one}).tolist() == [
        [1, 1, 0, 0],
        [1, 1, 0, 0],
        [0, 0, 0, 0],
    ]
    two = polygon_rle(rows, "x", [[0, 0, 2, 0, 2, 2, 0, 2], [3, 0, 4, 0, 4, 3, 3, 3]], SIZE)
    assert int(coco_mask.area({"size": SIZE, "counts": two})) == 7


def test_what_is_written_piece_by_piece_is_json():
    file = io.StringIO()
    writer = JsonWriter(file)
    writer.items("a", [1, {"b": 2}])
    writer.items("c", [])
    writer.close()
    assert json.loads(file.getvalue()) == {"a": [1, {"b": 2}], "c": []}
