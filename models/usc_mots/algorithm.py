"""Algorithm 1 of the paper, for the window that ends with each frame; its lines are comments here.

`paper` and `authors` differ by their settings alone, which stand in `config.py`.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from models.tracking import EMBEDDINGS, IDS, MASKS, Array, Frame, Ledger
from models.usc_mots.config import UscMotsConfig
from models.usc_mots.constraints import build_graph
from models.usc_mots.identities import (
    NONE,
    distances_to_mean,
    identity_and_takers,
    newest_node,
    scores_enough,
)
from models.usc_mots.kmeans import (
    constrained_kmeans,
    farthest_first,
    fullest_frame,
    plain_kmeans,
)
from utils import masks

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


@dataclass(frozen=True)
class _Nodes:
    """The nodes V^t of a window (Eq. 4), the current frame's first: columns of length n.

    Attributes:
        frames: time stamps t_i. classes: gamma_i. scores: c_i. labels: l_i, 0 for none.
        points: (n, F) float64, z_i. truth: true ids where |K| is to be known, else None.
    """

    frames: Array
    classes: Array
    scores: Array
    labels: Array
    points: Array
    truth: Array | None

    @classmethod
    def of(cls, entries: Sequence[_Entry], config: UscMotsConfig) -> _Nodes:
        """Return the nodes of a window's frames, newest first."""
        frames = [entry.frame for entry in entries]

        def column(name: str) -> Array:
            return np.concatenate([frame[name] for frame in frames])

        return cls(
            np.repeat([f.number for f in frames], [len(f) for f in frames]),
            np.concatenate([f.classes for f in frames]),
            np.concatenate([f.scores for f in frames]),
            np.concatenate([entry.labels for entry in entries]),
            column(EMBEDDINGS).astype(np.float64),
            column(IDS) if config.known_clusters else None,
        )


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

    def _cluster(self) -> None:
        """Do lines 2 to 12 of Alg. 1 for the window T^t that ends now."""
        # Lines 2 and 3: W^t = MTFE(...), Z^t = DHAE(W^t). Both came with the frames.
        entries = list(reversed(self._entries))
        nodes = _Nodes.of(entries, self.config)
        self._clustered = int(nodes.frames[0])
        # Lines 4 to 6: G^t by Eqs. 4 to 6, and C_t = kmeans(Z^t, G^t).
        if self.config.use_graph:
            clusters = self._constrained(nodes, self._apart(entries, len(nodes.frames)))
        else:
            clusters = self._plain(nodes)
        # Line 7: for Q in C_t.
        for members in clusters:
            # A cluster whose nodes all have an identity hands out none.
            if len(members) >= MIN_DETECTIONS and (nodes.labels[members] == NONE).any():
                self._judge(members, nodes)
        ends = np.cumsum([len(entry.frame) for entry in entries])
        for entry, labels in zip(entries, np.split(nodes.labels, ends[:-1]), strict=True):
            entry.labels = labels

    def _constrained(self, nodes: _Nodes, apart: Array) -> list[list[int]]:
        """Return the clusters of k-means under the graph, lists of nodes (lines 4 to 6)."""
        config, initial = self.config, None
        graph = build_graph(nodes.frames, nodes.classes, nodes.labels, apart)
        self.report["contradictions"] += len(graph.contradictions)
        if nodes.truth is not None:
            fullest = fullest_frame(nodes.frames, config.fullest)
            initial = farthest_first(nodes.points, fullest, len(np.unique(nodes.truth)))
        adaptive = nodes.truth is None
        result = constrained_kmeans(nodes.points, nodes.frames, graph, config, initial, adaptive)
        members: list[list[int]] = [[] for _ in graph.heads]
        for node, group in enumerate(graph.groups.tolist()):
            members[group].append(node)
        return [sorted(n for g in groups for n in members[g]) for groups in result.clusters]

    def _plain(self, nodes: _Nodes) -> list[list[int]]:
        """Return the clusters of k-means without a graph: Table 4's rows without G."""
        # A seed of its own for every window: streaming and batch then agree.
        seed = np.random.SeedSequence([self.config.seed, int(nodes.frames[0])]).generate_state(1)[0]
        return plain_kmeans(
            nodes.points, nodes.frames, nodes.classes, nodes.truth, int(seed), self.config.restarts
        )

    def _judge(self, members: list[int], nodes: _Nodes) -> None:
        """Put a cluster Q among C_K if its score is enough: label its nodes (lines 8 to 11)."""
        config, newest = self.config, members[0]
        if not config.use_graph:  # several members may be of the newest frame
            newest = newest_node(members, nodes.frames, nodes.points)
        held = nodes.labels[members].tolist()
        identity, takers = identity_and_takers(members, held, newest, config.labelling)
        # Lines 8 and 9: the mean confidence of Q's detections must exceed lambda.
        scores = nodes.scores[members].tolist()
        if not scores_enough(scores, identity == NONE, config):
            self.report["low_score"] += 1
            return
        # Line 10: C_K = C_K + Q.
        if identity == NONE:
            identity = next(self._numbers)
            self.report["tracks"] += 1
        nodes.labels[takers] = identity

    def _gate(self, entry: _Entry) -> None:
        """Compute which earlier detections are too far from the new ones (Eq. 6): once per pair."""
        if not self.config.use_graph:
            return
        frame = entry.frame
        for earlier in (other.frame for other in self._entries):
            if frame.number - earlier.number > self.config.tau:
                continue
            if self.config.gate == "mask_iou":
                verdict = ~masks.touching(frame[MASKS], earlier[MASKS], frame.size)
            else:
                difference = frame[EMBEDDINGS][:, None] - earlier[EMBEDDINGS][None]
                verdict = np.linalg.norm(difference, axis=2) >= self.config.max_distance
            entry.apart[earlier.number] = verdict

    def _apart(self, entries: Sequence[_Entry], count: int) -> npt.NDArray[np.bool_]:
        """Assemble the gate's verdicts of the window into one (n, n) matrix."""
        apart = np.zeros((count, count), bool)
        starts, start = {}, 0
        for entry in entries:
            starts[entry.frame.number] = start
            start += len(entry.frame)
        for entry in entries:
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
