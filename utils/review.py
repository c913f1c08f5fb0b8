"""What is worth a look in tracks: where identities switched, or may have; who was there when."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco_mask

from utils.boxes import overlapping_pairs, paired_iou
from utils.detections import Detections
from utils.looks import Look
from utils.masks import tight_boxes_xywh
from utils.mots_metrics import MATCH_IOU
from utils.page.rows import PackedRows

Array = npt.NDArray[Any]
Image = npt.NDArray[np.uint8]

THUMB = 160  # px of the longer side of a track's picture
GROWN = 2.0  # times the area of the box in a track's picture, from which another is better
MOST = 200  # events shown of a sequence
GAP = 30  # steps in which a track may go on under another identity
NEAR = 1.5  # diagonals of its box, from where it was
ALIKE = 0.5  # change of log width and height together
JUMP = 1.0  # diagonals of a box that an object moves in a step beyond what the frame does
RIVAL = 0.3  # IoU of where a track was with another's box from which that is a rival
KINDS = {
    "switch": "a true object changes its identity",
    "gap": "a track ends, and another like it begins nearby a short while later",
    "jump": "a track moves farther in a frame than its size",
    "rival": "a track was where another one is now",
}


@dataclass(frozen=True)
class Event:
    """A place to look at.

    Attributes:
        kind: of KINDS. frame: number. cls: class. text: what happened. ids: of the tracks shown.
        looks: [(caption, picture (h, w, 3) uint8 RGB)]. weight: for sorting, larger first.
    """

    kind: str
    frame: int
    cls: int
    text: str
    looks: list[tuple[str, Image]]
    weight: float
    ids: tuple[int, ...] = ()


@dataclass
class Seen:
    """What is known of a track: its class, when and how it was seen last, and its best picture."""

    cls: int
    last: int
    look: Look
    box: Array
    area: float = 0.0  # px of the box in `thumb`
    thumb: Image | None = None


@dataclass(frozen=True)
class _Now:
    """The tracks of a frame: identities, classes, boxes xywh px and looks, all (k,)."""

    frame: int
    ids: list[int]
    classes: list[int]
    boxes: Array
    looks: list[Look]


@dataclass
class Review:
    """Gathers what a report shows of one sequence, frame by frame.

    Args:
        sequence: name. size: (height, width) px. step: frame numbers from frame to frame.
        names: {class: name}. truth: Detections with ids, or None.
        parents: {identity: that of its mother} of divided cells.

    Attributes:
        frames: numbers of the frames. rows: their detections, packed for the page.
        tracks: {identity: Seen}. events: those shown; found: how many there were.
    """

    sequence: str
    size: tuple[int, int]
    names: Mapping[int, str]
    step: int = 1
    truth: Detections | None = None
    parents: dict[int, int] = field(default_factory=dict)
    frames: list[int] = field(default_factory=list)
    rows: PackedRows = field(default_factory=PackedRows)
    tracks: dict[int, Seen] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    found: int = 0

    def __post_init__(self) -> None:
        self._truth = dict(self.truth.rows_by_frame()) if self.truth is not None else {}
        self._matched: dict[int, Look] = {}  # of each true object, when it was last matched
        self._gone: list[int] = []  # tracks that ended within GAP
        self._alive: list[int] = []

    def take(self, frame: int, result: Detections, image: Image | None = None) -> None:
        """Take the next frame.

        Args:
            frame: number. result: its detections as they are written.
            image: (height, width, 3) uint8 RGB; None draws on grey.
        """
        rows = np.flatnonzero(result.ids)
        self.frames.append(frame)
        boxes = tight_boxes_xywh(result.rles[rows], *self.size)
        self.rows.add(result, rows, boxes)
        ids, classes = result.ids[rows].tolist(), result.classes[rows].tolist()
        corners = boxes.astype(int).tolist()
        looks = [
            Look(i, frame, self.size, (x, y, w, h), result.rles[row], image)
            for i, row, (x, y, w, h) in zip(ids, rows.tolist(), corners, strict=True)
        ]
        now = _Now(frame, ids, classes, boxes, looks)
        if self.truth is not None:
            self._switches(now, result, rows, self.truth)
        else:
            self._begun(now)
            self._moved(now)
        self._note(now)

    def _room(self) -> bool:
        """Count an event; return whether it is to be shown."""
        self.found += 1
        return len(self.events) < MOST

    def _add(
        self, kind: str, now: _Now, cls: int, text: str, shown: list[Look], weight: float
    ) -> None:
        """Keep an event with the pictures of its looks, in their order."""
        looks = [(f"{look.identity} in frame {look.frame}", look.picture()) for look in shown]
        ids = tuple(dict.fromkeys(look.identity for look in shown))
        self.events.append(Event(kind, now.frame, cls, text, looks, weight, ids))

    def _switches(self, now: _Now, result: Detections, rows: Array, truth: Detections) -> None:
        """Find the true objects that have another identity than before."""
        there = self._truth.get(now.frame)
        if there is None or not len(rows):
            return
        there = there[truth.ids[there] > 0]
        iou = coco_mask.iou(result.coco(rows), truth.coco(there), [0] * len(there))
        iou = np.asarray(iou, float).reshape(len(rows), len(there))
        iou[result.classes[rows][:, None] != truth.classes[there]] = 0
        for k, j in np.argwhere(iou > MATCH_IOU).tolist():
            true, look = int(truth.ids[there[j]]), now.looks[k]
            before = self._matched.get(true)
            self._matched[true] = look.cut()
            if before is None or before.identity == look.identity or not self._room():
                continue
            shown = [before, look]
            known = self.tracks.get(look.identity)
            shown += [known.look] if known is not None else []
            shown += [other for other in now.looks if other.identity == before.identity]
            text = f"object {true}: track {before.identity} becomes {look.identity}"
            gap = (now.frame - before.frame) / self.step
            self._add("switch", now, now.classes[k], text, shown, gap)

    def _begun(self, now: _Now) -> None:
        """Find tracks that begin where one like them ended a short while ago."""
        gone = [*self._gone, *(i for i in self._alive if i not in set(now.ids))]
        for k, identity in enumerate(now.ids):
            if identity in self.tracks:
                continue
            centre, size = _centre(now.boxes[k]), now.boxes[k, 2:]
            candidates = []
            for old in gone:
                track = self.tracks[old]
                change = np.abs(np.log(np.maximum(size, 1) / np.maximum(track.box[2:], 1))).sum()
                far = np.linalg.norm(centre - _centre(track.box)) / _diagonal(track.box)
                gap = (now.frame - track.last) / self.step
                like = track.cls == now.classes[k] and change < ALIKE
                if like and gap <= GAP and far < NEAR:
                    candidates.append((float(far), old, round(gap)))
            if candidates and self._room():
                far, old, gap = min(candidates)
                text = f"{old} ends, and {gap} frames later {identity} begins nearby"
                shown = [self.tracks[old].look, now.looks[k]]
                self._add("gap", now, now.classes[k], text, shown, 1 / (1 + far))

    def _moved(self, now: _Now) -> None:
        """Find tracks that jump, or were where another one is now, since the last frame."""
        last = now.frame - self.step
        known = [self.tracks.get(identity) for identity in now.ids]
        pairs = [(k, t) for k, t in enumerate(known) if t is not None and t.last == last]
        if not pairs:
            return
        chosen = np.array([k for k, _ in pairs])
        was, boxes = np.array([t.box for _, t in pairs]), now.boxes[chosen]
        moved = _centre(boxes) - _centre(was)
        drift = np.median(moved, axis=0) if len(pairs) > 2 else np.zeros(2)
        far = np.linalg.norm(moved - drift, axis=1) / _diagonal(boxes)
        for i in np.flatnonzero(far > JUMP).tolist():
            k, track = pairs[i]
            if self._room():
                text = f"{now.ids[k]} moves {far[i]:.1f} of its diagonals in a frame"
                shown = [track.look, now.looks[k]]
                self._add("jump", now, now.classes[k], text, shown, float(far[i]))
        stayed = paired_iou(was, boxes)
        first, second = overlapping_pairs(was, boxes)
        shared = paired_iou(was[first], boxes[second])
        rival = (first != second) & (shared > RIVAL) & (shared > stayed[first])
        for i, j, iou in zip(
            first[rival].tolist(), second[rival].tolist(), shared[rival].tolist(), strict=True
        ):
            (k, track), (other, _) = pairs[i], pairs[j]
            if now.classes[k] == now.classes[other] and self._room():
                text = f"{now.ids[k]} was where {now.ids[other]} is now"
                shown = [track.look, now.looks[k], now.looks[other]]
                self._add("rival", now, now.classes[k], text, shown, iou)

    def _note(self, now: _Now) -> None:
        """Lengthen the tracks of a frame; forget pictures of those that ended long ago."""
        for k, identity in enumerate(now.ids):
            look, box = now.looks[k], now.boxes[k]
            track = self.tracks.setdefault(identity, Seen(now.classes[k], now.frame, look, box))
            track.last, track.look, track.box = now.frame, look, box
            area = float(box[2] * box[3])
            if track.thumb is None or area > GROWN * track.area:
                track.area, track.thumb = area, look.picture(THUMB)
        alive = set(now.ids)
        ended = dict.fromkeys([*self._gone, *(i for i in self._alive if i not in alive)])
        self._gone = []
        for identity in ended:
            track = self.tracks[identity]
            if identity in alive:
                continue
            if (now.frame - track.last) / self.step <= GAP:
                track.look = track.look.cut()
                self._gone.append(identity)
            else:
                track.look = replace(track.look, pixels=None)
        self._alive = now.ids


def _centre(boxes_xywh: Array) -> Array:
    """Return the centres (..., 2) of boxes (..., 4) in px."""
    centres: Array = boxes_xywh[..., :2] + boxes_xywh[..., 2:] / 2
    return centres


def _diagonal(boxes_xywh: Array) -> Array:
    """Return the diagonals (...) of boxes (..., 4) in px, 1 at least."""
    lengths: Array = np.maximum(np.linalg.norm(boxes_xywh[..., 2:], axis=-1), 1.0)
    return lengths
