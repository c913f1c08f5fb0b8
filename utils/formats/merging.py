"""Rows of several files of one sequence, joined."""

from __future__ import annotations

from dataclasses import replace

from utils.detections import Detections
from utils.files import FormatError


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
    joined = Detections.joined([first, second])
    pictures, names = first.pictures, first.class_names
    if first.pictures or second.pictures:
        pictures = _same_frames(first, second)
    if first.class_names is not None or second.class_names is not None:
        names = {**(first.class_names or {}), **(second.class_names or {})}
    said = tuple(dict.fromkeys(first.notes + second.notes + _doubled(joined)))
    return replace(joined, pictures=pictures, class_names=names, notes=said)


def _doubled(joined: Detections) -> tuple[str, ...]:
    """Return what to say of masks that are in two files of a sequence."""
    columns = (joined.frames, joined.classes, joined.rles)
    keys = list(zip(*(column.tolist() for column in columns), strict=True))
    twice = len(keys) - len(set(keys))
    said = f"{joined.sequence}: {twice} masks are in more than one of its files"
    return (said,) if twice else ()


def _same_frames(first: Detections, second: Detections) -> dict[int, str]:
    """Return the names of pictures in both files, in which a frame must be the same picture.

    Raises:
        FormatError: their frames were counted apart, and do not agree.
    """
    names, others = dict(first.pictures or {}), second.pictures or {}
    for frame, name in others.items():
        if names.setdefault(frame, name) != name:
            rule = f"frame {frame} must be one picture in all files of the sequence"
            raise FormatError(first.sequence, None, rule, f"{names[frame]} and {name}")
    return names
