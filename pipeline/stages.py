"""The stages that a sequence goes through: boxes, rules, columns, tracker, refinement."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from models.streaming import iterate_frames
from models.tracking import (
    COLOURS,
    EMBEDDINGS,
    VECTORS,
    Array,
    Tracker,
    make_tracker,
    tracker_class,
)
from models.usc_mots.embedding import Embedder
from pipeline.settings import Settings
from pipeline.tracked import Stopwatch, Tracked, find_step
from utils import evaluation, masks
from utils.boxes import likely_reading
from utils.detections import Detections
from utils.files import FormatError
from utils.frames import FrameFolder
from utils.masks import Images
from utils.rules import mark


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
        >>> tracked.track_ids
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

    @property
    def used_embedder(self) -> Embedder | None:
        """Return the Embedder if something needed it."""
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
        reading = likely_reading(detections.boxes_xywh[real], tight[real], detections.size)
        if reading is not None:
            rule = "boxes must be x y w h in pixels around the masks (--boxes mask takes the masks'"
            rule += ", --boxes file believes them)"
            raise FormatError(detections.sequence, None, rule, reading)
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
            vectors = detections.vectors
            if vectors is None and tracker.own_vectors:
                rule = f"detections must have vectors for tracker {tracker.name}, as segment.py"
                rule += " writes them with a network that has some"
                raise FormatError(detections.sequence, None, rule, "none")
            columns[VECTORS] = columns[EMBEDDINGS] if vectors is None else vectors
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
        return self.follow(self.untracked(detections), images, given)

    def follow(
        self,
        whole: Tracked,
        images: Images | None = None,
        given: Mapping[str, Array] | None = None,
    ) -> Tracked:
        """Do what `track` does for a sequence that `untracked` returned."""
        tracker = self.tracker()
        columns, _ = self.update(tracker, whole, 0, images, given)
        track_ids = np.zeros(len(whole.detections), np.int32)
        with self.watch("associate"):
            written, ids = tracker.flush()
        track_ids[written] = ids
        report, notes = tracker.report, [*whole.notes]
        if self.settings.refine and track_ids.any():
            track_ids, merged = self._refine(whole, track_ids, columns, images)
            report = report + merged
            notes += refinement_notes(whole.detections.sequence, merged)
        notes += self._trust_notes(whole.detections)
        return replace(
            whole,
            columns=columns,
            track_ids=track_ids,
            report=report,
            notes=tuple(notes),
        )

    def update(
        self,
        tracker: Tracker,
        part: Tracked,
        first: int,
        images: Images | None = None,
        given: Mapping[str, Array] | None = None,
    ) -> tuple[dict[str, Array], Array]:
        """Let a tracker take the next frames: one of a video, or all of a file.

        Args:
            tracker: of the sequence. part: k detections of these frames, see `marked`.
            first: what `flush` calls the first of them; the others follow.
            images, given: see `track`.

        Returns:
            {name: (k, ...)} of the columns that were computed; (k,) identities as known now.
        """
        columns: dict[str, Array] = {}
        if part.keep.any():
            columns = self.columns(part.detections, part.keep, tracker, images, given)
        ids = np.zeros(len(part.keep), np.int64)
        with self.watch("associate"):
            judged = self._judged(part.detections)
            for frame in iterate_frames(judged, tracker, columns, part.keep, part.step, first):
                ids[frame.rows - first] = tracker.update(frame)
        return columns, ids

    def untracked(self, detections: Detections) -> Tracked:
        """Return one sequence as `track` does, without ids and columns."""
        whole = self.prepare(detections)
        step, notes = self._step(whole)
        return replace(self.marked(whole, step), notes=tuple(notes))

    def marked(self, detections: Detections, step: int) -> Tracked:
        """Return detections with the rows that take part marked, without ids and columns."""
        keep, dropped = self.mark(detections)
        nobody = np.zeros(len(detections), np.int32)
        front = tracker_class(self.settings.name).in_front
        return Tracked(detections, keep, dropped, step, {}, nobody, Counter(), in_front=front)

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
        whole: Tracked,
        track_ids: Array,
        columns: Mapping[str, Array],
        images: Images | None,
    ) -> tuple[npt.NDArray[np.int32], Counter[str]]:
        """Return the ids after tracking the video anew by its frames, and what was changed."""
        from models.remots.retracking import retrack

        if images is None:
            rule = "--refine needs every frame of the video (--images)"
            raise FormatError(whole.detections.sequence, None, rule, "none")
        with self.watch("refine"):
            looks, config = [columns[COLOURS]], self.settings.refinement
            return retrack(whole.detections, track_ids, looks, images, config, whole.step)

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
        what = "score and area rules are off (--trusted no turns them on, with score 1)"
        return [f"{detections.sequence}: no scores: {what}"]

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
        dataset = self.settings.data_set
        present = {int(c) for s in sequences for c in np.unique(s.classes)} - {dataset.ignore}
        numbers = self.settings.classes or sorted(c for c in present if c is not None)
        return {cls: dataset.name_of(cls) for cls in numbers}


def refinement_notes(sequence: str, merged: Mapping[str, int]) -> list[str]:
    """Return what refinement left undone, for the user."""
    notes = []
    for verdict, text in (
        ("unclear", "looks and motion do not tell objects apart: left as they were"),
        ("believed", "little speaks against its tracks: joined where sure, none cut"),
    ):
        if merged[verdict]:
            classes = "1 class" if merged[verdict] == 1 else f"{merged[verdict]} classes"
            notes.append(f"{sequence}, {classes}: {text}")
    return notes


def reader_of(folder: Path | None, detections: Detections) -> FrameFolder | None:
    """Return the reader of a sequence's frames, None without a folder."""
    if folder is None or not len(detections):
        return None
    return FrameFolder.of(folder, detections)
