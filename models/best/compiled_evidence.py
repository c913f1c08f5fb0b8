"""What descriptors of tracks and detections say, compiled; see `models.best.evidence`."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from utils.compiling import loop

Array = npt.NDArray[Any]


@loop()
def _apart(first: Array, second: Array) -> float:
    total = np.float32(0)
    for k in range(len(first)):
        difference = first[k] - second[k]
        total += difference * difference
    return float(np.sqrt(total))


@loop()
def _observe(moments: Array, lag: int, distance: float) -> None:
    root = np.sqrt(lag)
    moments[0] += 1
    moments[1] += root
    moments[2] += lag
    moments[3] += distance
    moments[4] += root * distance
    moments[5] += distance * distance


@loop()
def _learn(past: Array, since: int, taken: Array, number: int, moments: Array) -> None:
    """Add how far a detection is from the past of a track."""
    _observe(moments, number - since, _apart(past, taken))


@loop(
    "void(f4[:,::1], i8[::1], f4[:,::1], i8[::1], i8[::1], i8[::1], i8[::1], i8, f4[:,::1], "
    "i8[::1], i8, i8, f8, f8[:,:,::1])"
)
def blend(
    mean: Array, counts: Array, anchor: Array, held: Array, last: Array, classes: Array,
    rows: Array, number: int, descriptors: Array, near: Array, known: int, every: int,
    newest: float, moments: Array,
) -> None:  # fmt: skip
    """Do what `Evidence.update` does, in the columns themselves.

    Args:
        mean, anchor: (m, F); counts, held, last, classes: (m,), last the frames of `mean`; rows:
        (k,) tracks; descriptors: (k, F) of what they took; near: (k,) see `nearest`; known: KNOWN;
        every: ANCHOR; newest: least share of a new detection; moments: (C, 2, 6).
    """
    for k in range(len(rows)):
        row = rows[k]
        if counts[row] > known:
            mine = moments[classes[row]]
            _learn(mean[row], last[row], descriptors[k], number, mine[0])
            _learn(anchor[row], held[row], descriptors[k], number, mine[0])
            if near[k] >= 0:
                _learn(mean[row], last[row], descriptors[near[k]], number, mine[1])
                _learn(anchor[row], held[row], descriptors[near[k]], number, mine[1])
    for k in range(len(rows)):
        row = rows[k]
        counts[row] += 1
        share = np.float32(max(newest, 1 / counts[row]))
        for f in range(mean.shape[1]):
            mean[row, f] += share * (descriptors[k, f] - mean[row, f])
        if counts[row] % every == 0:
            anchor[row], held[row] = mean[row], number


@loop()
def _line(moments: Array, singular: float) -> tuple[float, float, float]:
    """Return base, slope and variance of `evidence._fitted`."""
    n, root, lag, far, product, square = moments
    determinant, trace = n * lag - root * root, max(n + lag, 1.0)
    if determinant > singular * trace**2:
        base = (lag * far - root * product) / determinant
        slope = (n * product - root * far) / determinant
    else:
        base = (n * far + root * product) / trace**2
        slope = (root * far + lag * product) / trace**2
    left = square - base * (2 * far - n * base - root * slope)
    left -= slope * (2 * product - root * base - lag * slope)
    return base, slope, max(left, 0.0) / max(n, 1.0)


@loop(
    "f8[::1](f4[:,::1], i8[::1], i8[::1], i8[::1], i8, f4[:,::1], i8[::1], f8[:,:,::1], f8, f8, f8)"
)
def log_ratio(
    mean: Array, last: Array, classes: Array, rows: Array, number: int, descriptors: Array,
    taken: Array, moments: Array, pairs: float, limit: float, singular: float,
) -> Array:  # fmt: skip
    """Return what `Evidence.log_ratio` does; last: (m,) frames; pairs: PAIRS; limit: LIMIT."""
    lines, spread = np.empty((len(moments), 2, 2)), np.full(len(moments), 1e-9)
    for c in range(len(moments)):
        for kind in range(2):
            base, slope, variance = _line(moments[c, kind], singular)
            lines[c, kind, 0], lines[c, kind, 1] = base, slope
            spread[c] = max(spread[c], variance)
    found = np.zeros(len(rows))
    for p in range(len(rows)):
        row = rows[p]
        c = classes[row]
        if moments[c, 0, 0] < pairs or moments[c, 1, 0] < pairs:
            continue
        root = np.sqrt(number - last[row])
        same = lines[c, 0, 0] + lines[c, 0, 1] * root
        other = lines[c, 1, 0] + lines[c, 1, 1] * root
        distance = _apart(mean[row], descriptors[taken[p]])
        ratio = max(other - same, 0.0) / spread[c] * ((same + other) / 2 - distance)
        found[p] = min(max(ratio, -limit), limit)
    return found
