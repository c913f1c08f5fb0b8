"""CVAT's MOTS PNG 1.0: a zip of instance images with the names of the labels."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from utils.detections import MAX_CLASS, Detections
from utils.formats.archives import member, names_in, opened
from utils.formats.base import File, Format, Options
from utils.formats.labels import PER_CLASS, add_labels, open_png
from utils.formats.rows import Rows

ZIP = b"PK\x03\x04"
SHAPES = ("polygon", "mask")
WITHOUT_MASK = ("box", "polyline", "points", "cuboid", "ellipse", "skeleton", "tag")


def _is_instances(name: str) -> bool:
    """Return whether a file of an archive is an instance image, and not what macOS adds."""
    parts = PurePosixPath(name).parts
    junk = "__MACOSX" in parts or PurePosixPath(name).name.startswith(".")
    return "instances/" in name and name.endswith(".png") and not junk


class CvatMots(Format):
    """CVAT's MOTS zip: instance PNGs whose classes are the lines of labels.txt."""

    name = "cvat-mots"
    meaning = "CVAT's MOTS PNG 1.0 (zip): instances/*.png with labels.txt"
    suffixes = (".zip",)

    def fits(self, file: File) -> bool:
        """Return whether it is a zip of instance images."""
        return file.head.startswith(ZIP) and any(map(_is_instances, names_in(file)))

    def read(self, file: File, options: Options) -> list[Detections]:
        """Return a sequence for each subset of the archive."""
        with opened(file) as archive:
            groups: dict[str, list[str]] = {}
            for name in sorted(archive.namelist()):
                if _is_instances(name):
                    groups.setdefault(name.rpartition("/")[0], []).append(name)
            several = len(groups) > 1
            return [
                self._subset(file, archive, folder, names, several, options)
                for folder, names in groups.items()
            ]

    def _subset(
        self,
        file: File,
        archive: zipfile.ZipFile,
        folder: str,
        names: list[str],
        several: bool,
        options: Options,
    ) -> Detections:
        """Return the sequence of one folder of instance images."""
        subset = PurePosixPath(folder).parent.name
        rows = Rows(file.path, subset if several and subset else file.stem)
        labels: list[str] = []
        if f"{folder}/labels.txt" in archive.namelist():
            text = member(rows, archive, f"{folder}/labels.txt").decode("utf-8", "replace")
            labels = [line.strip() for line in text.splitlines() if line.strip()]
        numbers = {i: options.classes.number(name, i) for i, name in enumerate(labels, 1)}
        frames = rows.number(folder, names)

        def meaning(label: int) -> tuple[int, int]:
            cls = numbers.get(label // PER_CLASS, label // PER_CLASS)
            return (cls if label >= PER_CLASS and cls <= MAX_CLASS else 0), label

        for frame, pixels in _pictures(rows, archive, names, frames):
            add_labels(rows, names[frames.index(frame)], frame, pixels, meaning)
        known = {number: options.classes.names[number] for number in numbers.values()}
        return rows.finish(known if labels else None, options.ids)


def _pictures(
    rows: Rows, archive: zipfile.ZipFile, names: list[str], frames: list[int]
) -> Iterator[tuple[int, Any]]:
    """Yield (frame, pixels) of the images of an archive, frames ascending."""
    for frame, name in sorted(zip(frames, names, strict=True)):
        picture = _InZip(rows.path, name, member(rows, archive, name))
        yield frame, open_png(picture)[1]


class _InZip(File):
    """A file of an archive, held in memory."""

    def __init__(self, path: Path, name: str, content: bytes) -> None:
        super().__init__(path / name)
        self._content = content

    def open(self) -> Any:
        """Return it, opened."""
        return io.BytesIO(self.content)
