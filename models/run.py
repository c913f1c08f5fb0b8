"""A whole run: files in; tracks, pictures, scores and a summary out, by one Pipeline."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tqdm import tqdm

from models.beside import track_beside
from models.output import REPORT, OutputFolder
from models.pipeline import Tracked
from models.request import Request, Run, begin
from models.run_results import count, report, score, seconds_of, summarise, write_all
from utils import evaluation


def _here(made: Run) -> Iterable[Tracked]:
    """Yield the tracks of all sequences, made one after another."""
    for detections in tqdm(made.inputs.sequences, desc="tracking", unit="seq", disable=None):
        name = detections.sequence
        yield made.pipeline.track(detections, made.readers.get(name))


def track_all(made: Run) -> list[Tracked]:
    """Track every sequence; those that fail beside others are left out and named."""
    tracked = []
    request = made.request
    results: Iterable[Tracked] = _here(made)
    if not request.means.alone or request.chunk is not None:
        results, made.failed = track_beside(
            made.pipeline,
            made.inputs.sequences,
            made.readers,
            request.weights,
            request.means,
            request.chunk,
        )
        if made.failed and not results:
            name, reason = next(iter(made.failed.items()))
            raise ValueError(f"no sequence could be tracked: {name}: {reason}")
    for one in results:
        tracked.append(one)
        detections = one.detections
        made.notes += one.notes
        truth = made.inputs.truth.get(detections.sequence)
        if truth is not None:
            found = evaluation.truth_notes(truth, detections, one.keep)
            made.notes += [f"{detections.sequence}: {text}" for text in found]
    return tracked


def execute(request: Request) -> dict[str, Any]:
    """Read, track, write, score; return the summary that DIR/summary.json holds.

    Raises:
        ValueError: bad input; nothing is written then.
    """
    given = [p for p in (request.ground_truth, request.images) if p is not None]
    with OutputFolder(request.output, [*request.detections, *given]) as output:
        made = begin(request)
        tracked = track_all(made)
        counts = count(tracked)
        results = write_all(made, tracked, counts, output.staged)
        scores, each = score(made, tracked, results)
        summary = summarise(made, tracked, counts, scores) | {"by_sequence": each}
        if request.report:
            with made.pipeline.watch("report"):
                report(made, tracked, results, summary, output.staged / REPORT)
            summary["seconds"] = seconds_of(made)
        output.install(summary)
    return summary
