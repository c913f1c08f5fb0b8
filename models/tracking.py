"""What every tracker is: frames in, identities out at once and at the end; and their registry."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, ClassVar, TypeVar

import numpy as np
import numpy.typing as npt

from utils.config import ByClass, limits_of

Array = npt.NDArray[Any]
Final = tuple[Array, Array]  # (n,) rows and (n,) ids

# Columns of a Frame that cost something, made only for trackers that read them.
EMBEDDINGS, VECTORS, COLOURS, MASKS, CELLS, BOXES, IDS = (
    "embeddings",  # (k, F) float, z_i of the DHAE
    "vectors",  # (k, .) float, TrackR-CNN's of the file, else the embeddings
    "colours",  # (k, C) float, see `utils.colours`
    "rles",  # (k,) bytes, masks as COCO-compressed run lengths
    "cells",  # (k,) uint64, see `utils.mask_cells`
    "boxes_xywh",  # (k, 4) float px
    "ids",  # (k,) int identities that came with the file
)
# Where each tracker is; a module is loaded when its tracker is asked for.
MODULES = {
    "paper": "models.usc_mots.tracker",
    "authors": "models.usc_mots.tracker",
    "best": "models.best.tracker",
    "mask_iou": "models.baselines.mask_iou",
    "given": "models.baselines.given",
    "trackrcnn": "models.trackrcnn.association",
    "motsnet": "models.motsnet.association",
    "pixel_embeddings": "models.pixel_embeddings.association",
}


@dataclass(frozen=True)
class Frame:
    """The k detections of one frame, in canonical order. Read only, its arrays, too.

    Attributes:
        number: frame number, counted in steps of the video.
        rows: (k,) int, what the caller calls these detections; returned with their ids.
        classes: (k,) int.
        scores: (k,) float, confidences c_i.
        size: (height, width) of the frame in pixels.
        columns: {name: (k, ...)}, what the tracker `needs`, and of what it `uses` all there is.
    """

    number: int
    rows: Array
    classes: Array
    scores: Array
    size: tuple[int, int] = (0, 0)
    columns: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Lock the arrays: what a tracker knows of a frame lives in the tracker."""
        given: dict[str, Any] = dict(self.columns)
        for name in ("rows", "classes", "scores"):
            object.__setattr__(self, name, locked(getattr(self, name)))
        columns = {
            n: locked(v) if isinstance(v, np.ndarray) else tuple(v) for n, v in given.items()
        }
        object.__setattr__(self, "columns", columns)

    def __len__(self) -> int:
        return len(self.rows)

    def part(self, chosen: Array) -> Frame:
        """Return the frame with some of its detections only; chosen: (k,) bool."""
        rows = np.flatnonzero(chosen).tolist()
        columns = {
            name: values[rows] if isinstance(values, np.ndarray) else [values[i] for i in rows]
            for name, values in self.columns.items()
        }
        chosen_rows = self.rows[rows], self.classes[rows], self.scores[rows]
        return Frame(self.number, *chosen_rows, self.size, columns)

    def __getitem__(self, column: str) -> Any:
        """Return a column.

        Raises:
            ValueError: the frame has none of that name.
        """
        if column not in self.columns:
            raise ValueError(f"frame {self.number} must have the column {column}, got none")
        return self.columns[column]


def locked(values: Any) -> Array:
    """Return an array that cannot be written to: itself, or a view."""
    if isinstance(values, np.ndarray) and not values.flags.writeable:
        return values
    view = np.asarray(values).view()
    view.flags.writeable = False
    return view


def typed(values: Array, kind: type) -> Array:
    """Return a locked array as compiled functions take it, a copy where it is of another kind."""
    if values.dtype == kind and values.flags.c_contiguous and not values.flags.writeable:
        return values
    return locked(np.array(values, kind, order="C"))


class Tracker(ABC):
    """Gives detections identities, one frame at a time.

    Attributes:
        name: in the registry. meaning: one line for --list. settings: its dataclass.
        in_front: who gets a pixel of masks with equal scores, see `utils.results.make_disjoint`.
        needs: columns without which it cannot run; uses: those it reads where they are.
        own_vectors: whether its vectors must be the file's own, and embeddings are none.
        report: Counter of what happened.
    """

    name: ClassVar[str]
    meaning: ClassVar[str]
    settings: ClassVar[type]
    in_front: ClassVar[bool] = True
    own_vectors: ClassVar[bool] = False
    needs: tuple[str, ...] = ()
    uses: tuple[str, ...] = ()

    def __init__(self) -> None:
        self.report: Counter[str] = Counter()
        self._last: int | None = None

    def _follow(self, frame: Frame) -> None:
        """Refuse frames out of order.

        Raises:
            ValueError: the frame's number is not above the last one's.
        """
        if self._last is not None and frame.number <= self._last:
            raise ValueError(f"frames must ascend: got frame {frame.number} after {self._last}")
        self._last = frame.number

    @abstractmethod
    def update(self, frame: Frame) -> Array:
        """Take the next frame; frames without detections may be left out.

        Returns:
            (k,) int64, the identity of each detection as far as it is known now, 0 for none yet. An
            identity is never given to another object later. `flush` may still take one back, or
            give one to a detection that has none now.

        Raises:
            ValueError: frame numbers out of order, or a column is missing.
        """

    @abstractmethod
    def flush(self) -> Final:
        """Return the rows that have an identity, and which for good; forget the sequence."""


class Ledger:
    """The detections of a sequence that a tracker put into tracks, until the tracks are judged."""

    def __init__(self) -> None:
        self._parts: list[tuple[Array, ...]] = []

    def add(self, rows: Array, ids: Array, *columns: Array) -> None:
        """Note (k,) rows, their ids (0 for none) and further columns."""
        self._parts.append((rows, ids, *columns))

    def close(self) -> tuple[Array, ...]:
        """Return all columns of the rows that have an id, and forget them."""
        parts, self._parts = self._parts, []
        if not parts:
            return tuple(np.zeros(0, np.int64) for _ in range(4))
        columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
        return tuple(column[columns[1] > 0] for column in columns)

    def written(self, least: ByClass, report: Counter[str]) -> Final:
        """Close it; return what is in tracks of enough detections, and count others as `short`."""
        rows, ids, classes, *_ = self.close()
        enough = long_enough(ids, classes, least)
        report["short"] += int((~enough).sum())
        return rows[enough], ids[enough]


def long_enough(ids: Array, classes: Array, limits: ByClass) -> npt.NDArray[np.bool_]:
    """Return (n,) bool: whether a detection's track has as many detections as its class needs.

    Args:
        ids: (n,) int, above 0. classes: (n,) int. limits: {class: least detections}.
    """
    lengths = np.bincount(ids)[ids] if len(ids) else np.zeros(0)
    enough: npt.NDArray[np.bool_] = lengths >= limits_of(classes, limits)
    return enough


TRACKERS: dict[str, type[Tracker]] = {}
Registered = TypeVar("Registered", bound=type[Tracker])


def register(tracker: Registered) -> Registered:
    """Enter a Tracker class into the registry under its name."""
    TRACKERS[tracker.name] = tracker
    return tracker


def trackers() -> dict[str, type[Tracker]]:
    """Return {name: Tracker class} of every tracker there is."""
    return {name: tracker_class(name) for name in MODULES}


def tracker_class(name: str) -> type[Tracker]:
    """Return the Tracker class of that name in the registry.

    Raises:
        ValueError: no such tracker.
    """
    if name not in TRACKERS and name in MODULES:
        import_module(MODULES[name])
    if name not in TRACKERS:
        raise ValueError(f"tracker must be one of {', '.join(MODULES)}, got {name!r}")
    return TRACKERS[name]


def make_tracker(name: str, config: Any = None) -> Tracker:
    """Return a tracker by its name in the registry.

    Args:
        name: see `trackers`.
        config: an object of the class' `settings`; None takes its defaults.

    Raises:
        ValueError: no such tracker.
    """
    kind: Any = tracker_class(name)
    tracker: Tracker = kind(kind.settings() if config is None else config)
    return tracker


def describe_trackers() -> str:
    """Return every tracker with its settings, their defaults and meanings, as text."""
    lines = []
    for name, tracker in trackers().items():
        lines += [f"{name}: {tracker.meaning}"]
        for f in dataclasses.fields(tracker.settings):
            default = getattr(tracker.settings(), f.name)
            kind = str(f.type).replace("ByClass", "by class")
            lines.append(f"    {f.name} = {default}  ({kind}) {f.metadata['meaning']}")
    return "\n".join(lines)
