"""A run: a source yields tracked sequences, sinks write them, all is put in place at once."""

from __future__ import annotations

import contextlib
import platform
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from models.usc_mots.embedding import KERAS
from pipeline.corrected import CorrectedSource
from pipeline.frame_masks import Stop
from pipeline.request import Corrections, Request, Video
from pipeline.results import OutputFolder
from pipeline.sinks import FormatsSink, MotsSink, PicturesSink, ReportSink, ScoresSink, Sink
from pipeline.source import FileSource, Source
from pipeline.submission import SubmissionSink, check_submission
from pipeline.tracked import Outcome
from pipeline.video_source import VideoSource
from utils.cli import VERSION
from utils.detections import Detections
from utils.masks import tight_boxes_xywh

PACKAGES = ("numpy", "scipy", "numba", "pycocotools", "opencv-python", "av", "trackeval")


def execute(request: Request, stop: Stop | None = None) -> dict[str, Any]:
    """Read, track, write, score; return the summary that DIR/summary.json holds.

    Args:
        request: Request. stop: ends the run of a video at the next frame, when it is asked to.

    Raises:
        ValueError: bad input; nothing is written then.
    """
    with OutputFolder(request.output, request.inputs) as output:
        source: Source
        if isinstance(request.source, Video):
            source = VideoSource(request, stop or Stop())
        elif isinstance(request.source, Corrections):
            source = CorrectedSource(request)
        else:
            source = FileSource(request)
        sinks = sinks_of(request, source, output.staged)
        names = []
        for outcome in source.outcomes():
            write(outcome, sinks)
            names.append(outcome.name)
        summary = summarise(request, source, names)
        for sink in sinks:
            sink.finish(summary)
        summary |= source.facts()  # the seconds that scoring and the page took, too
        output.install(summary)
        source.close()
    return summary


def sinks_of(request: Request, source: Source, folder: Path) -> list[Sink]:
    """Return the sinks that a request asks for; the page comes last, with the scores."""
    pipeline, notes = source.pipeline, source.notes
    sinks: list[Sink] = [MotsSink(folder, source.counts, pipeline), *source.sinks(folder)]
    if set(request.write) - {"mots"}:
        sinks.append(FormatsSink(folder, request.write, notes, pipeline))
    if request.visualize:
        sinks.append(PicturesSink(folder, request.seed, notes, pipeline))
    if request.ground_truth is not None:
        boxes = getattr(source, "box_truth", {})
        sinks.append(ScoresSink(pipeline, request.annotated_only, boxes))
    if request.submit is not None:
        names = [s.sequence for s in getattr(source, "sequences", ())]
        check_submission(request.submit, pipeline.settings.data_set, names)
        sinks.append(SubmissionSink(folder, request.submit))
    if request.report:
        sinks.append(ReportSink(folder, pipeline))
    return sinks


def write(outcome: Outcome, sinks: Sequence[Sink]) -> None:
    """Let the sinks take one sequence, frame by frame and as a whole."""
    for sink in sinks:
        sink.begin(outcome)
    gathering = outcome.result is None and any(sink.whole for sink in sinks)
    parts: list[Detections] = []
    for number, part, image in outcome.frames():
        for sink in sinks:
            sink.take(number, part, image)
        if gathering:
            parts.append(part.select(part.ids > 0))
    result = outcome.result if outcome.result is not None else _joined(outcome, parts)
    for sink in sinks:
        sink.end(outcome, result)


def _joined(outcome: Outcome, parts: Sequence[Detections]) -> Detections:
    """Return the frames of a video as one, with the boxes around the masks that are written."""
    if not parts:
        return Detections.empty(outcome.name, *outcome.size)
    whole = Detections.joined(parts)
    boxes = tight_boxes_xywh(whole.rles, *outcome.size)
    return replace(whole, sequence=outcome.name, boxes_xywh=boxes, parents=outcome.parents)


def summarise(request: Request, source: Source, names: Sequence[str]) -> dict[str, Any]:
    """Return all that made the results, for summary.json.

    Args:
        request: Request. source: Source, all of whose sequences are tracked. names: theirs.
    """
    embedder = source.pipeline.used_embedder
    runtime = embedder.runtime if embedder else None
    if embedder and request.ground_truth is not None:
        source.notes += [f"scores: {line}" for line in embedder.seen(names)]
    facts, curves = source.facts(), source.pipeline.settings.curves
    if curves and (others := [n for n in facts["classes"] if n not in curves.curves]):
        known = ", ".join(curves.curves)
        text = f"no score curve for {', '.join(others)} (there are some for {known})"
        source.notes.append(f"{text}: their scores are taken as they are")
    extra = ("tensorflow", "keras") if runtime == KERAS else ("onnxruntime",) if embedder else ()
    return {
        **source.pipeline.settings.summary(),
        **request.asked,
        "sequences": len(names),
        "weights": {n: embedder.weights_of(n).name for n in names} if embedder else {},
        "weights_sha256": embedder.digests() if embedder else {},
        "runtime": runtime,
        "versions": {
            "usc-mots": VERSION,
            "python": platform.python_version(),
            **versions_of((*extra, *PACKAGES)),
        },
        "counts": dict(source.counts),
        "scores": {},
        "by_sequence": {},
        "notes": source.notes,
        "failed": source.failed,
        **facts,
    }


def versions_of(packages: Sequence[str]) -> dict[str, str]:
    """Return {package: version} of those that are installed."""
    versions = {}
    for package in packages:
        with contextlib.suppress(PackageNotFoundError):
            versions[package] = version(package)
    return versions
