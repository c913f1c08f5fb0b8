"""Masks without a network, from a generated still camera and a generated dish."""

from fractions import Fraction

import cv2
import numpy as np
import pytest

import track_video
from pipeline.pixel_segmenters import (
    MotionConfig,
    MotionSegmenter,
    ThresholdConfig,
    ThresholdSegmenter,
    options_of,
)
from pipeline.run import execute
from pipeline.segmenters import find_segmenter
from utils.masks import areas_of, encode
from utils.video_writing import VideoWriter

SIZE = (240, 320)


def walkers(k, frame):
    """Return (x, y, w, h) of walker k: they come from both sides, and pass each other apart."""
    forth = k % 2 == 0
    x = -30 + 3 * (frame - 12 * k) if forth else 340 - 3 * (frame - 12 * k)
    return int(x), 20 + 52 * k, 16, 34


def street(seed=0, frames=140, shake=0):
    """Yield (picture, [(id, mask)]): noise, a shadow beside each walker, clouds and a lamp."""
    rng = np.random.default_rng(seed)
    scene = 120 + 5 * cv2.GaussianBlur(rng.normal(0, 60, (*SIZE, 3)), (0, 0), 3)
    for frame in range(frames):
        image, truth = scene.copy(), []
        for k in range(4):
            x, y, w, h = walkers(k, frame)
            mask, shadow = np.zeros(SIZE, np.uint8), np.zeros(SIZE, np.uint8)
            cv2.ellipse(mask, (x + w // 2, y + h // 2), (w // 2, h // 2), 0, 0, 360, 1, -1)
            cv2.ellipse(shadow, (x + w, y + h), (w // 2, 4), 0, 0, 360, 1, -1)
            image[shadow > 0] *= 0.7
            image[mask > 0] = np.array(
                [(230, 60, 60), (30, 40, 200), (20, 20, 20), (240, 240, 120)][k]
            )
            if mask.sum() > 60:
                truth.append((k + 1, mask))
        light = 1 + 0.15 * np.sin(frame / 20) - 0.2 * (60 < frame < 75)
        image = np.roll(image, shake * frame, axis=1)
        noisy = np.clip(image * light + rng.normal(0, 4, image.shape), 0, 255).astype(np.uint8)
        yield noisy, truth


def test_walkers_before_a_still_camera_are_tracked(tmp_path):
    lines = []
    with VideoWriter(tmp_path / "street.mp4", SIZE, Fraction(20)) as video:
        for frame, (image, truth) in enumerate(street()):
            video.write(image)
            lines += [b"%d %d 1 %d %d %s\n" % (frame, i, *SIZE, encode(m)) for i, m in truth]
    (tmp_path / "gt").mkdir()
    (tmp_path / "gt" / "street.txt").write_bytes(b"".join(lines))
    arguments = [str(tmp_path / "street.mp4"), "--segmenter", "motion", "--ground-truth",
                 str(tmp_path / "gt"), "--output", str(tmp_path / "out")]  # fmt: skip
    summary = execute(track_video.request_of(track_video.parse_args(arguments)))
    row = summary["scores"]["masks"]["class 1"]
    assert row["IDF1"] > 95 and row["IDS"] == 0, row
    assert not any("camera" in note for note in summary["notes"])


def test_a_moving_camera_is_said():
    segmenter = MotionSegmenter(MotionConfig())
    for image, _ in street(frames=30, shake=9):
        segmenter(image)
    (note,) = segmenter.notes
    assert "the camera may be moving" in note


def test_who_is_there_from_the_first_frame_leaves_no_ghost():
    def pictures():
        for frame in range(40):
            image = np.full((*SIZE, 3), 120, np.uint8)
            if frame < 60:
                x = 20 if frame < 5 else 20 + 8 * (frame - 5)
                image[100:140, x : x + 20] = 20
            yield image

    segmenter = MotionSegmenter(MotionConfig())
    segmenter.learn(pictures())
    found = [segmenter(image) for image in pictures()]
    assert [len(objects) for objects in found[:30]] == [1] * 30


def dish(touching=True):
    """Return a picture of dark discs on light ground, two of which touch, and their masks."""
    image = np.full((200, 300, 3), 200, np.uint8)
    masks = []
    for x, y in ((60, 60), (100 if touching else 130, 60), (200, 140)):
        mask = np.zeros((200, 300), np.uint8)
        cv2.circle(mask, (x, y), 22, 1, -1)
        image[mask > 0] = 60
        masks.append(mask)
    image[50:54, 240:244] = 60  # dirt
    return cv2.GaussianBlur(image, (0, 0), 1), masks


@pytest.mark.parametrize("side", ["auto", "dark"])
def test_discs_that_touch_are_split(side):
    image, masks = dish()
    segmenter = ThresholdSegmenter(ThresholdConfig(side=side, area=100))
    found = segmenter(image)
    areas = areas_of([r["counts"] for r in found], 200 * 300)
    assert len(found) == 3 and np.allclose(sorted(areas), sorted(m.sum() for m in masks), rtol=0.1)
    assert bool(segmenter.notes) == (side == "auto")
    whole = ThresholdSegmenter(ThresholdConfig(side=side, area=100, split=0))(image)
    assert len(whole) == 2


def test_light_on_dark_and_a_level_of_ones_own():
    image, _ = dish(touching=False)
    assert len(ThresholdSegmenter(ThresholdConfig("light", area=100))(255 - image)) == 3
    assert len(ThresholdSegmenter(ThresholdConfig("dark", level=130, area=5))(image)) == 4
    assert len(ThresholdSegmenter(ThresholdConfig("dark", level=20))(image)) == 0


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("motion:size=3", "motion has the options area, threshold, close, category, got size=3"),
        ("motion:area=x", "area must be an integer"),
        ("motion:threshold=0", "threshold above 0"),
        ("threshold:side=red", "side must be auto, dark or light, got red"),
        ("threshold:dark", "has the options side, level, area, split, category, got dark"),
    ],
)
def test_options_without_a_meaning_are_refused(name, message):
    with pytest.raises(ValueError, match=message):
        find_segmenter(name)


def test_options_are_read():
    assert options_of("motion", "area=9,threshold=4.5", MotionConfig()) == MotionConfig(9, 4.5)


def test_the_class_is_the_users(tmp_path):
    image, _ = dish()
    segmenter = find_segmenter("threshold:category=7,area=100")
    from pipeline.segmenters import segmented
    from utils.formats.base import Classes

    found = segmented(segmenter, "threshold", image, 4, Classes())
    assert set(found.classes.tolist()) == {7} and set(found.frames.tolist()) == {4}
