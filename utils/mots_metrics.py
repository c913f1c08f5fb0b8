"""Scores by the rules of `mots_tools`, and with diminishing returns.

Both are thin layers over what TrackEval prepares: per frame, the ids present and the mask IoU of
every pair, with unmatched results in ignore regions already removed. On real masks the first
gives TrackEval's sMOTSA, MOTSA, MOTSP and IDS; Frag and the match at an IoU of 0.5 differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from utils.masks import areas_of

Array = npt.NDArray[Any]
MATCH_IOU = 0.5


def match_frames(data: dict[str, Any]) -> tuple[list[Array], float]:
    """Return which result each ground-truth object is matched to, over the frames it is in.

    A match needs an IoU above 0.5 (TrackEval takes 0.5 itself, too). Masks of a frame being
    disjoint, there is at most one.

    Args:
        data: TrackEval's preprocessed sequence of one class.

    Returns:
        matches: list over objects of (k,) int arrays, the result's id or -1 in each of its frames.
        overlap: the IoUs of all matches added up.
    """
    matched: list[list[int]] = [[] for _ in range(data["num_gt_ids"])]
    overlap = 0.0
    frames = zip(data["gt_ids"], data["tracker_ids"], data["similarity_scores"], strict=True)
    for true_ids, got_ids, iou in frames:
        for row, identity in enumerate(true_ids):
            hit = np.flatnonzero(iou[row] > MATCH_IOU)
            matched[identity].append(int(got_ids[hit[0]]) if len(hit) else -1)
            overlap += float(iou[row, hit[0]]) if len(hit) else 0.0
    return [np.array(matches) for matches in matched], overlap


def object_counts(matches: Array) -> dict[str, int]:
    """Return what one object adds to TP, IDS, Frag, MT and ML, by the rules of `mots_tools`.

    * IDS: tracked by another identity than when it was last tracked.
    * Frag: every return to being tracked, be it by another identity or after a gap, that lasts
      for two of the object's frames or is its last frame. An object first tracked in the last of
      several frames counts, too. TrackEval counts gaps alone, among them those in which the object
      itself is absent.
    * MT: tracked in more than 80% of its frames; ML: in less than 20%.

    Args:
        matches: (k,) int, see `match_frames`.
    """
    tracked: Array = matches >= 0
    before: Array = np.cumsum(tracked) - tracked > 0  # tracked at some earlier frame
    before[-1] |= len(matches) > 1  # mots_tools looks at the last frame after having counted it
    lasts = np.append(tracked[1:], True)
    changed = np.append(False, matches[1:] != matches[:-1])
    share = tracked.mean()
    return {
        "TP": int(tracked.sum()),
        "IDS": int((np.diff(matches[tracked]) != 0).sum()),
        "Frag": int((tracked & before & lasts & changed).sum()),
        "MT": int(share > 0.8),
        "ML": int(share < 0.2),
    }


def count(data: dict[str, Any]) -> dict[str, Any]:
    """Return {name: count} of one sequence and class; arguments as in `match_frames`."""
    matches, overlap = match_frames(data)
    rows = [object_counts(m) for m in matches]
    total = {name: sum(r[name] for r in rows) for name in ("TP", "IDS", "Frag", "MT", "ML")}
    return {
        **total,
        "FN": data["num_gt_dets"] - total["TP"],
        "FP": data["num_tracker_dets"] - total["TP"],
        "masks": data["num_gt_dets"],
        "objects": len(matches),
        "overlap": overlap,
    }


def combine_counts(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return {column: value} of several sequences: rates in percent, counts as int.

    sMOTSA = (overlap - FP - IDS) / masks, MOTSA = (TP - FP - IDS) / masks, MOTSP = overlap / TP
    (Voigtlaender et al., CVPR 2019, section 5); MT and ML are shares of all objects.

    Args:
        rows: list of what `count` returns.
    """
    c = {name: sum(row[name] for row in rows) for name in rows[0]}
    masks, objects = max(1, c["masks"]), max(1, c["objects"])
    return {
        "sMOTSA": 100 * (c["overlap"] - c["FP"] - c["IDS"]) / masks,
        "MOTSA": 100 * (c["TP"] - c["FP"] - c["IDS"]) / masks,
        "MOTSP": 100 * c["overlap"] / max(1, c["TP"]),
        "IDS": c["IDS"],
        "Frag": c["Frag"],
        "MT": 100 * c["MT"] / objects,
        "ML": 100 * c["ML"] / objects,
        "FN": c["FN"],
        "FP": c["FP"],
        "objects": c["objects"],
    }


def shared_pixels(data: dict[str, Any]) -> tuple[Array, Array, Array]:
    """Return how many pixels objects and results share over the whole sequence.

    Args:
        data: TrackEval's preprocessed sequence of one class.

    Returns:
        shared: (objects, results) pixels, the true and the found sizes: (objects,), (results,).
    """
    true_size, got_size = np.zeros(data["num_gt_ids"]), np.zeros(data["num_tracker_ids"])
    shared = np.zeros((len(true_size), len(got_size)))
    for t in range(data["num_timesteps"]):
        true_ids, got_ids = data["gt_ids"][t], data["tracker_ids"][t]
        true_area, got_area = (_areas(data[name][t]) for name in ("gt_dets", "tracker_dets"))
        if len(true_ids):
            true_size[true_ids] += true_area
        if len(got_ids):
            got_size[got_ids] += got_area
        iou = data["similarity_scores"][t]
        if iou.size:
            # IoU = s / (a + b - s), solved for the shared pixels s.
            both = np.rint(iou * (true_area[:, None] + got_area) / (1 + iou))
            shared[np.ix_(true_ids, got_ids)] += both
    return shared, true_size, got_size


def _areas(dets: Sequence[dict[str, Any]]) -> Array:
    if not len(dets):
        return np.zeros(0)
    height, width = dets[0]["size"]
    return areas_of(np.array([det["counts"] for det in dets], object), height * width)


def diminishing_returns(shared: Array, sizes: Array) -> Array:
    """Return R_m of each object (MOTS thesis, Eq. 5.1); of the transposed, P_h (Eq. 5.2).

    The i-th largest part of an object that results cover counts 1 / i of its pixels, so that long
    results, and few of them, are preferred.

    Args:
        shared: (objects, results) pixels they share.
        sizes: (objects,) pixels, above 0.

    Returns:
        (objects,) float in 0..1.
    """
    parts = -np.sort(-shared, axis=1)
    returns: Array = (parts / np.arange(1, shared.shape[1] + 1)).sum(axis=1) / sizes
    return returns


def combine_returns(recalls: Sequence[float], precisions: Sequence[float]) -> dict[str, float]:
    """Return the scores with diminishing returns over all sequences (Eqs. 5.3 to 5.5 there).

    Args:
        recalls: R_m of all objects; precisions: P_h of all results.

    Returns:
        {"R_DR", "P_DR", "F_DR"}: the means and their harmonic mean, in percent; 0 of nothing.
    """
    recall, precision = (float(np.mean(v)) if len(v) else 0.0 for v in (recalls, precisions))
    both = recall + precision
    f = 2 * recall * precision / both if both else 0.0
    return {"R_DR": 100 * recall, "P_DR": 100 * precision, "F_DR": 100 * f}
