"""Two scalars of an embedding that training leaves open, chosen by association.

What location weighs in Z (`location_gain`), and the unit of Z (`latent_scale`), in which the
embedding gate's limit is given. k-means does not feel the unit; the gate of section 4.1 does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from models.streaming import track
from models.tracking import EMBEDDINGS
from models.usc_mots.config import UscMotsConfig
from models.usc_mots.tracker import UscMotsTracker
from utils.data_sets import MOTS_CLASSES
from utils.evaluation import association_accuracy, identity_f1

LOCATION_GAINS = (1.0, 4.0, 16.0, 64.0, 256.0)
# Where embeddings gate, every gain is tried with every limit, a quantile of an object's own steps.
THOROUGH_GAINS = (1.0, 1.5, 2.0, 2.5)
QUANTILES = (0.995, 0.998, 0.999, 0.9995, 0.9998, 1.0)
REFINED_STEPS, REFINED_QUANTILES = (-0.25, 0.0, 0.25), (0.9993, 0.9994, 0.9996, 0.9997, 0.9999)

Pairs = list[tuple[float, float]]  # (location gain, latent scale)
Result = dict[str, Any]


def calibrate(
    model: Any,
    sequences: Sequence[Any],
    config: UscMotsConfig,
    thorough: bool = False,
    gain: float | None = None,
    location_centre: Sequence[float] | None = None,
) -> Result:
    """Return the `location_gain` and `latent_scale` that are best of a few by association.

    Args:
        model: DHAE; it stays as it is.
        sequences: [TrainingSequence] with true ids.
        config: UscMotsConfig. Its gate says what is open: the location gain where masks gate, the
            unit of Z where embeddings do.
        thorough: where embeddings gate, try location gains, too.
        gain: a location gain to keep instead; None chooses.
        location_centre: see `DHAE.fuse`.

    Returns:
        dict: `association` in 0..1 (see `associate`), the same per class as `association_NAME`,
        and the two scalars.
    """
    features = [model.encode_masks(s.patches[:]) for s in sequences]

    def fused(factor: float, scale: float) -> list[npt.NDArray[np.float32]]:
        return [
            model.fuse(
                feature,
                s.boxes,
                location_gain=factor,
                latent_scale=scale,
                location_centre=location_centre,
            )
            for s, feature in zip(sequences, features, strict=True)
        ]

    def best_of(pairs: Pairs, best: Result | None = None) -> Result:
        for factor, scale in tqdm(pairs, desc="calibrating", leave=False, disable=None):
            by_class = associate(sequences, fused(factor, scale), config)
            result = {
                "association": float(np.mean(list(by_class.values()))),
                **{f"association_{name}": value for name, value in by_class.items()},
                "location_gain": factor,
                "latent_scale": scale,
            }
            if best is None or result["association"] > best["association"]:
                best = result
        assert best is not None
        return best

    def pairs_of(gains: Iterable[float], quantiles: Sequence[float]) -> Pairs:
        pairs: Pairs = []
        for factor in gains:
            # The limit must let through what an object does from one frame to the next.
            steps = _steps(sequences, fused(factor, 1.0))
            limits = np.quantile(steps, quantiles) if len(steps) else ()
            pairs += [(factor, float(config.max_distance / limit)) for limit in limits if limit > 0]
        return pairs or [(1.0, 1.0)]

    if config.gate != "embedding":
        return best_of([(g, 1.0) for g in (LOCATION_GAINS if gain is None else (gain,))])
    gains: Sequence[float] = (THOROUGH_GAINS if thorough else (1.0,)) if gain is None else (gain,)
    best = best_of(pairs_of(gains, QUANTILES))
    if thorough:
        if gain is None:
            gains = [best["location_gain"] + step for step in REFINED_STEPS]
        best = best_of(pairs_of(gains, REFINED_QUANTILES), best)
    return best


def _steps(sequences: Sequence[Any], embeddings: Sequence[Any]) -> npt.NDArray[np.float64]:
    """Return how far Z moves from one detection of an object to its next, (n,) float."""
    steps = [np.zeros(0)]
    for s, z in zip(sequences, embeddings, strict=True):
        ids, frames = s.detections.ids, s.detections.frames
        order = np.lexsort((frames, ids))
        same = ids[order][1:] == ids[order][:-1]
        steps.append(np.linalg.norm(np.diff(z[order], axis=0)[same], axis=1))
    return np.concatenate(steps)


def associate(
    sequences: Sequence[Any],
    embeddings: Sequence[Any],
    config: UscMotsConfig,
    names: Mapping[int, str] = MOTS_CLASSES,
) -> dict[str, float]:
    """Track sequences of ground-truth masks and score the identities.

    Args:
        sequences: [TrainingSequence]; embeddings: [(n, F)] of each.
        config: UscMotsConfig.
        names: {class: name}.

    Returns:
        {class name: score in 0..1} over all sequences. Where masks gate, the score is
        1 - (untracked + switches) / n, which is sMOTSA on ground-truth masks. Where embeddings
        gate, it is the mean of that (which is MOTA) and IDF1, the two headline columns of Table 1.
    """
    wrong: dict[int, int] = {}
    total: dict[int, int] = {}
    shared: dict[int, int] = {}
    sizes: dict[int, int] = {}
    for s, z in zip(sequences, embeddings, strict=True):
        track_ids, _ = track(s.detections, UscMotsTracker(config), {EMBEDDINGS: z})
        for cls in np.unique(s.detections.classes).tolist():
            rows = s.detections.classes == cls
            _, untracked, switches = association_accuracy(
                s.detections.select(rows), track_ids[rows]
            )
            _, true_positives, size = identity_f1(s.detections.ids[rows], track_ids[rows])
            wrong[cls] = wrong.get(cls, 0) + untracked + switches
            total[cls] = total.get(cls, 0) + int(rows.sum())
            shared[cls] = shared.get(cls, 0) + true_positives
            sizes[cls] = sizes.get(cls, 0) + size
    scores = {}
    for cls in sorted(total):
        accuracy = 1 - wrong[cls] / total[cls]
        idf1 = 2 * shared[cls] / max(1, sizes[cls])
        score = (accuracy + idf1) / 2 if config.gate == "embedding" else accuracy
        scores[names.get(cls, f"class {cls}")] = score
    return scores
