"""Label images."""

import cv2
import numpy as np
import pytest
from PIL import Image

from tests import independent
from tests.utils.formats.scenes import check_reading, content, read, same_partition, scene_of
from utils.detections import IGNORE
from utils.files import FormatError
from utils.formats.base import Options
from utils.formats.labels import CityscapesPng, DavisPng, LabelPng, MotsPng
from utils.formats.sources import find_sources


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


def test_cityscapes_stuff_is_left_out_and_things_have_its_classes(tmp_path):
    scene = scene_of(4)
    path = independent.cityscapes(independent.Scene.of(scene), tmp_path)
    (source,) = find_sources(path)
    assert isinstance(source.format, CityscapesPng)
    got = read(path)
    assert content(got, ids=False, classes=False) == content(scene, ids=False, classes=False)
    assert set(got.classes.tolist()) == {24, 26} and got.class_names[26] == "car"
    assert got.notes == ("seq: values below 1000 are stuff or groups of objects: left out",)
    order, back = (np.lexsort((d.rles.astype(str), d.frames)) for d in (scene, got))
    assert same_partition(scene.ids[order], got.ids[back])
    assert ((scene.classes[order] == 1) == (got.classes[back] == 26)).all()


def test_more_objects_than_a_thousand_are_labels_and_not_classes(tmp_path):
    labels = np.zeros((60, 60), np.uint16)
    labels[:50, :50] = np.arange(1, 2501).reshape(50, 50)
    (tmp_path / "cells").mkdir()
    Image.fromarray(labels).save(tmp_path / "cells" / "t0.png")
    (source,) = find_sources(tmp_path / "cells")
    assert source.format.name == "labels" and len(source.read(Options())[0]) == 2500


def test_pictures_and_soft_edges_are_no_labels(tmp_path):
    rng = np.random.default_rng(3)
    mask = np.zeros((120, 160), np.uint8)
    cv2.circle(mask, (60, 60), 40, 255, -1)
    photo = cv2.GaussianBlur(rng.integers(0, 256, (120, 160)).astype(np.uint8), (0, 0), 2)
    for name, image in (("soft", cv2.GaussianBlur(mask, (0, 0), 2)), ("photo", photo)):
        (tmp_path / name).mkdir()
        cv2.imwrite(str(tmp_path / name / "000001.png"), image)
        with pytest.raises(FormatError, match="is this a picture, or a mask with soft edges"):
            read(tmp_path / name)
    worms = np.zeros((120, 160), np.uint8)
    for k in range(1, 13):  # thin, lying across, beside each other
        cv2.line(worms, (10 * k, 5), (10 * k + 30, 100), k, 4)
    (tmp_path / "worms").mkdir()
    cv2.imwrite(str(tmp_path / "worms" / "000001.png"), worms)
    assert len(read(tmp_path / "worms")) == 12
