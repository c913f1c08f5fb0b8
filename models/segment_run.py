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
from models.segmenters import find_segmenter
from models.spool import Spool
from models.video_parts import Masks, Stop, interrupted_by, stamp
from utils.cli import note, say
from utils.detections import Detections
from utils.files import FormatError
from utils.formats.base import Classes, Output
from utils.formats.registry import read_detections
from utils.formats.tracking_only import line_of
from utils.formats.writing import WRITERS
from utils.video import Frames


@dataclass(frozen=True)
class SegmentRequest:
    """What is asked of a run.

    Attributes:
        source: video or folder of pictures. output: folder for the results.
        weights: name or file of a network. batch: frames at once.
        min_score: least score. iom: limit of `kept_by_iom`, or None.
        write: further formats. names: {number: name} of classes.
        first_frame: number of a video's first frame. resume: whether to go on.
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
        segmenter = find_segmenter(request.weights, request.batch)
        signature = {
            "source": f"{request.source} {stamp(Path(request.source))}",
            "first frame": request.first_frame,
            "weights": f"{request.weights} {stamp(Path(request.weights))}",
            "batch": request.batch,
            "names": str(dict(request.names)),
        }
        spool = Spool(request.output, signature, request.resume)
        if spool.left:
            note(f"{request.output}: an earlier run was stopped there; it is begun anew "
                 "(--resume goes on with it)")  # fmt: skip
        classes = Classes(dict(request.names))
        source = Masks({}, segmenter, request.weights, classes, spool)
        counts: Counter[str] = Counter()
        used: set[int] = set()
        path = output.staged / DETECTIONS / f"{frames.name}.txt"
        path.parent.mkdir()
        start = time.perf_counter()
        with path.open("wb") as file:
            bar = tqdm(frames, total=frames.count, unit="frame", disable=None)
            for _, _, found in source.each(bar):
                if stop.asked:
                    break
                counts["frames"] += 1
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
