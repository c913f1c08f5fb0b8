"""Other ways to associate the same detections, to compare with: one interface for all.

* `mask_iou`: the detection whose mask overlaps a track's last one most, assigned exactly.
* `trackrcnn`: TrackR-CNN's matching (Voigtlaender et al., CVPR 2019; thesis, chapters 3 and 6):
  distances of association vectors to the last detection of each recent track, Hungarian method.
* `motsnet`: MOTSNet's linear assignment (Porzi et al., sections 3.2 and 4.3): embedding distance
  and time, within a window; with `overlap_weight`, signed IoU of boxes, too (appendix C). Eq. 1 and
  5 allow every pair to stay alone for nothing; here a pair gains by how far it is below `limit`.

Both take distances in units of the sequence's own spread, since those of networks differ.
"""

from collections import Counter
from dataclasses import dataclass, field, replace

import numpy as np
from pycocotools import mask as coco_mask

from models.motion_tracker import assign_exactly
from models.rules import limits_of
from utils.boxes import signed_iou, xywh_to_xyxy
from utils.config import check_settings

MATCHERS = ("mask_iou", "trackrcnn", "motsnet")


@dataclass(frozen=True)
class MatcherConfig:
    """Settings of a matcher.

    `random_search` draws `limit` or `scale`, `window` and `overlap_weight`. MOTSNet's authors do
    not tune (tau = 1, N_w the training batch, N_t = 5), but their embeddings are of images.

    Attributes:
        matcher: one of MATCHERS.
        limit: cost at which, and above, nothing is matched. Costs are 1 - IoU for `mask_iou`, the
            distance of the vectors times `scale` for `trackrcnn` and pi* of Eq. 6 for `motsnet`
            (tau).
        window: frames in which a track's last detection must lie: beta, N_w.
        scale: of distances between embeddings, in units of their mean distance to their mean.
        overlap_weight: of the signed IoU of boxes in pi*. Appendix C prints it with a plus, which
            would reward distance; here overlap lowers the cost.
        min_score: {class: score} below which a detection takes no part: gamma.
        min_track_length: tracks with fewer detections are dropped: N_t. Not drawn.
    """

    matcher: str
    limit: float = 1.0
    window: int = 3
    scale: float = 1.0
    overlap_weight: float = 0.0
    min_score: dict = field(default_factory=dict)
    min_track_length: int = 1

    def __post_init__(self):
        """Refuse settings without a meaning."""
        if self.matcher not in MATCHERS:
            raise ValueError(f"matcher must be one of {', '.join(MATCHERS)}, got {self.matcher!r}")
        rules = (
            ("limit", np.isfinite(self.limit), "finite"),
            ("window", self.window >= 1, "at least 1 frame"),
            ("min_track_length", self.min_track_length >= 1, "at least 1"),
        )
        check_settings(self, rules)


# By random search on KITTI MOTS ground truth: python -m benchmarks.tune_matchers
TUNED = {
    "mask_iou": MatcherConfig("mask_iou"),
    "trackrcnn": MatcherConfig("trackrcnn", window=5, scale=0.135),
    "motsnet": MatcherConfig(
        "motsnet", window=14, scale=0.3135, overlap_weight=0.152, min_track_length=5
    ),
}


def match(detections, embeddings, config):
    """Track one sequence by matching detections to the last ones of recent tracks.

    Args:
        detections: n Detections; for `trackrcnn` its own association vectors are used where the
            file had them.
        embeddings: (n, F) float, for the other files.
        config: MatcherConfig.

    Returns:
        track_ids: (n,) int32, 0 for detections that belong to no track.
        report: Counter: `tracks` started, `short` detections of tracks that were too short, `weak`
            detections below `min_score`.
    """
    if config.matcher == "trackrcnn" and detections.embeddings is not None:
        embeddings = detections.embeddings
    embeddings = embeddings / _spread([embeddings])
    cost = _COSTS[config.matcher]
    ids = np.zeros(len(detections), np.int32)
    last = np.zeros(0, np.int64)  # row of each track's last detection
    report = Counter()
    weak = detections.scores < limits_of(detections.classes, config.min_score)
    for number, every in detections.rows_by_frame():
        rows = every[~weak[every]]
        last = last[number - detections.frames[last] <= config.window]
        costs = cost(detections, embeddings, last, rows, config)
        same = detections.classes[last][:, None] == detections.classes[rows]
        tracks, columns = assign_exactly(np.where(same, -costs, -np.inf), -config.limit)
        ids[rows[columns]] = ids[last[tracks]]
        new = rows[ids[rows] == 0]
        ids[new] = report["tracks"] + 1 + np.arange(len(new))
        report["tracks"] += len(new)
        last = np.concatenate([np.delete(last, tracks), rows])
    report["weak"] = int(weak.sum())
    lengths = np.bincount(ids)
    short = (ids > 0) & (lengths[ids] < config.min_track_length)
    report["short"] = int(short.sum())
    ids[short] = 0
    return ids, report


def _spread(embeddings):
    """Return the mean distance to the mean of a list of (n, F) arrays; 1 where there is none."""
    sample = np.concatenate([e[:: max(1, len(e) // 500)] for e in embeddings])
    if not len(sample):
        return 1.0
    return float(np.linalg.norm(sample - sample.mean(axis=0), axis=1).mean()) or 1.0


def _mask_cost(detections, embeddings, last, rows, config):
    """Return (m, k) 1 - IoU of masks."""
    if not len(last) or not len(rows):
        return np.ones((len(last), len(rows)))
    found = detections.coco(rows)
    return 1 - coco_mask.iou(detections.coco(last), found, [0] * len(found))


def _vector_cost(detections, embeddings, last, rows, config):
    """Return (m, k) Euclidean distances of embeddings times `scale`."""
    differences = embeddings[last][:, None] - embeddings[rows][None]
    return config.scale * np.sqrt((differences**2).sum(axis=2))


def _motsnet_cost(detections, embeddings, last, rows, config):
    """Return (m, k) pi* (Eq. 6; appendix C)."""
    gap = (detections.frames[rows][None] - detections.frames[last][:, None]) / config.window
    cost = _vector_cost(detections, embeddings, last, rows, config) + gap
    if config.overlap_weight:
        before, now = (xywh_to_xyxy(detections.boxes_xywh[r]) for r in (last, rows))
        cost -= config.overlap_weight * signed_iou(before, now)
    return cost


_COSTS = {"mask_iou": _mask_cost, "trackrcnn": _vector_cost, "motsnet": _motsnet_cost}


def random_search(sequences, config, accuracy, trials=1000, seed=0):
    """Return the best of randomly drawn settings (thesis, section 4.1), and its accuracy.

    Args:
        sequences: [(Detections, embeddings)] to tune on.
        config: MatcherConfig to start from.
        accuracy: function [(Detections, track_ids)] -> float, larger is better.
        trials: how many to draw; seed: of the draws.
    """
    rng = np.random.default_rng(seed)

    def measured(candidate):
        tracked = [(d, match(d, e, candidate)[0]) for d, e in sequences]
        return accuracy(tracked)

    best, value = config, measured(config)
    for _ in range(trials):
        changes = {"window": int(rng.integers(1, 31)), "limit": float(rng.uniform(0.05, 1))}
        if config.matcher != "mask_iou":
            changes |= {"limit": 1.0, "scale": float(10 ** rng.uniform(-1, 1.5))}
        if config.overlap_weight:
            changes["overlap_weight"] = float(10 ** rng.uniform(-1, 1))
        candidate = replace(config, **changes)
        if (result := measured(candidate)) > value:
            best, value = candidate, result
    return best, value
