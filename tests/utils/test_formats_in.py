"""Formats in: written by other libraries, told apart by content, read to the same pixels."""

import gzip
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from pipeline.api import track
from tests import independent
from tests.conftest import random_scene
from utils.detections import IGNORE
from utils.files import FormatError
from utils.formats.base import Classes, Options
from utils.formats.registry import FORMATS, find_sources, read_detections
from utils.results import finished

KITTI_NAMES = {1: "car", 2: "pedestrian"}


def scene_of(seed=0, **kwargs):
    """Return a small scene with disjoint masks whose ids are class * 1000 + number."""
    found = random_scene(np.random.default_rng(seed), frames=8, objects=6, miss=0.05, **kwargs)
    result, _ = finished(found, found.ids + 10 * found.classes.astype(np.int32))
    return result.select(result.ids > 0)


def read(path, names=None, **options):
    return read_detections(path, options=Options(classes=Classes(names), **options))


def content(found, ids=True, classes=True):
    """Return what detections are, in any order."""
    rows = zip(
        found.frames.tolist(),
        found.ids.tolist() if ids else found.frames.tolist(),
        found.classes.tolist() if classes else found.frames.tolist(),
        found.rles.tolist(),
        strict=True,
    )
    return sorted(rows)


def same_partition(first, second):
    """Return whether two id columns group rows alike."""
    pairs = set(zip(first.tolist(), second.tolist(), strict=True))
    return len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})


@pytest.mark.parametrize("name", independent.EXACT)
def test_formats_with_classes_are_told_apart_and_read_to_the_pixel(tmp_path, name):
    scene = scene_of()
    path = independent.EXACT[name](independent.Scene.of(scene), tmp_path)
    sources = find_sources(path)
    assert [s.format.name for s in sources] == [name.split(",")[0]]
    found = read(path, KITTI_NAMES)
    assert found.size == scene.size and found.sequence == "seq"
    assert content(found, ids=False) == content(scene, ids=False)
    assert found.scored == (name in ("coco-results", "ytvis-results"))
    order, back = (np.lexsort((d.rles.astype(str), d.frames)) for d in (scene, found))
    if found.ids.any():
        assert same_partition(scene.ids[order], found.ids[back])
        assert not read(path, KITTI_NAMES, ids=False).ids.any()
    else:
        assert name in ("coco-results", "label-studio")


@pytest.mark.parametrize("name", independent.ONE_CLASS)
def test_label_images_are_one_class_and_keep_their_ids(tmp_path, name):
    scene = scene_of(1)
    path = independent.ONE_CLASS[name](independent.Scene.of(scene), tmp_path)
    assert [s.format.name for s in find_sources(path)] == [name.split(",")[0]]
    found = read(path)
    assert found.sequence == "seq" and set(found.classes.tolist()) == {1}
    assert found.class_names[1] == "object" and not found.scored
    assert content(found, ids=False, classes=False) == content(scene, ids=False, classes=False)
    order, back = (np.lexsort((d.rles.astype(str), d.frames)) for d in (scene, found))
    assert same_partition(scene.ids[order], found.ids[back])


@pytest.mark.parametrize("name", independent.OUTLINES)
def test_polygons_are_drawn_as_pycocotools_draws_them(tmp_path, name):
    scene = scene_of(2)
    path = independent.OUTLINES[name](independent.Scene.of(scene), tmp_path)
    found = read(path, KITTI_NAMES, size=scene.size)
    assert [s.format.name for s in find_sources(path)] == [name.split(",")[0]]
    assert len(found) == len(scene)
    for frame, rows in scene.rows_by_frame():
        there = np.flatnonzero(found.frames == frame)
        iou = coco_mask.iou(found.coco(there), scene.coco(rows), [0] * len(rows))
        assert iou.max(axis=0).min() > 0.8
    assert sorted(found.classes.tolist()) == sorted(scene.classes.tolist())


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


def test_gzipped_files_are_read_as_they_are(tmp_path):
    scene = scene_of()
    for name in ("coco", "npz", "cvat", "ytvis"):
        path = independent.EXACT[name](independent.Scene.of(scene), tmp_path / name)
        packed = path.with_name(path.name + ".gz")
        packed.write_bytes(gzip.compress(path.read_bytes()))
        assert content(read(packed, KITTI_NAMES)) == content(read(path, KITTI_NAMES))
        assert read(packed).sequence == "seq"


def test_a_folder_of_folders_is_a_sequence_each(tmp_path):
    for name in ("a", "b"):
        made = independent.mots_png(independent.Scene.of(scene_of()), tmp_path / name)
        (tmp_path / "top").mkdir(exist_ok=True)
        shutil.move(made, tmp_path / "top" / name)
    assert sorted(s.sequence for s in find_sources(tmp_path / "top")) == ["a", "b"]


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


def test_cell_tracking_folders_are_read_once(tmp_path):
    scene = scene_of(1)
    folder = independent.tiff_files(independent.Scene.of(scene), tmp_path)
    shutil.copytree(folder / "TRA", folder / "SEG")
    (folder / "TRA" / "man_track.txt").write_text("1 0 3 0\n")
    for place in (folder, folder.parent):
        (source,) = find_sources(place)
        (found,) = source.read(Options())
        assert len(found) == len(scene) and found.sequence == "seq"
        assert any("TRA is read, not SEG" in note for note in found.notes)
    (folder / "TRA" / "man_track.txt").rename(folder / "TRA" / "res_track.txt")
    assert len(find_sources(folder / "TRA")) == 1


def test_masks_that_are_in_two_files_of_a_sequence_are_said(tmp_path):
    from utils.inputs import read_inputs

    scene = independent.Scene.of(scene_of())
    first = independent.coco(scene, tmp_path / "a")
    second = independent.coco(scene, tmp_path / "b")
    count = len(scene.objects)
    inputs = read_inputs([first, second])
    assert f"seq: {count} masks are in more than one of its files" in inputs.notes
    assert not any("more than one" in note for note in read_inputs([first]).notes)


def test_names_as_roboflow_writes_them_are_numbered_by_their_frames(tmp_path):
    from PIL import Image

    for frame, digest in ((12, "3f2a9c8b7d"), (13, "aa11c0e9f1")):
        image = np.full((8, 9), frame, np.uint8)
        Image.fromarray(image).save(tmp_path / f"frame_{frame:04d}_jpg.rf.{digest}.png")
    assert read(tmp_path).frames.tolist() == [12, 13]


def test_label_studio_takes_the_image_and_the_last_annotation(tmp_path):
    path = independent.label_studio(independent.Scene.of(scene_of()), tmp_path)
    tasks = json.loads(path.read_text())
    for task in tasks:
        task["data"] = {"caption": "take 3", **task["data"]}
        task["annotations"] = [task["annotations"][0], task["annotations"][0]]
    before = read(path)
    path.write_text(json.dumps(tasks))
    found = read(path)
    assert content(found) == content(before)
    assert any("tasks with several annotations" in note for note in found.notes)


def test_cvat_exports_of_several_tasks_are_refused(tmp_path):
    path = independent.cvat(independent.Scene.of(scene_of()), tmp_path)
    text = path.read_text()
    path.write_text(text.replace('<track id="0"', '<track id="0" task_id="7"', 1)
                    .replace('<track id="1"', '<track id="1" task_id="8"', 1))  # fmt: skip
    with pytest.raises(FormatError, match=r"must be of one task .*, got 7, 8"):
        read(path)


def test_ground_truth_keeps_its_ids_whatever_is_asked_of_the_detections(tmp_path):
    from utils.inputs import read_inputs

    scene = independent.Scene.of(scene_of())
    found = independent.coco_results(scene, tmp_path / "found")
    truth = independent.coco(scene, tmp_path / "truth")
    inputs = read_inputs([found], truth, options=Options(ids=False))
    assert inputs.truth["seq"].ids.all()


def test_numbers_without_names_are_classes_10_too(tmp_path):
    scene = independent.Scene.of(scene_of())
    scene.objects = [(f, t, 10, m) for f, t, _, m in scene.objects]
    tracks = track(independent.coco_results(scene, tmp_path))
    assert tracks.names == {10: "class 10"} and tracks.ids.max() > 10_000


def test_frames_of_videos_are_those_of_their_file_names(tmp_path):
    scene = scene_of()
    later = independent.Scene.of(scene)
    later.objects = [(7 + 2 * f, *rest) for f, *rest in later.objects]
    for name in ("ytvis", "coco", "mots-png", "cvat"):
        found = read(independent.EXACT[name](later, tmp_path / name))
        assert sorted(found.frames.tolist()) == sorted((7 + 2 * scene.frames).tolist()), name


def test_crowds_are_regions_to_ignore(tmp_path):
    scene = independent.Scene.of(scene_of())
    path = independent.coco(scene, tmp_path)
    data = json.loads(path.read_text())
    data["annotations"][0]["iscrowd"] = 1
    path.write_text(json.dumps(data))
    found = read(path)
    assert found.classes[0] == IGNORE and found.class_names[IGNORE] == "ignore"
    assert found.ids[0] == 0 and found.ids[1:].all()


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


def test_class_10_of_a_file_that_names_its_classes_is_no_region(tmp_path):
    scene = independent.Scene.of(scene_of())
    scene.objects = [(f, t, 10 if c == 1 else c, m) for f, t, c, m in scene.objects]
    path = independent.coco(scene, tmp_path, names={10: "traffic light", 2: "pedestrian"})
    tracks = track(path)
    assert tracks.names == {2: "pedestrian", 10: "traffic light"}
    written = tracks.tracked.result()[0]
    assert (written.classes[written.ids > 0] == 10).any()


def yolo_file(folder, *lines):
    folder.mkdir(exist_ok=True)
    (folder / "v_3.txt").write_text("\n".join(lines) + "\n")
    return folder


SQUARE = "0.1 0.1 0.5 0.1 0.5 0.5 0.1 0.5"


@pytest.mark.parametrize(
    ("lines", "scores", "ids"),
    [
        ([f"0 {SQUARE}", f"1 {SQUARE}"], [1, 1], [0, 0]),
        ([f"0 {SQUARE} 0.75", f"1 {SQUARE} 0.5"], [0.75, 0.5], [0, 0]),
        ([f"0 {SQUARE} 7", f"1 {SQUARE} 1"], [1, 1], [7, 1]),
        ([f"0 {SQUARE} 0.75 7", f"1 {SQUARE} 0.5 12"], [0.75, 0.5], [7, 12]),
        ([f"0 {SQUARE} 0.75 1", f"1 {SQUARE} 0.5 1"], [0.75, 0.5], [1, 1]),
        ([f"0 {SQUARE} 0.75 7", f"1 {SQUARE} 0.5"], [0.75, 0.5], [7, 0]),
    ],
)
def test_yolo_scores_and_ids_are_told_apart(tmp_path, lines, scores, ids):
    if ids == [1, 1]:  # a single track, a line a frame
        (tmp_path / "clip").mkdir()
        (tmp_path / "clip" / "v_4.txt").write_text(lines.pop() + "\n")
    found = read(yolo_file(tmp_path / "clip", *lines), size=(40, 60))
    if ids == [1, 1]:
        found = replace(found, frames=np.array([3, 3], np.int32))
    assert found.frames.tolist() == [3, 3] and found.classes.tolist() == [1, 2]
    assert found.scores == pytest.approx(scores) and found.ids.tolist() == ids
    assert found.scored == (scores != [1, 1])
    assert found.boxes_xywh[0].tolist() == [6, 4, 24, 16]


def changed(data, **changes):
    return {**data, **changes}


IMAGE = {"id": 1, "file_name": "000001.jpg", "height": 40, "width": 60}
ANNOTATION = {"id": 5, "image_id": 1, "category_id": 1, "segmentation": [[1, 1, 9, 1, 9, 9]]}
COCO = {"images": [IMAGE], "categories": [{"id": 1, "name": "cup"}], "annotations": [ANNOTATION]}


def with_mask(segmentation):
    return changed(COCO, annotations=[changed(ANNOTATION, segmentation=segmentation)])


RUNS = {"size": [40, 60], "counts": [10, 10, 2380]}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (changed(COCO, annotations=[changed(ANNOTATION, segmentation=[[1, 1, 9, 1]])]),
         "annotation id 5: a polygon must have at least three points, got 2"),
        (changed(COCO, annotations=[changed(ANNOTATION, segmentation=[[1, 1, 9, 1, 9]])]),
         "annotation id 5: a polygon must have pairs of x and y, got 5 values"),
        (changed(COCO, annotations=[changed(ANNOTATION, segmentation=[[1, 1, 9, 1, 9, 1e9]])]),
         "annotation id 5: a polygon must lie at the frame of 40 x 60, got y 1e+09"),
        (changed(COCO, annotations=[changed(ANNOTATION, category_id=9)]),
         "annotation id 5: category_id must be that of a category, got 9"),
        (changed(COCO, annotations=[changed(ANNOTATION, image_id=9)]),
         "annotation id 5: image_id must be that of an image, got 9"),
        (with_mask(changed(RUNS, size=[60, 40])),
         "annotation id 5: a mask must have its frame's size 40 60 (height width), got 60 40"),
        (with_mask(changed(RUNS, counts=[1, 2])),
         "annotation id 5: RLE must add up to height * width = 2400, got 3"),
        (with_mask(changed(RUNS, counts="0")),
         "annotation id 5: RLE must add up to height * width = 2400, got 0"),
        (changed(COCO, images=[IMAGE, changed(IMAGE, id=2)]),
         "image id 2: an image must be listed once, got 000001.jpg"),
        (changed(COCO, images=[IMAGE, changed(IMAGE, id=2, file_name="b1.jpg")]),
         "images: a frame must be listed once, got frame 1 of 000001.jpg and b1.jpg"),
        (changed(COCO, images=[IMAGE, changed(IMAGE, id=2, file_name="2.jpg", height=50)],
                 annotations=[ANNOTATION, changed(ANNOTATION, id=6, image_id=2)]),
         "annotation id 6: frame size must be 40 60 as in annotation id 5, got 50 60"),
        (changed(COCO, annotations=[changed(ANNOTATION, track_id=3),
                                    changed(ANNOTATION, id=6, track_id=3)]),
         "annotation id 6: an id must occur once in a frame (also in annotation id 5), "
         "got id 3 twice in frame 1"),
        (changed(COCO, annotations=[changed(ANNOTATION, segmentation="x")]),
         "annotation id 5: must be an object, got x"),
        ([{"image_id": 1, "category_id": 1, "segmentation": RUNS, "score": 0.5},
          {"image_id": 1, "category_id": 1, "segmentation": RUNS, "score": "high"}],
         "detection 1: score must be a finite number, got high"),
        ([{"image_id": "frame", "category_id": 1, "segmentation": RUNS, "score": 0.5}],
         "detection 0: image_id must be a frame number, or end in one, got frame"),
    ],
)  # fmt: skip
def test_refusals_of_coco_name_file_place_rule_and_value(tmp_path, data, message):
    path = tmp_path / "c.json"
    path.write_text(json.dumps(data))
    with pytest.raises(FormatError) as caught:
        read(path)
    assert str(caught.value) == f"{path}: {message}"


def test_refusals_of_other_formats(tmp_path):
    from PIL import Image

    (tmp_path / "no.json").write_text('{"a": 1')
    Image.new("RGB", (9, 9)).save(tmp_path / "rgb.png")
    np.savez(tmp_path / "no_frames.npz", masks=np.zeros((2, 4, 5), bool))
    np.savez(tmp_path / "short.npz", masks=np.zeros((2, 4, 5), bool), frames=[1])
    np.save(tmp_path / "flat.npy", np.zeros((4, 5)))
    np.save(tmp_path / "half.npy", np.full((2, 4, 5), 0.5))
    (tmp_path / "d.xml").write_text("<!DOCTYPE a><annotations></annotations>")
    for name, message in (
        ("no.json", "must be of a known format"),
        ("rgb.png", "a label image must have one channel, one number per object, got colours"),
        ("no_frames.npz", "masks: must come with frames (n), or be labels (T, H, W), got no frame"),
        ("short.npz", "frames: must be one number for each of 2 masks, got 1"),
        ("flat.npy", "must be masks (n, H, W) or labels (T, H, W) of whole numbers, got shape (4"),
        ("half.npy", "plane 0: labels must be whole numbers, got float64"),
        ("d.xml", "must be XML without a document type, got one"),
    ):
        with pytest.raises(FormatError) as caught:
            read(tmp_path / name)
        assert str(caught.value).startswith(f"{tmp_path / name}: {message}")
    with pytest.raises(FormatError, match=r"need its size \(--size HxW, or --images\), got none"):
        read(yolo_file(tmp_path / "y", f"0 {SQUARE}"))
    with pytest.raises(FormatError, match=r"v_3.txt:2: expected class, three points or more, got"):
        read(yolo_file(tmp_path / "y", f"0 {SQUARE}", "0 0.1 0.1 0.2 0.2"), size=(40, 60))


def test_two_files_of_a_frame_and_files_of_two_kinds_are_refused(tmp_path):
    from PIL import Image

    for name in ("a_1.png", "b_1.png"):
        Image.fromarray(np.ones((5, 6), np.uint8)).save(tmp_path / name)
    with pytest.raises(FormatError, match=r"b_1.png: a frame must be listed once \(also a_1.png\)"):
        find_sources(tmp_path)
    (tmp_path / "b_1.png").rename(tmp_path / "x.npy")
    with pytest.raises(FormatError, match=r"must hold files of one kind \(--format takes one\)"):
        find_sources(tmp_path)
    assert find_sources(tmp_path, "labels")[0].format.name == "labels"


def test_a_stack_is_read_plane_by_plane(tmp_path, monkeypatch):
    stack = np.zeros((50, 30, 40), np.int32)
    stack[:, 3:9, 4:9] = 7
    np.save(tmp_path / "s.npy", stack)
    held = []
    from utils.formats import labels

    plain = labels.label_rles
    monkeypatch.setattr(labels, "label_rles", lambda a: held.append(a.base is None) or plain(a))
    monkeypatch.setattr(np, "load", lambda *a, **k: pytest.fail("read at once"))
    found = read(tmp_path / "s.npy")
    assert len(found) == len(held) == 50 and set(found.ids.tolist()) == {7}


def mutated(rng, data):
    """Return bytes with a few changed, cut, doubled or swapped."""
    data = bytearray(data)
    for _ in range(int(rng.integers(1, 4))):
        kind, at = rng.integers(0, 5), int(rng.integers(0, max(1, len(data))))
        if kind == 0 and data:
            data[at] = int(rng.integers(0, 256))
        elif kind == 1:
            del data[at : at + int(rng.integers(1, 40))]
        elif kind == 2:
            data[at:at] = data[at : at + int(rng.integers(1, 40))]
        elif kind == 3:
            data[at:at] = rng.choice([b"-1", b"1e999", b"null", b'"', b"99999999999", b"\x00"])
        else:
            del data[at:]
    return bytes(data)


def test_mutated_files_of_every_format_are_read_or_refused_in_one_line(tmp_path):
    # 10,000 over all: never another exception, never a message of several lines.
    scene = independent.Scene.of(scene_of(3, height=24, width=32))
    writers = {**independent.EXACT, **independent.ONE_CLASS, **independent.OUTLINES}
    rng = np.random.default_rng(0)
    refused = total = 0
    each = 10_000 // len(writers) + 1
    for name, write in writers.items():
        path = write(scene, tmp_path / name.replace(", ", "_"))
        files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
        originals = [file.read_bytes() for file in files]
        for _ in range(each):
            i = int(rng.integers(0, len(files)))
            data = mutated(rng, originals[i])
            files[i].write_bytes(data)
            total += 1
            try:
                for source in find_sources(path):
                    source.read(Options(size=scene.size))
            except FormatError as error:
                refused += 1
                assert str(error).count("\n") == 0 and len(str(error)) < 600
            files[i].write_bytes(originals[i])
    assert total >= 10_000 and refused > 2000


def test_every_format_has_a_test_and_a_meaning():
    tested = {n.split(",")[0] for n in (*independent.EXACT, *independent.ONE_CLASS, "yolo")}
    assert set(FORMATS) == tested | {"mots", "tracking-only", "trackrcnn"}
    assert all(f.meaning and f.suffixes for f in FORMATS.values())


@pytest.mark.parametrize(
    ("name", "frames"), [("kitti_mots/0012", 1000), ("mots_challenge/0009", 20)]
)
def test_a_real_sequence_gets_the_same_ids_from_every_format(real_data, tmp_path, name, frames):
    folder, sequence = name.split("/")
    truth = read(real_data / folder / "instances_txt" / f"{sequence}.txt")
    truth = truth.select((truth.classes != IGNORE) & (truth.frames < frames))
    order = np.lexsort((truth.rles.astype(str), truth.frames))
    expected = track(truth, class_names=KITTI_NAMES).ids[order]
    assert len(set(expected.tolist())) > 2
    scene = independent.Scene.of(truth)
    writers = {**independent.EXACT, **independent.OUTLINES}
    if len(set(truth.classes.tolist())) == 1:
        writers |= independent.ONE_CLASS
    for kind, write in writers.items():
        if kind == "label-studio" and truth.height > 500:
            continue  # its bits, written as text by the test, are too many at this size
        path = write(scene, tmp_path / kind.replace(", ", "_"))
        names = None if kind in independent.ONE_CLASS else KITTI_NAMES
        found = read(path, names, size=truth.size)
        ids = track(found, class_names=names).ids
        if kind in independent.OUTLINES:  # pixels differ: rows by their order, which is the same
            back = np.arange(len(found)) if kind.startswith("coco") else _rows_like(truth, found)
            assert same_partition(ids[back], track(truth, class_names=KITTI_NAMES).ids), kind
            continue
        back = np.lexsort((found.rles.astype(str), found.frames))
        assert same_partition(ids[back], expected), kind


def _rows_like(truth, found):
    """Return for each true row the row of the same object, by place."""
    rows = np.zeros(len(truth), int)
    for frame, there in truth.rows_by_frame():
        mine = np.flatnonzero(found.frames == frame)
        iou = coco_mask.iou(truth.coco(there), found.coco(mine), [0] * len(mine))
        rows[there] = mine[iou.argmax(axis=1)]
    return rows
