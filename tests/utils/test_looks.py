"""Objects cut out of their frames."""

import numpy as np

from tests.conftest import make_detections
from utils.looks import CROP, Look

BOX = (40, 20, 10, 30)


def look(image=None):
    rle = make_detections([(3, 7, 1, 1.0, BOX)], 60, 90).rles[0]
    return Look(7, 3, (60, 90), BOX, rle, image)


def test_the_surroundings_are_a_square_cut_at_the_frame():
    assert look().area == (18, 8, 54, 52)  # 1.8 x 30 px around the middle, to the frame's end


def test_what_is_cut_out_keeps_the_picture_and_forgets_the_frame():
    image = np.zeros((60, 90, 3), np.uint8)
    image[8:60, 18:72] = (0, 90, 0)
    cut = look(image).cut()
    assert (
        cut.image is None and cut.pixels.shape == (52, 54, 3) and (cut.pixels == (0, 90, 0)).all()
    )
    assert cut.cut() is cut
    assert np.array_equal(cut.picture(), look(image).picture())
    assert max(cut.picture().shape) == CROP and max(cut.picture(160).shape) == 160


def test_without_a_frame_the_outline_is_drawn_on_grey():
    drawn = look().picture()
    colours = {tuple(c) for c in drawn.reshape(-1, 3).tolist()}
    assert (40, 40, 40) in colours and len(colours) > 1
