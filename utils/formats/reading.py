"""Reading masks of any format."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from utils.detections import Detections
from utils.files import FormatError
from utils.formats.base import Options
from utils.formats.sources import Source, find_sources
from utils.video_names import repeated


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
    sequences = read_all(path, options or Options())
    if len(sequences) != 1:
        names = ", ".join(s.sequence for s in sequences) or "none"
        raise FormatError(path, None, "must hold one sequence", names)
    return replace(sequences[0], sequence=sequence) if sequence else sequences[0]


def read_each(
    path: Path | str,
    options: Options,
    forced: str | None = None,
    wanted: Callable[[str], bool] | None = None,
) -> list[tuple[Path, Detections]]:
    """Return [(path, Detections)] of all sequences of a file or folder, whose names differ.

    Args:
        path, forced: see `find_sources`. options: what the files do not say.
        wanted: whether a sequence of this name is taken; None takes all.

    Raises:
        FormatError: see `find_sources`; input that breaks a rule.
    """
    read: list[tuple[Source, Detections]] = []
    for source in find_sources(path, forced):
        if wanted is None or source.sequence is None or wanted(source.sequence):
            read += [(source, detections) for detections in source.read(options)]
    again = repeated([detections.sequence for _, detections in read])
    named = [
        (s.path, replace(d, sequence=f"{s.title}_{d.sequence}") if d.sequence in again else d)
        for s, d in read
    ]
    for name in repeated([d.sequence for _, d in named]):
        where = " and ".join(str(p) for p, d in named if d.sequence == name)
        raise FormatError(
            path, None, "sequences must have names of their own", f"{name} in {where}"
        )
    return [(p, d) for p, d in named if wanted is None or wanted(d.sequence)]


def read_all(path: Path | str, options: Options) -> list[Detections]:
    """Return [Detections] of all sequences of a file or folder, see `read_each`."""
    return [detections for _, detections in read_each(path, options)]


def read_sequences(path: Path | str, names: Iterable[str] | None = None) -> list[Detections]:
    """Return [Detections] of a file or folder; all are read and checked before any is used.

    Raises:
        FormatError: see `find_sources`; a name that is not there.
    """
    if names is None:
        return read_all(path, Options())
    chosen, known = list(names), set()

    def wanted(name: str) -> bool:
        known.add(name)
        return name in chosen

    by_name = {d.sequence: d for _, d in read_each(path, Options(), wanted=wanted)}
    for name in chosen:
        if name not in by_name:
            raise FormatError(path, None, f"must hold sequence {name}", ", ".join(sorted(known)))
    return [by_name[name] for name in chosen]
