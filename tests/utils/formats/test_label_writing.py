"""PNG label images out."""

from dataclasses import replace

import numpy as np
import pytest

from tests.conftest import make_detections
from tests.utils.formats.scenes import check_writing, output_of, read, scene_of
from utils.formats.label_writing import label_image, write_davis, write_mots_png
from utils.formats.writing import WRITERS


def test_davis_is_an_index_per_track_to_others(tmp_path):
    from PIL import Image

    scene = scene_of(10)
    WRITERS["davis"].write(tmp_path / "d", output_of(scene))
    frame = int(scene.frames.max())
    image = Image.open(tmp_path / "d" / f"{frame:06d}.png")
    assert image.mode == "P"
    identities = sorted(set(scene.ids.tolist()))
    seen = set(np.unique(np.array(image)).tolist()) - {0}
    assert seen == {identities.index(i) + 1 for i in scene.ids[scene.frames == frame].tolist()}


def test_what_a_format_cannot_hold_is_said_and_nothing_is_left(tmp_path):
    scene = scene_of(11)
    wide = replace(scene, ids=(scene.ids * 100).astype(np.int32))
    with pytest.raises(ValueError, match=r"png holds ids of class \* 1000 \+ number"):
        WRITERS["png"].write(tmp_path / "p", output_of(wide))
    many = replace(scene, ids=np.arange(1, len(scene) + 1, dtype=np.int32))
    many = replace(many, **{n: np.repeat(getattr(many, n), 20, axis=0) for n in
                            ("frames", "classes", "scores", "boxes_xywh", "rles")},
                   ids=np.arange(1, 20 * len(scene) + 1, dtype=np.int32))  # fmt: skip
    with pytest.raises(ValueError, match="davis holds 254 tracks, got"):
        WRITERS["davis"].write(tmp_path / "d", output_of(many))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["png", "davis"])
def test_written_files_round_trip(tmp_path, name):
    writer = {"png": write_mots_png, "davis": write_davis}[name]
    assert WRITERS[name].write is writer
    check_writing(tmp_path, name)


def test_label_image_by_hand():
    detections = make_detections([(0, 1, 1, 1.0, (0, 0, 2, 1)), (0, 2, 1, 1.0, (3, 2, 2, 2))])
    image = label_image(detections, np.array([0, 1]), np.array([7, 70_000]))
    assert image[:4, :6].tolist() == [
        [7, 7, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 0],
        [0, 0, 0, 70_000, 70_000, 0],
        [0, 0, 0, 70_000, 70_000, 0],
    ]


def test_png_of_any_class_says_what_its_numbers_mean(tmp_path):
    dog = make_detections([(0, 24001, 24, 1.0, (0, 0, 9, 9)), (0, 18001, 18, 1.0, (20, 9, 9, 9))])
    WRITERS["png"].write(tmp_path / "png", output_of(dog))
    found = read(tmp_path / "png")
    assert sorted(found.ids.tolist()) == [18001, 24001]
    assert sorted(found.classes.tolist()) == [18, 24]
