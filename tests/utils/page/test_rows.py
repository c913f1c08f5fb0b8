"""Outlines as the page holds them: what is packed comes back, in Python and in the page."""

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from tests.browser import look
from tests.conftest import make_detections, random_scene
from utils.page.rows import PackedRows, outlines, packed, scores_of
from utils.page.writing import HERE


def test_numbers_are_packed_in_base_128():
    assert packed(np.array([0, 127, 128, 300])).tolist() == [0, 127, 128, 1, 172, 2]


def test_outlines_have_holes_and_stand_in_the_frame():
    ring = np.full((6, 8), 255, np.uint8)
    ring[2:4, 2:6] = 0
    outer, hole = outlines(ring, (10, 20, 8, 6))
    assert outer.min(axis=0).tolist() == [10, 20] and outer.max(axis=0).tolist() == [17, 25]
    assert hole.min(axis=0).tolist() == [11, 21] and hole.max(axis=0).tolist() == [16, 24]


def test_what_is_packed_comes_back(tmp_path):
    scene = random_scene(np.random.default_rng(1), frames=12, objects=5)
    rows = PackedRows()
    order = []
    for _, mine in scene.rows_by_frame():
        boxes = np.array([coco_mask.toBbox(m) for m in scene.coco(mine)])
        rows.add(scene, mine, boxes)
        order += mine.tolist()
    empty = make_detections([], *scene.size)
    rows.add(empty, np.zeros(0, int), np.zeros((0, 4)))
    text, frames = rows.text(), len(scene.rows_by_frame()) + 1
    assert scores_of(text, frames) == pytest.approx(scene.scores[order], abs=1e-4)
    page = tmp_path / "p.html"
    script = (HERE / "rows.js").read_text()
    page.write_text(f"<html><head></head><body><script>{script}</script></body></html>")
    found = look(page, f"""
      const rows = unpack("{text}", {frames});
      Object.assign(found, rows);
      found.boxes = rows.rings.map(boxOf);
    """)  # fmt: skip
    assert found["errors"] == []
    assert found["ids"] == scene.ids[order].tolist()
    assert found["classes"] == scene.classes[order].tolist()
    assert found["starts"][-1] == found["starts"][-2] == len(order)
    x, y, w, h = scene.boxes_xywh[order].T
    assert found["boxes"] == np.stack([x, y, x + w, y + h], axis=1).tolist()


def test_a_very_long_sequence_goes_on_with_boxes(monkeypatch, tmp_path):
    monkeypatch.setattr("utils.page.rows.MOST", 400)
    rows = PackedRows()
    scene = random_scene(np.random.default_rng(1), frames=60, objects=5)
    for _, mine in scene.rows_by_frame():
        rows.add(scene, mine, np.array([coco_mask.toBbox(m) for m in scene.coco(mine)]))
    assert 0 < rows.boxes_from < 30
    script = (HERE / "rows.js").read_text()
    page = tmp_path / "p.html"
    page.write_text(f"<html><head></head><body><script>{script}</script></body></html>")
    found = look(page, f"""
      const rows = unpack("{rows.text()}", {len(scene.rows_by_frame())});
      found.points = rows.rings.map(r => r.length && r[0].length / 2);
      found.boxes = rows.rings.map(boxOf);
    """)  # fmt: skip
    order = np.concatenate([mine for _, mine in scene.rows_by_frame()])
    x, y, w, h = scene.boxes_xywh[order].T
    assert found["boxes"] == np.stack([x, y, x + w, y + h], axis=1).tolist()
    assert set(found["points"][-5:]) == {4}
