"""A network as a file: read back in Keras' safe mode, told apart by its weights."""

from __future__ import annotations

import hashlib
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from models.networks.frame_network import FrameNetwork, variables_of
from utils.files import FormatError


def load_file(path: Path) -> Any:
    """Load a network that train_network.py wrote or that was converted, in Keras' safe mode.

    Its class must have been imported, as `models.frame_networks.load_network` does.

    Raises:
        ValueError: no readable network there.
    """
    import keras

    rule = "must be a network as .keras, or one of coco, coco-v1"
    try:
        network = keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Keras raises many kinds; none of them tells a user more
        lines = str(error).strip().splitlines()
        got = "no such file" if not path.is_file() else (lines[0][:120] if lines else "unreadable")
        raise FormatError(path, None, rule, _class_in(path) or got) from None
    if not isinstance(network, FrameNetwork):
        raise FormatError(path, None, rule, type(network).__name__)
    return network


def _class_in(path: Path) -> str | None:
    """Return the name of the class that a file *.keras holds, None where it cannot be read."""
    try:
        with zipfile.ZipFile(path) as archive:
            return str(json.loads(archive.read("config.json"))["class_name"])
    except Exception:  # whatever is wrong with it, the caller's message says more
        return None


def fingerprint(network: Any) -> str:
    """Return the sha256 of a network's weights, whatever file they are in."""
    digest = hashlib.sha256()
    for name, variable in sorted(variables_of(network).items()):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(variable.numpy(), "<f4").tobytes())
    return digest.hexdigest()
