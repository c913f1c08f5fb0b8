"""Exact assignment: the solver that the trackers share; metrics are theirs."""

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment


def assign_exactly(
    similarity: npt.NDArray[Any], least: float
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Assign rows to columns so that the gain above `least`, summed over pairs, is largest.

    A k-means step under the constraints of one frame is exactly this: in it, each cluster takes at
    most one detection, and none below the limit, which is a cannot-link.

    Args:
        similarity: (m, n) float; least: pairs at or below are never made.

    Returns:
        (rows, columns) of the pairs.
    """
    # What is no pair gains nothing, so that no pair is made for the sake of another.
    gain = np.maximum(similarity - least, 0.0)
    rows, columns = linear_sum_assignment(gain, maximize=True)
    paired = gain[rows, columns] > 0
    return rows[paired], columns[paired]
