"""The live tracks of the preset `best`: one table, a row per track, a column per fact."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


class ClassNumbers:
    """The classes of a video, numbered through as they first come: rows of small tables.

    Attributes:
        names: the classes, by number.
    """

    def __init__(self) -> None:
        self.names: list[int] = []
        self._sorted, self._numbers = (np.zeros(0, np.int64) for _ in range(2))

    def of(self, classes: Array) -> Array:
        """Return (k,) int64, the number of each class."""
        for cls in sorted(set(classes.tolist()) - set(self.names)):
            place = np.searchsorted(self._sorted, cls)
            self._sorted = np.insert(self._sorted, place, cls)
            self._numbers = np.insert(self._numbers, place, len(self.names))
            self.names.append(cls)
        found: Array = self._numbers[np.searchsorted(self._sorted, classes)]
        return found


class TrackTable:
    """Columns of one length, appended, kept and updated together.

    A column that is forgotten, unknown or of another length is an error, so that no two columns
    ever speak of different tracks.

    Args:
        columns: {name: empty array of the column's dtype and row shape}.

    Example:
        >>> table = TrackTable(ids=np.zeros(0, int), centres=np.zeros((0, 2)))
        >>> table.append(ids=[7], centres=[[1.0, 2.0]])
        >>> table["ids"]
        array([7])
    """

    def __init__(self, **columns: Array) -> None:
        self._columns = dict(columns)
        self._size = 0
        self._check("start with", {name: len(values) for name, values in columns.items()}, 0)

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, name: str) -> Array:
        """Return a column, (m, ...); row k is track k."""
        return self._columns[name]

    def _check(self, what: str, lengths: dict[str, int], expected: int) -> None:
        if lengths.keys() != self._columns.keys():
            missing = sorted(self._columns.keys() ^ lengths.keys())
            raise ValueError(f"{what} must name every column once, got {missing} wrong")
        wrong = {name: length for name, length in lengths.items() if length != expected}
        if wrong:
            raise ValueError(f"{what} must be {expected} rows in every column, got {wrong}")

    def append(self, **values: Any) -> None:
        """Append tracks; every column must be given, all of one length.

        Raises:
            ValueError: a column is missing, unknown or of another length.
        """
        first = len(next(iter(values.values()), ()))
        self._check("append", {name: len(column) for name, column in values.items()}, first)
        for name, column in values.items():
            held = self._columns[name]
            added = np.asarray(column, held.dtype).reshape(first, *held.shape[1:])
            self._columns[name] = np.concatenate([held, added])
        self._size += first

    def keep(self, rows: Array) -> None:
        """Keep the given rows of every column (bool mask or indices)."""
        for name, column in self._columns.items():
            self._columns[name] = column[rows]
        self._size = len(next(iter(self._columns.values())))

    def update(self, rows: Array, **values: Any) -> None:
        """Set the given rows of some columns.

        Raises:
            ValueError: a column that the table does not have.
        """
        unknown = values.keys() - self._columns.keys()
        if unknown:
            raise ValueError(f"update must name columns of the table, got {sorted(unknown)}")
        for name, column in values.items():
            self._columns[name][rows] = column
