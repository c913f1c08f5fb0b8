"""Zip archives as formats read them."""

import zipfile

import pytest

from utils.files import FormatError
from utils.formats.archives import member, names_in, opened
from utils.formats.base import File
from utils.formats.rows import Rows


def test_members_are_listed_and_read_and_broken_ones_refused(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("train/a.txt", b"x" * 500)
        archive.writestr("b.txt", b"second")
    assert names_in(File(path)) == ["train/a.txt", "b.txt"]
    rows = Rows(path, "a")
    with opened(File(path)) as archive:
        assert member(rows, archive, "b.txt") == b"second"
        with pytest.raises(FormatError, match=r"a.zip: c.txt: must be readable, got"):
            member(rows, archive, "c.txt")
    path.write_bytes(b"PK nothing")
    with pytest.raises(FormatError, match=r"a.zip: must be a zip archive, got File is not a zip"):
        opened(File(path))
