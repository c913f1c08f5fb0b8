"""The overlap of masks, compiled; see `utils.masks.touching`."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from utils.compiling import loop

Array = npt.NDArray[Any]


@loop("b1[:,::1](i8[::1], i8[::1], i8)")
def touching(runs: Array, offsets: Array, a: int) -> Array:
    """Return (a, n - a) bool: which of the first `a` masks share a pixel with the others.

    Args:
        runs, offsets: of n masks, see `utils.masks.decode_runs`.
    """
    n = len(offsets) - 1
    ends = np.empty(len(runs), np.int64)
    for i in range(n):
        total = 0
        for k in range(offsets[i], offsets[i + 1]):
            total += runs[k]
            ends[k] = total
    found = np.zeros((a, n - a), np.bool_)
    for i in range(a):
        for j in range(a, n):
            # Foreground reaches from the end of each even run to that of the odd one after it.
            p, q = offsets[i], offsets[j]
            while p + 1 < offsets[i + 1] and q + 1 < offsets[j + 1]:
                if ends[p + 1] <= ends[q]:
                    p += 2
                elif ends[q + 1] <= ends[p]:
                    q += 2
                elif ends[p] == ends[p + 1]:
                    p += 2  # a run of length zero
                elif ends[q] == ends[q + 1]:
                    q += 2
                else:
                    found[i, j - a] = True
                    break
    return found
