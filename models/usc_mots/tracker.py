"""Spatio-temporal clustering over a sliding window (paper, Alg. 1 and section 3.4)."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from models.tracking import EMBEDDINGS, IDS, MASKS, Array, Finished, Frame, Tracker, register
from models.usc_mots.constrained_kmeans import (
    constrained_kmeans,
    farthest_first,
    fullest_frame,
    plain_kmeans,
)
from models.usc_mots.constraints import ConstraintsGraph, build_graph
from utils import masks as mask_ops
from utils.config import UscMotsConfig, limit_of

MIN_DETECTIONS = 2  # a cluster with fewer stays tentative (section 3.3.2)
MERGED = -1  # label of a detection that plain k-means took for another one of its frame


@dataclass
class _Entry:
    """What the tracker knows of a frame in its window.

    Attributes:
        frame: Frame.
        labels: (k,) int identities l_i, 0 for none, MERGED for lost.
        apart: {earlier frame number: (k, k') bool}, the gate's verdicts.
    """

    frame: Frame
    labels: npt.NDArray[np.int64]
    apart: dict[int, npt.NDArray[np.bool_]] = field(default_factory=dict)


@register
class UscMotsTracker(Tracker):
    """Gives detections identities, one frame at a time; holds only the window.

    Args:
        config: UscMotsConfig.

    Attributes:
        report: Counter of what happened: `tracks` started, `tentative` detections that left the
            window alone, `low_score` clusters below lambda, `short` detections of tracks below
            the minimum length, `contradictions` among must-links, `merged` detections that plain
            k-means put beside another one of their frame; they are lost.

    Example:
        >>> tracker = UscMotsTracker(UscMotsConfig())
        >>> done = [pair for frame in frames for pair in tracker.update(frame)]
        >>> done += tracker.flush()
    """

    name = "paper"
    meaning = "the paper's constrained k-means of embeddings over a sliding window"
    settings = UscMotsConfig

    def __init__(self, config: UscMotsConfig | None = None) -> None:
        super().__init__()
        self.config = config or UscMotsConfig()
        by_masks = self.config.use_graph and self.config.gate == "mask_iou"
        self.needs = (EMBEDDINGS, *(MASKS,) * by_masks, *(IDS,) * self.config.known_clusters)
        self._window: deque[_Entry] = deque()  # frames with detections, oldest first
        self._next_id = 1
        self._first: int | None = None
        self._clustered: int | None = None  # the last frame whose window was clustered
        self._pending: dict[int, Finished] = {}  # rows of tracks that are still too short
        self._released: set[int] = set()  # ids long enough, still in the window

    def update(self, frame: Frame) -> Finished:
        """Take the next frame, see `Tracker`.

        Raises:
            ValueError: frame numbers out of order, or |K| is to be known and a detection has no
                true id.
        """
        self._follow(frame)
        first_to_stay = frame.number - self.config.t_lag + 1
        oldest = self._window[0].frame.number if self._window else None
        if self._clustered is None and oldest is not None and oldest < first_to_stay:
            self._cluster_window()  # it never filled, because frames without detections came
        finished = self._retire(first_to_stay - 1)
        if len(frame):
            if self.config.known_clusters and (missing := int((frame[IDS] <= 0).sum())):
                rule = "known_clusters needs detections with true ids"
                raise ValueError(f"{rule}, got {missing} without in frame {frame.number}")
            if self._first is None:
                self._first = frame.number
            entry = _Entry(frame, np.zeros(len(frame), np.int64))
            self._gate(entry)
            self._window.append(entry)
            # Nothing is done before the window is full (authors' code).
            if frame.number - self._first + 1 >= self.config.t_lag:
                self._cluster_window()
        return finished

    def flush(self) -> Finished:
        """Return [(row, id)] of all detections still in the window, and forget the sequence."""
        if self._window and self._clustered is None:
            self._cluster_window()  # a sequence shorter than the window
        finished = self._retire(self._last) if self._last is not None else []
        self._first = self._last = self._clustered = None
        return finished

    def _gate(self, entry: _Entry) -> None:
        """Compute which earlier detections are too far from the new ones: once per pair."""
        if not self.config.use_graph:
            return
        frame = entry.frame
        for earlier in (other.frame for other in self._window):
            if frame.number - earlier.number > self.config.tau:
                continue
            if self.config.gate == "mask_iou":
                verdict = ~mask_ops.overlap(frame[MASKS], earlier[MASKS])
            else:
                difference = frame[EMBEDDINGS][:, None] - earlier[EMBEDDINGS][None]
                verdict = np.linalg.norm(difference, axis=2) >= self.config.max_distance
            entry.apart[earlier.number] = verdict

    def _cluster_window(self) -> None:
        """Cluster the window and hand out identities (Alg. 1)."""
        window = list(reversed(self._window))  # node order: current frame first, then back
        entries = [entry.frame for entry in window]
        self._clustered = entries[0].number
        frames = np.repeat([f.number for f in entries], [len(f) for f in entries])
        points = np.concatenate([f[EMBEDDINGS] for f in entries]).astype(np.float64)
        labels = np.concatenate([entry.labels for entry in window])
        classes = np.concatenate([f.classes for f in entries])
        truth = None
        if self.config.known_clusters:
            truth = np.concatenate([f[IDS] for f in entries])
        heads: Sequence[int]
        if self.config.use_graph:
            graph = build_graph(frames, classes, labels, self._apart(window, len(frames)))
            self.report["contradictions"] += len(graph.contradictions)
            clusters, heads = self._constrained(points, frames, graph, truth), graph.heads
        else:
            # A seed of its own for every window: streaming and batch then agree.
            seed = np.random.SeedSequence([self.config.seed, self._clustered]).generate_state(1)[0]
            clusters = plain_kmeans(points, frames, classes, truth, int(seed))
            heads = range(len(points))
        scores = np.concatenate([f.scores for f in entries])
        self._label(clusters, heads, frames, labels, scores, points)
        start = 0
        for entry in window:
            entry.labels = labels[start : start + len(entry.frame)]
            start += len(entry.frame)

    def _constrained(
        self, points: Array, frames: Array, graph: ConstraintsGraph, truth: Array | None
    ) -> list[list[int]]:
        """Return the clusters of k-means under the graph, lists of groups."""
        config, initial = self.config, None
        if truth is not None:
            initial = farthest_first(points, fullest_frame(frames), len(np.unique(truth)))
        return constrained_kmeans(
            points,
            frames,
            graph,
            initial,
            config.centre_rule,
            config.order,
            config.max_iterations,
            config.tolerance,
            adaptive=truth is None,
        ).clusters

    def _apart(self, window: list[_Entry], n: int) -> npt.NDArray[np.bool_]:
        """Assemble the gate's verdicts of the window into one (n, n) matrix."""
        apart = np.zeros((n, n), bool)
        starts, start = {}, 0
        for entry in window:
            starts[entry.frame.number] = start
            start += len(entry.frame)
        for entry in window:
            i = starts[entry.frame.number]
            for number, verdict in entry.apart.items():
                if number in starts:
                    j = starts[number]
                    apart[i : i + verdict.shape[0], j : j + verdict.shape[1]] = verdict
                    apart[j : j + verdict.shape[1], i : i + verdict.shape[0]] = verdict.T
        return apart

    def _label(
        self,
        clusters: list[list[int]],
        heads: Sequence[int],
        frames: Array,
        labels: Array,
        scores: Array,
        points: Array,
    ) -> None:
        """Write each cluster's identity into its unlabelled members' `labels`, in place."""
        known = labels.tolist()
        for groups in clusters:
            # Unlabelled nodes are groups of one, so a cluster of one group has nothing to learn.
            if len(groups) < MIN_DETECTIONS:
                continue
            nodes = [heads[group] for group in groups]
            free = [node for node in nodes if not known[node]]
            identities = [known[node] for node in nodes if known[node] > 0]
            if not free:
                continue
            if len(identities) > 1:
                identities = [Counter(identities).most_common(1)[0][0]]
            identity = identities[0] if identities else self._next_id
            merged: list[int] = []
            if not self.config.use_graph:
                free, merged = self._one_per_frame(nodes, free, identity, labels, frames, points)
            if not identities:
                if len(free) < MIN_DETECTIONS:
                    continue
                if scores[free].sum() / self.config.t_lag < self.config.min_score:
                    self.report["low_score"] += 1
                    continue
                self._next_id += 1
                self.report["tracks"] += 1
            labels[free] = identity
            labels[merged] = MERGED
            self.report["merged"] += len(merged)

    @staticmethod
    def _one_per_frame(
        nodes: list[int],
        free: list[int],
        identity: int,
        labels: Array,
        frames: Array,
        points: Array,
    ) -> tuple[list[int], list[int]]:
        """Split the unlabelled nodes into those that take `identity` and those merged with them.

        Needed by plain k-means only. Of each frame, the one nearest to the cluster's mean takes
        the identity, and none where it is already there: plain k-means may split a track over
        two clusters.
        """
        taken = set(frames[labels == identity].tolist())
        distance = np.square(points[free] - points[nodes].mean(axis=0)).sum(axis=1)
        kept, merged = [], []
        for at in np.argsort(distance, kind="stable").tolist():
            if frames[free[at]] in taken:
                merged.append(free[at])
            else:
                taken.add(frames[free[at]])
                kept.append(free[at])
        return sorted(kept), merged

    def _retire(self, number: int) -> Finished:
        """Drop the frames up to `number` from the window; return their rows that are final."""
        finished: Finished = []
        if not (self._window and self._window[0].frame.number <= number):
            return finished
        while self._window and self._window[0].frame.number <= number:
            entry = self._window.popleft()
            columns = (entry.frame.rows, entry.labels, entry.frame.classes)
            for row, identity, cls in zip(*(c.tolist() for c in columns), strict=True):
                if identity <= 0:
                    self.report["tentative"] += identity == 0
                elif identity in self._released:
                    finished.append((row, identity))
                else:
                    rows = self._pending.setdefault(identity, [])
                    rows.append((row, identity))
                    if len(rows) >= limit_of(cls, self.config.min_track_length):
                        finished += self._pending.pop(identity)
                        self._released.add(identity)
        # An identity lives on only through its members in the window.
        alive = {identity for entry in self._window for identity in entry.labels.tolist()}
        self._released &= alive
        for identity in [i for i in self._pending if i not in alive]:
            self.report["short"] += len(self._pending.pop(identity))
        return finished
