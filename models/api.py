"""Tracking from Python: `track` a whole sequence, or a `Tracker` frame by frame."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from models.live import Final, Live
from models.pipeline import Pipeline, Tracked
from models.settings import Settings, changed, settings_for
from utils.data_sets import CUSTOM, data_set, named_after, own_names
from utils.detections import Detections
from utils.formats.base import Classes, Options, Output
from utils.formats.objects import detections_of
from utils.formats.registry import read_detections
from utils.formats.rows import Size
from utils.formats.writing import MOTS, WRITERS
from utils.frames import FrameFolder
from utils.masks import Images

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

    @property
    def frames(self) -> npt.NDArray[np.int32]:
        """Return the (n,) frame numbers of the detections as they were given."""
        return self.tracked.detections.frames

    @property
    def ids(self) -> npt.NDArray[np.int32]:
        """Return the (n,) identities of the detections as they were given, 0 for none."""
        return self.tracked.result()[0].ids

    def of_frame(self, frame: int) -> npt.NDArray[np.int32]:
        """Return the (k,) identities of a frame's detections in their order, 0 for none."""
        return self.ids[self.frames == frame]

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
    **changes: Any,
) -> Tracks:
    """Track one sequence.

    Args:
        source: a file or folder of any format; Detections; a label stack (T, H, W) of whole
            numbers; or one object a frame, in order, of any kind that
            `utils.formats.objects.detections_of` takes: frames are then counted from 0.
        tracker: name in the registry.
        images: folder of the frames, or function frame -> (height, width, 3) uint8 RGB.
        size: (height, width) of the frames in px, where the source does not say it.
        class_names: {number: name}.
        changes: settings by name, as `--set` takes them (`memory=60`).

    Raises:
        ValueError: a source or setting that breaks a rule; the message says which.
    """
    classes = Classes(class_names)
    folder = Path(images) if isinstance(images, str | Path) else None
    detections = _read(source, classes, size, folder)
    settings = _settings(tracker, class_names, [detections], changes)
    reader = images if callable(images) else None
    if folder is not None and len(detections):
        reader = FrameFolder(folder, detections.sequence, detections.size)
    tracked = Pipeline(settings).track(detections, reader)
    present = np.unique(detections.classes).tolist()
    names = {c: settings.data_set.name_of(c) for c in present if c != settings.data_set.ignore}
    return Tracks(tracked, names)


def _settings(
    tracker: str,
    class_names: Mapping[int, str] | None,
    sequences: list[Detections],
    changes: Mapping[str, Any],
) -> Settings:
    """Return the settings for any masks, with the names that the user and the source bring."""
    of = data_set(CUSTOM)
    if class_names:
        of = replace(of, class_names={**own_names(of), **class_names})
    settings = settings_for(named_after(of, sequences), tracker)
    return changed(settings, [f"{name}={value}" for name, value in changes.items()])


def _read(source: Any, classes: Classes, size: Size | None, images: Path | None) -> Detections:
    """Return the Detections of whatever a sequence is given as."""
    if isinstance(source, Detections):
        return source
    if isinstance(source, str | Path):
        return read_detections(source, options=Options(size, images, True, classes))
    if hasattr(source, "ndim") and source.ndim == 2:
        raise ValueError("a sequence must have frames, got one label image (wrap it in a list)")
    if not isinstance(source, Iterable) or isinstance(source, Mapping):
        raise ValueError(f"a sequence must have frames, got {type(source).__name__}")
    found: Detections | None = None
    parts = []
    for number, frame in enumerate(source):
        part = detections_of(frame, number, size or (found.size if found else None), classes)
        if len(part):
            found = found or part
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
    columns = ("frames", "classes", "scores", "boxes_xywh", "rles", "ids")
    joined: dict[str, Any] = {
        name: np.concatenate([getattr(p, name) for p in parts]) for name in columns
    }
    joined["class_names"] = {c: n for part in parts for c, n in (part.class_names or {}).items()}
    joined["scored"] = any(part.scored for part in parts)
    return replace(parts[0], sequence=UNNAMED, **joined)


class Tracker:
    """Tracks a video frame by frame; memory holds the frames that are not final, no more.

    A frame comes back, in order, once it is certain who is who in it: `best` waits until a track
    has shown that it is an object, for 30 frames at most after the first seconds.

    Args:
        tracker: name in the registry. class_names: {number: name}. changes: settings by name.

    Raises:
        ValueError: no such tracker or setting.

    Example:
        >>> tracker = Tracker()
        >>> for image in video:
        ...     for done in tracker.update(model(image), image):
        ...         print(done.frame, done.ids)
        >>> for done in tracker.flush():
        ...     print(done.frame, done.ids)
    """

    def __init__(
        self,
        tracker: str = "best",
        class_names: Mapping[int, str] | None = None,
        **changes: Any,
    ) -> None:
        self._classes = Classes(class_names)
        of = Detections.empty("")
        named = replace(of, class_names=dict(class_names or {}))
        self._live = Live(Pipeline(_settings(tracker, class_names, [named], changes)))
        self._next = 0
        self._size: Size | None = None

    def update(self, source: Any, image: Any = None, frame: int | None = None) -> list[Final]:
        """Take the next frame's masks; return the frames that are final by now, in order.

        Args:
            source: of any kind that `utils.formats.objects.detections_of` takes.
            image: (height, width, 3) uint8 RGB, for colours, or None. It is given back.
            frame: its number, ascending; None counts.

        Raises:
            ValueError: masks or a number that break a rule; the message says which.
        """
        number = self._next if frame is None else frame
        size = self._size if image is None else tuple(np.shape(image)[:2])
        found = detections_of(source, number, size, self._classes)
        self._next = number + 1
        if not len(found):
            return self._live.empty(number, size or (0, 0), image)
        self._size = found.size
        return self._live.update(found, image)

    def flush(self) -> list[Final]:
        """Return the frames that are left, at the end of the video."""
        return self._live.flush()
