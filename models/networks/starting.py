"""Training that begins with given weights: what of them is taken, class by class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from models.networks.frame_network import variables_of
from utils.formats.base import PEDESTRIAN, PERSON

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Taken:
    """What a network took of given weights.

    Attributes:
        layers: how many layers have given values.
        begun: layers that begin as new ones.
        classes: names whose weights were there; new: names that begin as new ones.
    """

    layers: int
    begun: tuple[str, ...]
    classes: tuple[str, ...]
    new: tuple[str, ...]

    def told(self) -> str:
        """Return it as a line for a user."""
        text = f"{self.layers} layers begin with given weights"
        text += f", classes {', '.join(self.classes)}" if self.classes else ""
        begun = (*self.begun, *(f"class {name}" for name in self.new))
        return f"{text}; new: {', '.join(begun)}" if begun else text


def _same_class(name: str) -> str:
    lower = name.lower()
    return PEDESTRIAN if lower == PERSON else lower


def _by_class(values_now: Array, theirs: Array, places: Sequence[int | None], values: int) -> Array:
    """Return own values with those of the classes whose places among theirs are known."""
    mixed = values_now.copy()
    for k, place in enumerate(places):
        if place is not None:
            mixed[..., k * values : (k + 1) * values] = theirs[
                ..., place * values : (place + 1) * values
            ]
    return mixed


def _alike(first_layer: Any, theirs: Any, classes: int, count: int, ground: bool) -> bool:
    """Return whether two last layers differ in the number of classes alone."""
    first, second = tuple(first_layer.shape), tuple(theirs.shape)
    whole = (classes + ground) * count
    return first[:-1] == second[:-1] and first[-1] == whole and second[-1] % count == 0


def start_with(network: Any, given: Any) -> Taken:
    """Put the weights of another network into one, layer by layer where both have it.

    The last layers of the heads are taken class by class, by name (`person` is `pedestrian`).

    Args:
        network: to train, see `FrameConfig.like`. given: network whose weights are taken.
    """
    variables, theirs = variables_of(network), variables_of(given)
    known = {_same_class(name): i for i, name in enumerate(given.config.classes, 1)}
    places = [0, *(known.get(_same_class(name)) for name in network.config.classes)]
    taken, begun, by_class = set(), set(), False
    for name, variable in variables.items():
        layer, value = name.split("/")[0], theirs.get(name)
        if layer in network.by_class and value is not None:
            count, ground = network.by_class[layer]
            if not _alike(variable, value, len(places) - 1, count, ground):
                begun.add(layer)
                continue
            own_places = places if ground else [None if p is None else p - 1 for p in places[1:]]
            mixed = _by_class(variable.numpy(), value.numpy(), own_places, count)
            variable.assign(mixed)
            by_class = True
        elif value is not None and tuple(value.shape) == tuple(variable.shape):
            variable.assign(np.asarray(value.numpy()))
        else:
            begun.add(layer)
            continue
        taken.add(layer)
    classes = network.config.classes
    here = tuple(n for n, p in zip(classes, places[1:], strict=True) if by_class and p is not None)
    return Taken(
        len(taken - begun),
        tuple(sorted(begun)),
        here,
        tuple(n for n in classes if by_class and n not in here),
    )
