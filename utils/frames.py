"""The pictures of a sequence's frames, found by number under any usual name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt

from utils.detections import Detections
from utils.files import FormatError
from utils.pictures import Reader, picture_size
from utils.video_names import repeated

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
INNER = ("", "img1", "images", "img", "frames")  # where a sequence's folder keeps its frames
DIGITS = re.compile(r"\d+")
DECIMAL = re.compile(r"(?<![\d.])\d+\.\d+(?![\d.])")  # t0.25
HASH = re.compile(r"[._]rf[._][0-9a-f]+$")  # what Roboflow puts behind names
LARGEST = 1_000_001  # from it a number is a time or a key: its order counts, not its value
GREY = 40  # of a frame without a picture
# How frames were numbered.
NUMBERS, MIXED, NATURAL, LISTED = "numbers", "mixed", "natural", "listed"
BY_NUMBER = (NUMBERS, MIXED)
SAID = {
    NUMBERS: None,
    MIXED: "file names differ in more than a number: they are taken as frames of one sequence",
    NATURAL: "file names hold several numbers or times: frames are counted from 0 in their order",
    LISTED: "file names show no frame numbers: frames are counted from 0 in the order listed",
}


def number_frames(names: Sequence[str]) -> tuple[list[int], str]:
    """Return the frame number of each file name of a sequence, and how they were found.

    NUMBERS: the names are alike but for one number (`000012`, `well_t003_c2_masks`). MIXED: each
    holds just one, beside other letters. NATURAL: they differ in several numbers, as dates and
    times do, in one decimal number, or in one that is too large for a frame's: counted from 0 in
    the order of all their numbers. LISTED: no two are alike, as hashes: counted from 0 in the
    order given.

    Args:
        names: with or without folder and suffix.
    """
    stems = [HASH.sub("", PurePosixPath(name.replace("\\", "/")).stem) for name in names]
    groups = [[int(g) for g in DIGITS.findall(stem)] for stem in stems]
    if len({DIGITS.sub("#", stem) for stem in stems}) == 1 and groups[0]:
        columns = list(zip(*groups, strict=True))
        varying = [k for k, column in enumerate(columns) if len(set(column)) > 1]
        if len(varying) < 2:
            numbers = list(columns[varying[0] if varying else -1])
            if max(numbers) < LARGEST:
                return numbers, NUMBERS
        keys: list[tuple[float, ...]] = [tuple(g) for g in groups]
        if len(varying) == 2 and all(len(DECIMAL.findall(stem)) == 1 for stem in stems):
            keys = [(float(DECIMAL.findall(stem)[0]),) for stem in stems]
        rank = {key: n for n, key in enumerate(sorted(set(keys)))}
        return [rank[key] for key in keys], NATURAL
    single = [g[0] for g in groups if len(g) == 1 and g[0] < LARGEST]
    hashes = len(set(single)) < len(single) and all(
        stem.isalnum() and not stem.isdecimal() for stem in stems
    )
    if len(single) == len(names) and not hashes:
        return single, MIXED
    return list(range(len(names))), LISTED


def find_pictures(folder: Path | str, sequence: str) -> tuple[dict[int, Path], str, list[Path]]:
    """Return {frame: file} of a sequence's pictures, in the first place that has any, and how.

    The folder may be that of the sequence itself. How: see `number_frames`. Beside pictures with
    numbers in their names, those without (`cover.png`) are no frames; they are returned last.

    Raises:
        FormatError: two pictures of one frame.
    """
    for outer in (Path(folder) / sequence, Path(folder)):
        for inner in INNER:
            files, left = frame_files(_pictures_in(outer / inner))
            if not files:
                continue
            numbers, how = number_frames([path.name for path in files])
            by_number: dict[int, Path] = {}
            for number, path in zip(numbers, files, strict=True):
                if number in by_number:
                    rule = f"a frame must be there once (also {by_number[number].name})"
                    raise FormatError(path, None, rule, f"frame {number}")
                by_number[number] = path
            return dict(sorted(by_number.items())), how, left
    return {}, LISTED, []


def frame_files(paths: Iterable[Path]) -> tuple[list[Path], list[Path]]:
    """Return the files of a folder that are frames, in natural order, and the others.

    Beside files with frame numbers in their names, those without a number (`legend.png`) are none.
    """
    every = sorted(paths, key=_natural)
    files = [path for path in every if DIGITS.search(path.stem)]
    if not files or number_frames([path.name for path in files])[1] == LISTED:
        return every, []
    return files, [path for path in every if path not in files]


def _natural(path: Path) -> list[tuple[int, str]]:
    """Return what sorts `a2` before `a10`."""
    parts = re.split(r"(\d+)", path.name)
    return [(int(p), "") if p.isdecimal() else (-1, p) for p in parts if p]


def _pictures_in(folder: Path) -> list[Path]:
    """Return the pictures of a folder by name."""
    hidden = (p for p in sorted(folder.glob("*")) if not p.name.startswith("."))
    return [p for p in hidden if p.suffix.lower() in SUFFIXES and p.is_file()]


def by_name(files: Iterable[Path], names: Mapping[int, str]) -> dict[int, Path]:
    """Return {frame: file} of the pictures that have a frame's name, or begin it.

    Args:
        files: pictures. names: {frame: name of its masks' file, without suffix}, which tools make
            longer than the picture's (`street_1_masks` of `street_1`).
    """
    stems = {path.stem: path for path in files}
    found = {}
    for frame, name in names.items():
        stem = PurePosixPath(name).stem if PurePosixPath(name).suffix in SUFFIXES else name
        ends = [stem, *(stem[:k] for k in range(len(stem) - 1, 0, -1) if stem[k] in "_.-")]
        match = next((stems[end] for end in ends if end in stems), None)
        if match is not None:
            found[frame] = match
    return found


def on_pictures(detections: Detections, files: Mapping[int, Path]) -> tuple[Detections, list[str]]:
    """Return Detections on the numbers that a folder gives its pictures, and notes.

    Where masks name their pictures, the names tell which picture each is of: numbers that were
    counted apart mean nothing to each other.

    Args:
        detections: of one sequence. files: {number: picture}.

    Raises:
        FormatError: two frames are of one picture.
    """
    names = detections.pictures
    if not names:
        return detections, []
    found = by_name(files.values(), names)
    if not found:
        return detections, ["no picture has the name of a mask's: frames are taken in order"]
    if again := repeated([str(path) for path in found.values()]):
        rule = "a picture must be one frame of the masks"
        raise FormatError(again[0], None, rule, "two")
    numbers = {path: number for number, path in files.items()}
    there = np.isin(detections.frames, list(found))
    kept = detections.select(there)
    frames = np.array([numbers[found[f]] for f in kept.frames.tolist()], kept.frames.dtype)
    pictures = {numbers[path]: names[frame] for frame, path in found.items()}
    kept = replace(kept, frames=frames, pictures=pictures)
    kept = kept.select(np.argsort(frames, kind="stable"))
    left = int((~there).sum())
    return kept, [f"{left} masks are of pictures that are not there: left out"] if left else []


class FrameFolder:
    """Reads a sequence's frames; calling it with a number returns (height, width, 3) uint8 RGB.

    Frames are numbered by their names, see `number_frames`, in SEQ/ or in SEQ/img1/, SEQ/images/
    and the like, or in the folder itself.

    Args:
        folder: holds the sequences' folders.
        sequence: its name.
        size: (height, width) the frames must have, in pixels.
        names: {frame: name of its picture} where frames are not the numbers in file names.
    """

    def __init__(
        self,
        folder: Path | str,
        sequence: str,
        size: tuple[int, int],
        names: Mapping[int, str] | None = None,
    ) -> None:
        self.folder, self.size = Path(folder) / sequence, size
        self.files, _, _ = find_pictures(folder, sequence)
        if names is not None:
            self.files = by_name(self.files.values(), names)
        self._read = Reader(list(self.files.values()))

    @classmethod
    def of(cls, folder: Path | str, detections: Detections) -> FrameFolder:
        """Return the reader of the frames of Detections."""
        return cls(folder, detections.sequence, detections.size, detections.pictures)

    def missing(self, frames: Iterable[int]) -> list[int]:
        """Return the numbers of the frames that have no picture."""
        return [frame for frame in frames if frame not in self.files]

    def stamp(self, frame: int) -> tuple[str, int, int]:
        """Return (name, bytes, time in ns) of a frame's file: another picture, another stamp."""
        stat = self.files[frame].stat()
        return self.files[frame].name, stat.st_size, stat.st_mtime_ns

    def check(self, frames: Iterable[int]) -> None:
        """Refuse pictures of another size, or that are none, by their headers alone.

        Raises:
            ValueError: the first such picture.
        """
        for frame in frames:
            path = self.files.get(frame)
            if path is None:
                continue
            size = picture_size(path)
            if size != tuple(self.size):
                self._refuse(path, size or "no image")

    def _refuse(self, path: Path, got: object) -> None:
        rule = f"must be an image of size {tuple(self.size)} (height, width) as the masks"
        raise ValueError(f"{path}: {rule}, got {got}")

    def __call__(self, frame: int) -> npt.NDArray[np.uint8]:
        """Return the picture of a frame.

        Raises:
            ValueError: it is missing, unreadable or of another size.
        """
        if frame not in self.files:
            raise ValueError(f"{self.folder}: must hold a picture of frame {frame}, got none")
        path = self.files[frame]
        image = self._read(path)
        if image.shape[:2] != tuple(self.size):
            self._refuse(path, image.shape[:2])
        return image

    def drawn(self, frame: int) -> npt.NDArray[np.uint8]:
        """Return the picture of a frame to draw on; grey where there is none."""
        if frame in self.files:
            return self(frame)
        return np.full((*self.size, 3), GREY, np.uint8)
