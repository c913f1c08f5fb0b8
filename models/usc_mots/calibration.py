"""Two scalars of an embedding that training leaves open, chosen by association.

What location weighs in Z (`location_gain`), and the unit of Z (`latent_scale`), in which the
embedding gate's limit is given. k-means does not feel the unit; the gate of section 4.1 does.
"""

from __future__ import annotations

from collections import Counter
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
    search = _Search(model, sequences, config, location_centre)
    if config.gate != "embedding":
        return search.best_of([(g, 1.0) for g in (LOCATION_GAINS if gain is None else (gain,))])
    gains: Sequence[float] = (THOROUGH_GAINS if thorough else (1.0,)) if gain is None else (gain,)
    best = search.best_of(search.pairs_of(gains, QUANTILES))
    if thorough:
        if gain is None:
            gains = [best["location_gain"] + step for step in REFINED_STEPS]
        best = search.best_of(search.pairs_of(gains, REFINED_QUANTILES), best)
    return best


class _Search:
    """Scores pairs of both scalars; masks are encoded once. Arguments as in `calibrate`."""

    def __init__(
        self,
        model: Any,
        sequences: Sequence[Any],
        config: UscMotsConfig,
        centre: Sequence[float] | None,
    ) -> None:
        self.model, self.sequences, self.config, self.centre = model, sequences, config, centre
        self.features = [model.encode_masks(s.patches[:]) for s in sequences]

    def fused(self, gain: float, scale: float) -> list[npt.NDArray[np.float32]]:
        """Return the embeddings of all sequences."""
        return [
            self.model.fuse(
                feature,
                s.boxes,
                location_gain=gain,
                latent_scale=scale,
                location_centre=self.centre,
            )
            for s, feature in zip(self.sequences, self.features, strict=True)
        ]

    def best_of(self, pairs: Pairs, best: Result | None = None) -> Result:
        """Return the pair with the best association, `best` where none is better."""
        for gain, scale in tqdm(pairs, desc="calibrating", leave=False, disable=None):
            by_class = associate(self.sequences, self.fused(gain, scale), self.config)
            result = {
                "association": float(np.mean(list(by_class.values()))),
                **{f"association_{name}": value for name, value in by_class.items()},
                "location_gain": gain,
                "latent_scale": scale,
            }
            if best is None or result["association"] > best["association"]:
                best = result
        assert best is not None
        return best

    def pairs_of(self, gains: Iterable[float], quantiles: Sequence[float]) -> Pairs:
        """Return gains with scales that let an object's own steps through the gate."""
        pairs: Pairs = []
        for gain in gains:
            # The limit must let through what an object does from one frame to the next.
            steps = _steps(self.sequences, self.fused(gain, 1.0))
            limits = np.quantile(steps, quantiles) if len(steps) else ()
            limit = self.config.max_distance
            pairs += [(gain, float(limit / step)) for step in limits if step > 0]
        return pairs or [(1.0, 1.0)]


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
    counts: dict[int, Counter[str]] = {}
    for s, z in zip(sequences, embeddings, strict=True):
        track_ids, _ = track(s.detections, UscMotsTracker(config), {EMBEDDINGS: z})
        for cls in np.unique(s.detections.classes).tolist():
            rows = s.detections.classes == cls
            ids = track_ids[rows]
            _, untracked, switches = association_accuracy(s.detections.select(rows), ids)
            _, matched, size = identity_f1(s.detections.ids[rows], ids)
            counts.setdefault(cls, Counter()).update(
                wrong=untracked + switches, total=int(rows.sum()), matched=matched, size=size
            )
    scores = {}
    for cls, count in sorted(counts.items()):
        accuracy = 1 - count["wrong"] / count["total"]
        idf1 = 2 * count["matched"] / max(1, count["size"])
        score = (accuracy + idf1) / 2 if config.gate == "embedding" else accuracy
        scores[names.get(cls, f"class {cls}")] = score
    return scores
