"""Label images."""

import numpy as np
import pytest

from tests.utils.formats.scenes import check_reading, read
from utils.detections import IGNORE
from utils.formats.labels import DavisPng, LabelPng, MotsPng


def test_names_as_roboflow_writes_them_are_numbered_by_their_frames(tmp_path):
    from PIL import Image

    for frame, digest in ((12, "3f2a9c8b7d"), (13, "aa11c0e9f1")):
        image = np.full((8, 9), frame, np.uint8)
        Image.fromarray(image).save(tmp_path / f"frame_{frame:04d}_jpg.rf.{digest}.png")
    assert read(tmp_path).frames.tolist() == [12, 13]


def test_mots_png_ignore_regions_and_davis_void(tmp_path):
    from PIL import Image

    image = np.zeros((20, 30), np.uint16)
    image[2:6, 2:6], image[10:14, 5:9] = 10000, 2003
    (tmp_path / "m").mkdir()
    Image.fromarray(image).save(tmp_path / "m" / "000000.png")
    found = read(tmp_path / "m")
    assert sorted(found.classes.tolist()) == [2, IGNORE] and sorted(found.ids.tolist()) == [0, 2003]
    (tmp_path / "d").mkdir()
    palette = Image.fromarray(np.where(image == 10000, 255, image // 2003).astype(np.uint8), "P")
    palette.putpalette([0] * 768)
    palette.save(tmp_path / "d" / "00000.png")
    found = read(tmp_path / "d")
    assert sorted(found.classes.tolist()) == [1, IGNORE] and found.class_names[IGNORE] == "ignore"


@pytest.mark.parametrize("name", ["mots-png", "davis", "labels"])
def test_pictures_are_read_to_the_pixel(tmp_path, name):
    check_reading(tmp_path, name, (MotsPng, DavisPng, LabelPng))
