"""Names of classes: those of a data set, of files, and of the command line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from utils.data_sets import DataSet
from utils.detections import IGNORE, MAX_CLASS, Detections


def own_names(dataset: DataSet) -> dict[int, str]:
    """Return the class names that a data set, or the user, brings to files that name theirs.

    Of any masks, class 10 marks regions by the habit of the MOTS benchmarks alone.
    """
    by_habit = dataset.any_class and dataset.class_names.get(IGNORE) == "ignore"
    return {c: n for c, n in dataset.class_names.items() if not (by_habit and c == IGNORE)}


def named_after(dataset: DataSet, sequences: Sequence[Detections]) -> DataSet:
    """Return a data set with the class names of its files, where it takes any classes.

    Files that name their classes do not mean regions to ignore by class 10, unless they say so.
    """
    if not dataset.any_class:
        return dataset
    names: dict[int, str] = {}
    habit = not sequences
    for sequence in sequences:
        habit |= sequence.class_names is None
        names |= sequence.class_names or {}
    return replace(
        dataset, class_names={**(dataset.class_names if habit else own_names(dataset)), **names}
    )


def parse_class_names(text: str) -> dict[int, str]:
    """Return {number: name} from `1=cell,2=nucleus`, or from a file of such lines.

    Raises:
        ValueError: no such pairs, or a number or a name twice.
    """
    names: dict[int, str] = {}
    for part in text.replace("\n", ",").split(","):
        if not part.strip():
            continue
        number, equals, name = (piece.strip() for piece in part.partition("="))
        if not (equals and name and number.isdigit() and 0 < int(number) <= MAX_CLASS):
            rule = f"class names must be NUMBER=NAME with numbers in 1..{MAX_CLASS}"
            raise ValueError(f"{rule}, got {part.strip()!r}")
        if int(number) in names or name in names.values():
            raise ValueError(f"class names must differ, got {part.strip()!r} again")
        names[int(number)] = name
    if not names:
        raise ValueError(f"class names must be NUMBER=NAME, got {text!r}")
    return names
