"""Class numbers and names of several files."""

import json

import pytest

from tests import independent
from tests.utils.formats.scenes import (
    KITTI_NAMES,
    read,
    scene_of,
)
from utils.files import FormatError
from utils.formats.base import Classes, Options
from utils.formats.reading import read_detections


def test_categories_are_taken_by_name_where_the_data_set_has_them(tmp_path):
    scene = independent.Scene.of(scene_of())
    names = {1: "person", 2: "car"}  # the other way round
    path = independent.coco(scene, tmp_path, names=names)
    found = read(path, KITTI_NAMES)
    plain = read(path)
    assert plain.class_names == names
    swapped = {1: 2, 2: 1}
    assert found.classes.tolist() == [swapped[c] for c in plain.classes.tolist()]


def test_classes_of_two_files_with_one_number_stay_apart(tmp_path):
    scene, classes = independent.Scene.of(scene_of()), Classes()
    first = independent.coco(scene, tmp_path / "a", names={1: "cup", 2: "fork"})
    second = independent.coco(scene, tmp_path / "b", names={1: "fork", 2: "spoon"})
    options = Options(classes=classes)
    names = [read_detections(path, options=options).class_names for path in (first, second)]
    assert names[0] == {1: "cup", 2: "fork"} and names[1][2] == "fork"
    assert sorted(names[1].values()) == ["fork", "spoon"] and not set(names[1]) & {1}
    assert classes.names == {**names[0], **names[1]}


def test_names_of_one_file_stay_two_classes_unless_the_data_set_has_one(tmp_path):
    scene = independent.Scene.of(scene_of())
    path = independent.coco(scene, tmp_path, names={1: "person", 2: "pedestrian"})
    assert read(path).class_names == {1: "person", 2: "pedestrian"}
    found = read(path, KITTI_NAMES)
    assert set(found.classes.tolist()) == {2}
    assert any("categories person and pedestrian are one class here" in n for n in found.notes)


def test_categories_that_count_from_0_in_a_part_of_the_files_are_refused(tmp_path):
    scene = independent.Scene.of(scene_of())
    paths = []
    for name, shift in (("a", 0), ("b", -1)):
        path = independent.coco_results(scene, tmp_path / name)
        items = [
            {**i, "category_id": i["category_id"] + shift} for i in json.loads(path.read_text())
        ]
        path.write_text(json.dumps(items))
        paths.append(path)
    options = Options(classes=Classes())
    read_detections(paths[0], options=options)
    with pytest.raises(FormatError, match="categories must count from 0 in all files, or in none"):
        read_detections(paths[1], options=options)
    options = Options(classes=Classes())
    zero = read_detections(paths[1], options=options)
    assert zero.classes.tolist() == scene_of().classes.tolist()
