"""Settings of the preset `best`: all its constants, and where each comes from."""

from __future__ import annotations

from dataclasses import dataclass

from utils.config import ByClass, at_least_one, by_class, check_settings, setting


@dataclass(frozen=True)
class BestConfig:
    """How detections become tracks by the likelihood of each pair (preset `best`).

    The constants were chosen by leaving one of four data sets out at a time, and lie in the middle
    of wide plateaus: `python -m benchmarks.accuracy --tables constants` (see docs/best.md).
    """

    # The shape of the likelihood, see `models.best.step`.
    nearness: float = setting(
        4.0, "power with which a pair's likelihood falls as its generalised IoU does"
    )
    mask_weight: float = setting(8.0, "of the IoU of masks, in log likelihood")
    prior: float = setting(1.0, "log odds added to every pair: tracks mostly go on")
    clutter: float = setting(
        4.0, "false detections in a frame of scores that are even odds; of others by their odds"
    )
    # What is assumed before the video shows it: one new object in ten frames.
    assumed_frames: int = setting(30, "frames that count as seen before the first")
    assumed_births: float = setting(3.0, "new objects of each class that count as seen in them")
    # Motion. The mean of ten moves follows turns of people and cars, and evens out a box's jitter.
    smoothing: float = setting(0.15, "share of the newest move in the velocity")
    damping: float = setting(0.96, "factor on the velocity for each further frame missed")
    memory: int = setting(30, "frames for which a missed track stays")
    # The verdict: a track is written if it is more likely an object than not. In sMOTSA a mask of
    # IoU 0.8 gains 0.8 and a false one costs 1, so that 0.55 to 0.6 score higher (docs/best.md).
    written: float = setting(0.5, "mean P(object) of a track from which it is written")
    part: float = setting(
        0.3, "P(object) from which a detection is written, and chooses its track before others"
    )
    min_track_length: ByClass = by_class("tracks with fewer detections are dropped, by class", 3)

    def __post_init__(self) -> None:
        """Refuse settings without a meaning."""
        rules = (
            ("nearness", self.nearness > 0, "above 0"),
            ("mask_weight", self.mask_weight >= 0, "at least 0"),
            ("clutter", self.clutter >= 0, "at least 0"),
            ("assumed_frames", self.assumed_frames >= 1, "at least 1 frame"),
            ("assumed_births", self.assumed_births > 0, "above 0"),
            ("smoothing", 0 < self.smoothing <= 1, "in (0, 1]"),
            ("damping", 0 < self.damping <= 1, "in (0, 1]"),
            ("memory", self.memory >= 1, "at least 1 frame"),
            ("written", 0 <= self.written <= 1, "in [0, 1]"),
            ("part", 0 <= self.part <= 1, "in [0, 1]"),
            ("min_track_length", at_least_one(self.min_track_length), "at least 1 detection"),
        )
        check_settings(self, rules)
