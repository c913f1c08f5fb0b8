"""Cells that divide: which tracks are two daughters, and of which mother.

A division is seen in what tracking made of it: a track begins beside another one that has lost half
of its area, or two begin where one has just ended. Two objects that touched and part look alike, so
that this is for cells alone (`--divisions`).
"""

from __future__ import annotations

from dataclasses import replace
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


class Cells:
    """The detections of a sequence as divisions are looked for in them.

    Args:
        result: n Detections with final ids, 0 for none. step: frame numbers from frame to frame.
    """

    def __init__(self, result: Detections, step: int) -> None:
        boxes = tight_boxes_xywh(result.rles, *result.size)
        self.frames, self.classes, self.reach = result.frames, result.classes, WITHIN * step
        self.areas = areas_of(result.rles, result.height * result.width).astype(float)
        self.centres = boxes[:, :2] + boxes[:, 2:] / 2
        self.diagonals = np.maximum(np.linalg.norm(boxes[:, 2:], axis=1), 1.0)
        order = np.lexsort((result.frames, result.ids))
        order = order[result.ids[order] > 0]
        starts = np.flatnonzero(np.diff(result.ids[order], prepend=0))
        self.tracks: list[Array] = np.split(order, starts[1:]) if len(order) else []

    def cost(self, mother: int, first: int, second: int) -> float | None:
        """Return 0 where two daughters are around their mother, each half of her; None if not fit.

        Args:
            mother: row of her last detection. first, second: rows of the daughters' first ones.
        """
        rows = [first, second]
        shares = self.areas[rows] / self.areas[mother]
        sides = (self.centres[rows] - self.centres[mother]) / self.diagonals[mother]
        middle, both = float(np.linalg.norm(sides.mean(axis=0))), float(shares.sum())
        near = (np.linalg.norm(sides, axis=1) <= NEAR).all() and middle <= BETWEEN
        half = (shares >= HALF[0]).all() and (shares <= HALF[1]).all()
        if not (near and half and BOTH[0] <= both <= BOTH[1]):
            return None
        return middle + abs(both - 1)

    def divisions(self) -> list[tuple[float, int, int, int]]:
        """Return (cost, mother, first, second) of all that may be divisions, the likely first."""
        opening = min((int(self.frames[rows[0]]) for rows in self.tracks), default=0)
        news = [int(rows[0]) for rows in self.tracks if self.frames[rows[0]] > opening]
        found = []
        for new in news:
            for rows in self.tracks:
                if rows[0] == new or self.classes[rows[0]] != self.classes[new]:
                    continue
                at = int(np.searchsorted(self.frames[rows], self.frames[new]))
                if not at or self.frames[new] - self.frames[rows[at - 1]] > self.reach:
                    continue
                mother = int(rows[at - 1])
                for other in self._others(rows, at, new, news):
                    cost = self.cost(mother, new, other)
                    if cost is not None:
                        found.append((cost, mother, new, other))
        return sorted(found)

    def _others(self, rows: Array, at: int, new: int, news: list[int]) -> list[int]:
        """Return rows that may be the other daughter: where the mother's track goes on, or new."""
        after = self.frames[rows[at - 1]]
        if at < len(rows):
            return [int(rows[at])] if self.frames[rows[at]] - after <= self.reach else []
        return [
            other
            for other in news
            if other > new
            and 0 < self.frames[other] - after <= self.reach
            and self.classes[other] == self.classes[new]
        ]


def divided(result: Detections, step: int = 1) -> Detections:
    """Return a result in which mothers end where they divide, with {daughter: mother} as `parents`.

    A track that goes on as one of its daughters gets a new identity from there on.

    Args:
        result: n Detections with final ids, 0 for none. step: frame numbers from frame to frame.
    """
    editing = Editing(result.frames, result.ids, result.classes)
    parents: dict[int, int] = {}
    taken: set[int] = set()
    for _, last, first, second in Cells(result, step).divisions():
        if {last, first, second} & taken:
            continue
        taken |= {last, first, second}
        mother = int(editing.ids[last])
        for row in (first, second):
            if editing.ids[row] == mother:
                edit = {"op": "split", "track": mother, "frame": int(result.frames[row])}
                editing.apply(edit)
        parents |= {int(editing.ids[row]): mother for row in (first, second)}
    ids = editing.ids.astype(np.int32)
    return replace(result, ids=ids, parents=parents)
