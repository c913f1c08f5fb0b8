"""All settings of a run: a data set's preset of one tracker, with what the user overrides."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from models.remots.config import RetrackingConfig
from models.tracking import tracker_class
from utils.config import override, parts_of
from utils.data_sets import DATA_SETS, DataSet
from utils.detections import Detections
from utils.rules import DetectionRules
from utils.score_curves import ScoreCurves

BOXES = ("check", "file", "mask")
PARTS = ("tracker", "rules", "refinement")
# Trackers that a data set has settings of its own for.
PRESETS = tuple(dict.fromkeys(name for dataset in DATA_SETS.values() for name in dataset.presets))


@dataclass(frozen=True)
class Settings:
    """All settings of a run.

    Attributes:
        data_set: DataSet.
        name: of the tracker, in the registry.
        tracker: its settings.
        rules: which detections take part.
        classes: numbers to track; None: every class but ignore regions.
        refine: whether the video is tracked anew by its frames afterwards; refinement: how.
        curves: what scores mean, by `fit_scores.py`; None takes them for probabilities.
        trust: whether masks are trusted, so that their scores and areas decide nothing; None: those
            of files without scores are.
        frame_step: frame numbers that make one step of the video; None finds out.
        boxes: "check" refuses boxes that are not around their masks, "file" believes them, "mask"
            takes those around the masks.
        divisions: whether tracks may end in two daughters, see `utils.divisions`.
        runtime: what embeds, see `models.usc_mots.embedding.RUNTIMES`.
    """

    data_set: DataSet
    name: str
    tracker: Any
    rules: DetectionRules
    classes: tuple[int, ...] | None
    refine: bool = False
    refinement: RetrackingConfig = field(default_factory=RetrackingConfig)
    curves: ScoreCurves | None = None
    trust: bool | None = None
    frame_step: int | None = None
    boxes: str = "check"
    divisions: bool = False
    runtime: str = "auto"

    def trusts(self, detections: Detections) -> bool:
        """Return whether the masks of a sequence are trusted."""
        return self.trust if self.trust is not None else not detections.scored

    def check_online(self) -> None:
        """Refuse settings that need the whole video.

        Raises:
            ValueError: refining is asked for.
        """
        if self.refine:
            raise ValueError("refining needs the whole video, got a stream of frames")

    def summary(self) -> dict[str, Any]:
        """Return the settings for summary.json."""
        held: dict[str, Any] = {
            "dataset": self.data_set.name,
            "tracker_name": self.name,
            "tracker": asdict(self.tracker),
            "rules": asdict(self.rules),
            "refined": self.refine,
            "refinement": asdict(self.refinement) if self.refine else None,
            "score_curves": None if self.curves is None else dict(self.curves.facts),
            "trust": self.trust,
            "frame_step": self.frame_step,
            "boxes": self.boxes,
            "divisions": self.divisions,
        }
        # JSON has no infinity.
        held["tracker"] = {k: None if v == float("inf") else v for k, v in held["tracker"].items()}
        return held


def settings_for(
    data_set: DataSet, tracker: str | None = None, rules_of: str | None = None
) -> Settings:
    """Return the settings of a tracker for a data set.

    Args:
        data_set: DataSet.
        tracker: name in the registry; None takes the data set's own.
        rules_of: preset whose detection rules hold; None takes the tracker's own, else those of
            "authors", by whose thresholds the papers' systems were compared.

    Raises:
        ValueError: no such tracker, or it has no preset for the data set.
    """
    name = tracker or data_set.default_tracker
    kind = tracker_class(name)
    for wanted in (name, rules_of):
        if wanted is not None and wanted in PRESETS and wanted not in data_set.presets:
            names = ", ".join(data_set.presets)
            raise ValueError(f"{data_set.name} has the presets {names}, got {wanted}")
    rules = data_set.presets[rules_of or (name if name in data_set.presets else "authors")].rules
    chosen = data_set.presets[name].tracker if name in data_set.presets else {}
    return Settings(data_set, name, kind.settings(**chosen), rules, classes=data_set.tracked)


def changed(settings: Settings, changes: Iterable[str]) -> Settings:
    """Return settings with some fields overridden.

    Args:
        settings: Settings.
        changes: `field=value`, or `part.field=value` with one of PARTS. A field alone is changed
            in every part that has it, but lambda, the tracker's own `min_score`, by its part only.

    Raises:
        ValueError: no such part or field, or a value of another type or without a meaning.
    """
    held = {n: getattr(settings, n) for n in PARTS}
    by_part: dict[str, dict[str, str]] = {}
    for change in changes:
        path, equals, value = change.partition("=")
        part, dot, name = path.strip().rpartition(".")
        if not equals or not name:
            raise ValueError(f"--set must be FIELD=VALUE, got {change!r}")
        if dot and part not in held:
            raise ValueError(f"--set must name one of {', '.join(held)}, got {part!r}")
        parts = [part] if dot else [n for n in held if name in parts_of(held[n])]
        if name == "min_score" and not dot:
            parts = ["rules"]
        if not parts or (dot and name not in parts_of(held[part])):
            among = [part] if dot else list(held)
            fields = ", ".join(dict.fromkeys(f for n in among for f in parts_of(held[n])))
            near = difflib.get_close_matches(name, fields.split(", "), 1)
            got = f"got {name}" + (f": did you mean {near[0]}?" if near else "")
            raise ValueError(f"--set must name a setting of {settings.name} ({fields}), {got}")
        for each in parts:
            by_part.setdefault(each, {})[name] = value.strip()
    names = settings.data_set.numbers
    fresh = {part: override(held[part], values, names) for part, values in by_part.items()}
    return replace(settings, **fresh)
