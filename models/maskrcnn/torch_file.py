"""Reads the tensors of a file that torch saved, without torch and without running what it holds.

Such a file is a pickle beside raw numbers. Of the pickle only what describes tensors is followed;
anything else that it names is refused.
"""

from __future__ import annotations

import io
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from utils.files import FormatError

Array = npt.NDArray[Any]

DTYPES = {
    "FloatStorage": np.float32, "DoubleStorage": np.float64, "HalfStorage": np.float16,
    "LongStorage": np.int64, "IntStorage": np.int32, "ShortStorage": np.int16,
    "CharStorage": np.int8, "ByteStorage": np.uint8, "BoolStorage": np.bool_,
}  # fmt: skip
LEGACY = 0x1950A86A20F9469CFC6C  # how files of before torch 1.6 begin
RULE = "must be weights that torch saved"


@dataclass(frozen=True)
class _Storage:
    """A storage's dtype, by the name of its class."""

    dtype: Any


@dataclass
class _Later:
    """A tensor of a storage that is not read yet."""

    storage: Any
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def _tensor(storage: Any, offset: int, shape: Any, strides: Any, *rest: Any) -> _Later:
    """Stand in for the function that makes a tensor."""
    return _Later(storage, offset, tuple(shape), tuple(strides))


def _parameter(data: Any, *rest: Any) -> Any:
    """Stand in for the function that makes a parameter."""
    return data


class _Reader(pickle.Unpickler):
    """Follows a pickle that names nothing but tensors, dicts and storages."""

    def __init__(self, file: Any, storages: Callable[[Any], Any]) -> None:
        super().__init__(file)
        self._storages = storages

    def find_class(self, module: str, name: str) -> Any:
        known = {
            ("collections", "OrderedDict"): OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2"): _tensor,
            ("torch._utils", "_rebuild_parameter"): _parameter,
        }
        if (module, name) in known:
            return known[module, name]
        if module in ("torch", "torch.storage") and name in DTYPES:
            return _Storage(DTYPES[name])
        raise pickle.UnpicklingError(f"{module}.{name}")

    def persistent_load(self, pid: Any) -> Any:
        return self._storages(pid)


def read_state(path: Path) -> dict[str, Array]:
    """Return {name: array} of a state dict that torch saved, old or new.

    Raises:
        FormatError: no such file, or it holds more than tensors.
    """
    try:
        return _read_zip(path) if zipfile.is_zipfile(path) else _read_legacy(path)
    except pickle.UnpicklingError as error:
        raise FormatError(path, None, f"{RULE}, tensors alone", str(error)) from None
    except OSError as error:
        raise FormatError(path, None, "must be readable", error.strerror) from None
    except Exception as error:  # a damaged pickle may raise anything
        raise FormatError(path, None, RULE, type(error).__name__) from None


def _read_zip(path: Path) -> dict[str, Array]:
    with zipfile.ZipFile(path) as archive:
        inner = [n for n in archive.namelist() if n.endswith("/data.pkl")]
        if len(inner) != 1:
            raise ValueError("no data.pkl")
        folder = inner[0][: -len("data.pkl")]
        kept: dict[str, Array] = {}

        def storage(pid: Any) -> Array:
            _, kind, key, *_ = pid
            if key not in kept:
                kept[key] = np.frombuffer(archive.read(f"{folder}data/{key}"), kind.dtype)
            return kept[key]

        return _arrays(_Reader(io.BytesIO(archive.read(inner[0])), storage).load())


def _read_legacy(path: Path) -> dict[str, Array]:
    kept: dict[str, tuple[Any, list[Array]]] = {}

    def storage(pid: Any) -> list[Array]:
        _, kind, key, *_ = pid
        return kept.setdefault(key, (kind.dtype, []))[1]

    def refuse(pid: Any) -> Any:
        raise pickle.UnpicklingError("a storage out of place")

    with path.open("rb") as file:
        if _Reader(file, refuse).load() != LEGACY:
            raise ValueError("no magic number")
        for _ in range(2):  # the protocol's version, and sizes of the machine
            _Reader(file, refuse).load()
        state = _Reader(file, storage).load()
        for key in _Reader(file, refuse).load():
            dtype, into = kept[key]
            count = int(np.frombuffer(file.read(8), "<i8")[0])
            data = file.read(count * np.dtype(dtype).itemsize)
            into.append(np.frombuffer(data, dtype, count))
    return _arrays(state)


def _arrays(state: Any) -> dict[str, Array]:
    if not isinstance(state, Mapping):
        raise ValueError("no dict")
    arrays = {}
    for name, tensor in state.items():
        if not isinstance(tensor, _Later) or not isinstance(name, str):
            raise ValueError("no tensor")
        data = tensor.storage[0] if isinstance(tensor.storage, list) else tensor.storage
        last = tensor.offset + sum(
            (n - 1) * s for n, s in zip(tensor.shape, tensor.strides, strict=True)
        )
        if min((tensor.offset, *tensor.shape, *tensor.strides)) < 0 or (
            all(tensor.shape) and last >= len(data)
        ):
            raise ValueError("a tensor beyond its storage")
        strides = [s * data.itemsize for s in tensor.strides]
        view = np.lib.stride_tricks.as_strided(data[tensor.offset :], tensor.shape, strides)
        arrays[name] = view.copy()
    return arrays
