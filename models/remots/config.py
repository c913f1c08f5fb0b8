"""Settings of merging, linking and tracking anew (ReMOTS), light to import."""

from __future__ import annotations

from dataclasses import dataclass

from utils.config import check_settings, setting

COLOURS = "colours"
RESNET = "resnet"
TRACKLETS = ("given", "flow")
MERGES = ("evidence", "clustering")


@dataclass(frozen=True)
class RefinementConfig:
    """How tracklets are merged offline, after ReMOTS (sections 2.2, 2.4 and 2.5)."""

    horizon: int = setting(
        120, "theta_t, the largest gap in frames between tracklets that are merged"
    )
    max_error: float = setting(
        0.6, "share of false decisions on known answers above which nothing is merged"
    )
    dimensions: int = setting(32, "of the adapted embedding")
    intra_frame_steps: int = setting(100, "of the first round of adaptation; 0 skips it")
    tracklet_steps: int = setting(400, "of the second round; 0 skips it")
    batch_size: int = setting(512, "triplets of a step")
    margin: float = setting(0.5, "of the triplet loss")
    learning_rate: float = setting(0.003, "of Adam")
    span: int = setting(60, "frames between an anchor and its positive, at most")
    seed: int = setting(0, "of the triplets")
    min_halves: int = setting(10, "tracklets to measure what one object's two halves look like")
    min_length: int = setting(10, "detections of a tracklet that is split in halves for that")
    flat: float = setting(
        0.01, "errors by which a threshold may miss the least; the middle of those is taken"
    )
    deviations: float = setting(
        3.0, "theta_short of Eq. 2: above the mean similarity of different objects (section 2.3)"
    )


@dataclass(frozen=True)
class EvidenceConfig(RefinementConfig):
    """How tracklets are linked."""

    trust: float = setting(1.5, "log odds added where the given track goes on so")
    odds: float = setting(0.0, "log odds above which two tracklets are linked")
    ends: int = setting(10, "detections at an end of a tracklet whose motion is fitted")
    least_change: float = setting(
        0.1,
        "new links for each tracklet, below which no given link is cut: true identities of "
        "MOTSChallenge get 0.04 to 0.07, those of trackers 0.18 to 0.28",
    )
    sure: float = setting(1.5, "log odds above which tracks are joined where none is cut")
    # Odds are learned from tracklets that are cut: a few detections before the gap, a few after.
    cut_length: int = setting(12, "detections of a tracklet that is cut, at least")
    cut_side: int = setting(4, "detections on each side of a cut, at least")
    cut_longest: int = setting(
        60, "detections on each side of a cut, fewer than these: real tracklets are short, too"
    )
    cut_least: int = setting(30, "cuts, and others, from which odds can be learned")
    cuts: int = setting(500, "of each half of the tracks")
    motion_floor: float = setting(
        0.05, "heights added to an error of motion, whose logarithm is taken"
    )

    def __post_init__(self) -> None:
        """Refuse settings without a meaning."""
        rules = (
            ("ends", self.ends >= 1, "at least 1"),
            ("least_change", self.least_change >= 0, "at least 0"),
            ("cut_side", self.cut_side >= 1, "at least 1"),
            ("cut_length", self.cut_length >= 2 * self.cut_side, "at least twice cut_side"),
            ("cut_longest", self.cut_longest > self.cut_side, "above cut_side"),
            ("motion_floor", self.motion_floor > 0, "above 0"),
        )
        check_settings(self, rules)


@dataclass(frozen=True)
class RetrackingConfig(EvidenceConfig):
    """How a video is tracked anew."""

    tracklets: str = setting(
        "given", "given: the tracks, cut where they miss a frame; flow: short-term tracks, anew"
    )
    merge: str = setting(
        "evidence", "by the odds that the video shows; clustering: as the paper, by looks alone"
    )
    encoder: str = setting(
        COLOURS, f"of looks: {COLOURS} of three bands, {RESNET}, or a network's *.keras"
    )
    labelled: str = setting(
        "", "folder of images and instances_txt, whose tracks make half of a ResNet's batches"
    )
    encoder_steps: int = setting(200, "of each of the two rounds of the ResNet")

    def __post_init__(self) -> None:
        """Refuse settings without a meaning."""
        super().__post_init__()
        encoders = (COLOURS, RESNET)
        rules = (
            ("tracklets", self.tracklets in TRACKLETS, f"one of {', '.join(TRACKLETS)}"),
            ("merge", self.merge in MERGES, f"one of {', '.join(MERGES)}"),
            (
                "encoder",
                self.encoder in encoders or self.encoder.endswith(".keras"),
                f"{', '.join(encoders)} or *.keras",
            ),
            (
                "labelled",
                not self.labelled or self.encoder != COLOURS,
                f"for encoder={RESNET} or *.keras alone",
            ),
            ("encoder_steps", self.encoder_steps >= 0, "at least 0"),
        )
        check_settings(self, rules)
