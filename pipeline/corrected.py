"""The result of an earlier run, corrected in its page, as a run's source."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.request import Corrections, Request
from pipeline.results import REPORT, SUMMARY
from pipeline.sinks import digest_of
from pipeline.source import Source
from pipeline.stages import Pipeline
from pipeline.tracked import FrameResult, Image, Outcome, frames_of
from utils.data_sets import data_set
from utils.detections import Detections
from utils.edits import Editing, apply_all, read_edits
from utils.files import FormatError
from utils.formats.base import Options
from utils.formats.writing import MOTS, WRITERS
from utils.inputs import Choice, read_inputs
from utils.page.rows import scores_of
from utils.page.video import read_frames
from utils.page.writing import read_held


@dataclass(frozen=True)
class Held:
    """A sequence of the run.

    Attributes:
        name: its. size: (height, width) px. step: frame numbers from frame to frame.
        frames: numbers of all of them. rate: frames per second.
        video: the frames that the page plays, or None. digest: of the rows.
        scores: (n,) float32 of the rows. parents: {identity: that of its mother}.
    """

    name: str
    size: tuple[int, int]
    step: int
    frames: list[int]
    rate: Fraction
    video: Path | None
    digest: str
    scores: Any
    parents: dict[int, int]


class CorrectedSource(Source):
    """The rows of a run, with the identities and classes that edits give them.

    Args:
        request: Request of `Corrections`.

    Raises:
        ValueError: no run with a page, a result that changed since, edits of another run, or one
            that cannot be applied.
    """

    def __init__(self, request: Request) -> None:
        super().__init__(request)
        assert isinstance(request.source, Corrections)
        self.files: Corrections = request.source
        run, page = self.files.run, read_held(self.files.run / REPORT)["sequences"]
        self.held = {h.name: h for h in (_held(run, s) for s in page)}
        digests, self.edits = read_edits(self.files.edits)
        for name, held in self.held.items():
            path = run / WRITERS[MOTS].place(name)
            if not path.is_file() or digest_of(path) != held.digest:
                got = "a changed file" if path.is_file() else "no file"
                rule = f"must be the file that {run / REPORT} was made from"
                raise FormatError(path, None, rule, got)
            if digests.get(name) != held.digest:
                rule, got = f"must hold edits of the run {run}", "edits of another run"
                raise FormatError(self.files.edits, None, rule, f"{got} (sequence {name})")
        base = _data_set_of(run, {int(c): str(n) for s in page for c, n in s["names"].items()})
        rows, chosen = [run / WRITERS[MOTS].folder], Choice(list(self.held))
        inputs = read_inputs(rows, request.ground_truth, chosen, Options())
        self.truth = inputs.truth
        self.notes += inputs.notes
        self.sequences = self._corrected({d.sequence: d for d in inputs.sequences})
        self.pipeline = Pipeline(replace(request.settings, data_set=base))

    def _corrected(self, read: dict[str, Detections]) -> list[Detections]:
        """Return the sequences after all edits."""
        editing = {}
        for name, held in self.held.items():
            d = read.get(name, Detections.empty(name, *held.size))
            read[name] = replace(d, scores=held.scores)
            editing[name] = Editing(d.frames, d.ids, d.classes)
        apply_all(self.files.edits, self.edits, editing)
        ops = Counter(edit["op"] for edit in self.edits)
        told = ", ".join(f"{n} {op}" for op, n in sorted(ops.items())) or "none"
        self.notes.append(f"applied edits: {told}")
        corrected = []
        for name, each in editing.items():
            ids, classes = each.ids.astype(np.int32), each.classes.astype(np.int16)
            self.counts["read"] += len(ids)
            self.counts["dropped_deleted"] += int((ids == 0).sum())
            there = set(ids.tolist())
            known = self.held[name].parents.items()
            parents = {i: mother for i, mother in known if {i, mother} <= there}
            whole = replace(read[name], ids=ids, classes=classes, parents=parents)
            corrected.append(replace(whole, class_names=None))
        return corrected

    def outcomes(self) -> Iterator[Outcome]:
        """Yield the sequences, with the frames that the page has."""
        for detections in self.sequences:
            held = self.held[detections.sequence]
            self.counts["frames"] += len(held.frames)
            yield Outcome(
                held.name,
                held.size,
                held.step,
                lambda d=detections, h=held: _frames(d, h),  # type: ignore[misc]
                lambda d=detections: bool((d.scores < 1).any()),  # type: ignore[misc]
                self.truth.get(held.name),
                result=detections,
                rate=held.rate,
                video=held.video,
                parents=detections.parents,
            )

    def facts(self) -> dict[str, Any]:
        """Return what the summary says of corrections."""
        name_of = self.pipeline.settings.data_set.name_of
        numbers = sorted({c for d in self.sequences for c in d.classes[d.ids > 0].tolist()})
        return {
            "detections": [str(self.files.run), str(self.files.edits)],
            "steps": {h.name: h.step for h in self.held.values()},
            "classes": [name_of(c) for c in numbers],
            "class_names": {str(c): name_of(c) for c in numbers},
            "title": "Corrected tracks",
            "seconds": {k: round(v, 3) for k, v in self.pipeline.watch.seconds.items()},
        }


def _data_set_of(run: Path, names: dict[int, str]) -> Any:
    """Return the data set of a run, with its classes' names."""
    try:
        name = json.loads((run / SUMMARY).read_text())["dataset"]
        base = data_set(name)
    except (OSError, ValueError, KeyError):
        raise FormatError(run / SUMMARY, None, "must be the summary of a run", "none") from None
    return replace(base, class_names={**base.class_names, **names}) if base.any_class else base


def _held(run: Path, page: dict[str, Any]) -> Held:
    """Return a sequence of a run, from what its page holds."""
    video = run / page["video"] if page["video"] else None
    return Held(
        str(page["name"]),
        (int(page["size"][0]), int(page["size"][1])),
        int(page["step"]),
        [int(f) for f in page["frames"]],
        Fraction(page["rate"]).limit_denominator(1001),
        video if video is not None and video.is_file() else None,
        str(page["digest"]),
        scores_of(page["rows"], len(page["frames"])),
        {int(i): int(mother) for i, mother in page.get("parents", {}).items()},
    )


def _frames(detections: Detections, held: Held) -> Iterator[FrameResult]:
    """Yield each frame, with its picture where the page has a video."""
    pictures: Iterator[Image | None] = iter(())
    if held.video is not None:
        pictures = read_frames(held.video, held.size)
    for number, part in frames_of(detections, held.frames):
        yield number, part, next(pictures, None)
