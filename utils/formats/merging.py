"""Rows of several files of one sequence, joined."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

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
    columns: tuple[str, ...] = ("frames", "classes", "scores", "boxes_xywh", "rles", "ids")
    both = first.vectors is not None and second.vectors is not None
    columns += ("vectors",) if both else ()
    joined: dict[str, Any] = {
        n: np.concatenate([getattr(first, n), getattr(second, n)]) for n in columns
    }
    joined["vectors"] = joined.get("vectors")
    if first.pictures or second.pictures:
        joined["pictures"] = _same_frames(first, second)
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
