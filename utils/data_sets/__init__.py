"""The data sets by name; docs/extending.md shows how to add one."""

from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType

from utils.data_sets.data_set import ALL, CUSTOM, MOTS_CLASSES, SPLITS, DataSet, Preset

__all__ = [
    "ALL", "CUSTOM", "DATA_SETS", "MOTS_CLASSES", "SPLITS", "DataSet", "Preset", "data_set",
]  # fmt: skip

# module.object, in the order in which --help lists them.
ENTRIES = (
    "generated.MNIST",
    "generated.SPRITES",
    "mots.KITTI",
    "mots.MOTS",
    "mots.ANY",
)


def _entry(place: str) -> DataSet:
    module, _, name = place.partition(".")
    entry: DataSet = getattr(import_module(f"{__name__}.{module}"), name)
    return entry


DATA_SETS: Mapping[str, DataSet] = MappingProxyType({e.name: e for e in map(_entry, ENTRIES)})


def data_set(name: str) -> DataSet:
    """Return the data set of that name.

    Raises:
        ValueError: there is none.
    """
    if name not in DATA_SETS:
        raise ValueError(f"dataset must be one of {', '.join(DATA_SETS)}, got {name!r}")
    return DATA_SETS[name]
