"""Scenes that the format tests share."""

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from tests import independent
from tests.conftest import random_scene
from utils.formats.base import Classes, Options, Output
from utils.formats.reading import read_detections
from utils.formats.sources import find_sources
from utils.formats.writing import WRITERS
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


def output_of(scene, scored=False):
    return Output(scene, KITTI_NAMES, scored)


def check_reading(tmp_path, name, formats):
    """Write a scene by another library, read it to the same pixels, classes and identities.

    Args:
        name: of `independent.EXACT`, ONE_CLASS or OUTLINES. formats: classes of which one reads it.
    """
    writers = {**independent.EXACT, **independent.ONE_CLASS, **independent.OUTLINES}
    scene = scene_of(len(name))
    path = writers[name](independent.Scene.of(scene), tmp_path)
    (source,) = find_sources(path)
    assert isinstance(source.format, formats) and source.format.name == name.split(",")[0]
    names = None if name in independent.ONE_CLASS else KITTI_NAMES
    got = read(path, names, size=scene.size)
    assert got.size == scene.size and got.sequence == "seq"
    assert got.scored == (name in ("coco-results", "ytvis-results"))
    if name in independent.OUTLINES:
        for frame, rows in scene.rows_by_frame():
            there = np.flatnonzero(got.frames == frame)
            iou = coco_mask.iou(got.coco(there), scene.coco(rows), [0] * len(rows))
            assert iou.max(axis=0).min() > 0.8 and len(there) == len(rows)
        assert sorted(got.classes.tolist()) == sorted(scene.classes.tolist())
        return
    assert content(got, False, bool(names)) == content(scene, False, bool(names))
    if not names:
        assert set(got.classes.tolist()) == {1} and got.class_names[1] == "object"
    order, back = (np.lexsort((d.rles.astype(str), d.frames)) for d in (scene, got))
    if got.ids.any():
        assert same_partition(scene.ids[order], got.ids[back])
        assert name in independent.ONE_CLASS or not read(path, KITTI_NAMES, ids=False).ids.any()
    else:
        assert name in ("coco-results", "label-studio")


def check_writing(tmp_path, name):
    """Write a scene in a format of WRITERS, with scores and without, and read it again."""
    scene = scene_of(5)
    for scored in (False, True):
        path = tmp_path / str(scored) / WRITERS[name].place("seq")
        WRITERS[name].write(path, output_of(scene, scored))
        (source,) = find_sources(path)
        (got,) = source.read(Options(size=scene.size, classes=Classes(KITTI_NAMES)))
        assert content(got) == content(scene)
        assert got.scored == (scored and name in ("coco", "yolo"))
        if got.scored:
            order, back = (np.lexsort((d.ids, d.frames)) for d in (scene, got))
            assert got.scores[back] == pytest.approx(scene.scores[order], abs=1e-5)
        assert not [p for p in tmp_path.rglob("*") if p.name.startswith(".")]
