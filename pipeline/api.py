"""Tracking from Python: `track` a whole sequence, or a `Tracker` frame by frame."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.live import Live
from pipeline.settings import Settings, changed, settings_for
from pipeline.stages import Pipeline
from pipeline.tracked import Tracked
from utils.class_names import named_after, own_names
from utils.cli import counted
from utils.data_sets import CUSTOM, data_set
from utils.detections import Detections
from utils.formats.base import Classes, Options, Output
from utils.formats.identified import identified
from utils.formats.objects import checked, detections_of
from utils.formats.reading import read_detections
from utils.formats.rows import Size
from utils.formats.writing import MOTS, WRITERS
from utils.frames import FrameFolder
from utils.masks import Images
from utils.score_curves import ScoreCurves

UNNAMED = "sequence"  # what a sequence from Python is called


@dataclass(frozen=True)
class Tracks:
    """A tracked sequence.

    Attributes:
        tracked: all that is known of it, see `Tracked`.
        names: {class: name}.
    """

    tracked: Tracked
    names: Mapping[int, str]

    def __repr__(self) -> str:
        ids, d = np.unique(self.ids[self.ids > 0]), self.tracked.detections
        frames = counted(len(np.unique(d.frames)), "frame")
        return f"Tracks({d.sequence!r}: {frames}, {len(d)} detections, {len(ids)} tracks)"

    @property
    def frames(self) -> npt.NDArray[np.int32]:
        """Return the (n,) frame numbers of the detections as they were given."""
        return self.tracked.detections.frames

    @cached_property
    def ids(self) -> npt.NDArray[np.int32]:
        """Return the (n,) identities of the detections as they were given, 0 for none."""
        return self.tracked.result()[0].ids

    def of_frame(self, frame: int) -> npt.NDArray[np.int32]:
        """Return the (k,) identities of a frame's detections in their order, 0 for none."""
        ids: npt.NDArray[np.int32] = self.ids[self.frames == frame]
        return ids

    def write(self, folder: Path | str, *formats: str) -> list[Path]:
        """Write the result in one or more formats (default: MOTS txt); return the paths.

        Raises:
            ValueError: an unknown format, or one that cannot hold the result.
        """
        for name in formats:
            if name not in WRITERS:
                raise ValueError(f"a format must be one of {', '.join(WRITERS)}, got {name!r}")
        result, _ = self.tracked.result()
        output = Output(result, self.names, self.tracked.detections.scored)
        paths = []
        for name in formats or (MOTS,):
            paths.append(Path(folder) / WRITERS[name].place(result.sequence))
            WRITERS[name].write(paths[-1], output)
        return paths


def track(
    source: Any,
    tracker: str = "best",
    images: Path | str | Images | None = None,
    size: Size | None = None,
    class_names: Mapping[int, str] | None = None,
    scores: Path | str | None = None,
    **changes: Any,
) -> Tracks:
    """Track one sequence.

    Args:
        source: a file or folder of any format; Detections; a label stack (T, H, W) of whole
            numbers; or one object a frame, in order, of any kind that
            `utils.formats.objects.detections_of` takes: frames are then counted from 0, and
            Detections keep their numbers.
        tracker: name in the registry.
        images: folder of the frames, or function frame -> (height, width, 3) uint8 RGB.
        scores: file of `fit_scores.py` that says what scores mean; None takes them as they are.
        size: (height, width) of the frames in px, where the source does not say it.
        class_names: {number: name}.
        changes: settings by name, as `--set` takes them (`memory=60`).

    Raises:
        ValueError: a source or setting that breaks a rule; the message says which.
    """
    classes = Classes(class_names)
    folder = Path(images) if isinstance(images, str | Path) else None
    detections = _read(source, classes, size, folder)
    settings = _settings(tracker, class_names, [detections], changes, scores)
    reader = images if callable(images) else None
    if folder is not None and len(detections):
        reader = FrameFolder.of(folder, detections)
    tracked = Pipeline(settings).track(detections, reader)
    present = np.unique(detections.classes).tolist()
    names = {c: settings.data_set.name_of(c) for c in present if c != settings.data_set.ignore}
    return Tracks(tracked, names)


def _settings(
    tracker: str,
    class_names: Mapping[int, str] | None,
    sequences: list[Detections],
    changes: Mapping[str, Any],
    scores: Path | str | None = None,
) -> Settings:
    """Return the settings for any masks, with the names that the user and the source bring."""
    dataset = data_set(CUSTOM)
    if class_names:
        dataset = replace(dataset, class_names={**own_names(dataset), **class_names})
    settings = settings_for(named_after(dataset, sequences), tracker)
    curves = None if scores is None else ScoreCurves.read(Path(scores))
    return changed(
        replace(settings, curves=curves), [f"{name}={value}" for name, value in changes.items()]
    )


def _read(source: Any, classes: Classes, size: Size | None, images: Path | None) -> Detections:
    """Return the Detections of whatever a sequence is given as."""
    if isinstance(source, Detections):
        return checked(source)
    if isinstance(source, str | Path):
        return read_detections(source, options=Options(size, images, True, classes))
    if hasattr(source, "ndim") and source.ndim == 2:
        raise ValueError("a sequence must have frames, got one label image (wrap it in a list)")
    if not isinstance(source, Iterable) or isinstance(source, Mapping):
        raise ValueError(f"a sequence must have frames, got {type(source).__name__}")
    first: Detections | None = None
    parts = []
    for number, frame in enumerate(source):
        part = detections_of(frame, number, size or (first.size if first else None), classes)
        if len(part):
            first = first or part
            parts.append(part)
    return _joined(parts)


def _joined(parts: list[Detections]) -> Detections:
    """Return the frames of a sequence as one."""
    if not parts:
        return Detections.empty(UNNAMED)
    for part in parts[1:]:
        if part.size != parts[0].size:
            was, now = parts[0].size, part.size
            rule = f"frame size must be {was[0]} {was[1]} (height width) in every frame"
            raise ValueError(f"frame {part.frames[0]}: {rule}, got {now[0]} {now[1]}")
    names = {c: n for part in parts for c, n in (part.class_names or {}).items()}
    return replace(Detections.joined(parts), sequence=UNNAMED, class_names=names)


class Tracker:
    """Tracks a video frame by frame: identities at once, and their last word at the end.

    Memory holds the tracks that may go on, and one identity for each detection.

    Args:
        tracker: name in the registry. class_names: {number: name}.
        scores: file of `fit_scores.py`, or None. changes: settings by name.

    Raises:
        ValueError: no such tracker, setting or file.

    Example:
        >>> tracker = Tracker()
        >>> for image in video:
        ...     tracked = tracker.update(model(image), image)  # with tracker_id, boxes.id or ids
        >>> final = tracker.flush()  # {frame: ids}
    """

    def __init__(
        self,
        tracker: str = "best",
        class_names: Mapping[int, str] | None = None,
        scores: Path | str | None = None,
        **changes: Any,
    ) -> None:
        self._classes = Classes(class_names)
        dataset = Detections.empty("")
        named = replace(dataset, class_names=dict(class_names or {}))
        self._live = Live(Pipeline(_settings(tracker, class_names, [named], changes, scores)))
        self._lengths: dict[int, int] = {}  # by frame
        self._next = 0
        self._size: Size | None = None

    def update(self, source: Any, image: Any = None, frame: int | None = None) -> Any:
        """Take the next frame's masks; return them with the identities that are known now.

        An identity is 0 until the tracker believes in the object. It is never given to another
        object later.

        Returns:
            `supervision.Detections` with `tracker_id`, Ultralytics' results with `boxes.id`, a dict
            of masks with `ids`; for anything else the (k,) int32 identities, see `identified`.

        Args:
            source: of any kind that `utils.formats.objects.detections_of` takes.
            image: (height, width, 3) uint8 RGB, for trackers that look at it, or None.
            frame: its number, ascending; None counts.

        Raises:
            ValueError: masks or a number that break a rule; the message says which.
        """
        number = self._next if frame is None else frame
        size = self._size if image is None else tuple(np.shape(image)[:2])
        detections = detections_of(source, number, size, self._classes)
        if len(detections):
            self._size = detections.size
        ids = self._live.update(number, detections, image)
        self._lengths[number], self._next = len(detections), number + 1
        return identified(source, ids)

    def flush(self) -> dict[int, npt.NDArray[np.int32]]:
        """Return {frame: (k,) final identities} of all frames, in the order of `update`.

        The tracker then forgets them: the next frame begins a new video, with ids from 1 again.

        What later frames showed may have changed an identity from 0, or to 0: of a track that was
        too short, or that turned out to be no object.
        """
        ids, lengths = self._live.flush(), self._lengths
        self._lengths, self._next = {}, 0
        if not lengths:
            return {}
        ends = np.cumsum([*lengths.values()])
        return dict(zip(lengths, np.split(ids, ends[:-1]), strict=True))
