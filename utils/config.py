"""Settings as frozen dataclasses, each field with its meaning, overridden by name and type."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field
from typing import Any, TypeVar

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
