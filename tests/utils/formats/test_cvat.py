"""CVAT's XML."""

import xml.etree.ElementTree as ElementTree

import pytest

from tests import independent
from tests.conftest import make_detections
from tests.utils.formats.scenes import check_reading, check_writing, output_of, read, scene_of
from utils.files import FormatError
from utils.formats.base import Output
from utils.formats.cvat import CvatXml, write
from utils.formats.reading import read_detections
from utils.formats.writing import WRITERS


def test_cvat_exports_of_several_tasks_are_refused(tmp_path):
    path = independent.cvat(independent.Scene.of(scene_of()), tmp_path)
    text = path.read_text()
    path.write_text(text.replace('<track id="0"', '<track id="0" task_id="7"', 1)
                    .replace('<track id="1"', '<track id="1" task_id="8"', 1))  # fmt: skip
    with pytest.raises(FormatError, match=r"must be of one task .*, got 7, 8"):
        read(path)


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


def test_tracks_are_read_to_the_pixel(tmp_path):
    check_reading(tmp_path, "cvat", (CvatXml,))


def test_written_files_round_trip(tmp_path):
    check_writing(tmp_path, "cvat")


def test_written_steps_are_read_as_steps(tmp_path):
    found = make_detections([(f, 1, 1, 1.0, (3 + f, 4, 9, 9)) for f in (5, 10, 15, 30)])
    write(tmp_path / "s.xml", Output(found, {1: "car"}, False))
    again = read_detections(tmp_path / "s.xml")
    assert again.frames.tolist() == [5, 10, 15, 30]


def test_a_class_without_a_name_keeps_its_number(tmp_path):
    found = make_detections([(f, 1, 2, 1.0, (3 + f, 4, 9, 9)) for f in range(3)])
    write(tmp_path / "s.xml", Output(found, {}, False))
    assert set(read_detections(tmp_path / "s.xml").classes.tolist()) == {2}
