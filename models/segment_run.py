"""A run that goes from frames to detections, and can be gone on with after it was stopped."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from models.output import DETECTIONS, OutputFolder
from models.remots.suppression import kept_by_iom
from models.segmenters import BatchSegmenter, find_segmenter
from models.spool import Spool
from models.video_parts import Masks, Stop, interrupted_by, stamp
from utils.cli import note, say
from utils.detection_scores import STEPS, average_precision
from utils.detections import IGNORE, Detections
from utils.files import FormatError, instances_folder
from utils.formats.base import Classes, Output
from utils.formats.registry import read_detections, read_sequences
from utils.formats.track_rcnn import VECTOR
from utils.formats.tracking_only import line_of
from utils.formats.writing import WRITERS
from utils.video import Frames

Scores = dict[str, dict[str, dict[str, float]]]


@dataclass(frozen=True)
class SegmentRequest:
    """What is asked of a run.

    Attributes:
        source: video or folder of pictures. output: folder for the results.
        weights: name or file of a network. batch: frames at once.
        min_score: least score. iom: limit of `kept_by_iom`, or None.
        write: further formats. names: {number: name} of classes.
        first_frame: number of a video's first frame. resume: whether to go on.
        ground_truth: masks to score against, a file or the folder of SEQ.txt, or None.
    """

    source: str
    output: Path
    weights: str
    batch: int = 4
    min_score: float = 0.0
    iom: float | None = None
    write: Sequence[str] = ()
    names: Mapping[int, str] = field(default_factory=dict)
    first_frame: int = 0
    resume: bool = False
    ground_truth: Path | None = None


def run_segment(request: SegmentRequest) -> dict[str, Any]:
    """Find the objects of all frames; Ctrl-C ends it at the next frame with valid files.

    Raises:
        ValueError: bad input; nothing is written then.
    """
    stop = Stop()
    with OutputFolder(request.output, [Path(request.source)]) as output, interrupted_by(stop):
        frames = Frames(request.source, first=request.first_frame)
        if frames.live:
            raise ValueError(f"INPUT must be a video or a folder of frames, got {request.source}")
        truth = _truth(request.ground_truth, frames.name)
        segmenter = find_segmenter(request.weights, request.batch)
        signature = {
            "source": f"{request.source} {stamp(Path(request.source))}",
            "first frame": request.first_frame,
            "weights": f"{request.weights} {stamp(Path(request.weights))}",
            "batch": request.batch,
            "names": str(dict(request.names)),
        }
        spool = Spool(request.output, signature, request.resume)
        classes = Classes(dict(request.names))
        source = Masks({}, segmenter, request.weights, classes, spool)
        own = getattr(getattr(segmenter, "network", None), "config", None)
        too_long = getattr(own, "vector_size", 0) > VECTOR
        if too_long:
            note(f"{request.weights}: its vectors are not written, a file holds {VECTOR} values")
        counts: Counter[str] = Counter()
        used: set[int] = set()
        passed: list[int] = []
        path = output.staged / DETECTIONS / f"{frames.name}.txt"
        path.parent.mkdir()
        start = time.perf_counter()
        with path.open("wb") as file:
            bar = tqdm(frames, total=frames.count, unit="frame", disable=None)
            for number, _, found in source.each(bar):
                if stop.asked:
                    break
                counts["frames"] += 1
                passed.append(number)
                found = replace(found, vectors=None) if too_long else found
                kept = _kept(found, request, counts)
                used.update(found.classes[kept].tolist())
                for row in kept:
                    file.write(line_of(found, row))
        if not counts["frames"]:
            raise FormatError(request.source, None, "must have frames", "none")
        seconds = time.perf_counter() - start
        counts["dropped_empty"] += source.emptied
        summary: dict[str, Any] = {
            "source": request.source,
            "weights": request.weights,
            "batch": request.batch,
            "min_score": request.min_score,
            "iom": request.iom,
            "stopped": stop.asked,
            "class_names": {str(c): n for c, n in classes.names.items() if c in used},
            "frames_per_second": counts["frames"] / seconds,
            "counts": {k: v for k, v in sorted(counts.items()) if v}
            | {"written": counts["written"]},
            "notes": list(frames.notes),
        }
        _write(request, path, output.staged, summary, classes.names)
        if truth is not None:
            known = classes.names if isinstance(segmenter, BatchSegmenter) else None
            try:
                scores, notes = _scores(truth, path, passed, known)
                summary["scores"] = scores
                summary["notes"] += notes
            except ValueError as error:  # what was found is not lost
                summary["notes"].append(f"not scored: {error}")
        output.install(summary)
        for text in summary["notes"]:
            note(text)
        named = ", ".join(f"{c}={n}" for c, n in summary["class_names"].items())
        if named:
            say(f"classes: {named} (--class-names of the tracking scripts)")
        if stop.asked:
            say(f"stopped after {counts['frames']} frames (--resume goes on)")
        else:
            spool.remove()
    return summary


def _kept(found: Detections, request: SegmentRequest, counts: Counter[str]) -> list[int]:
    """Return the rows of a frame that are written; count those that are not, by rule."""
    enough = found.scores >= request.min_score
    counts["dropped_score"] += int((~enough).sum())
    rows = np.flatnonzero(enough)
    if request.iom is not None:
        keep = kept_by_iom(found.select(rows), request.iom)
        counts["dropped_iom"] += int((~keep).sum())
        rows = rows[keep]
    counts["written"] += len(rows)
    kept: list[int] = rows.tolist()
    return kept


def _truth(path: Path | None, name: str) -> Detections | None:
    """Return the masks of a sequence to score against.

    Raises:
        ValueError: none, or input that breaks a rule.
    """
    if path is None:
        return None
    if path.is_file():
        return read_detections(path, name)
    return read_sequences(instances_folder(path), [name])[0]


def _scores(
    truth: Detections, path: Path, frames: Sequence[int], names: Mapping[int, str] | None
) -> tuple[Scores, list[str]]:
    """Return {"AP50", "AP75" or "AP": {"box" or "mask": {class: AP, "mean": AP}}} of frames so far.

    Args:
        truth: masks. path: file of what was found. frames: numbers of the frames so far.
        names: of the classes that the network looks for; None: all.

    Returns:
        The scores, and what is left out of them.

    Raises:
        ValueError: ground truth of other frames, or without a class that was looked for.
    """
    notes = []
    there = truth.select(np.isin(truth.frames, frames))
    outside = sorted(set(truth.frames.tolist()) - set(frames))
    if not len(there):
        got = f"frames {outside[0]} to {outside[-1]}" if outside else "no object"
        rule = f"ground truth must be of the frames {frames[0]} to {frames[-1]}"
        raise FormatError(truth.sequence, None, rule, got)
    if outside:
        shown = ", ".join(map(str, outside[:3])) + ", ..." * (len(outside) > 3)
        notes.append(f"not scored: {len(outside)} frames of the truth that are not in it ({shown})")
    own = {int(c) for c in np.unique(there.classes)} - {IGNORE}
    looked = {c: f"class {c}" for c in own} if names is None else names
    scored = {c: looked[c] for c in sorted(own & set(looked))}
    if own - set(looked):
        numbers = ", ".join(map(str, sorted(own - set(looked))))
        notes.append(f"not scored: classes of the truth that are not looked for: {numbers}")
    if not scored:
        numbers = ", ".join(f"{c}={n}" for c, n in looked.items())
        rule = f"ground truth must have one of the network's classes {numbers} (--class-names)"
        raise FormatError(truth.sequence, None, rule, ", ".join(map(str, sorted(own))))
    found = replace(read_detections(path), sequence=truth.sequence)
    if len(found) and found.size != truth.size:
        rule = f"ground truth must have the frames' size {found.size} (height, width)"
        raise FormatError(truth.sequence, None, rule, truth.size)
    wanted: dict[str, float | Sequence[float]] = {"AP50": 0.5, "AP75": 0.75, "AP": STEPS}
    scores = {
        name: average_precision([there], [found], scored, IGNORE, iou)
        for name, iou in wanted.items()
    }
    return scores, notes


def _write(
    request: SegmentRequest,
    path: Path,
    folder: Path,
    summary: dict[str, Any],
    names: Mapping[int, str],
) -> None:
    """Write the further formats; as they want identities, each detection is one of its own."""
    wanted = list(dict.fromkeys(request.write))
    if not wanted or not path.stat().st_size:
        return
    found = read_detections(path)
    numbered = replace(found, ids=np.arange(1, len(found) + 1, dtype=np.int32))
    for each in wanted:
        target = folder / WRITERS[each].place(found.sequence)
        target.parent.mkdir(exist_ok=True)
        try:
            WRITERS[each].write(target, Output(numbered, names, True))
        except ValueError as error:
            summary["notes"].append(f"{found.sequence}: not written as {each}: {error}")
    summary["notes"].append(
        f"{', '.join(wanted)}: detections have no identity; there each has a number of its own "
        "(--ids forget when they are tracked)"
    )
