"""YouTube-VIS."""

import json

import numpy as np
import pytest

from tests.utils.formats.scenes import (
    check_reading,
    check_writing,
    output_of,
    scene_of,
)
from utils.formats.writing import WRITERS
from utils.formats.ytvis import YtvisAnnotations, YtvisResults


def test_ytvis_lists_are_as_long_as_the_video(tmp_path):
    scene = scene_of(12)
    WRITERS["ytvis"].write(tmp_path / "a.json", output_of(scene))
    data = json.loads((tmp_path / "a.json").read_text())
    length = data["videos"][0]["length"]
    assert length == len(data["videos"][0]["file_names"]) == len(np.unique(scene.frames))
    assert all(len(a["segmentations"]) == length for a in data["annotations"])


@pytest.mark.parametrize("name", ["ytvis", "ytvis-results"])
def test_videos_are_read_to_the_pixel(tmp_path, name):
    check_reading(tmp_path, name, (YtvisAnnotations, YtvisResults))


def test_written_files_round_trip(tmp_path):
    check_writing(tmp_path, "ytvis")
