"""Two scalars of an embedding that training leaves open, chosen by association.

What location weighs in Z (`location_gain`), and the unit of Z (`latent_scale`), in which the
embedding gate's limit is given. k-means does not feel the unit; the gate of section 4.1 does.
"""

import numpy as np
from tqdm import tqdm

from models.tracker import track
from utils.detections import CLASS_NAMES
from utils.evaluation import association_accuracy, identity_f1

LOCATION_GAINS = (1.0, 4.0, 16.0, 64.0, 256.0)
# Where embeddings gate, every gain is tried with every limit, a quantile of an object's own steps.
THOROUGH_GAINS = (1.0, 1.5, 2.0, 2.5)
QUANTILES = (0.995, 0.998, 0.999, 0.9995, 0.9998, 1.0)
REFINED_STEPS, REFINED_QUANTILES = (-0.25, 0.0, 0.25), (0.9993, 0.9994, 0.9996, 0.9997, 0.9999)


def calibrate(model, sequences, config, thorough=False, gain=None):
    """Set a model's `location_gain` and `latent_scale` to the best of a few by association.

    Args:
        model: DHAE; its config is changed.
        sequences: [TrainingSequence] with true ids.
        config: TrackerConfig. Its gate says what is open: the location gain where masks gate, the
            unit of Z where embeddings do.
        thorough: where embeddings gate, try location gains, too.
        gain: a location gain to keep instead; None chooses.

    Returns:
        dict: `association` in 0..1 (see `associate`), the same per class as `association_NAME`,
        and the two scalars.
    """
    features = [model.encode_masks(s.patches[:]) for s in sequences]

    def best_of(pairs, best=None):
        for factor, scale in tqdm(pairs, desc="calibrating", leave=False, disable=None):
            model.config |= {"location_gain": factor, "latent_scale": scale}
            by_class = associate(model, sequences, features, config)
            result = {
                "association": float(np.mean(list(by_class.values()))),
                **{f"association_{name}": value for name, value in by_class.items()},
                "location_gain": factor,
                "latent_scale": scale,
            }
            if best is None or result["association"] > best["association"]:
                best = result
        return best

    if config.gate != "embedding":
        best = best_of([(g, 1.0) for g in (LOCATION_GAINS if gain is None else (gain,))])
    else:
        gains = (THOROUGH_GAINS if thorough else (1.0,)) if gain is None else (gain,)
        best = best_of(_pairs(model, sequences, features, config, gains, QUANTILES))
        if thorough:
            if gain is None:
                gains = [best["location_gain"] + step for step in REFINED_STEPS]
            pairs = _pairs(model, sequences, features, config, gains, REFINED_QUANTILES)
            best = best_of(pairs, best)
    model.config |= {name: best[name] for name in ("location_gain", "latent_scale")}
    return best


def _pairs(model, sequences, features, config, gains, quantiles):
    """Return the pairs (location gain, latent scale) to try where embeddings gate."""
    pairs = []
    for gain in gains:
        # The limit must let through what an object does from one frame to the next.
        model.config |= {"location_gain": gain, "latent_scale": 1.0}
        steps = _steps(model, sequences, features)
        limits = np.quantile(steps, quantiles) if len(steps) else ()
        pairs += [(gain, float(config.max_distance / limit)) for limit in limits if limit > 0]
    return pairs or [(1.0, 1.0)]


def _steps(model, sequences, features):
    """Return how far Z moves from one detection of an object to its next, (n,) float."""
    steps = [np.zeros(0)]
    for s, feature in zip(sequences, features, strict=True):
        z, ids, frames = model.fuse(feature, s.boxes), s.detections.ids, s.detections.frames
        order = np.lexsort((frames, ids))
        same = ids[order][1:] == ids[order][:-1]
        steps.append(np.linalg.norm(np.diff(z[order], axis=0)[same], axis=1))
    return np.concatenate(steps)


def associate(model, sequences, features, config):
    """Track sequences of ground-truth masks and score the identities.

    Returns:
        {class name: score in 0..1} over all sequences. Where masks gate, the score is
        1 - (untracked + switches) / n, which is sMOTSA on ground-truth masks. Where embeddings
        gate, it is the mean of that (which is MOTA) and IDF1, the two headline columns of Table 1.
    """
    wrong, total, shared, sizes = {}, {}, {}, {}
    for s, feature in zip(sequences, features, strict=True):
        track_ids, _ = track(s.detections, model.fuse(feature, s.boxes), config)
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
        scores[CLASS_NAMES[cls]] = (accuracy + idf1) / 2 if config.gate == "embedding" else accuracy
    return scores
