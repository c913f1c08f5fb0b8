"""Settings of the paper's tracker: the paper's text, and the authors' code where they differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from utils.config import ByClass, at_least_one, by_class, check_settings, setting


@dataclass(frozen=True)
class UscMotsConfig:
    """How detections become tracks (paper, sections 3.3 and 3.4).

    The defaults read the paper as its text has it, and take the authors' code where it is silent;
    `AuthorsConfig` follows the code. `docs/differences.md` has what each difference does.
    """

    t_lag: int = setting(3, "frames in the window, the current one included")
    tau: int = setting(1, "largest frame distance at which the gate forbids a link (Eq. 6)")
    gate: str = setting(
        "mask_iou",
        "mask_iou: no link between masks that do not overlap (Eq. 6); embedding: none beyond "
        "max_distance (section 4.1)",
    )
    max_distance: float = setting(float("inf"), "limit on ||z_i - z_j|| of the embedding gate")
    gated: str = setting(
        "either",
        "which pairs the gate bars: either, those with a node that has no identity yet (paper); "
        "newer, those whose newer node has none (authors' code)",
    )
    centre_rule: str = setting(
        "mean",
        "cluster centre: mean of the members (paper), or nearest, the member nearest in time to "
        "the current frame (authors' code)",
    )
    order: str = setting(
        "time",
        "which node chooses its cluster first: time, those of the current frame, then back "
        "(authors' code; the paper is silent); distance, the closest to a centre",
    )
    fullest: str = setting(
        "oldest",
        "the frame whose detections are the first centres, of several with as many: the current "
        "one, else the oldest (authors' code; the paper is silent) or the latest",
    )
    labelling: str = setting(
        "newest",
        "who takes a cluster's identity: newest, the newest node, and all members where those "
        "without identity are the most (authors' code; the paper is silent), or all, always",
    )
    score_rule: str = setting(
        "mean",
        "lambda's score: mean confidence of every cluster, to be exceeded (Alg. 1), or sum, "
        "sum / t_lag of new clusters, to be reached (authors' code)",
    )
    classes_apart: bool = setting(
        False, "yes: a window of its own for each class (authors' code); no: one for all (Eq. 6)"
    )
    use_graph: bool = setting(True, "no: plain k-means, the rows without G of Table 4")
    restarts: int = setting(10, "of plain k-means, the best of which counts (authors' code)")
    known_clusters: bool = setting(
        False,
        "yes: |K| from the true identities in the window, as Table 4's rows with |K| known; needs "
        "detections with ids",
    )
    seed: int = setting(0, "of the first centres of plain k-means")
    min_score: float = setting(0.1, "lambda, the least score of a cluster, see score_rule")
    min_track_length: ByClass = by_class("tracks with fewer detections are dropped, by class", 3)
    max_iterations: int = setting(50, "of k-means, per window")
    tolerance: float = setting(
        1e-4, "k-means stops when the centres move less than this times the mean variance"
    )

    def __post_init__(self) -> None:
        """Refuse settings without a meaning."""
        words = {
            "gate": ("mask_iou", "embedding"),
            "gated": ("either", "newer"),
            "centre_rule": ("mean", "nearest"),
            "order": ("time", "distance"),
            "fullest": ("oldest", "latest"),
            "labelling": ("newest", "all"),
            "score_rule": ("mean", "sum"),
        }
        rules = (
            ("t_lag", self.t_lag >= 2, "at least 2 frames"),
            ("tau", self.tau >= 0, "at least 0 frames"),
            *((n, getattr(self, n) in w, " or ".join(map(repr, w))) for n, w in words.items()),
            ("max_distance", self.max_distance > 0, "above 0"),
            ("restarts", self.restarts >= 1, "at least 1"),
            ("seed", self.seed >= 0, "at least 0"),
            ("min_track_length", at_least_one(self.min_track_length), "at least 1 detection"),
            ("max_iterations", self.max_iterations >= 1, "at least 1"),
        )
        check_settings(self, rules)


def _authors(name: str, default: Any) -> Any:
    """Return a field of `UscMotsConfig` with another default."""
    return setting(default, UscMotsConfig.__dataclass_fields__[name].metadata["meaning"])


@dataclass(frozen=True)
class AuthorsConfig(UscMotsConfig):
    """The same, rule by rule as the authors' code has it."""

    gated: str = _authors("gated", "newer")
    centre_rule: str = _authors("centre_rule", "nearest")
    score_rule: str = _authors("score_rule", "sum")
    classes_apart: bool = _authors("classes_apart", True)
