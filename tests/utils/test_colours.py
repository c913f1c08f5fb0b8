import numpy as np
import pytest

from tests.conftest import make_detections
from utils.colours import BANDS, BINS, colour_histograms

SIZE = BANDS * np.prod(BINS)


def images(frame):
    """Frame 1: red above, blue below. Frame 2: yellow above. Frame 3: green."""
    image = np.zeros((40, 60, 3), np.uint8)
    image[:20], image[20:] = (200, 30, 30), (30, 30, 200)
    if frame == 2:
        image[:20] = (200, 200, 40)
    if frame == 3:
        image[:] = (30, 180, 30)
    return image


def test_like_colours_are_near_wherever_the_object_is():
    boxes = [(1, 1, 2, 1.0, (5, 10, 8, 20)), (1, 2, 2, 1.0, (30, 10, 12, 20))]
    boxes += [(2, 1, 2, 1.0, (5, 10, 8, 20)), (3, 1, 2, 1.0, (5, 10, 8, 20))]
    histograms = colour_histograms(make_detections(boxes), images)
    assert histograms.shape == (4, SIZE) and histograms.dtype == np.float32
    # Roots of shares: each band has norm 1.
    assert (histograms**2).sum(axis=1) == pytest.approx(BANDS)
    distance = np.linalg.norm(histograms[0] - histograms, axis=1)
    assert distance[1] < distance[2] < distance[3]
    # The upper band is red alone, the lower one blue alone.
    assert (histograms[0].reshape(BANDS, -1)[0] > 0).sum() < 4
    assert not (histograms[0].reshape(BANDS, -1)[0] * histograms[0].reshape(BANDS, -1)[2]).any()


def test_rows_may_come_in_any_order_and_be_none():
    boxes = [(f, 1, 2, 1.0, (5 + f, 10, 8, 20)) for f in (3, 1, 2)]
    detections = make_detections(boxes)
    whole = colour_histograms(detections, images)
    for row in range(3):
        assert (colour_histograms(detections.select([row]), images)[0] == whole[row]).all()
    assert colour_histograms(detections.select([]), images).shape == (0, SIZE)


def test_bands_are_of_the_mask_wherever_it_stands_and_colours_not_mirrored():
    def paint(frame):
        image = np.zeros((40, 60, 3), np.uint8)
        y = 2 + 18 * (frame - 1)  # the same object, higher and lower
        for band, colour in enumerate(((200, 30, 30), (30, 180, 30), (30, 30, 200))):
            image[y + 6 * band : y + 6 * band + 6] = colour
        return image

    wide = [(f, 1, 2, 1.0, (5, 2 + 18 * (f - 1), 40, 18)) for f in (1, 2)]
    first, second = colour_histograms(make_detections(wide), paint)
    assert first == pytest.approx(second)
    by_band = first.reshape(BANDS, -1)
    assert len({int(band.argmax()) for band in by_band}) == 3  # one colour each
    # Red is no blue: bins along b run from blue to yellow, the last axis.
    red, blue = (int(by_band[k].argmax()) % BINS[2] for k in (0, 2))
    assert red > blue


def test_every_detection_is_looked_at_in_chunks(monkeypatch):
    from utils import colours

    boxes = [(1 + i % 3, i, 2, 1.0, (2 * i, 10, 8, 20)) for i in range(7)]
    found = make_detections(boxes)
    whole = colour_histograms(found, images)
    monkeypatch.setattr(colours, "CHUNK", 2)
    assert (colour_histograms(found, images) == whole).all() and whole.any(axis=1).all()
    keep = np.arange(7) % 2 == 0
    part = colour_histograms(found, images, keep)
    assert (part[keep] == whole[keep]).all() and not part[~keep].any()
