"""Formats out: the same ids and pixels through their own readers."""

from dataclasses import replace

import numpy as np
import pytest

from tests.utils.formats.scenes import KITTI_NAMES, content, output_of, read, scene_of
from utils.formats.writing import WRITERS


@pytest.mark.parametrize("name", WRITERS)
def test_rows_without_an_id_are_not_written_and_an_empty_result_is_valid(tmp_path, name):
    scene = scene_of(6)
    hidden = replace(scene, ids=np.where(np.arange(len(scene)) % 2, scene.ids, 0).astype(np.int32))
    path = tmp_path / WRITERS[name].place("seq")
    WRITERS[name].write(path, output_of(hidden))
    if name != "mot":
        found = read(path, KITTI_NAMES, size=scene.size)
        named = name != "ctc"  # which holds no classes
        assert content(found, True, named) == content(hidden.select(hidden.ids > 0), True, named)
    empty = tmp_path / "empty" / WRITERS[name].place("seq")
    WRITERS[name].write(empty, output_of(scene.select(np.zeros(0, int))))
    assert empty.exists()
