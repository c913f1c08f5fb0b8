"""Whether a ground truth fits the detections that are scored against it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco_mask

from utils import masks
from utils.detections import Detections
from utils.files import FormatError
from utils.frames import DIGITS

MASK_COLUMNS = ("sMOTSA", "MOTSA", "MOTSP", "IDS", "Frag", "MT", "ML", "IDF1", "HOTA", "F_DR")
BOX_COLUMNS = ("IDF1", "MT", "ML", "FN", "IDS", "Frag", "MOTA")
BOX_IOU = 0.5
SAMPLE = 40  # frames of a sequence that are looked at to see whether its truth is shifted
SHIFTED = 0.05  # mean IoU by which another frame must match better to be worth a word
APART = 0.02  # mean IoU below which truth and results have hardly anything in common
OUTSIDE = 0.05  # share of results in frames without truth that is worth a word

Array = npt.NDArray[Any]
Row = dict[str, Any]


def check_truth(truth: Detections, detections: Detections, path: Path | str) -> None:
    """Refuse a ground truth that these detections cannot be scored against.

    Args:
        truth: what `path` holds.
        detections: of the same sequence.
        path: for the message.

    Raises:
        FormatError: scores, no ids, another frame size, or masks that overlap.
    """
    if not len(truth):
        return
    if truth.scored:
        raise FormatError(path, None, "ground truth must have 6 fields", "scores")
    if (truth.ids == 0).any():
        frame = int(truth.frames[truth.ids == 0][0])
        raise FormatError(path, None, "ground truth must have ids from 1", f"0 in frame {frame}")
    if len(detections) and truth.size != detections.size:
        rule = "ground truth must have the detections' frame size"
        size = f"{detections.height} {detections.width}"
        raise FormatError(path, None, f"{rule} {size}", f"{truth.height} {truth.width}")
    for frame, rows in truth.rows_by_frame():
        coco = truth.coco(rows)
        shared = np.triu(masks.overlap(coco, coco), 1)
        if shared.any():
            first, second = (int(truth.ids[rows[i]]) for i in np.argwhere(shared)[0])
            rule = "ground-truth masks of a frame must be disjoint"
            value = f"ids {first} and {second} in frame {frame}"
            raise FormatError(path, None, rule, value)


def on_frames_of(
    detections: Detections, truth: Detections, path: Path | str
) -> tuple[Detections, str]:
    """Return a truth on the frame numbers of the detections, and what to say of it.

    Frames that were counted in the order of their files' names have numbers that mean nothing
    beyond their own input: the names tell which frame is which.

    Raises:
        FormatError: the truth has a picture that the detections lack.
    """
    if not detections.pictures or not truth.pictures:
        return truth, ""
    keys, others = _keys(detections.pictures), _keys(truth.pictures)
    if not set(keys.values()) & set(others.values()):
        keys, others = dict(detections.pictures), dict(truth.pictures)
    number_of = {key: frame for frame, key in keys.items()}
    if not number_of.keys() & set(others.values()):
        return truth, "ground truth has other file names: its frames are taken in order"
    for frame, key in others.items():
        if key not in number_of:
            rule = "each of its pictures must be among the detections (an empty file will do)"
            raise FormatError(path, None, rule, truth.pictures[frame])
    numbers = {frame: number_of[key] for frame, key in others.items()}
    if all(old == new for old, new in numbers.items()):
        return truth, ""
    frames = np.array([numbers[f] for f in truth.frames.tolist()], truth.frames.dtype)
    pictures = {numbers[frame]: name for frame, name in truth.pictures.items()}
    said = "ground truth and detections hold different pictures: they are paired by file name"
    return replace(truth, frames=frames, pictures=pictures), said


def _keys(pictures: Mapping[int, str]) -> dict[int, object]:
    """Return {frame: the numbers in its picture's name}, or the names where those are no key."""
    keys: dict[int, object] = {f: tuple(DIGITS.findall(name)) for f, name in pictures.items()}
    return keys if len(set(keys.values())) == len(keys) else dict(pictures)


def truth_notes(truth: Detections, detections: Detections, keep: Array) -> list[str]:
    """Return what looks wrong between a ground truth and the detections to be scored against it.

    Args:
        truth: of one sequence; detections: n, of the same; keep: (n,) bool, those that take part.

    Returns:
        Lines for the user: a shift of the frame numbers by one, masks in frames without truth,
        truth without a pixel.
    """
    notes = []
    empty = masks.areas_of(truth.rles, truth.height * truth.width) == 0
    if empty.any():
        notes.append(
            f"{empty.sum()} ground-truth masks have no pixel (first: id {truth.ids[empty][0]} in "
            f"frame {truth.frames[empty][0]}): they count as missed"
        )
    ids, seen = np.unique(truth.ids, return_counts=True)
    if len(ids) > 1 and seen.max() == 1 and len(np.unique(truth.frames)) > 1:
        notes.append(
            f"ground truth: each of its {len(ids)} objects is in one frame only: are they single "
            "shapes rather than tracks?"
        )
    if not len(truth) or not keep.any():
        return notes
    notes += _shift_notes(truth, detections, keep)
    annotated = np.unique(truth.frames)
    outside = keep & ~np.isin(detections.frames, annotated)
    if outside.sum() > OUTSIDE * keep.sum():
        notes.append(
            f"{outside.sum()} of {keep.sum()} detections are in frames without any annotation "
            f"(truth: {len(annotated)} frames, {annotated[0]} to {annotated[-1]}): if tracked they "
            "count as false positives, as in the benchmark (--score-frames annotated leaves them "
            "out)"
        )
    return notes


def _shift_notes(truth: Detections, detections: Detections, keep: Array) -> list[str]:
    """Return what to say if the truth matches those of another frame better, or of none."""
    matched = {shift: _matched(truth, detections, keep, shift) for shift in (-1, 0, 1)}
    best = max((-1, 1), key=lambda shift: matched[shift])
    if matched[best] > matched[0] + SHIFTED:
        way = "one frame later" if best > 0 else "one frame earlier"
        return [
            f"ground truth matches far better {way} (mean IoU {matched[best]:.2f}, "
            f"{matched[0]:.2f} as it stands): is one numbered from 0, the other from 1? "
            "Scored as it stands"
        ]
    if matched[0] < APART:
        text = f"ground truth and detections hardly overlap (mean IoU {matched[0]:.2f})"
        return [f"{text}: are they of the same frames, numbered alike?"]
    return []


def _matched(truth: Detections, detections: Detections, keep: Array, shift: int) -> float:
    """Return the mean IoU of true masks, of a sample of frames, with the best detection.

    A share of matches above an IoU would not feel a shift by which slow objects still overlap.
    """
    by_frame, there = dict(detections.rows_by_frame(keep)), truth.rows_by_frame()
    total, hits = 0, 0.0
    for frame, rows in there[:: max(1, len(there) // SAMPLE)]:
        total += len(rows)
        mine = by_frame.get(frame + shift)
        if mine is None or truth.size != detections.size:
            continue
        iou = coco_mask.iou(truth.coco(rows), detections.coco(mine), [0] * len(mine))
        hits += float(iou.max(axis=1).sum())
    return hits / max(1, total)
