"""Sequences on disk: found in files and folders, named, not yet read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from utils.detections import Detections
from utils.files import FormatError
from utils.formats.base import File, Format, Options
from utils.formats.labels import LabelPng, MotsPng, open_png
from utils.formats.lines import numbered
from utils.formats.merging import merge_sequences
from utils.formats.registry import FORMATS, SUFFIXES, format_of
from utils.frames import BY_NUMBER, SAID, frame_files, number_frames
from utils.video_names import INNER, repeated, video_names

DEEPEST = 4  # folders below the one that is named
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
        title: name of the one sequence, or of the file where only its content says them.
        files: the file; or, by frame number, those of the sequence.
        note: what was taken for granted in finding it.
        alone: whether it is known, without reading it, that `title` is its one sequence.
        by_frame: whether each file is a frame.
        objects: {identity: Source} where each object of the sequence has a folder of its own.
    """

    format: Format
    path: Path
    title: str
    files: Mapping[int, File]
    note: str | None = None
    alone: bool = True
    by_frame: bool = False
    objects: Mapping[int, Source] | None = None

    @property
    def sequence(self) -> str | None:
        """Return the name of the sequence, None where only the content says it."""
        return self.title if self.alone else None

    def read(self, options: Options) -> list[Detections]:
        """Return the sequences.

        Raises:
            FormatError: they break a rule.
        """
        if self.objects is not None:
            sequences = [self._joined(self.objects, options)]
        elif self.by_frame:
            sequences = [
                self._with_pictures(self.format.read_frames(self.files, self.title, options))
            ]
        else:
            file = next(iter(self.files.values()))
            sequences = [
                replace(d, sequence=self.title) if d.sequence == file.stem else d
                for d in self.format.read(file, options)
            ]
        for detections in sequences:
            check_read(self.path, detections)
        if self.note is None:
            return sequences
        return [replace(f, notes=(f"{f.sequence}: {self.note}", *f.notes)) for f in sequences]

    def _with_pictures(self, detections: Detections) -> Detections:
        """Return a sequence with the names of its files where its frames are not their numbers."""
        if number_frames([file.name for file in self.files.values()])[1] in BY_NUMBER:
            return detections
        pictures = {number: file.stem for number, file in self.files.items()}
        return replace(detections, pictures=pictures)

    def _joined(self, objects: Mapping[int, Source], options: Options) -> Detections:
        """Return the objects of a sequence, each of which has a folder of its own."""
        parts = []
        for identity, source in objects.items():
            (one,) = source.read(options)
            ids = np.full(len(one), identity if options.ids else 0, np.int32)
            parts.append(replace(one, sequence=self.title, ids=ids, notes=()))
        whole = parts[0]
        for part in parts[1:]:
            whole = merge_sequences(whole, part)
        return whole


def check_read(path: Path, detections: Detections) -> None:
    """Refuse a sequence without a detection whose file holds things that are no masks.

    Raises:
        FormatError: nothing was read; the notes say what was left out.
    """
    if len(detections) or detections.unread is None:
        return
    raise FormatError(path, None, "must hold masks", detections.unread)


def gathered(sources: Sequence[Source]) -> list[Source]:
    """Return sources in which folders of one object each, side by side, are one sequence.

    Such folders have numbers for names, binary images, and frames in common: SAM 2's
    `street/1/00000.png`, `street/2/00000.png`.
    """
    beside: dict[Path, list[Source]] = {}
    for source in sources:
        if _object_of(source) is not None:
            beside.setdefault(source.path.parent, []).append(source)
    kept = list(sources)
    for folder, group in beside.items():
        every = [s for s in sources if s.path.parent == folder]
        frames = [set(s.files) for s in group]
        if len(group) < 2 or len(every) > len(group) or not set.intersection(*frames):
            continue
        note = f"{len(group)} folders of one object each: {folder.name} is one sequence"
        numbers = [int(s.path.name) for s in group]
        first = 1 - min(1, *numbers)  # identities count from 1
        objects = {number + first: s for number, s in zip(numbers, group, strict=True)}
        joined = Source(group[0].format, folder, folder.resolve().name, {}, note, objects=objects)
        kept = [s for s in kept if s not in group] + [joined]
    return kept


def _object_of(source: Source) -> int | None:
    """Return the identity of a folder of one object's masks, None if it is none."""
    if not source.by_frame or not source.path.name.isdecimal():
        return None
    if not isinstance(source.format, LabelPng):
        return None
    values: set[int] = set()
    for file in source.files.values():
        values |= set(np.unique(open_png(file)[1]).tolist()) - {0}
        if len(values) > 1:
            return None
    return int(source.path.name)


def find_sources(path: Path | str, forced: str | None = None) -> list[Source]:
    """Return the sequences that a file, or a folder of files or folders, holds; not yet read.

    Their names are those that `utils.video_names` gives their paths below a folder.

    Args:
        path: a file; a folder of files, one or more sequences each; a folder of frames, which is a
            sequence; or a folder of such folders, up to DEEPEST below it.
        forced: name of the format; None tells it by content.

    Raises:
        FormatError: nothing there, files of several kinds, none of a known format, or two files
            that are one sequence.
    """
    path = Path(path)
    if forced is not None and forced not in FORMATS:
        raise ValueError(f"--format must be one of {', '.join(FORMATS)}, got {forced!r}")
    if path.is_file():
        return _of_file(File(path), forced)
    if not path.is_dir():
        raise FormatError(path, None, "must be a file or a folder of files", "no such path")
    if (path / "summary.json").is_file() and (path / "data").is_dir():  # of a run
        return [replace(s, note=f"{path} is a run's: its data/ is read") for s in
                find_sources(path / "data", forced)]  # fmt: skip
    folders, sources = [path], _of_folder(path, path, forced)
    for _ in range(DEEPEST):
        if sources:
            break
        folders = [p for f in folders for p in sorted(f.iterdir()) if p.is_dir() and _seen(p)]
        sources = [s for folder in folders for s in _of_folder(folder, path, forced)]
    if folders != [path] and sources:
        sources = _with_unread(sources, folders)
    if not sources:
        if forced:
            raise FormatError(path, None, f"must hold files of format {forced}", "none")
        raise FormatError(path, None, "must hold SEQ.txt files or others of a known format", "none")
    return _named(gathered(sources), path)


def _with_unread(sources: list[Source], folders: list[Path]) -> list[Source]:
    """Return sources, the first of which notes folders beside them whose masks are deeper."""
    suffix = next(iter(sources[0].files.values())).suffix
    used = {p for s in sources for p in (s.path, *s.path.parents)}
    deeper = [f for f in folders if f not in used and next(f.glob(f"*/**/*{suffix}"), None)]
    if not deeper:
        return sources
    note = f"not read, as their files are deeper: {', '.join(f.name for f in deeper[:5])}"
    first = replace(sources[0], note="; ".join(filter(None, (sources[0].note, note))))
    return [first, *sources[1:]]


def _seen(folder: Path) -> bool:
    """Return whether a folder is looked into: not those that systems hide or make."""
    return not folder.name.startswith((".", "__"))


def _named(sources: list[Source], top: Path) -> list[Source]:
    """Return sources with the names that tell them apart.

    Raises:
        FormatError: two files whose paths differ in the suffix alone.
    """
    outer = top.resolve()
    parts = []
    for source in sources:
        inner = source.path.relative_to(top).parts if source.path != top else ()
        stem = File(source.path).stem if source.path.is_file() else source.path.name
        parts.append((*outer.parts[1:], *inner[:-1], *((stem,) if inner else ())))
    for again in repeated(["/".join(p) for p in parts]):
        same = [s.path for s, p in zip(sources, parts, strict=True) if "/".join(p) == again]
        rule = f"a sequence must be in one file (also in {same[0].name})"
        raise FormatError(same[1], None, rule, "another")
    names = video_names(parts)
    return [replace(s, title=name) for s, name in zip(sources, names, strict=True)]


def _of_file(file: File, forced: str | None) -> list[Source]:
    """Return the sources of a single file."""
    known = format_of(file, forced)
    if not known.by_frame:
        return [Source(known, file.path, file.stem, {0: file}, alone=known.alone)]
    number = number_frames([file.name])[0][0]
    note = "a file a frame: one frame"
    return [Source(known, file.path, file.stem, {number: file}, note, by_frame=True)]


def _of_folder(folder: Path, top: Path, forced: str | None) -> list[Source]:
    """Return the sources of a folder; none where it holds no files of masks."""
    suffixes = FORMATS[forced].suffixes if forced else SUFFIXES
    files = [
        File(p)
        for p in sorted(folder.iterdir())
        if p.is_file() and not p.name.startswith(".") and p.name not in NO_MASKS
        if not p.name.lower().startswith("readme")
    ]
    files = [file for file in files if file.suffix in suffixes]
    for path in folder.iterdir():
        if path.is_symlink() and not path.exists() and path.suffix.lower() in suffixes:
            raise FormatError(path, None, "must be a file", "a link that leads nowhere")
    if not files:
        there = [inner for inner in INNER if (folder / inner).is_dir()]
        if not there or (folder == top and not {"TRA", "SEG"} & set(there)):
            return []
        sources = _of_folder(folder / there[0], top, forced)
        if {"TRA", "SEG"} <= set(there):
            sources = [replace(s, note="TRA is read, not SEG") for s in sources]
        return sources
    kinds = sorted({_kind(file.suffix) for file in files})
    if len(kinds) > 1:
        rule = "must hold files of one kind (--format takes one)"
        raise FormatError(folder, None, rule, ", ".join(kinds))
    first = _first_filled(files)
    known = format_of(first, forced)
    if known.by_frame or (len(files) > 1 and known.single(first)):
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
        for file in files:  # a blank picture fits no kind; the first other one tells
            if mots.fits(file) or not _blank(file):
                return file
    return files[0]


def _blank(file: File) -> bool:
    """Return whether a PNG is a label image without a label."""
    try:
        return not open_png(file)[1].any()
    except FormatError:
        return False


def _frames(known: Format, folder: Path, files: list[File]) -> Source:
    """Return the sequence whose frames are the files of a folder.

    Raises:
        FormatError: two files of one frame.
    """
    paths, left = frame_files(file.path for file in files)
    numbers, how = number_frames([path.name for path in paths])
    by_number: dict[int, File] = {}
    for number, file in zip(numbers, map(File, paths), strict=True):
        if number in by_number:
            rule = f"a frame must be listed once (also {by_number[number].path.name})"
            raise FormatError(file.path, None, rule, f"frame {number}")
        by_number[number] = file
    ordered = {number: by_number[number] for number in sorted(by_number)}
    said = [SAID[how] or ""]
    if left:
        said.append(f"{len(left)} files without a number are left out ({left[0].name})")
    note = "; ".join(filter(None, said)) or None
    return Source(known, folder, folder.resolve().name, ordered, note, by_frame=True)
