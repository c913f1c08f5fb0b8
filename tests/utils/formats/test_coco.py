"""BASE annotations and results."""

import json

import numpy as np
import pytest
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from pipeline.api import track
from tests import independent
from tests.utils.formats.scenes import check_reading, check_writing, output_of, read, scene_of
from utils.detections import IGNORE
from utils.files import FormatError
from utils.formats.base import Options
from utils.formats.coco import CocoAnnotations, CocoResults
from utils.formats.sources import find_sources
from utils.formats.writing import WRITERS


def test_a_multi_part_polygon_is_one_object(tmp_path):
    data = {
        "images": [{"id": 1, "file_name": "5.png", "height": 40, "width": 60}],
        "categories": [{"id": 3, "name": "cup"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 3, "segmentation": [
            [2, 2, 12, 2, 12, 12, 2, 12], [30, 20, 40, 20, 40, 30, 30, 30]]}],
    }  # fmt: skip
    (tmp_path / "a.json").write_text(json.dumps(data))
    found = read(tmp_path / "a.json")
    mask = coco_mask.decode(found.coco()[0])
    assert mask.sum() == 200 and mask[5, 5] and mask[25, 35] and found.frames.tolist() == [5]
    assert found.class_names == {3: "cup"} and found.classes.tolist() == [3]


def test_coco_images_in_folders_are_a_sequence_each(tmp_path):
    images = [{"id": f"{s}{f}", "file_name": f"{s}/img1/{f:04d}.jpg", "height": 8, "width": 9}
              for s in "ab" for f in (3, 1)]  # fmt: skip
    data = {"images": images, "annotations": [], "categories": []}
    data["categories"] = [{"id": 0, "name": "cat"}, {"id": 1, "name": "dog"}]
    box = [1, 1, 5, 1, 5, 5, 1, 5]
    data["annotations"] = [
        {"id": i, "image_id": image["id"], "category_id": i % 2, "segmentation": [box]}
        for i, image in enumerate(images)
    ]
    (tmp_path / "x.json").write_text(json.dumps(data))
    found = [d for s in find_sources(tmp_path / "x.json") for d in s.read(Options())]
    assert [(d.sequence, d.frames.tolist()) for d in found] == [("a", [3, 1]), ("b", [3, 1])]
    # Categories that count from 0 count from 1 here, and keep their names.
    assert found[0].class_names == {1: "cat", 2: "dog"} and found[0].classes.tolist() == [1, 2]


def test_crowds_beside_a_class_10_get_a_number_of_their_own(tmp_path):
    scene = independent.Scene.of(scene_of())
    scene.objects = [(f, t, 10 if c == 1 else c, m) for f, t, c, m in scene.objects]
    path = independent.coco(scene, tmp_path, names={10: "monkey", 2: "cup"})
    data = json.loads(path.read_text())
    data["annotations"][0]["iscrowd"] = 1
    path.write_text(json.dumps(data))
    found = read(path)
    ignored = {n: c for c, n in found.class_names.items()}["ignore"]
    assert found.class_names[10] == "monkey" and ignored not in (2, 10)
    assert found.classes[0] == ignored and (found.classes == 10).any()
    assert "ignore" not in track(path).names.values()


def test_numbers_without_names_are_classes_10_too(tmp_path):
    scene = independent.Scene.of(scene_of())
    scene.objects = [(f, t, 10, m) for f, t, _, m in scene.objects]
    tracks = track(independent.coco_results(scene, tmp_path))
    assert tracks.names == {10: "class 10"} and tracks.ids.max() > 10_000


def test_crowds_are_regions_to_ignore(tmp_path):
    scene = independent.Scene.of(scene_of())
    path = independent.coco(scene, tmp_path)
    data = json.loads(path.read_text())
    data["annotations"][0]["iscrowd"] = 1
    path.write_text(json.dumps(data))
    found = read(path)
    assert found.classes[0] == IGNORE and found.class_names[IGNORE] == "ignore"
    assert found.ids[0] == 0 and found.ids[1:].all()


def test_class_10_of_a_file_that_names_its_classes_is_no_region(tmp_path):
    scene = independent.Scene.of(scene_of())
    scene.objects = [(f, t, 10 if c == 1 else c, m) for f, t, c, m in scene.objects]
    path = independent.coco(scene, tmp_path, names={10: "traffic light", 2: "pedestrian"})
    tracks = track(path)
    assert tracks.names == {2: "pedestrian", 10: "traffic light"}
    written = tracks.tracked.result()[0]
    assert (written.classes[written.ids > 0] == 10).any()


def changed(data, **changes):
    return {**data, **changes}


IMAGE = {"id": 1, "file_name": "000001.jpg", "height": 40, "width": 60}


ANNOTATION = {"id": 5, "image_id": 1, "category_id": 1, "segmentation": [[1, 1, 9, 1, 9, 9]]}


BASE = {"images": [IMAGE], "categories": [{"id": 1, "name": "cup"}], "annotations": [ANNOTATION]}


def with_mask(segmentation):
    return changed(BASE, annotations=[changed(ANNOTATION, segmentation=segmentation)])


RUNS = {"size": [40, 60], "counts": [10, 10, 2380]}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (changed(BASE, annotations=[changed(ANNOTATION, segmentation=[[1, 1, 9, 1]])]),
         "annotation id 5: a polygon must have at least three points, got 2"),
        (changed(BASE, annotations=[changed(ANNOTATION, segmentation=[[1, 1, 9, 1, 9]])]),
         "annotation id 5: a polygon must have pairs of x and y, got 5 values"),
        (changed(BASE, annotations=[changed(ANNOTATION, segmentation=[[1, 1, 9, 1, 9, 1e9]])]),
         "annotation id 5: a polygon must lie at the frame of 40 x 60, got y 1e+09"),
        (changed(BASE, annotations=[changed(ANNOTATION, category_id=9)]),
         "annotation id 5: category_id must be that of a category, got 9"),
        (changed(BASE, annotations=[changed(ANNOTATION, image_id=9)]),
         "annotation id 5: image_id must be that of an image, got 9"),
        (with_mask(changed(RUNS, size=[60, 40])),
         "annotation id 5: a mask must have its frame's size 40 60 (height width), got 60 40"),
        (with_mask(changed(RUNS, counts=[1, 2])),
         "annotation id 5: RLE must add up to height * width = 2400, got 3"),
        (with_mask(changed(RUNS, counts="0")),
         "annotation id 5: RLE must add up to height * width = 2400, got 0"),
        (changed(BASE, images=[IMAGE, changed(IMAGE, id=2)]),
         "image id 2: an image must be listed once, got 000001.jpg"),
        (changed(BASE, images=[IMAGE, changed(IMAGE, id=2, file_name="b1.jpg")]),
         "images: a frame must be listed once, got frame 1 of 000001.jpg and b1.jpg"),
        (changed(BASE, images=[IMAGE, changed(IMAGE, id=2, file_name="2.jpg", height=50)],
                 annotations=[ANNOTATION, changed(ANNOTATION, id=6, image_id=2)]),
         "annotation id 6: frame size must be 40 60 as in annotation id 5, got 50 60"),
        (changed(BASE, annotations=[changed(ANNOTATION, track_id=3),
                                    changed(ANNOTATION, id=6, track_id=3)]),
         "annotation id 6: an id must occur once in a frame (also in annotation id 5), "
         "got id 3 twice in frame 1"),
        (changed(BASE, annotations=[changed(ANNOTATION, segmentation="x")]),
         "annotation id 5: must be an object, got x"),
        ([{"image_id": 1, "category_id": 1, "segmentation": RUNS, "score": 0.5},
          {"image_id": 1, "category_id": 1, "segmentation": RUNS, "score": "high"}],
         "detection 1: score must be a finite number, got high"),
        ([{"image_id": None, "category_id": 1, "segmentation": RUNS, "score": 0.5}],
         "detection 0: image_id must be a number or a name, got None"),
    ],
)  # fmt: skip
def test_refusals_of_coco_name_file_place_rule_and_value(tmp_path, data, message):
    path = tmp_path / "c.json"
    path.write_text(json.dumps(data))
    with pytest.raises(FormatError) as caught:
        read(path)
    assert str(caught.value) == f"{path}: {message}"


def test_coco_opens_in_pycocotools(tmp_path):
    scene = scene_of(7)
    WRITERS["coco"].write(tmp_path / "a.json", output_of(scene))
    opened = COCO(str(tmp_path / "a.json"))
    assert len(opened.anns) == len(scene) and len(opened.imgs) == len(np.unique(scene.frames))
    for annotation in opened.anns.values():
        mask = opened.annToMask(annotation)
        x, y, w, h = (int(v) for v in annotation["bbox"])
        assert mask.sum() == annotation["area"] == mask[y : y + h, x : x + w].sum()
    assert [c["name"] for c in opened.cats.values()] == ["car", "pedestrian"]


@pytest.mark.parametrize("name", ["coco", "coco, uncompressed", "coco, polygons", "coco-results"])
def test_files_of_pycocotools_are_read_to_the_pixel(tmp_path, name):
    check_reading(tmp_path, name, (CocoAnnotations, CocoResults))


def test_written_files_round_trip(tmp_path):
    check_writing(tmp_path, "coco")
