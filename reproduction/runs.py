"""A run of the paper's experiments: one tracker setting on one data set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from models.tracking import trackers
from models.usc_mots.config import UscMotsConfig
from models.usc_mots.weights import PRETRAINED, read_card
from pipeline.settings import Settings, changed, settings_for
from pipeline.stages import Pipeline
from utils.data_sets import DataSet, data_set
from utils.rules import DetectionRules

# The presets that read the paper: its text, and its authors' code.
READINGS = tuple(
    name for name, kind in trackers().items() if issubclass(kind.settings, UscMotsConfig)
)


def weights_path(name: str) -> Path:
    """Return the path of weights by their name in `pretrained/`, or by a path of their own."""
    return PRETRAINED / name


@dataclass(frozen=True)
class Run:
    """One tracker setting on one data set.

    Attributes:
        dataset: "kitti", "mots", "mnist" or "sprites".
        weights: names in `pretrained/`, or paths; see `models.usc_mots.embedding.choose_weights`.
        source: "truth" tracks the ground-truth masks, "detections" those of a detector.
        changes: ((field, value), ...) of the preset's UscMotsConfig.
        location_gain: replaces that of the weights; None keeps it.
        images: whether the weights need the frames.
        min_score: replaces the score rule of every class; None keeps the preset's.
        preset: whose rules associate, "paper" or "authors".
    """

    dataset: str
    weights: tuple[str, ...]
    source: str
    changes: tuple[tuple[str, Any], ...] = ()
    location_gain: float | None = None
    images: bool = False
    min_score: float | None = None
    preset: str = READINGS[0]

    @property
    def data_set(self) -> DataSet:
        """Return the data set."""
        return data_set(self.dataset)

    def settings(self) -> Settings:
        """Return the preset's Settings with the run's changes."""
        changes = [f"tracker.{name}={value}" for name, value in self.changes]
        settings = changed(settings_for(self.data_set, self.preset), changes)
        rules = settings.rules
        if self.min_score is not None:
            rules = DetectionRules(dict.fromkeys(rules.min_score, self.min_score), rules.min_area)
        return replace(settings, rules=rules)

    def pipeline(self) -> Pipeline:
        """Return the Pipeline."""
        weights = [weights_path(name) for name in self.weights]
        return Pipeline(self.settings(), weights, self.location_gain)


def chosen_gain(weights: Sequence[str]) -> float | None:
    """Return the location gain that weights were given on their held-back sequences.

    Args:
        weights: file names in `pretrained/`; their cards must agree.

    Returns:
        None where none has a card that says so.

    Raises:
        ValueError: they do not agree.
    """
    cards = [read_card(weights_path(name)) or {} for name in weights]
    scores = [card.get("scores_of_best_epoch", {}) for card in cards]
    gains = {float(row["location_gain"]) for row in scores if "location_gain" in row}
    if len(gains) > 1:
        raise ValueError(f"the cards of {' and '.join(weights)} must agree, got gains {gains}")
    return gains.pop() if gains else None


def appearance_weights(dataset: DataSet) -> tuple[str, ...]:
    """Return the appearance weights of a data set: the user's own where there are some.

    Those of docs/training.md, `pretrained/dhae_kitti_appearance.keras` and `..._b.keras`, go before
    the committed ones of another data set.
    """
    names = (f"dhae_{dataset.name}_appearance.keras", f"dhae_{dataset.name}_appearance_b.keras")
    trained = tuple(name for name in names if weights_path(name).is_file())
    return trained or dataset.appearance_weights
