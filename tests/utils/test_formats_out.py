"""Formats out: the same ids and pixels through their own readers, and through other tools."""

import json
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from tests.utils.test_formats_in import KITTI_NAMES, content, read, scene_of
from utils.formats.base import Classes, Options, Output
from utils.formats.mot import read_mot
from utils.formats.registry import find_sources
from utils.formats.writing import WRITERS
from utils.outlines import one_polygon

EXACT = [name for name in WRITERS if name != "mot"]


def output_of(scene, scored=False):
    return Output(scene, KITTI_NAMES, scored)


@pytest.mark.parametrize("scored", [False, True])
@pytest.mark.parametrize("name", EXACT)
def test_results_round_trip_with_the_same_ids_and_pixels(tmp_path, name, scored):
    scene = scene_of(5)
    path = tmp_path / WRITERS[name].place("seq")
    WRITERS[name].write(path, output_of(scene, scored))
    options = Options(size=scene.size, classes=Classes(KITTI_NAMES))
    (source,) = find_sources(path)
    (found,) = source.read(options)
    assert content(found) == content(scene)
    assert found.scored == (scored and name in ("coco", "yolo"))
    if found.scored:
        order, back = (np.lexsort((d.ids, d.frames)) for d in (scene, found))
        assert found.scores[back] == pytest.approx(scene.scores[order], abs=1e-5)
    left = [p for p in tmp_path.rglob("*") if p.name.startswith(".")]
    assert not left


@pytest.mark.parametrize("name", WRITERS)
def test_rows_without_an_id_are_not_written_and_an_empty_result_is_valid(tmp_path, name):
    scene = scene_of(6)
    hidden = replace(scene, ids=np.where(np.arange(len(scene)) % 2, scene.ids, 0).astype(np.int32))
    path = tmp_path / WRITERS[name].place("seq")
    WRITERS[name].write(path, output_of(hidden))
    if name != "mot":
        found = read(path, KITTI_NAMES, size=scene.size)
        assert content(found) == content(hidden.select(hidden.ids > 0))
    empty = tmp_path / "empty" / WRITERS[name].place("seq")
    WRITERS[name].write(empty, output_of(scene.select(np.zeros(0, int))))
    assert empty.exists()


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


def test_mot_is_read_by_trackeval_s_rules(tmp_path):
    scene = scene_of(8)
    WRITERS["mot"].write(tmp_path / "a.txt", output_of(scene))
    table = np.loadtxt(tmp_path / "a.txt", delimiter=",")
    assert table.shape == (len(scene), 10)  # TrackEval: frame, id, x, y, w, h, score and three more
    frames, ids, boxes = read_mot(tmp_path / "a.txt")
    rows = np.lexsort((np.arange(len(scene)), scene.frames))
    assert (
        frames.tolist() == scene.frames[rows].tolist() and ids.tolist() == scene.ids[rows].tolist()
    )
    for box, mask in zip(boxes, scene.coco(rows), strict=True):
        ys, xs = np.nonzero(coco_mask.decode(mask))
        assert box.tolist() == [xs.min(), ys.min(), np.ptp(xs) + 1, np.ptp(ys) + 1]


def test_cvat_tracks_end_where_they_are_seen_last(tmp_path):
    scene = scene_of(9)
    WRITERS["cvat"].write(tmp_path / "a.xml", output_of(scene))
    root = ElementTree.parse(tmp_path / "a.xml").getroot()
    tracks = root.findall("track")
    assert sorted(int(t.get("id")) + 1 for t in tracks) == sorted(set(scene.ids.tolist()))
    for track in tracks:
        frames = sorted(scene.frames[scene.ids == int(track.get("id")) + 1].tolist())
        assert {shape.tag for shape in track} == {"polygon"}  # CVAT's tracks hold no masks
        shown = [int(m.get("frame")) for m in track if m.get("outside") == "0"]
        ended = [int(m.get("frame")) for m in track if m.get("outside") == "1"]
        assert shown == frames
        last = int(scene.frames.max())
        gaps = [f + 1 for f in frames if f + 1 not in frames and f < last]
        assert ended == gaps


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


def test_one_polygon_draws_to_the_same_pixels_with_parts_and_holes():
    rng = np.random.default_rng(0)
    for trial in range(300):
        height, width = rng.integers(1, 30, 2).tolist()
        mask = (rng.random((height, width)) < rng.random()).astype(np.uint8)
        if trial % 2:
            mask[:] = 0
            for fill in (1, 1, 0):
                centre = tuple(int(v) for v in rng.integers(0, (width, height)))
                axes = tuple(int(v) for v in rng.integers(1, 15, 2))
                cv2.ellipse(mask, centre, axes, 30, 0, 360, fill, -1)
        polygon = one_polygon(mask)
        if not mask.any():
            assert polygon == []
            continue
        drawn = coco_mask.decode(coco_mask.frPyObjects([polygon], height, width))[:, :, 0]
        assert (drawn == mask).all()


def test_ytvis_lists_are_as_long_as_the_video(tmp_path):
    scene = scene_of(12)
    WRITERS["ytvis"].write(tmp_path / "a.json", output_of(scene))
    data = json.loads((tmp_path / "a.json").read_text())
    length = data["videos"][0]["length"]
    assert length == len(data["videos"][0]["file_names"]) == len(np.unique(scene.frames))
    assert all(len(a["segmentations"]) == length for a in data["annotations"])
