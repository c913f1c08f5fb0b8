"""What every format is: told apart by content, and read into Detections."""

from __future__ import annotations

import gzip
import re
import zlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from utils.detections import IGNORE, MAX_CLASS, Detections
from utils.files import GZIP, LONGEST_NAME, FormatError, checked_start, read_bytes, shown
from utils.formats.rows import Rows, Size
from utils.frames import find_pictures
from utils.pictures import picture_size

Array = npt.NDArray[Any]

HEAD = 1 << 16  # bytes that tell a format
FRESH_CLASS = 1001  # from which classes without a number of their own are counted
UNNAMED_CLASS = re.compile(r"class ([1-9][0-9]{0,4})")  # what our own files call a class
UNKNOWN = "object"  # what a class without a name is called
PERSON, PEDESTRIAN = "person", "pedestrian"  # one class: COCO and MOTS call it differently


class Classes:
    """The numbers of classes by name, the same for all files of a run.

    Args:
        names: {number: name} that hold from the start: a data set's, or the user's.
    """

    def __init__(self, names: Mapping[int, str] | None = None) -> None:
        self._given = {name.lower(): number for number, name in (names or {}).items()}
        self._numbers: dict[str, int] = {}
        self.names: dict[int, str] = dict(names or {})
        self.moved: list[str] = []  # notes of names whose numbers others have
        self._from: int | None = None  # number from which files count their categories

    def number(self, name: str, wanted: int) -> int:
        """Return the number of a named class: its own, else the wanted one if that is free.

        Raises:
            ValueError: a name that cannot be printed, or longer than LONGEST_NAME bytes.
        """
        if not name.isprintable() or len(name.encode("utf-8", "replace")) > LONGEST_NAME:
            rule = f"a class must have a printable name of at most {LONGEST_NAME} bytes"
            raise ValueError(f"{rule}, got {shown(ascii(name))}")
        known = self._numbers.get(name, self._given.get(name.lower()))
        if known is None and name.lower() == PERSON:
            known = self._given.get(PEDESTRIAN)
        if known is not None:
            return known
        taken = self.names.keys()
        if unnamed := UNNAMED_CLASS.fullmatch(name):  # as our own files call it
            wanted = int(unnamed.group(1))
        number = wanted
        if wanted in taken or not 0 < wanted <= MAX_CLASS:
            number = next(n for n in range(FRESH_CLASS, MAX_CLASS + 1) if n not in taken)
        if wanted in self._given.values():
            held = self.names[wanted]
            self.moved.append(f"class {name} has number {number}: {wanted} is {held}")
        self._numbers[name], self.names[number] = number, name
        return number

    def shift(self, numbers: Sequence[Any], rows: Rows) -> int:
        """Return what to add to a file's category numbers so that classes count from 1.

        Raises:
            FormatError: they count from 0, and those of files before did not.
        """
        zero = any(isinstance(n, int) and n == 0 for n in numbers)
        if self._from is None and numbers:
            self._from = 0 if zero else 1
        if zero and self._from == 1:
            rule = "categories must count from 0 in all files, or in none"
            raise rows.fail(None, rule, "0 after files that count from 1")
        return 1 if self._from == 0 else 0


@dataclass(frozen=True)
class Options:
    """What a user may say of files that do not say it themselves.

    Attributes:
        size: (height, width) of the frames in px, for formats without it.
        images: folder of the frames, from which sizes can be read likewise.
        ids: whether identities in the files are kept (as truth, or to be drawn).
        classes: numbers of classes by name.
    """

    size: Size | None = None
    images: Path | None = None
    ids: bool = True
    classes: Classes = field(default_factory=Classes)


@dataclass(frozen=True)
class Output:
    """A result to be written.

    Attributes:
        result: n Detections as `utils.results.finished` makes them; rows of id 0 are not written.
        names: {number: name} of its classes.
        scored: whether its scores are those of a detector.
    """

    result: Detections
    names: Mapping[int, str]
    scored: bool

    @property
    def rows(self) -> npt.NDArray[np.int64]:
        """Return the rows to write, frames ascending."""
        rows = np.flatnonzero(self.result.ids)
        order: npt.NDArray[np.int64] = rows[np.lexsort((rows, self.result.frames[rows]))]
        return order

    def by_frame(self) -> list[tuple[int, npt.NDArray[np.int64]]]:
        """Return [(frame, rows to write)] of all frames with detections, frames ascending."""
        result, rows = self.result, self.rows
        numbers = np.unique(result.frames)
        starts = np.searchsorted(result.frames[rows], numbers)
        return list(zip(numbers.tolist(), parts_at(rows, starts), strict=True))

    def by_track(self) -> list[tuple[int, npt.NDArray[np.int64]]]:
        """Return [(identity, rows to write, frames ascending)], identities ascending."""
        ids, rows = self.result.ids, self.rows
        rows = rows[np.argsort(ids[rows], kind="stable")]
        identities, starts = np.unique(ids[rows], return_index=True)
        return list(zip(identities.tolist(), parts_at(rows, starts), strict=True))

    def name(self, cls: int) -> str:
        """Return the name of a class."""
        return self.names.get(cls, f"class {cls}")


def parts_at(values: Array, starts: Array) -> list[Array]:
    """Return (n,) values cut into the parts that begin at (k,) starts, of which 0 is the first."""
    return np.split(values, starts[1:]) if len(starts) else []


class File:
    """A file, unpacked if it is gzipped, read when it is asked for.

    Attributes:
        path: as the user gave it. name: without `.gz`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.name.removesuffix(".gz") if path.suffix == ".gz" else path.name
        self._content: bytes | None = None
        self._head: bytes | None = None

    @property
    def suffix(self) -> str:
        """Return the suffix, in small letters."""
        return Path(self.name).suffix.lower()

    @property
    def stem(self) -> str:
        """Return the name without suffix, that of a sequence."""
        return Path(self.name).stem

    @property
    def zipped(self) -> bool:
        """Return whether it is gzipped."""
        with self.open_raw() as file:
            return bool(file.read(2) == GZIP)

    def open_raw(self) -> Any:
        """Return the file as it is on disk, opened.

        Raises:
            FormatError: it cannot be read.
        """
        try:
            return self.path.open("rb")
        except OSError as error:
            raise FormatError(self.path, None, "must be readable", error.strerror) from None

    def open(self) -> Any:
        """Return the unpacked file, opened."""
        return gzip.open(self.path) if self.zipped else self.open_raw()

    @property
    def head(self) -> bytes:
        """Return its first bytes."""
        if self._content is not None:
            return self._content[:HEAD]
        if self._head is not None:
            return self._head
        try:
            with self.open() as file:
                start = bytes(file.read(HEAD))
        except (OSError, EOFError, zlib.error) as error:
            raise FormatError(self.path, None, "must be readable", shown(error)) from None
        self._head = checked_start(self.path, start)
        return self._head

    @property
    def content(self) -> bytes:
        """Return all of it."""
        if self._content is None:
            self._content = read_bytes(self.path)
        return self._content


class Format(ABC):
    """A format of masks.

    Attributes:
        name: of --format. meaning: one line for docs and messages. suffixes: of its files.
        by_frame: whether each file is a frame, so that a folder is a sequence.
        alone: whether a file holds one sequence, by the file's name.
    """

    name: ClassVar[str]
    meaning: ClassVar[str]
    suffixes: ClassVar[tuple[str, ...]]
    by_frame: ClassVar[bool] = False
    alone: ClassVar[bool] = False

    @abstractmethod
    def fits(self, file: File) -> bool:
        """Return whether a file is of this format, by its first bytes."""

    def single(self, file: File) -> bool:
        """Return whether a file is one frame, where files may also be whole sequences."""
        return False

    def read(self, file: File, options: Options) -> list[Detections]:
        """Return the sequences that a file holds.

        Raises:
            FormatError: the file breaks a rule.
        """
        raise NotImplementedError

    def read_frames(self, files: Mapping[int, File], sequence: str, options: Options) -> Detections:
        """Return the sequence whose frames the files are, by frame number; errors as above."""
        raise NotImplementedError


def frame_size(options: Options, sequence: str) -> Size | None:
    """Return the size of a sequence's frames as the user says it, or its pictures do."""
    if options.size is not None or options.images is None:
        return options.size
    sizes = map(picture_size, find_pictures(options.images, sequence)[0].values())
    return next((size for size in sizes if size is not None), None)


def ignore_names(names: Mapping[int, str] | None) -> dict[int, str]:
    """Return class names that call the benchmarks' class of ignore regions so."""
    return {**(names or {}), IGNORE: "ignore"}
