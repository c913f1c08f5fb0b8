"""CVAT's MOTS archives."""

import pytest

from tests import independent
from tests.utils.formats.scenes import check_reading, read, scene_of
from utils.files import FormatError
from utils.formats.cvat_mots import CvatMots


def test_archives_are_read_to_the_pixel(tmp_path):
    check_reading(tmp_path, "cvat-mots", (CvatMots,))


def test_a_broken_archive_is_refused_by_name(tmp_path):
    path = independent.cvat_mots(independent.Scene.of(scene_of()), tmp_path)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(FormatError, match=r"seq.zip: must be "):
        read(path)
