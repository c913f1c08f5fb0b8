"""Settings as frozen dataclasses, each field with its meaning, overridden by name and type."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar

import numpy as np
import numpy.typing as npt

ByClass = dict[int, float]  # {class: limit}; class 0 stands for every class that is not named
Config = TypeVar("Config")


def setting(default: Any, meaning: str) -> Any:
    """Return a dataclass field with a default and a meaning that --list prints."""
    return field(default=default, metadata={"meaning": meaning})


def by_class(meaning: str, every: float | None = None) -> Any:
    """Return a dataclass field {class: limit}; `every` is that of all classes by default."""
    default = {} if every is None else {0: every}
    return field(default_factory=default.copy, metadata={"meaning": meaning})


def limits_of(classes: npt.NDArray[Any], limits: ByClass) -> npt.NDArray[np.float32]:
    """Return each detection's limit: its class', else that of class 0, else 0."""
    # float32, as scores are: 0.7 must reach 0.7.
    result = np.full(len(classes), limits.get(0, 0.0), np.float32)
    for cls, limit in limits.items():
        if cls:
            result[classes == cls] = limit
    return result


def limit_of(cls: int, limits: ByClass) -> float:
    """Return the limit of one class, as `limits_of` does."""
    return limits.get(cls, limits.get(0, 0.0))


def at_least_one(limits: ByClass) -> bool:
    """Return whether every limit is 1 or more."""
    return all(limit >= 1 for limit in limits.values())


def check_settings(config: Any, rules: Iterable[tuple[str, bool, str]]) -> None:
    """Raise ValueError for the first (name, holds, rule) that does not hold."""
    for name, holds, rule in rules:
        if not holds:
            raise ValueError(f"{name} must be {rule}, got {getattr(config, name)}")


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


@dataclass(frozen=True)
class BestConfig:
    """How detections become tracks by expected positions (preset `best`)."""

    reach: float = setting(
        0.6,
        "by how much the least generalised IoU of an expected box and a detection that may link "
        "falls where every detection is an object",
    )
    clutter: float = setting(
        6.0,
        "power of the share of objects among detections with which reach falls, and the size comes "
        "to count",
    )
    innovation: float = setting(
        6.5, "times the mean innovation of links, 1 - generalised IoU, at which a pair cannot link"
    )
    slack: float = setting(0.2, "by how much that limit falls as a position becomes uncertain")
    smoothing: float = setting(0.25, "share of the newest step in the velocity")
    damping: float = setting(0.9, "factor on the velocity for each further frame missed")
    mask_weight: float = setting(1.0, "of the IoU of masks; that of boxes weighs 1")
    size_weight: float = setting(0.4, "of the change of log width and height, against a pair")
    descriptor_weight: float = setting(
        0.2, "of the evidence of embeddings; half of it for tracks of the last frame"
    )
    colour_weight: float = setting(0.4, "the same for colours")
    memory: int = setting(30, "frames for which a missed track stays")
    recall: int = setting(100, "the same for one that descriptors alone may bring back after that")
    proof: float = setting(0.7, "weighted evidence of descriptors that brings it back")
    t_lag: int = setting(3, "frames within which a second detection must join the first")
    min_track_length: ByClass = by_class("tracks with fewer detections are dropped, by class", 3)
    confident: float = setting(
        0.4, "P(object) from which a detection, and a track by its latest ones, choose first"
    )
    written: float = setting(
        0.6, "P(object), of a detection and its track's latest ones, from which it is written"
    )
    patience: int = setting(30, "frames in which a track may still show that it is an object")
    recency: float = setting(0.05, "share of the newest detection in a track's P(object)")

    def __post_init__(self) -> None:
        """Refuse settings without a meaning."""
        rules = (
            ("reach", 0 <= self.reach <= 1, "in [0, 1]"),
            ("clutter", self.clutter >= 0, "at least 0"),
            ("innovation", self.innovation > 0, "above 0"),
            ("slack", 0 <= self.slack <= 1, "in [0, 1]"),
            ("mask_weight", self.mask_weight >= 0, "at least 0"),
            ("size_weight", self.size_weight >= 0, "at least 0"),
            ("descriptor_weight", self.descriptor_weight >= 0, "at least 0"),
            ("colour_weight", self.colour_weight >= 0, "at least 0"),
            ("smoothing", 0 < self.smoothing <= 1, "in (0, 1]"),
            ("damping", 0 < self.damping <= 1, "in (0, 1]"),
            ("memory", self.memory >= 1, "at least 1 frame"),
            ("recall", self.recall >= 0, "at least 0 frames"),
            ("proof", self.proof > 0, "above 0"),
            ("t_lag", self.t_lag >= 2, "at least 2 frames"),
            ("min_track_length", at_least_one(self.min_track_length), "at least 1 detection"),
            ("confident", 0 <= self.confident <= 1, "in [0, 1]"),
            ("written", 0 <= self.written <= 1, "in [0, 1]"),
            ("patience", self.patience >= 0, "at least 0 frames"),
            ("recency", 0 < self.recency <= 1, "in (0, 1]"),
        )
        check_settings(self, rules)


@dataclass(frozen=True)
class RefinementConfig:
    """How tracklets are merged offline, after ReMOTS (sections 2.2, 2.4 and 2.5)."""

    retracks: ClassVar[bool] = False  # whether the frames are needed, and tracks may be cut

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


def parts_of(config: Any) -> dict[str, Any]:
    """Return {name: value} of a dataclass' fields."""
    return {f.name: getattr(config, f.name) for f in dataclasses.fields(config)}


def parse_value(name: str, text: str, kind: Any, names: Mapping[str, int] | None = None) -> Any:
    """Return a setting's value from the command line.

    Args:
        name: of the setting, for the error.
        text: what was given.
        kind: the field's type: bool, int, float, str, `float | None`, ByClass, or a tuple, whose
            parts stand between commas (those of a tuple of tuples between semicolons).
        names: {class name: number}, for ByClass: `0.5`, or `car=0.5,pedestrian=0.6`, or `1=0.5`.

    Raises:
        ValueError: the text is no such value.
    """
    optional = type(None) in typing.get_args(kind)
    if optional and text.lower() == "none":
        return None
    if optional:
        kind = next(k for k in typing.get_args(kind) if k is not type(None))
    if kind is bool:
        values = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}
        if text.lower() not in values:
            raise ValueError(f"{name} must be yes or no, got {text!r}")
        return values[text.lower()]
    if typing.get_origin(kind) is dict:
        return _parse_by_class(name, text, names or {})
    if typing.get_origin(kind) is tuple:
        return _parse_tuple(name, text, typing.get_args(kind))
    words = {int: "an integer", float: "a number"}
    try:
        value = kind(text)
    except ValueError:
        raise ValueError(f"{name} must be {words.get(kind, 'text')}, got {text!r}") from None
    if kind is float and value != value:
        raise ValueError(f"{name} must be a number, got {text!r}")
    return value


def _parse_tuple(name: str, text: str, kinds: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the parts of a tuple, of one kind throughout or of one for each place."""
    deep = typing.get_origin(kinds[0]) is tuple
    parts = [part.strip() for part in text.split(";" if deep else ",") if part.strip()]
    if kinds[-1] is not Ellipsis and len(parts) != len(kinds):
        raise ValueError(f"{name} must be {len(kinds)} values between commas, got {text!r}")
    return tuple(parse_value(name, part, kinds[0]) for part in parts)


def _parse_by_class(name: str, text: str, names: Mapping[str, int]) -> ByClass:
    limits: ByClass = {}
    for part in text.split(","):
        cls, equals, limit = part.rpartition("=")
        number = names.get(cls.strip(), int(cls) if cls.strip().isdigit() else None)
        try:
            value = float(limit)
        except ValueError:
            value = float("nan")
        if (equals and not number) or not value >= 0:
            known = ", ".join(names) or "numbers"
            raise ValueError(
                f"{name} must be a number, or CLASS=NUMBER of the classes {known}, got {part!r}"
            )
        limits[number if equals and number else 0] = value
    return limits


def override(config: Config, changes: Mapping[str, str], names: Mapping[str, int]) -> Config:
    """Return a settings object with fields replaced by parsed text.

    Args:
        config: a settings dataclass.
        changes: {field: text}; every field must exist.
        names: {class name: number}, see `parse_value`.

    Raises:
        ValueError: text that is no value of the field's type, or a value without a meaning.
    """
    kinds = typing.get_type_hints(type(config))
    values = {n: parse_value(n, text, kinds[n], names) for n, text in changes.items()}
    return typing.cast(Config, dataclasses.replace(typing.cast(Any, config), **values))


def with_changes(config: Config, changes: Sequence[str]) -> Config:
    """Return a settings object with the fields that a command line's `FIELD=VALUE` name replaced.

    Raises:
        ValueError: no such field, or a value without a meaning.
    """
    given = {}
    known = parts_of(config)
    for change in changes:
        name, equals, value = (part.strip() for part in change.partition("="))
        if not equals:
            raise ValueError(f"--set must be FIELD=VALUE, got {change!r}")
        if name not in known:
            raise ValueError(f"--set must name one of {', '.join(known)}, got {name!r}")
        given[name] = value
    return override(config, given, {})
