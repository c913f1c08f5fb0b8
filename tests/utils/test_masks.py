import numpy as np
import pytest
from pycocotools import mask as coco_mask

from tests.conftest import box_mask
from utils import masks


def random_mask(rng, h, w):
    """A blobby mask, now and then empty or full."""
    kind = rng.integers(6)
    if kind == 0:
        return np.zeros((h, w), np.uint8)
    if kind == 1:
        return np.ones((h, w), np.uint8)
    return (rng.random((h, w)) < rng.random()).astype(np.uint8)


def test_runs_agree_with_pycocotools_on_random_masks():
    rng = np.random.default_rng(0)
    images = [random_mask(rng, 17, 23) for _ in range(200)]
    rles = [masks.encode(image) for image in images]
    runs, offsets = masks.decode_runs(rles, 17 * 23)
    for i, image in enumerate(images):
        mine = runs[offsets[i] : offsets[i + 1]]
        pixels = np.repeat(np.arange(len(mine)) % 2, mine).reshape(23, 17).T
        assert (pixels == image).all()
    assert masks.areas(runs, offsets).tolist() == [int(image.sum()) for image in images]


def test_runs_longer_than_a_digit_and_negative_differences_decode():
    # 300 x 400 frame: runs of five and six base-32 digits, differences of both signs.
    image = np.zeros((300, 400), np.uint8)
    image[10:200, 50] = image[10:11, 51] = image[0:300, 399] = 1
    runs, offsets = masks.decode_runs([masks.encode(image)], 120000)
    # Column 50 starts at pixel 15000, column 51 at 15300, column 399 at 119700.
    assert runs.tolist() == [15010, 190, 110, 1, 119700 - 15311, 300]
    assert masks.areas(runs, offsets).tolist() == [190 + 1 + 300]


@pytest.mark.parametrize(
    ("rle", "rule"),
    [
        (b"", "must not be empty"),
        (b"04 ", "outside"),  # a blank
        (b"p", "outside"),  # one past the alphabet
        (b"/", "outside"),  # one before it
        (b"P", "ends inside a number"),  # more digits are promised
        (b"PPPPPPPPPPPP1", "longer than"),  # a number of 13 digits: no run is that long
        (b"O", "run outside"),  # a negative run
        (b"4", "add up"),  # 4 of 6 pixels
        (b"oooo_1", "run outside"),  # a run of gigabytes, in six characters
        (b"333", "add up"),  # 9 of 6 pixels
    ],
)
def test_broken_rle_is_refused_by_rule_before_decoding(rle, rule):
    good = masks.encode(np.ones((2, 3), np.uint8))
    with pytest.raises(masks.RleError, match=rule) as caught:
        masks.decode_runs([good, rle, good], 6)
    assert caught.value.row == 1


def test_crop_equals_decoded_mask_inside_its_box():
    rng = np.random.default_rng(1)
    for _ in range(50):
        image = np.zeros((31, 47), np.uint8)
        y, x = rng.integers(0, 25), rng.integers(0, 40)
        image[y : y + 6, x : x + 7] = rng.random((6, 7)) < 0.6
        if not image.any():
            continue
        rle = masks.encode(image)
        runs, _ = masks.decode_runs([rle], 31 * 47)
        box = masks.tight_boxes_xywh([rle], 31, 47)[0].astype(int).tolist()
        x, y, w, h = box
        assert (masks.crop(runs, box, 31) == 255 * image[y : y + h, x : x + w]).all()


@pytest.mark.parametrize(
    ("h", "w"), [(4, 2), (2, 4), (1, 1), (1, 300), (300, 1), (129, 128), (128, 128), (400, 390)]
)
def test_patch_fills_its_longer_side_and_is_centred(h, w):
    patch = masks.fit_square(np.full((h, w), 255, np.uint8), 128)
    rows, columns = np.flatnonzero(patch.any(axis=1)), np.flatnonzero(patch.any(axis=0))
    assert max(len(rows), len(columns)) == 128
    for found in (rows, columns):
        assert abs((127 - found[-1]) - found[0]) <= 1
    assert set(np.unique(patch)) <= {0, 255}


def test_appearance_patch_holds_colours_under_the_mask_only():
    from tests.conftest import make_detections

    detections = make_detections([(3, 1, 1, 1.0, (10, 5, 8, 4))])
    colour = np.array([10, 200, 30], np.uint8)
    patches = masks.crop_patches(detections, 32, lambda frame: np.full((40, 60, 3), colour))
    inside = patches[0].any(axis=2)
    assert patches.shape == (1, 32, 32, 3)
    assert inside.sum() == 32 * 16
    assert (patches[0][inside] == colour).all()


def test_subtract_and_overlap():
    a, b, c = (
        {"size": [40, 60], "counts": box_mask(*box)}
        for box in ((0, 0, 10, 10), (5, 0, 10, 10), (30, 30, 5, 5))
    )
    assert masks.overlap([a, b], [b, c]).tolist() == [[True, False], [True, False]]
    assert masks.overlap([], [a]).shape == (0, 1)
    assert coco_mask.area({"size": [40, 60], "counts": masks.subtract(a, [b, c])}) == 50
    nothing = {"size": [40, 60], "counts": masks.subtract(a, [a])}
    assert coco_mask.area(nothing) == 0
    full = {"size": [40, 60], "counts": masks.encode(np.ones((40, 60), np.uint8))}
    assert coco_mask.area({"size": [40, 60], "counts": masks.subtract(full, [a])}) == 2300


@pytest.mark.parametrize("seed", range(20))
def test_canonical_masks_have_the_same_pixels_and_work_in_pycocotools(seed):
    rng = np.random.default_rng(seed)
    rles = []
    for _ in range(6):  # runs with zeros anywhere, 600 pixels in all
        cuts = np.sort(rng.integers(0, 601, int(rng.integers(0, 12))))
        runs = np.diff(np.concatenate([[0], cuts, cuts[-1:], [600]])).tolist()
        rles.append(masks.encode_runs(runs, 20, 30))
    runs, offsets = masks.decode_runs(rles, 600)
    clean = masks.canonical(rles, runs, offsets, 20, 30)
    solid, starts = masks.decode_runs(clean, 600)
    pixels = []
    for i in range(6):
        mine = runs[offsets[i] : offsets[i + 1]]
        pixels.append(np.repeat(np.arange(len(mine)) % 2, mine).reshape(30, 20).T)
        kept = solid[starts[i] : starts[i + 1]]
        assert (kept[1:] > 0).all()
        assert (coco_mask.decode({"size": [20, 30], "counts": clean[i]}) == pixels[i]).all()
    coco = [{"size": [20, 30], "counts": rle} for rle in clean]
    truth = [[bool((a & b).any()) for b in pixels] for a in pixels]
    assert masks.overlap(coco, coco).tolist() == truth
    for box, image in zip(masks.tight_boxes_xywh(clean, 20, 30), pixels, strict=True):
        assert box[2] * box[3] >= image.sum() and (image.any() or not box.any())


def test_areas_of_more_than_255_masks():
    # pycocotools' own area() overflows a uint8 here with NumPy 2.
    rles = [box_mask(0, 0, 3, 4)] * 300
    assert masks.areas(*masks.decode_runs(rles, 2400)).tolist() == [12] * 300


def test_a_scaled_mask_is_cut_at_one_half():
    image = np.zeros((4, 4), np.uint8)
    image[0, 0] = 255  # a quarter of the first cell
    image[2:, 2:] = 255
    image[3, 3] = 0  # three quarters of the last one
    assert masks.fit_square(image, 2).tolist() == [[0, 0], [0, 255]]
