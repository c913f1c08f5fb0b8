"""Spatio-temporal clustering over a sliding window (paper, Alg. 1 and section 3.4)."""

from collections import Counter, deque
from dataclasses import dataclass, field

import numpy as np

from models.constrained_kmeans import cluster, farthest_first, plain_kmeans
from models.constraints import build
from models.motion_tracker import MotionTracker
from utils import masks as mask_ops
from utils.config import MotionConfig, TrackerConfig

MIN_DETECTIONS = 2  # a cluster with fewer stays tentative (section 3.3.2)
MERGED = -1  # label of a detection that plain k-means took for another one of its frame


@dataclass
class Frame:
    """The k detections of one frame, in canonical order.

    Attributes:
        number: frame number.
        rows: (k,) int, what the caller calls these detections; returned with their ids.
        classes: (k,) int.
        scores: (k,) float, confidences c_i.
        embeddings: (k, F) float, z_i.
        masks: k dicts of pycocotools, needed by the "mask_iou" gate and by `MotionTracker`.
        boxes_xywh: (k, 4) float px, needed by `MotionTracker` only, as what follows:
        size: (height, width) of the frame in pixels.
        colours: (k, C) float, or None, see `utils.colours`.
        truth: (k,) int true identities, needed where |K| is known only.
        labels: (k,) int identities l_i, 0 for none, MERGED for lost; the tracker's.
        apart: {earlier frame number: (k, k') bool}, the gate's verdicts; the tracker's.
    """

    number: int
    rows: np.ndarray
    classes: np.ndarray
    scores: np.ndarray
    embeddings: np.ndarray
    masks: list = ()
    boxes_xywh: np.ndarray = None
    size: tuple = None
    colours: np.ndarray = None
    truth: np.ndarray = None
    labels: np.ndarray = None
    apart: dict = field(default_factory=dict)

    def descriptors(self):
        """Return the (k, .) arrays that say what the detections look like."""
        return [d for d in (self.embeddings, self.colours) if d is not None]


class Tracker:
    """Gives detections identities, one frame at a time; holds only the window.

    Args:
        config: TrackerConfig.

    Attributes:
        report: Counter of what happened: `tracks` started, `tentative` detections that left the
            window alone, `low_score` clusters below lambda, `short` detections of tracks below
            the minimum length, `contradictions` among must-links, `merged` detections that plain
            k-means put beside another one of their frame; they are lost.

    Example:
        >>> tracker = Tracker(TrackerConfig())
        >>> done = [pair for frame in frames for pair in tracker.update(frame)]
        >>> done += tracker.flush()
    """

    def __init__(self, config=None):
        self.config = config or TrackerConfig()
        self.report = Counter()
        self._window = deque()  # frames with detections, oldest first
        self._next_id = 1
        self._first = None
        self._last = None
        self._clustered = None  # number of the last frame whose window was clustered
        self._pending = {}  # id -> rows of a track that is still too short
        self._released = set()  # ids long enough, still in the window

    def update(self, frame):
        """Take the next frame.

        Args:
            frame: Frame; its number must be above the last one's. Frames may be left out, which
                is the same as passing them without detections.

        Returns:
            [(row, id)] of the detections whose identity is now final; frames ascend per identity.

        Raises:
            ValueError: frame numbers out of order.
        """
        if self._last is not None and frame.number <= self._last:
            raise ValueError(f"frames must ascend: got frame {frame.number} after {self._last}")
        self._last = frame.number
        first_to_stay = frame.number - self.config.t_lag + 1
        if self._clustered is None and self._window and self._window[0].number < first_to_stay:
            self._cluster_window()  # it never filled, because frames without detections came
        finished = self._retire(first_to_stay - 1)
        if len(frame.rows):
            if self._first is None:
                self._first = frame.number
            frame.labels = np.zeros(len(frame.rows), np.int64)
            self._gate(frame)
            self._window.append(frame)
            # Nothing is done before the window is full (authors' code).
            if frame.number - self._first + 1 >= self.config.t_lag:
                self._cluster_window()
        return finished

    def flush(self):
        """Return [(row, id)] of all detections still in the window, and forget the sequence."""
        if self._window and self._clustered is None:
            self._cluster_window()  # a sequence shorter than the window
        finished = self._retire(self._last) if self._last is not None else []
        self._first = self._last = self._clustered = None
        return finished

    def _gate(self, frame):
        """Compute which earlier detections are too far from the new ones: once per pair."""
        if not self.config.use_graph:
            return
        for earlier in self._window:
            if frame.number - earlier.number > self.config.tau:
                continue
            if self.config.gate == "mask_iou":
                verdict = ~mask_ops.overlap(frame.masks, earlier.masks)
            else:
                difference = frame.embeddings[:, None] - earlier.embeddings[None]
                verdict = np.linalg.norm(difference, axis=2) >= self.config.max_distance
            frame.apart[earlier.number] = verdict

    def _cluster_window(self):
        """Cluster the window and hand out identities (Alg. 1)."""
        window = list(reversed(self._window))  # node order: current frame first, then back
        self._clustered = window[0].number
        sizes = [len(f.rows) for f in window]
        frames = np.repeat([f.number for f in window], sizes)
        points = np.concatenate([f.embeddings for f in window]).astype(np.float64)
        labels = np.concatenate([f.labels for f in window])
        classes = np.concatenate([f.classes for f in window])
        truth = None
        if self.config.known_clusters:
            truth = np.concatenate([f.truth for f in window])
        if self.config.use_graph:
            graph = build(frames, classes, labels, self._apart(window, len(frames)))
            self.report["contradictions"] += len(graph.contradictions)
            clusters, heads = self._constrained(points, frames, sizes, graph, truth), graph.heads
        else:
            # A seed of its own for every window: streaming and batch then agree.
            seed = np.random.SeedSequence([self.config.seed, self._clustered]).generate_state(1)[0]
            clusters = plain_kmeans(points, frames, classes, truth, int(seed))
            heads = range(len(points))
        self._label(clusters, heads, frames, labels, window, points)
        start = 0
        for f in window:
            f.labels = labels[start : start + len(f.rows)]
            start += len(f.rows)

    def _constrained(self, points, frames, sizes, graph, truth):
        """Return the clusters of k-means under the graph, lists of groups."""
        config = self.config
        fullest = sizes.index(max(sizes))  # the latest such frame
        initial = np.arange(sum(sizes[:fullest]), sum(sizes[: fullest + 1]))
        if truth is not None:
            initial = farthest_first(points, initial, len(np.unique(truth)))
        return cluster(
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

    def _apart(self, window, n):
        """Assemble the gate's verdicts of the window into one (n, n) matrix."""
        apart = np.zeros((n, n), bool)
        starts, start = {}, 0
        for f in window:
            starts[f.number] = start
            start += len(f.rows)
        for f in window:
            i = starts[f.number]
            for number, verdict in f.apart.items():
                if number in starts:
                    j = starts[number]
                    apart[i : i + verdict.shape[0], j : j + verdict.shape[1]] = verdict
                    apart[j : j + verdict.shape[1], i : i + verdict.shape[0]] = verdict.T
        return apart

    def _label(self, clusters, heads, frames, labels, window, points):
        """Write each cluster's identity into its unlabelled members' `labels`, in place."""
        known = labels.tolist()
        scores = np.concatenate([f.scores for f in window])
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
            merged = []
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
    def _one_per_frame(nodes, free, identity, labels, frames, points):
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

    def _retire(self, number):
        """Drop the frames up to `number` from the window; return their rows that are final."""
        finished = []
        if not (self._window and self._window[0].number <= number):
            return finished
        while self._window and self._window[0].number <= number:
            frame = self._window.popleft()
            for row, identity in zip(frame.rows.tolist(), frame.labels.tolist(), strict=True):
                if identity <= 0:
                    self.report["tentative"] += identity == 0
                elif identity in self._released:
                    finished.append((row, identity))
                else:
                    rows = self._pending.setdefault(identity, [])
                    rows.append((row, identity))
                    if len(rows) >= self.config.min_track_length:
                        finished += self._pending.pop(identity)
                        self._released.add(identity)
        # An identity lives on only through its members in the window.
        alive = {identity for frame in self._window for identity in frame.labels.tolist()}
        self._released &= alive
        for identity in [i for i in self._pending if i not in alive]:
            self.report["short"] += len(self._pending.pop(identity))
        return finished


def track(detections, embeddings, config=None, colours=None):
    """Track one sequence: a loop over `Tracker.update`.

    Args:
        detections: n Detections; with true ids where the config says that |K| is known.
        embeddings: (n, F) float, row i that of detection i.
        config: TrackerConfig, or MotionConfig for the preset `best`.
        colours: (n, C) float of `utils.colours`, or None; for MotionConfig only.

    Returns:
        track_ids: (n,) int32, 0 for detections that belong to no track.
        report: Counter, see `Tracker`.

    Raises:
        ValueError: |K| is to be known, and detections have no true ids.
    """
    tracker = MotionTracker(config) if isinstance(config, MotionConfig) else Tracker(config)
    if getattr(config, "known_clusters", False) and not (detections.ids > 0).all():
        missing = int((detections.ids <= 0).sum())
        raise ValueError(f"known_clusters needs detections with true ids, got {missing} without")
    track_ids = np.zeros(len(detections), np.int32)
    for frame in iterate_frames(detections, embeddings, tracker.config, colours):
        for row, identity in tracker.update(frame):
            track_ids[row] = identity
    for row, identity in tracker.flush():
        track_ids[row] = identity
    return track_ids, tracker.report


def iterate_frames(detections, embeddings, config, colours=None):
    """Yield the Frames of a sequence that hold detections, frames ascending.

    Args:
        detections: n Detections; embeddings: (n, F) float; colours: see `track`.
        config: TrackerConfig or MotionConfig; says what of the detections is needed.
    """
    by_motion = isinstance(config, MotionConfig)
    needs_masks = by_motion or (config.use_graph and config.gate == "mask_iou")
    needs_truth = not by_motion and config.known_clusters
    for number, rows in detections.rows_by_frame():
        frame = Frame(
            number,
            rows,
            detections.classes[rows],
            detections.scores[rows],
            embeddings[rows],
            detections.coco(rows) if needs_masks else [],
            truth=detections.ids[rows] if needs_truth else None,
        )
        if by_motion:
            frame.boxes_xywh = detections.boxes_xywh[rows]
            frame.size = detections.height, detections.width
            frame.colours = None if colours is None else colours[rows]
        yield frame
