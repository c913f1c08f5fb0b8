"""Zip archives as formats read them: opened, listed, a member read, broken ones refused."""

from __future__ import annotations

import io
import zipfile

from utils.files import FormatError, check_unpacked, shown
from utils.formats.base import File
from utils.formats.rows import Rows


def opened(file: File) -> zipfile.ZipFile:
    """Return an archive, opened.

    Raises:
        FormatError: it is none.
    """
    try:
        return zipfile.ZipFile(io.BytesIO(file.content))
    except Exception as error:  # zipfile raises of every kind on broken archives
        raise FormatError(file.path, None, "must be a zip archive", shown(error)) from None


def names_in(file: File) -> list[str]:
    """Return the names in an archive; none if it is broken."""
    with opened(file) as archive:
        return archive.namelist()


def member(rows: Rows, archive: zipfile.ZipFile, name: str) -> bytes:
    """Return a file of an archive.

    Raises:
        FormatError: it cannot be read, or is larger than `utils.files.largest`.
    """
    try:
        check_unpacked(rows.path, archive.getinfo(name).file_size, name)
        return archive.read(name)
    except FormatError:
        raise
    except Exception as error:  # zipfile raises of every kind on broken archives
        raise rows.fail(name, "must be readable", error) from None
