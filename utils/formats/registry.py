"""The registry of formats: told apart by content, read and merged by sequence."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from utils.detections import Detections
from utils.files import FormatError
from utils.formats.base import File, Format, Options, frame_numbers
from utils.formats.labels import MotsPng
from utils.formats.lines import TextLines, numbered
from utils.formats.mots_txt import MOTS_TXT
from utils.formats.tiff import LabelTiff
from utils.formats.track_rcnn import TRACK_RCNN
from utils.formats.tracking_only import TRACKING_ONLY

TEXTS = (MOTS_TXT, TRACKING_ONLY, TRACK_RCNN)
_FIELDS = [columns.fields for columns in TEXTS]
EXPECTED = f"{', '.join(map(str, _FIELDS[:-1]))} or {_FIELDS[-1]} fields"
# module.Class, in the order in which they are tried: the narrower before the wider.
CLASSES = (
    "yolo.YoloTxt",
    "coco.CocoResults",
    "ytvis.YtvisResults",
    "label_studio.LabelStudio",
    "ytvis.YtvisAnnotations",
    "coco.CocoAnnotations",
    "labels.MotsPng",
    "labels.DavisPng",
    "labels.LabelPng",
    "tiff.LabelTiff",
    "arrays.Npz",
    "arrays.Npy",
    "cvat_mots.CvatMots",
    "cvat.CvatXml",
)


def _format(place: str) -> Format:
    module, _, name = place.partition(".")
    format_: Format = getattr(import_module(f"utils.formats.{module}"), name)()
    return format_


_LINES = [TextLines(columns, dict.fromkeys(_FIELDS, EXPECTED)) for columns in TEXTS]
FORMATS: Mapping[str, Format] = {f.name: f for f in (*map(_format, CLASSES), *_LINES)}
SUFFIXES = tuple(dict.fromkeys(s for f in FORMATS.values() for s in f.suffixes))
# Folders that tools make below a sequence's, whose names say nothing of it.
INNER = ("TRA", "SEG", "labels", "masks", "instances", "annotations", "img1", "predict", "exp")
NO_MASKS = (
    "labels.txt",
    "classes.txt",
    "seqmap.txt",
    "seqinfo.ini",
    "man_track.txt",
    "res_track.txt",
)


@dataclass(frozen=True)
class Source:
    """One or more sequences on disk.

    Attributes:
        format: theirs. path: file or folder, for messages.
        sequence: name, None where only the file's content says it.
        files: the file; or, by frame number, those of the sequence.
        note: what was taken for granted in finding it.
    """

    format: Format
    path: Path
    sequence: str | None
    files: Mapping[int, File]
    note: str | None = None

    def read(self, options: Options) -> list[Detections]:
        """Return the sequences.

        Raises:
            FormatError: they break a rule.
        """
        if self.sequence is not None and self.by_frame:
            sequences = [self.format.read_frames(self.files, self.sequence, options)]
        else:
            sequences = self.format.read(self.files[0], options)
        if self.note is None:
            return sequences
        return [replace(f, notes=(f"{f.sequence}: {self.note}", *f.notes)) for f in sequences]

    @property
    def by_frame(self) -> bool:
        """Return whether each file is a frame."""
        return self.format.by_frame or len(self.files) > 1


def format_of(file: File, forced: str | None = None) -> Format:
    """Return the format of a file: the forced one, else told by its content.

    Raises:
        FormatError: none fits.
    """
    if forced is not None:
        return FORMATS[forced]
    for candidate in FORMATS.values():
        if file.suffix in candidate.suffixes and candidate.fits(file):
            return candidate
    if file.suffix == ".txt":
        lines = numbered(file.head)
        if not lines:
            return FORMATS[MOTS_TXT.name]
        raise FormatError(file.path, lines[0][0], f"expected {EXPECTED}", len(lines[0][1]))
    known = ", ".join(FORMATS)
    raise FormatError(file.path, None, f"must be of a known format ({known})", "another")


def find_sources(path: Path | str, forced: str | None = None) -> list[Source]:
    """Return the sequences that a file, or a folder of files or folders, holds; not yet read.

    Args:
        path: a file; a folder of files, one or more sequences each; a folder of frames, which is a
            sequence; or a folder of such folders.
        forced: name of the format; None tells it by content.

    Raises:
        FormatError: nothing there, files of several kinds, or none of a known format.
    """
    path = Path(path)
    if forced is not None and forced not in FORMATS:
        raise ValueError(f"--format must be one of {', '.join(FORMATS)}, got {forced!r}")
    if path.is_file():
        return _of_file(File(path), forced)
    if not path.is_dir():
        raise FormatError(path, None, "must be a file or a folder of files", "no such path")
    sources = _of_folder(path, path, forced)
    if not sources:
        for folder in sorted(p for p in path.iterdir() if p.is_dir()):
            sources += _of_folder(folder, path, forced)
    if not sources:
        if forced:
            raise FormatError(path, None, f"must hold files of format {forced}", "none")
        raise FormatError(path, None, "must hold SEQ.txt files or others of a known format", "none")
    return sources


def _of_file(file: File, forced: str | None) -> list[Source]:
    """Return the sources of a single file."""
    known = format_of(file, forced)
    alone = known.name in {columns.name for columns in TEXTS}
    if not known.by_frame:
        return [Source(known, file.path, file.stem if alone else None, {0: file})]
    number = frame_numbers([file.name])[0][0]
    return [Source(known, file.path, file.stem, {number: file}, "a file a frame: one frame")]


def _of_folder(folder: Path, top: Path, forced: str | None) -> list[Source]:
    """Return the sources of a folder; none where it holds no files of masks."""
    suffixes = FORMATS[forced].suffixes if forced else SUFFIXES
    files = [
        File(p)
        for p in sorted(folder.iterdir())
        if p.is_file() and not p.name.startswith(".") and p.name not in NO_MASKS
    ]
    files = [file for file in files if file.suffix in suffixes]
    if not files:
        there = [inner for inner in INNER if (folder / inner).is_dir()]
        if not there or (folder == top and not {"TRA", "SEG"} & set(there)):
            return []
        sources = _of_folder(folder / there[0], top, forced)
        name = folder.resolve().name
        if len(there) > 1:
            note = f"{there[0]} is read, not {', '.join(there[1:])}"
            sources = [replace(s, note=note) for s in sources]
        return [replace(s, sequence=s.sequence and name) for s in sources]
    kinds = sorted({_kind(file.suffix) for file in files})
    if len(kinds) > 1:
        rule = "must hold files of one kind (--format takes one)"
        raise FormatError(folder, None, rule, ", ".join(kinds))
    first = _first_filled(files)
    known = format_of(first, forced)
    if known.by_frame or _single_pages(known, files):
        return [_frames(known, folder, files)]
    return [source for file in files for source in _of_file(file, forced)]


def _kind(suffix: str) -> str:
    return ".tif" if suffix == ".tiff" else suffix


def _first_filled(files: list[File]) -> File:
    """Return the first file that tells the format: text files may be empty."""
    if files[0].suffix == ".txt":
        return next((f for f in files if numbered(f.head)), files[0])
    if files[0].suffix == ".png":
        mots = FORMATS[MotsPng.name]
        return next((f for f in files[:20] if mots.fits(f)), files[0])
    return files[0]


def _single_pages(known: Format, files: list[File]) -> bool:
    """Return whether TIFFs are a frame each."""
    return isinstance(known, LabelTiff) and len(files) > 1 and known.planes(files[0]) == 1


def _frames(known: Format, folder: Path, files: list[File]) -> Source:
    """Return the sequence whose frames are the files of a folder.

    Raises:
        FormatError: two files of one frame.
    """
    numbers, by_name = frame_numbers([file.name for file in files])
    note = None if by_name else "file names have no numbers: frames are counted in their order"
    by_number: dict[int, File] = {}
    for number, file in zip(numbers, files, strict=True):
        if number in by_number:
            rule = f"a frame must be listed once (also {by_number[number].path.name})"
            raise FormatError(file.path, None, rule, f"frame {number}")
        by_number[number] = file
    name = folder.resolve()
    while name.name in INNER and name.parent != name:
        name = name.parent
    ordered = {number: by_number[number] for number in sorted(by_number)}
    return Source(known, folder, name.name, ordered, note)


def read_detections(
    path: Path | str, sequence: str | None = None, options: Options | None = None
) -> Detections:
    """Read one sequence of any format, told apart by content.

    Args:
        path: its file, or the folder of its frames.
        sequence: its name; None takes that of the file.
        options: what the files do not say.

    Returns:
        Detections, rows in file order. An empty text file is a sequence without detections.

    Raises:
        FormatError: a file that breaks a rule, or holds several sequences. Nothing is decoded
            before it is checked.
    """
    sequences = [s for source in find_sources(path) for s in source.read(options or Options())]
    if len(sequences) != 1:
        names = ", ".join(s.sequence for s in sequences) or "none"
        raise FormatError(path, None, "must hold one sequence", names)
    return replace(sequences[0], sequence=sequence) if sequence else sequences[0]


def read_sequences(path: Path | str, names: Iterable[str] | None = None) -> list[Detections]:
    """Return [Detections] of a file or folder; all are read and checked before any is used.

    Raises:
        FormatError: see `find_sources`; a name that is not there.
    """
    names = None if names is None else list(names)
    by_name: dict[str, Detections] = {}
    known: list[str] = []
    options = Options()
    for source in find_sources(path):
        known += [source.sequence] if source.sequence else []
        if names and source.sequence is not None and source.sequence not in names:
            continue
        for detections in source.read(options):
            known += [] if source.sequence else [detections.sequence]
            by_name[detections.sequence] = detections
    for name in names or ():
        if name not in by_name:
            raise FormatError(path, None, f"must hold sequence {name}", ", ".join(known))
    return [by_name[name] for name in names] if names else list(by_name.values())


def merge_sequences(first: Detections, second: Detections) -> Detections:
    """Return the rows of two files of one sequence, as where each class has its own folder.

    Raises:
        FormatError: other frame sizes.
    """
    if not len(first) or not len(second):
        return first if len(first) else second
    if first.size != second.size:
        rule = f"frame size must be {first.height} {first.width} in every file of the sequence"
        raise FormatError(first.sequence, None, rule, f"{second.height} {second.width}")
    columns: tuple[str, ...] = ("frames", "classes", "scores", "boxes_xywh", "rles", "ids")
    both = first.vectors is not None and second.vectors is not None
    columns += ("vectors",) if both else ()
    joined: dict[str, Any] = {
        n: np.concatenate([getattr(first, n), getattr(second, n)]) for n in columns
    }
    joined["vectors"] = joined.get("vectors")
    said = first.notes + second.notes + _doubled(first.sequence, joined)
    joined["notes"] = tuple(dict.fromkeys(said))
    if first.class_names is not None or second.class_names is not None:
        joined["class_names"] = {**(first.class_names or {}), **(second.class_names or {})}
    return replace(first, **joined, scored=first.scored or second.scored)


def _doubled(sequence: str, joined: dict[str, Any]) -> tuple[str, ...]:
    """Return what to say of masks that are in two files of a sequence."""
    keys = list(zip(*(joined[n].tolist() for n in ("frames", "classes", "rles")), strict=True))
    twice = len(keys) - len(set(keys))
    return (f"{sequence}: {twice} masks are in more than one of its files",) if twice else ()
