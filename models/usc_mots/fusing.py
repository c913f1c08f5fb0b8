"""What every runtime does with boxes before the DHAE's head, and asks of its inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def check_inputs(config: Mapping[str, Any], patches: Array, boxes: Array) -> None:
    """Refuse inputs of `DHAE.encode` that do not fit the network.

    Raises:
        ValueError: shapes that do not fit.
    """
    side, channels = config["patch_size"], config["channels"]
    expected = (len(patches), side, side, channels), (len(patches), 4)
    if (patches.shape, boxes.shape) != expected:
        raise ValueError(
            f"patches and boxes must have shapes {expected[0]} and {expected[1]}. "
            f"Received: patches.shape={patches.shape}, boxes.shape={boxes.shape}"
        )


def gained(
    config: Mapping[str, Any],
    boxes: Array,
    location_gain: float | None = None,
    latent_scale: float | None = None,
    location_centre: Sequence[float] | None = None,
) -> tuple[npt.NDArray[np.float32], float]:
    """Return (n, 4) float32 boxes moved off their centre by the gain, and the scale of Z.

    Args:
        config: the network's arguments. boxes: (n, 4). location_gain, latent_scale,
            location_centre: replace those stored with the weights; None keeps them.
    """
    gain = config["location_gain"] if location_gain is None else location_gain
    scale = config["latent_scale"] if latent_scale is None else latent_scale
    centre = location_centre or config["location_centre"] or config["box_mean"]
    middle = np.array(centre, np.float32)
    moved = middle + np.float32(gain) * (np.asarray(boxes, np.float32) - middle)
    return moved, float(scale)
