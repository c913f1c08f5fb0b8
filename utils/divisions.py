"""Cells that divide: which tracks are two daughters, and of which mother.

A division is seen in what tracking made of it: a track begins beside another one that has lost half
of its area, or two begin where one has just ended. Two objects that touched and part look alike, so
that this is for cells alone (`--divisions`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from utils.detections import Detections
from utils.edits import Editing
from utils.masks import areas_of, tight_boxes_xywh

Array = npt.NDArray[Any]

WITHIN = 2  # steps from the mother's last frame to a daughter's first
NEAR = 1.0  # diagonals of the mother's box from her centre to a daughter's
BETWEEN = 0.5  # likewise, to the middle between the daughters
HALF = (0.25, 0.8)  # a daughter's area, in mothers'
BOTH = (0.6, 1.4)  # both daughters' areas together, likewise


@dataclass(frozen=True)
class Division:
    """A mother's last detection, and her daughters' first, all rows.

    Attributes:
        mother, first, second: rows. cost: 0 where the daughters are around her, each half of her.
    """

    mother: int
    first: int
    second: int
    cost: float


def divided(result: Detections, step: int = 1) -> Detections:
    """Return a result in which mothers end where they divide, with {daughter: mother} as `parents`.

    A track that goes on as one of its daughters gets a new identity from there on.

    Args:
        result: n Detections with final ids, 0 for none. step: frame numbers from frame to frame.
    """
    boxes = tight_boxes_xywh(result.rles, *result.size)
    areas = areas_of(result.rles, result.height * result.width).astype(float)
    found = _divisions(result.frames, result.ids, result.classes, boxes, areas, step)
    editing = Editing(result.frames, result.ids, result.classes)
    parents: dict[int, int] = {}
    taken: set[int] = set()
    for each in sorted(found, key=lambda d: (d.cost, d.first, d.second)):
        if {each.mother, each.first, each.second} & taken:
            continue
        taken |= {each.mother, each.first, each.second}
        mother = int(editing.ids[each.mother])
        for row in (each.first, each.second):
            if editing.ids[row] == mother:
                edit = {"op": "split", "track": mother, "frame": int(result.frames[row])}
                editing.apply(edit)
        # A mother that was a daughter before keeps her own mother: her rows kept their identity.
        parents |= {int(editing.ids[row]): mother for row in (each.first, each.second)}
    ids = editing.ids.astype(np.int32)
    return replace(result, ids=ids, parents=parents)


def _divisions(
    frames: Array, ids: Array, classes: Array, boxes: Array, areas: Array, step: int
) -> list[Division]:
    """Return all that may be divisions."""
    order = np.lexsort((frames, ids))
    order = order[ids[order] > 0]
    names, starts = np.unique(ids[order], return_index=True)
    tracks = dict(zip(names.tolist(), np.split(order, starts[1:]), strict=False))
    begin = {track: int(rows[0]) for track, rows in tracks.items()}
    opening = min((int(frames[row]) for row in begin.values()), default=0)
    news = [row for row in begin.values() if frames[row] > opening]
    centres = boxes[:, :2] + boxes[:, 2:] / 2
    diagonals = np.maximum(np.linalg.norm(boxes[:, 2:], axis=1), 1.0)
    reach = WITHIN * step
    found = []

    def weigh(mother: int, first: int, second: int) -> None:
        """Keep a mother's last row and two daughters' first ones, if they fit."""
        shares = areas[[first, second]] / areas[mother]
        sides = centres[[first, second]] - centres[mother]
        far = np.linalg.norm(sides, axis=1) / diagonals[mother]
        middle = float(np.linalg.norm(sides.mean(axis=0)) / diagonals[mother])
        both = float(shares.sum())
        fits = (shares >= HALF[0]).all() and (shares <= HALF[1]).all()
        fits &= BOTH[0] <= both <= BOTH[1] and (far <= NEAR).all() and middle <= BETWEEN
        if fits:
            found.append(Division(mother, first, second, middle + abs(both - 1)))

    for new in news:
        for rows in tracks.values():
            if classes[rows[0]] != classes[new] or ids[rows[0]] == ids[new]:
                continue
            at = int(np.searchsorted(frames[rows], frames[new]))
            if not at or frames[new] - frames[rows[at - 1]] > reach:
                continue
            mother = int(rows[at - 1])
            if at < len(rows):  # she goes on, as the other daughter
                if frames[rows[at]] - frames[mother] <= reach:
                    weigh(mother, new, int(rows[at]))
                continue
            for other in news:
                wait = frames[other] - frames[mother]
                if other > new and 0 < wait <= reach and classes[other] == classes[new]:
                    weigh(mother, new, other)
    return found
