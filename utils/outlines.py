"""The outline of a mask as one polygon along pixel borders, which draws to the very same pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Point = tuple[int, int]  # x and y of a pixel's corner


def loops(mask: Array) -> list[list[Point]]:
    """Return the borders of a (height, width) mask of 0 and 1, outer ones and those of holes.

    Each is a closed walk along pixel borders with the mask on its right, corners only.
    """
    padded = np.pad(mask.astype(bool), 1)
    inside = padded[1:-1, 1:-1]
    following: dict[Point, list[Point]] = {}
    sides = (
        (inside & ~padded[:-2, 1:-1], (0, 0), (1, 0)),  # above it nothing: walk right
        (inside & ~padded[1:-1, 2:], (1, 0), (1, 1)),  # walk down
        (inside & ~padded[2:, 1:-1], (1, 1), (0, 1)),  # walk left
        (inside & ~padded[1:-1, :-2], (0, 1), (0, 0)),  # walk up
    )
    for edge, (ax, ay), (bx, by) in sides:
        for y, x in np.argwhere(edge).tolist():
            following.setdefault((x + ax, y + ay), []).append((x + bx, y + by))
    outlines = []
    while following:
        start = min(following)
        walk, at = [start], start
        while True:
            ways = following[at]
            to = ways.pop(_sharpest(walk, at, ways))
            if not ways:
                del following[at]
            if to == start:
                break
            walk.append(to)
            at = to
        outlines.append(_corners(walk))
    return outlines


def _sharpest(walk: list[Point], at: Point, ways: list[Point]) -> int:
    """Return which way to go where two pixels touch at a corner: to the right, along one pixel."""
    if len(ways) == 1 or len(walk) < 2:
        return 0
    dx, dy = at[0] - walk[-2][0], at[1] - walk[-2][1]
    right = (at[0] - dy, at[1] + dx)
    return ways.index(right) if right in ways else 0


def _corners(walk: list[Point]) -> list[Point]:
    """Return a closed walk without the points at which it goes straight on."""
    points = np.array(walk)
    before, after = points - np.roll(points, 1, axis=0), np.roll(points, -1, axis=0) - points
    turns = (before * after).sum(axis=1) == 0
    return [(int(x), int(y)) for x, y in points[turns]]


def one_polygon(mask: Array) -> list[float]:
    """Return x1 y1 x2 y2 ... of a mask as one polygon, [] for an empty one.

    Parts and holes hang together by cuts without width, walked forth and back, which fill nothing.

    Args:
        mask: (height, width) of 0 and 1.
    """
    outlines = loops(mask)
    if not outlines:
        return []
    anchor = outlines[0][0]
    path = [*outlines[0], anchor] if len(outlines) > 1 else outlines[0]
    for loop in outlines[1:]:
        path = [*path, *loop, loop[0], anchor]
    return [float(v) for point in path for v in point]
