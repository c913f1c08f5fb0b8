from dataclasses import replace

import cv2
import numpy as np
import pytest

from tests.conftest import make_detections
from utils import visualization
from utils.drawing import Painter
from utils.identity_colours import colour_of


def objects():
    return [(f, i, 1, 1.0, (5 + 3 * f, 5 + 15 * i, 8, 8)) for f in range(1, 5) for i in (0, 1)]


def test_colours_are_distinct_and_stable():
    colours = [colour_of(i) for i in range(1001, 1013)]
    assert len(set(colours)) == 12 and colour_of(1001) == colours[0]
    car, pedestrian = (np.array(colour_of(i)) for i in (1001, 2001))
    assert np.abs(car - pedestrian).max() > 100


def test_frame_shows_mask_id_and_trail():
    found = make_detections([(1, 7, 1, 1.0, (35, 5, 8, 8)), (2, 7, 1, 1.0, (8, 5, 8, 8))])
    image = np.zeros((40, 60, 3), np.uint8)
    painter = Painter()
    painter.draw(image, found, np.array([0]), 1, scale=4)
    drawn = painter.draw(image, found, np.array([1]), 2, scale=4)
    assert drawn.shape == (160, 240, 3)
    assert drawn[24, 34].any()  # inside the mask (8..16 x 5..13, times 4)
    assert drawn[36, 70:150].any()  # along the trail
    assert (drawn > 240).all(axis=2).any()  # the id, in white
    assert not image.any() and not drawn[100:, :60].any()


@pytest.mark.parametrize(("height", "width"), [(240, 320), (2160, 3840)])
def test_ids_are_legible_and_inside_at_any_size(height, width):
    corner = (width - 12, height - 12, 10, 10)
    found = make_detections([(1, 1001, 1, 1.0, corner)], height, width)
    drawn = Painter().draw(np.zeros((height, width, 3), np.uint8), found, np.array([0]), 1)
    rows = np.flatnonzero((drawn > 240).all(axis=2).any(axis=1))
    tall = rows[-1] - rows[0] + 1
    assert 8 <= tall and height / 60 <= tall <= height / 15 and rows[-1] < height - 1


def test_video_has_every_frame_also_those_without_objects(tmp_path):
    found = make_detections([o for o in objects() if o[0] != 3])
    still = visualization.write_video(tmp_path / "v.mp4", replace(found, ids=found.ids + 1))
    video = cv2.VideoCapture(str(tmp_path / "v.mp4"))
    assert video.get(cv2.CAP_PROP_FRAME_COUNT) == 4
    assert still.shape[0] % 40 == 0 and [p.name for p in tmp_path.iterdir()] == ["v.mp4"]


def test_embedding_picture_of_few_points(tmp_path):
    rng = np.random.default_rng(0)
    for n in (2, 3, 9):
        path = tmp_path / f"{n}.png"
        visualization.plot_embeddings(
            path, rng.normal(size=(n, 8)), np.arange(n), np.arange(n) % 3, "window"
        )
        assert cv2.imread(str(path)).shape[2] == 3


def test_training_picture(tmp_path):
    history = [
        {"epoch": e, "mask_mse": 1 / e, "box_mse": 0.1 / e, "sigma_mask": 1, "sigma_box": 1}
        for e in (1, 2)
    ]
    masks = np.zeros((3, 28, 28, 1), np.uint8)
    visualization.plot_training(tmp_path / "t.png", history, 2, masks, masks / 255)
    assert (tmp_path / "t.png").stat().st_size > 5000


def frame_of(path, number):
    video = cv2.VideoCapture(str(path))
    for _ in range(number + 1):
        ok, image = video.read()
    assert ok
    return image[:, :, ::-1].astype(int)  # RGB


def test_the_video_has_the_frames_colours_and_the_tracks_own(tmp_path):
    found = make_detections([(f, 1, 1, 1.0, (5 + 4 * f, 5, 8, 8)) for f in range(6)])
    found = replace(found, ids=np.full(6, 1001))

    def red(number):
        return np.full((40, 60, 3), (200, 20, 20), np.uint8)

    visualization.write_video(tmp_path / "v.mp4", found, red)
    last = frame_of(tmp_path / "v.mp4", 5)
    scale = last.shape[0] // 40
    assert np.abs(last[35 * scale, 50 * scale] - (200, 20, 20)).max() < 25
    colour = np.array(colour_of(1001))
    mixed = 0.45 * np.array((200, 20, 20)) + 0.55 * colour
    assert np.abs(last[7 * scale, 27 * scale] - mixed).max() < 40
    # The trail leads back to where the object was in the first frame.
    assert np.abs(last[9 * scale, 11 * scale] - colour).max() < 90
    assert np.abs(last[9 * scale, 11 * scale] - (200, 20, 20)).max() > 60


def test_the_still_is_the_fullest_frame_and_steps_are_frames(tmp_path):
    objects = [(0, 1, 1, 1.0, (5, 5, 8, 8)), (10, 1, 1, 1.0, (5, 5, 8, 8))]
    objects += [(5, i, 1, 1.0, (5 + 18 * i, 5, 8, 8)) for i in (0, 1, 2)]
    found = make_detections(objects)
    found = replace(found, ids=found.ids + 1)
    still = visualization.write_video(tmp_path / "v.mp4", found, step=5)
    video = cv2.VideoCapture(str(tmp_path / "v.mp4"))
    assert video.get(cv2.CAP_PROP_FRAME_COUNT) == 3
    scale = still.shape[0] // 40
    assert all(still[9 * scale, (9 + 18 * i) * scale].max() > 60 for i in (0, 1, 2))
