"""The sliding window: the detections of the last t_lag frames and their identities."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from models.tracking import EMBEDDINGS, IDS, MASKS, Array, Frame, Ledger
from models.usc_mots.config import UscMotsConfig
from models.usc_mots.constraints import build_graph
from models.usc_mots.kmeans import (
    constrained_kmeans,
    farthest_first,
    fullest_frame,
    plain_kmeans,
)
from models.usc_mots.labelling import (
    NONE,
    distances_to_mean,
    identity_and_takers,
    newest_node,
    scores_enough,
)
from utils import masks as mask_ops

MIN_DETECTIONS = 2  # a cluster with fewer stays tentative (section 3.3.2)


@dataclass
class _Entry:
    """What is known of a frame in the window.

    Attributes:
        frame: Frame.
        labels: (k,) int identities l_i, 0 for none.
        apart: {earlier frame number: (k, k') bool}, the gate's verdicts.
    """

    frame: Frame
    labels: npt.NDArray[np.int64]
    apart: dict[int, npt.NDArray[np.bool_]] = field(default_factory=dict)


class Window:
    """Clusters the last t_lag frames and hands out identities (Alg. 1).

    Args:
        config: UscMotsConfig.
        numbers: where new identities come from.
        report: Counter to add to, see `UscMotsTracker`.
        ledger: gets the rows, labels and classes of what leaves the window.
    """

    def __init__(
        self,
        config: UscMotsConfig,
        numbers: Iterator[int],
        report: Counter[str],
        ledger: Ledger,
    ) -> None:
        self.config, self.report, self._numbers = config, report, numbers
        self._ledger = ledger
        self._entries: deque[_Entry] = deque()  # frames with detections, oldest first
        self._first: int | None = None
        self._clustered: int | None = None  # the last frame whose window was clustered
        self._written: dict[int, Array] = {}  # embedding last written under each id; without G

    def __len__(self) -> int:
        return len(self._entries)

    def update(self, frame: Frame) -> Array:
        """Take the next frame; return the (k,) labels of its detections, 0 for none yet."""
        first_to_stay = frame.number - self.config.t_lag + 1
        oldest = self._entries[0].frame.number if self._entries else None
        if self._clustered is None and oldest is not None and oldest < first_to_stay:
            self._cluster()  # it never filled, because frames without detections came
        self._retire(first_to_stay - 1)
        if not len(frame):
            return np.zeros(0, np.int64)
        if self._first is None:
            self._first = frame.number
        entry = _Entry(frame, np.zeros(len(frame), np.int64))
        self._gate(entry)
        self._entries.append(entry)
        # Nothing is done before the window is full (authors' code).
        if frame.number - self._first + 1 >= self.config.t_lag:
            self._cluster()
        return entry.labels

    def flush(self) -> None:
        """Let all that is left leave the window."""
        if self._entries and self._clustered is None:
            self._cluster()  # a sequence shorter than the window
        if self._entries:
            self._retire(self._entries[-1].frame.number)

    def _gate(self, entry: _Entry) -> None:
        """Compute which earlier detections are too far from the new ones: once per pair."""
        if not self.config.use_graph:
            return
        frame = entry.frame
        for earlier in (other.frame for other in self._entries):
            if frame.number - earlier.number > self.config.tau:
                continue
            if self.config.gate == "mask_iou":
                verdict = ~mask_ops.touching(frame[MASKS], earlier[MASKS], frame.size)
            else:
                difference = frame[EMBEDDINGS][:, None] - earlier[EMBEDDINGS][None]
                verdict = np.linalg.norm(difference, axis=2) >= self.config.max_distance
            entry.apart[earlier.number] = verdict

    def _cluster(self) -> None:
        """Cluster the window and hand out identities."""
        window = list(reversed(self._entries))  # node order: current frame first, then back
        entries = [entry.frame for entry in window]
        self._clustered = entries[0].number
        frames = np.repeat([f.number for f in entries], [len(f) for f in entries])
        points = np.concatenate([f[EMBEDDINGS] for f in entries]).astype(np.float64)
        labels = np.concatenate([entry.labels for entry in window])
        classes = np.concatenate([f.classes for f in entries])
        scores = np.concatenate([f.scores for f in entries])
        truth = None
        if self.config.known_clusters:
            truth = np.concatenate([f[IDS] for f in entries])
        if self.config.use_graph:
            apart = self._apart(window, labels)
            clusters = self._constrained(points, frames, classes, labels, apart, truth)
        else:
            # A seed of its own for every window: streaming and batch then agree.
            seed = np.random.SeedSequence([self.config.seed, self._clustered]).generate_state(1)[0]
            clusters = plain_kmeans(points, frames, classes, truth, int(seed), self.config.restarts)
        self._label(clusters, frames, labels, scores, points)
        start = 0
        for entry in window:
            entry.labels = labels[start : start + len(entry.frame)]
            start += len(entry.frame)

    def _constrained(
        self,
        points: Array,
        frames: Array,
        classes: Array,
        labels: Array,
        apart: Array,
        truth: Array | None,
    ) -> list[list[int]]:
        """Return the clusters of k-means under the graph, lists of nodes."""
        config, initial = self.config, None
        graph = build_graph(frames, classes, labels, apart)
        self.report["contradictions"] += len(graph.contradictions)
        if truth is not None:
            fullest = fullest_frame(frames, config.fullest)
            initial = farthest_first(points, fullest, len(np.unique(truth)))
        clusters = constrained_kmeans(
            points,
            frames,
            graph,
            initial,
            config.centre_rule,
            config.order,
            config.fullest,
            config.max_iterations,
            config.tolerance,
            adaptive=truth is None,
        ).clusters
        members: list[list[int]] = [[] for _ in graph.heads]
        for node, group in enumerate(graph.groups.tolist()):
            members[group].append(node)
        return [sorted(n for group in groups for n in members[group]) for groups in clusters]

    def _apart(self, window: list[_Entry], labels: Array) -> npt.NDArray[np.bool_]:
        """Assemble the gate's verdicts of the window into one (n, n) matrix."""
        apart = np.zeros((len(labels), len(labels)), bool)
        starts, start = {}, 0
        for entry in window:
            starts[entry.frame.number] = start
            start += len(entry.frame)
        for entry in window:
            i = starts[entry.frame.number]
            for number, verdict in entry.apart.items():
                if number not in starts:
                    continue
                j = starts[number]
                if self.config.gated == "newer":
                    verdict = verdict & (entry.labels == NONE)[:, None]
                apart[i : i + verdict.shape[0], j : j + verdict.shape[1]] = verdict
                apart[j : j + verdict.shape[1], i : i + verdict.shape[0]] = verdict.T
        return apart

    def _label(
        self,
        clusters: list[list[int]],
        frames: Array,
        labels: Array,
        scores: Array,
        points: Array,
    ) -> None:
        """Write each cluster's identity into its unlabelled members' `labels`, in place."""
        config, known, scored = self.config, labels.tolist(), scores.tolist()
        for nodes in clusters:
            held = [known[node] for node in nodes]
            if len(nodes) < MIN_DETECTIONS or NONE not in held:
                continue
            newest = nodes[0] if config.use_graph else newest_node(nodes, frames, points)
            identity, takers = identity_and_takers(nodes, held, newest, config.labelling)
            new = identity == NONE
            rule, least = config.score_rule, config.min_score
            if not scores_enough([scored[n] for n in nodes], new, rule, least, config.t_lag):
                self.report["low_score"] += 1
                continue
            if new:
                identity = next(self._numbers)
                self.report["tracks"] += 1
            labels[takers] = identity

    def _one_each(self, entry: _Entry) -> Sequence[int]:
        """Return the labels of a frame that goes, each identity once; the others get 0.

        Without a graph several detections of a frame may share an identity, and MOTS txt has room
        for one: the one nearest to what was last written under that identity, at first to the mean
        of those that share it.
        """
        held: list[int] = entry.labels.tolist()
        if self.config.use_graph:
            return held
        points = entry.frame[EMBEDDINGS].astype(np.float64)
        for identity in sorted(set(held) - {NONE}):
            sharing = np.flatnonzero(entry.labels == identity)
            around = self._written.get(identity, points[sharing])
            kept = sharing[distances_to_mean(points[sharing], around).argmin()]
            self._written[identity] = points[[kept]]
            for other in set(sharing.tolist()) - {int(kept)}:
                held[other] = NONE
            self.report["merged"] += len(sharing) - 1
        return held

    def _retire(self, number: int) -> None:
        """Drop the frames up to `number` from the window; their labels are final."""
        if not (self._entries and self._entries[0].frame.number <= number):
            return
        while self._entries and self._entries[0].frame.number <= number:
            entry = self._entries.popleft()
            self.report["tentative"] += int((entry.labels == NONE).sum())
            labels = np.array(self._one_each(entry), np.int64)
            self._ledger.add(entry.frame.rows, labels, entry.frame.classes)
        # An identity lives on only through its members in the window.
        alive = {identity for entry in self._entries for identity in entry.labels.tolist()}
        self._written = {i: point for i, point in self._written.items() if i in alive}
