"""Tracklets linked by what the video itself says of looks and motion.

ReMOTS merges by looks alone, up to a threshold where two histograms part (section 2.5). Here the
odds that two tracklets are one object are learned from the video, too, without any identity: a
tracklet is cut, what is before and after a gap is one object; what went on beside it is another.
The question is then the one that merging asks, motion can be weighed with looks, and who goes on
as whom is solved for all tracklets at once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from models.assignment import assign_exactly
from models.remots.adaptation import adapt, short_tracklets, standardised, tracks_of
from models.remots.config import EvidenceConfig
from models.remots.pieces import Pieces, come_in, known_pairs, pieces_of, weighed
from utils.detections import Detections

Array = npt.NDArray[Any]


class Odds:
    """Log odds that two tracklets are one object, by logistic regression on pairs.

    Args:
        pairs: (p, 3), see `weighed`. same: (p,) bool.

    Attributes:
        error: mean of the shares of one object's pairs called two, and of two objects' called one,
            where both weigh the same.
    """

    def __init__(self, pairs: Array, same: Array) -> None:
        from sklearn.linear_model import LogisticRegression

        self._mean, self._spread = pairs.mean(axis=0), np.maximum(pairs.std(axis=0), 1e-9)
        self._model = LogisticRegression(max_iter=1000).fit(self._scaled(pairs), same)
        even = self(pairs) - np.log(same.sum() / (~same).sum())
        self.error = float((np.mean(even[same] < 0) + np.mean(even[~same] > 0)) / 2)

    def __call__(self, pairs: Array) -> Array:
        """Return (p,) log odds."""
        found: Array = self._model.decision_function(self._scaled(pairs))
        return found

    def _scaled(self, pairs: Array) -> Array:
        scaled: Array = (pairs - self._mean) / self._spread
        return scaled


def learned_odds(
    inputs: Array, frames: Array, boxes: Array, track_ids: Array, config: EvidenceConfig
) -> Odds | None:
    """Return what the video says of pairs, or None where it says too little.

    Each half of the tracks is measured with looks adapted to the other half: what was adapted to a
    tracklet finds it more alike than the next.

    Args:
        inputs: (n, F) float32, centred. frames: (n,) int. boxes: (n, 4) x, y, width, height.
        track_ids: (n,) int, above 0. config: EvidenceConfig.
    """
    rng = np.random.default_rng(config.seed)
    names = np.unique(track_ids)
    labels = short_tracklets(frames, track_ids)
    pairs_of_halves, answers = [], []
    for half in (0, 1):
        mine = np.isin(track_ids, names[half::2])
        if mine.all() or not mine.any():
            continue
        looks = adapt(inputs, frames, track_ids, config, np.flatnonzero(~mine))
        half_parts = [np.flatnonzero(mine)[rows] for rows in tracks_of(frames[mine], labels[mine])]
        parts, pairs, same = known_pairs(half_parts, frames, config, rng)
        if not pairs:
            continue
        pieces = pieces_of(parts, frames, boxes, looks, config.ends)
        earlier, later = np.array(pairs).T
        pairs_of_halves.append(weighed(pieces, earlier, later, config))
        answers.append(np.array(same))
    same_of_all = np.concatenate(answers) if answers else np.zeros(0, bool)
    if min(same_of_all.sum(), (~same_of_all).sum()) < config.cut_least:
        return None
    return Odds(np.concatenate(pairs_of_halves), same_of_all)


def link(
    detections: Detections,
    track_ids: Array,
    descriptors: Sequence[Array],
    config: EvidenceConfig | None = None,
) -> tuple[npt.NDArray[np.int32], Counter[str]]:
    """Cut tracks where they miss a frame, and link what is left by the odds of the video itself.

    Args:
        detections: n Detections. track_ids: (n,) int, 0 for none; of any tracker.
        descriptors: list of (n, F) float arrays, what the detections look like.
        config: EvidenceConfig.

    Returns:
        (n,) int32 ids: of linked tracklets the id of the earliest; a tracklet that is linked to
            none of its track gets a new one.
        report: Counter: `tracklets`; `links` between them, `cut` links of the given tracks that are
            no more, `new` ones; `unclear` classes in which nothing could be learned, whose ids
            stay; `believed` classes, in which too few new links speak against the given ones: these
            stay, and tracks are joined where that is sure.
    """
    config = config or EvidenceConfig()
    refined, report = np.array(track_ids, np.int32), Counter[str]()
    last_id = int(refined.max(initial=0))
    for cls in np.unique(detections.classes[refined > 0]).tolist():
        rows = np.flatnonzero((detections.classes == cls) & (refined > 0))
        looks = standardised([d[rows] for d in descriptors])
        ids, counts = _link_class(detections.select(rows), refined[rows], looks, config, last_id)
        refined[rows], last_id = ids, max(last_id, int(ids.max()))
        report.update(counts)
    return refined, report


def _link_class(
    detections: Detections, ids: Array, looks: Array, config: EvidenceConfig, last_id: int
) -> tuple[Array, Counter[str]]:
    """Do `link` for one class; new ids begin after `last_id`."""
    frames, ids = detections.frames.astype(np.int64), ids.astype(np.int64)
    boxes = detections.boxes_xywh.astype(float)
    odds = learned_odds(looks, frames, boxes, ids, config)
    if odds is None or odds.error > config.max_error / 2:
        return ids, Counter(unclear=1)
    parts = tracks_of(frames, short_tracklets(frames, ids))
    adapted = adapt(looks, frames, ids, config)
    pieces = pieces_of(parts, frames, boxes, adapted, config.ends)
    given = _given(pieces, np.array([ids[part[0]] for part in parts]))
    gains = _gains(pieces, given, odds, config)
    # Cuts show no track that ended for good: who comes in at the picture's edge is a newcomer,
    # unless the given track says otherwise of either.
    newcomers = come_in(pieces, parts, boxes, detections.size) & ~given.any(axis=0)
    gains[np.ix_(~given.any(axis=1), newcomers)] = -np.inf
    chosen = np.zeros_like(given)
    chosen[assign_exactly(gains, 0.0)] = True
    report = Counter(tracklets=len(parts))
    if (chosen & ~given).sum() < config.least_change * len(parts):
        report["believed"] = 1
        ended, begun = ~given.any(axis=1, keepdims=True), ~given.any(axis=0, keepdims=True)
        joins = np.where(ended & begun, gains + config.odds - config.sure, -np.inf)
        chosen = given.copy()
        chosen[assign_exactly(joins, 0.0)] = True
    report["links"] = int(chosen.sum())
    report["cut"], report["new"] = int((given & ~chosen).sum()), int((chosen & ~given).sum())
    return _named(parts, pieces, chosen, ids, last_id), report


def _gains(pieces: Pieces, given: Array, odds: Odds, config: EvidenceConfig) -> Array:
    """Return (m, m) log odds, above those asked for, that one piece goes on as another."""
    gaps = pieces.first[None] - pieces.last[:, None]
    # What the tracker linked is weighed however long the gap.
    earlier, later = np.nonzero((gaps > 0) & (gaps <= config.horizon) | given)
    gains = np.full(gaps.shape, -np.inf)
    if len(earlier):
        gains[earlier, later] = odds(weighed(pieces, earlier, later, config)) - config.odds
    gains[given] += config.trust
    return gains


def _named(
    parts: Sequence[Array], pieces: Pieces, chosen: Array, ids: Array, last_id: int
) -> Array:
    """Return (n,) ids of linked pieces: that of the earliest, a new one where it is in use."""
    used: set[int] = set()
    names = np.zeros(len(parts), np.int64)
    before = {int(b): int(a) for a, b in zip(*np.nonzero(chosen), strict=True)}
    for k in np.argsort(pieces.first, kind="stable").tolist():
        if k in before:
            names[k] = names[before[k]]
            continue
        names[k] = ids[parts[k][0]]
        if int(names[k]) in used:
            last_id += 1
            names[k] = last_id
        used.add(int(names[k]))
    result = ids.copy()
    for part, name in zip(parts, names.tolist(), strict=True):
        result[part] = name
    return result


def _given(pieces: Pieces, ids: Array) -> Array:
    """Return (m, m) bool: does the track of one piece go on with another next."""
    order = np.lexsort((pieces.first, ids))
    next_to = ids[order][1:] == ids[order][:-1]
    linked = np.zeros((len(ids), len(ids)), bool)
    linked[order[:-1][next_to], order[1:][next_to]] = True
    return linked
