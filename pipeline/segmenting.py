"""A run that goes from frames to detections, and can be gone on with after it was stopped."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from pipeline.frame_masks import FrameMasks, Stop, interrupted_by, stamp
from pipeline.request import shown
from pipeline.results import DETECTIONS, OutputFolder
from pipeline.segmenters import BatchSegmenter, find_segmenter, learn
from pipeline.sinks import write_formats
from pipeline.spool import Spool
from utils.cli import note, say
from utils.detection_scores import STEPS, average_precision
from utils.detections import IGNORE, Detections
from utils.files import FormatError, instances_folder
from utils.formats.base import Classes, Output
from utils.formats.reading import read_detections, read_sequences
from utils.formats.track_rcnn import VECTOR
from utils.formats.tracking_only import line_of
from utils.suppression import kept_by_iom
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
        classes: names or numbers of those whose detections are kept; empty: all.
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
    classes: Sequence[str] = ()


class Segmenting:
    """One run over a video's frames.

    Args:
        request: SegmentRequest. folder: to write into, before all of it is put in place.

    Raises:
        ValueError: bad input; nothing was written then.
    """

    def __init__(self, request: SegmentRequest, folder: Path) -> None:
        self.request, self.folder, self.stop = request, folder, Stop()
        self.frames = Frames(request.source, first=request.first_frame)
        if self.frames.live:
            raise ValueError(f"INPUT must be a video or a folder of frames, got {request.source}")
        self.truth = _truth(request.ground_truth, self.frames.name)
        self.segmenter = find_segmenter(request.weights, request.batch)
        self.spool = Spool(request.output, self._signature(), request.resume)
        self.classes = Classes(dict(request.names))
        config = getattr(getattr(self.segmenter, "network", None), "config", None)
        self._too_long = getattr(config, "vector_size", 0) > VECTOR
        if self._too_long:
            note(f"{request.weights}: its vectors are not written, a file holds {VECTOR} values")
        self.path = folder / DETECTIONS / f"{self.frames.name}.txt"
        self.counts: Counter[str] = Counter()
        self._used: set[int] = set()
        self._passed: list[int] = []

    def _signature(self) -> dict[str, Any]:
        """Return what must be the same for going on with a run."""
        request = self.request
        return {
            "source": f"{request.source} {stamp(Path(request.source))}",
            "first frame": request.first_frame,
            "weights": f"{request.weights} {stamp(Path(request.weights))}",
            "batch": request.batch,
            "names": str(dict(request.names)),
        }

    def segment(self) -> dict[str, Any]:
        """Find the objects of all frames, until Ctrl-C; return the summary."""
        request, start = self.request, time.perf_counter()
        learn(self.segmenter, self.frames)
        masks = FrameMasks({}, self.segmenter, request.weights, self.classes, self.spool)
        self.path.parent.mkdir()
        bar = tqdm(self.frames, total=self.frames.count, unit="frame", disable=None)
        with self.path.open("wb") as file:
            for number, _, detections in masks.each(bar):
                if self.stop.asked:
                    break
                self.counts["frames"] += 1
                self._passed.append(number)
                file.writelines(self._lines(detections))
        if not self._passed:
            raise FormatError(request.source, None, "must have frames", "none")
        seconds = time.perf_counter() - start
        self.counts["dropped_empty"] += masks.emptied
        names = {str(c): n for c, n in self.classes.names.items() if c in self._used}
        counts = {k: v for k, v in sorted(self.counts.items()) if v}
        summary: dict[str, Any] = {
            "source": request.source,
            "weights": request.weights,
            "batch": request.batch,
            "min_score": request.min_score,
            "iom": request.iom,
            "stopped": self.stop.asked,
            "class_names": names,
            "frames_per_second": self.counts["frames"] / seconds,
            "counts": counts | {"written": self.counts["written"]},
            "notes": [*self.frames.notes, *getattr(self.segmenter, "notes", ())],
        }
        known = {str(n).casefold() for pair in self.classes.names.items() for n in pair}
        for name in request.classes:
            if name.casefold() not in known:
                have = ", ".join(self.classes.names.values()) or "none"
                summary["notes"].append(f"--classes {name}: no class of that name, found: {have}")
        self._write_formats(summary)
        self._score(summary)
        return summary

    def _lines(self, detections: Detections) -> list[bytes]:
        """Return the lines of a frame's detections that are kept; count the others, by rule."""
        request = self.request
        detections = replace(detections, vectors=None) if self._too_long else detections
        enough = detections.scores >= request.min_score
        self.counts["dropped_score"] += int((~enough).sum())
        wanted = self._wanted(detections.classes)
        self.counts["dropped_class"] += int((enough & ~wanted).sum())
        rows = np.flatnonzero(enough & wanted)
        if request.iom is not None:
            keep = kept_by_iom(detections.select(rows), request.iom)
            self.counts["dropped_iom"] += int((~keep).sum())
            rows = rows[keep]
        self.counts["written"] += len(rows)
        self._used.update(detections.classes[rows].tolist())
        return [line_of(detections, row) for row in rows.tolist()]

    def _wanted(self, classes: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
        """Return (n,) bool: which classes are among those that were asked for."""
        asked = {name.casefold() for name in self.request.classes}
        if not asked:
            return np.ones(len(classes), bool)
        names = self.classes.names
        kept = [c for c in np.unique(classes).tolist()
                if str(c) in asked or names.get(c, "").casefold() in asked]  # fmt: skip
        return np.isin(classes, kept)

    def _write_formats(self, summary: dict[str, Any]) -> None:
        """Write the further formats; as they want identities, each detection is one of its own."""
        formats = list(dict.fromkeys(self.request.write))
        if not formats or not self.path.stat().st_size:
            return
        detections = read_detections(self.path)
        numbers = np.arange(1, len(detections) + 1, dtype=np.int32)
        output = Output(replace(detections, ids=numbers), self.classes.names, True)
        summary["notes"] += write_formats(self.folder, formats, detections.sequence, output)
        summary["notes"].append(
            f"{', '.join(formats)}: detections have no identity; there each has a number of its "
            "own (--ids forget when they are tracked)"
        )

    def _score(self, summary: dict[str, Any]) -> None:
        """Add the scores to the summary, or why there are none: what was found is not lost."""
        if self.truth is None:
            return
        names = self.classes.names if isinstance(self.segmenter, BatchSegmenter) else None
        try:
            scores, notes = scores_of(self.truth, self.path, self._passed, names)
            summary["scores"] = scores
            summary["notes"] += notes
        except ValueError as error:
            summary["notes"].append(f"not scored: {error}")


def segment(request: SegmentRequest) -> dict[str, Any]:
    """Find the objects of all frames; Ctrl-C ends it at the next frame with valid files.

    Raises:
        ValueError: bad input; nothing is written then.
    """
    with OutputFolder(request.output, [Path(request.source)]) as output:
        run = Segmenting(request, output.staged)
        with interrupted_by(run.stop):
            summary = run.segment()
        output.install(summary)
        for text in summary["notes"]:
            note(text)
        named = ", ".join(f"{c}={n}" for c, n in summary["class_names"].items())
        if named:
            say(f"classes: {named} (--class-names of the tracking scripts)")
        if summary["stopped"]:
            say(f"stopped after {summary['counts']['frames']} frames (--resume goes on)")
        else:
            run.spool.remove()
    return summary


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


def scores_of(
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
    notes: list[str] = []
    there = _of_frames(truth, frames, notes)
    scored = _scored_classes(there, names, notes)
    detections = replace(read_detections(path), sequence=truth.sequence)
    if len(detections) and detections.size != truth.size:
        rule = f"ground truth must have the frames' size {detections.size} (height, width)"
        raise FormatError(truth.sequence, None, rule, truth.size)
    wanted: dict[str, float | Sequence[float]] = {"AP50": 0.5, "AP75": 0.75, "AP": STEPS}
    scores = {
        name: average_precision([there], [detections], scored, IGNORE, iou)
        for name, iou in wanted.items()
    }
    return scores, notes


def _of_frames(truth: Detections, frames: Sequence[int], notes: list[str]) -> Detections:
    """Return the truth of some frames; note which frames of it are not among them."""
    there = truth.select(np.isin(truth.frames, frames))
    outside = sorted(set(truth.frames.tolist()) - set(frames))
    if not len(there):
        got = f"frames {outside[0]} to {outside[-1]}" if outside else "no object"
        rule = f"ground truth must be of the frames {frames[0]} to {frames[-1]}"
        raise FormatError(truth.sequence, None, rule, got)
    if outside:
        notes.append(
            f"not scored: {len(outside)} frames of the truth that are not in it ({shown(outside)})"
        )
    return there


def _scored_classes(
    truth: Detections, names: Mapping[int, str] | None, notes: list[str]
) -> dict[int, str]:
    """Return {number: name} of the truth's classes that are looked for; note the others."""
    present = {int(c) for c in np.unique(truth.classes)} - {IGNORE}
    looked = {c: f"class {c}" for c in present} if names is None else names
    scored = {c: looked[c] for c in sorted(present & set(looked))}
    if present - set(looked):
        numbers = ", ".join(map(str, sorted(present - set(looked))))
        notes.append(f"not scored: classes of the truth that are not looked for: {numbers}")
    if not scored:
        numbers = ", ".join(f"{c}={n}" for c, n in looked.items())
        rule = f"ground truth must have one of the network's classes {numbers} (--class-names)"
        raise FormatError(truth.sequence, None, rule, ", ".join(map(str, sorted(present))))
    return scored
