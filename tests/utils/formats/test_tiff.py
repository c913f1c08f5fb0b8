"""TIFF label images."""

import shutil

import numpy as np
import pytest
import tifffile

from tests import independent
from tests.utils.formats.scenes import check_reading, scene_of
from utils.files import FormatError
from utils.formats.base import Options
from utils.formats.reading import read_all
from utils.formats.sources import find_sources
from utils.formats.tiff import LabelTiff


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


@pytest.mark.parametrize("name", ["tiff", "tiff, stack"])
def test_files_and_stacks_are_read_to_the_pixel(tmp_path, name):
    check_reading(tmp_path, name, (LabelTiff,))


def test_a_file_a_frame_must_not_hold_a_stack(tmp_path):
    page = np.zeros((20, 30), np.uint8)
    page[3:9, 4:12] = 1
    tifffile.imwrite(tmp_path / "a1.tif", page)
    tifffile.imwrite(tmp_path / "a2.tif", np.stack([page] * 5), photometric="minisblack")
    with pytest.raises(FormatError, match=r"a2\.tif: a file a frame must hold one image each.*5"):
        read_all(tmp_path, Options())
