"""The one way from detections to tracks: mark, embed, track, refine, write, score."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from models.settings import Settings
from models.tracking import (
    COLOURS,
    EMBEDDINGS,
    VECTORS,
    Array,
    Tracker,
    iterate_frames,
    make_tracker,
    track,
    tracker_class,
)
from models.usc_mots.embedding import Embedder
from utils import evaluation, masks
from utils.boxes import likely_reading
from utils.detections import Detections
from utils.files import FormatError
from utils.formats import mots_txt
from utils.frames import FrameFolder
from utils.masks import Images
from utils.results import finished
from utils.rules import mark

STAGES = ("read", "crop", "embed", "associate", "refine", "write", "score", "report")


class Stopwatch:
    """Adds up seconds by stage in `seconds`."""

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(STAGES, 0.0)

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Time a block."""
        start = time.perf_counter()
        yield
        self.seconds[stage] += time.perf_counter() - start


@dataclass(frozen=True)
class Tracked:
    """One sequence on its way; row i of every column is row i of the file.

    Attributes:
        detections: n Detections as they came (boxes as the settings have them).
        keep: (n,) bool, rows that the rules leave. dropped: {rule: count}.
        step: frame numbers that made one step of the video.
        columns: {name: (n, ...)} of what was computed: embeddings, vectors, colours.
        track_ids: (n,) int32, 0 for rows of no track.
        report: what the tracker and refinement counted.
        images: reader of the frames, or None.
        notes: what was guessed or overridden, for the user.
        in_front: who gets a pixel, see `utils.results.make_disjoint`.
    """

    detections: Detections
    keep: npt.NDArray[np.bool_]
    dropped: Mapping[str, int]
    step: int
    columns: Mapping[str, Array]
    track_ids: npt.NDArray[np.int32]
    report: Counter[str]
    images: Images | None = None
    notes: tuple[str, ...] = ()
    in_front: bool = True

    def result(self) -> tuple[Detections, list[int]]:
        """Return what is written, see `utils.results.finished`."""
        return finished(self.detections, self.track_ids, self.in_front)


def find_step(frames: Array) -> int:
    """Return the common step of a sequence's frame numbers, 1 where there is none to be seen.

    A step is believed if it divides all differences and at least half of them are just it; two
    frames have no common step.
    """
    gaps = np.diff(np.unique(frames))
    if len(gaps) < 2:
        return 1
    step = int(np.gcd.reduce(gaps))
    return step if 2 * int((gaps == step).sum()) >= len(gaps) else 1


class Pipeline:
    """Takes detections to tracks by one tracker's settings.

    Args:
        settings: Settings.
        weights: files for the embeddings; None takes the data set's own. They are checked at once
            and loaded when a sequence needs embeddings.
        location_gain: replaces that of the weights; None keeps it.
        watch: Stopwatch; None makes one.

    Raises:
        ValueError: weights that are missing or of another data set, where they may be needed.

    Example:
        >>> pipeline = Pipeline(settings_for(data_set("custom"), "mask_iou"))
        >>> tracked = pipeline.track(read_detections("0012.txt"))
        >>> pipeline.write(tracked, Path("results"))
    """

    def __init__(
        self,
        settings: Settings,
        weights: Iterable[Path] | None = None,
        location_gain: float | None = None,
        watch: Stopwatch | None = None,
    ) -> None:
        self.settings, self.watch = settings, watch or Stopwatch()
        self._weights = None if weights is None else list(weights)
        self._location_gain = location_gain
        self._embedder: Embedder | None = None

    @property
    def embedder(self) -> Embedder:
        """Return the Embedder, made (and its weights checked) on first use."""
        if self._embedder is None:
            self._embedder = Embedder(
                self.settings.data_set, self._weights, self._location_gain, self.settings.runtime
            )
        return self._embedder

    def tracker(self) -> Tracker:
        """Return a fresh tracker for a sequence."""
        return make_tracker(self.settings.name, self.settings.tracker)

    def needs_embeddings(self, detections: Detections) -> bool:
        """Return whether the tracker reads the embeddings of a sequence."""
        tracker = self.tracker()
        lacking = detections.vectors is None and not tracker.own_vectors
        return EMBEDDINGS in tracker.needs or (VECTORS in tracker.needs and lacking)

    def prepare(self, detections: Detections) -> Detections:
        """Return a sequence with the boxes that the settings ask for.

        Raises:
            FormatError: boxes that are not around their masks, under "check".
        """
        if self.settings.boxes == "file" or not len(detections):
            return detections
        tight = masks.tight_boxes_xywh(detections.rles, *detections.size)
        if self.settings.boxes == "mask":
            return replace(detections, boxes_xywh=tight)
        real = (tight[:, 2] > 0) & (detections.classes != (self.settings.data_set.ignore or 0))
        found = likely_reading(detections.boxes_xywh[real], tight[real], detections.size)
        if found is not None:
            rule = "boxes must be x y w h in pixels around the masks (--boxes mask takes the masks'"
            rule += ", --boxes file believes them)"
            raise FormatError(detections.sequence, None, rule, found)
        return detections

    def mark(self, detections: Detections) -> tuple[npt.NDArray[np.bool_], dict[str, int]]:
        """Return (n,) bool, the rows that take part, and {rule: count} of the others."""
        s = self.settings
        trusted = s.trusts(detections)
        return mark(detections, s.classes, s.rules, s.data_set.ignore, trusted)

    def columns(
        self,
        detections: Detections,
        keep: npt.NDArray[np.bool_],
        tracker: Tracker,
        images: Images | None,
        given: Mapping[str, Array] | None = None,
    ) -> dict[str, Array]:
        """Return {name: (n, ...)} of what the tracker and refinement read; zeros where not kept."""
        columns = dict(given or {})
        if COLOURS not in columns and images is not None and self.settings.refine:
            from utils.colours import colour_histograms

            with self.watch("crop"):
                columns[COLOURS] = colour_histograms(detections, images, keep)
        if self.needs_embeddings(detections) and EMBEDDINGS not in columns:
            columns[EMBEDDINGS] = self.embedder.embed(detections, keep, images, self.watch)
        if VECTORS in tracker.needs and VECTORS not in columns:
            own = detections.vectors
            if own is None and tracker.own_vectors:
                rule = f"detections must have vectors for tracker {tracker.name}, as segment.py"
                rule += " writes them with a network that has some"
                raise FormatError(detections.sequence, None, rule, "none")
            columns[VECTORS] = columns[EMBEDDINGS] if own is None else own
        return columns

    def track(
        self,
        detections: Detections,
        images: Images | None = None,
        given: Mapping[str, Array] | None = None,
    ) -> Tracked:
        """Take one sequence from detections to track ids.

        Args:
            detections: n Detections.
            images: function frame -> (height, width, 3) uint8 RGB, or None.
            given: {name: (n, ...)} of columns that need not be computed.

        Raises:
            ValueError: input that breaks a rule; the message says which.
        """
        whole = self.untracked(detections)
        detections, keep, step, notes = whole.detections, whole.keep, whole.step, [*whole.notes]
        tracker = self.tracker()
        columns = self.columns(detections, keep, tracker, images, given)
        with self.watch("associate"):
            track_ids, report = track(self._judged(detections), tracker, columns, keep, step)
        if self.settings.refine:
            track_ids, merged = self._refine(detections, track_ids, columns, images, step)
            report = report + merged
            for verdict, what in (
                ("unclear", "looks and motion do not tell objects apart: left as they were"),
                ("believed", "little speaks against its tracks: joined where sure, none cut"),
            ):
                if merged[verdict]:
                    classes = "1 class" if merged[verdict] == 1 else f"{merged[verdict]} classes"
                    notes.append(f"{detections.sequence}, {classes}: {what}")
        notes += self._trust_notes(detections)
        return replace(
            whole,
            columns=columns,
            track_ids=track_ids,
            report=report,
            images=images,
            notes=tuple(notes),
        )

    def untracked(self, detections: Detections) -> Tracked:
        """Return one sequence as `track` does, without ids and columns."""
        whole = self.prepare(detections)
        keep, dropped = self.mark(whole)
        step, notes = self._step(whole)
        nobody = np.zeros(len(whole), np.int32)
        front = tracker_class(self.settings.name).in_front
        return Tracked(whole, keep, dropped, step, {}, nobody, Counter(), None, tuple(notes), front)

    def _judged(self, detections: Detections) -> Detections:
        """Return a sequence with P(object) for scores: 1 for trusted masks, else by the curves."""
        settings = self.settings
        if not detections.scored:
            return detections
        if settings.trusts(detections):
            return replace(detections, scores=np.ones_like(detections.scores))
        if settings.curves is None:
            return detections
        columns = detections.classes, detections.scores
        scores = settings.curves.probability(*columns, settings.data_set.name_of)
        return replace(detections, scores=scores)

    def _refine(
        self,
        detections: Detections,
        track_ids: Array,
        columns: Mapping[str, Array],
        images: Images | None,
        step: int,
    ) -> tuple[npt.NDArray[np.int32], Counter[str]]:
        """Return the ids after tracking the video anew by its frames, and what was changed."""
        from models.remots.retracking import retrack

        if images is None:
            rule = "--refine needs every frame of the video (--images)"
            raise FormatError(detections.sequence, None, rule, "none")
        with self.watch("refine"):
            looks, config = [columns[COLOURS]], self.settings.refinement
            return retrack(detections, track_ids, looks, images, config, step)

    def _step(self, detections: Detections) -> tuple[int, list[str]]:
        """Return the step of the frame numbers, and what to say of it."""
        if self.settings.frame_step is not None:
            return self.settings.frame_step, []
        step = find_step(detections.frames)
        if step == 1:
            return 1, []
        first = np.unique(detections.frames)[:3].tolist()
        shown = ", ".join(map(str, first))
        text = f"frames come in steps of {step} ({shown}, ...): tracked in such steps"
        return step, [f"{detections.sequence}: {text} (--frame-step 1: as numbered)"]

    def _trust_notes(self, detections: Detections) -> list[str]:
        """Return what to say of settings that a missing score column changes."""
        s = self.settings
        if s.trust is not None or detections.scored or not len(detections):
            return []
        what = "no score or area rule applies"
        return [f"{detections.sequence}: no scores in the file: {what} (--trusted no: as scored 1)"]

    def check_online(self) -> None:
        """Refuse settings that need the whole video.

        Raises:
            ValueError: refining is asked for.
        """
        if self.settings.refine:
            raise ValueError("refining needs the whole video, got a stream of frames")

    def step(
        self,
        tracker: Tracker,
        part: Detections,
        rows: Array,
        keep: npt.NDArray[np.bool_],
        step: int,
        images: Images | None = None,
    ) -> Array:
        """Let a tracker take one frame; return the (k,) identities as they are known now.

        Args:
            tracker: of the video. part: k Detections of one frame. rows: (k,) what the caller calls
            them. keep: (k,) bool, those that take part. step, images: see `track`.
        """
        columns = self.columns(part, keep, tracker, images) if keep.any() else {}
        ids = np.zeros(len(part), np.int64)
        for frame in iterate_frames(self._judged(part), tracker, columns, keep, step):
            ids[frame.rows] = tracker.update(replace(frame, rows=rows[frame.rows]))
        return ids

    def write(self, tracked: Tracked, folder: Path) -> tuple[Detections, list[int]]:
        """Write SEQ.txt into a folder; return what was written, see `Tracked.result`."""
        with self.watch("write"):
            result, hidden = tracked.result()
            mots_txt.write(folder / f"{result.sequence}.txt", result)
        return result, hidden

    def counts(
        self,
        truth: Detections,
        result: Detections,
        classes: Mapping[int, str],
        annotated_only: bool = False,
    ) -> dict[str, Any]:
        """Return `evaluation.mask_counts` of one sequence."""
        ignore = self.settings.data_set.ignore
        with self.watch("score"):
            return evaluation.mask_counts(truth, result, classes, ignore, annotated_only)

    def scored_classes(self, sequences: Sequence[Detections]) -> dict[int, str]:
        """Return {number: name} of the classes to score: those tracked, or all there are."""
        of = self.settings.data_set
        present = {int(c) for s in sequences for c in np.unique(s.classes)} - {of.ignore}
        numbers = self.settings.classes or sorted(c for c in present if c is not None)
        return {cls: of.name_of(cls) for cls in numbers}


def frames_of(folder: Path | None, detections: Detections) -> FrameFolder | None:
    """Return the reader of a sequence's frames, None without a folder."""
    if folder is None or not len(detections):
        return None
    return FrameFolder(folder, detections.sequence, detections.size)
