"""From detections to embeddings: each is cropped once and embedded once, in large batches."""

from __future__ import annotations

import hashlib
import importlib.util
import os
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from models.usc_mots.weights import (
    PRETRAINED,
    check_weights,
    choose_weights,
    read_card,
    seen_lines,
)
from utils.boxes import scaled_boxes
from utils.data_sets import DataSet
from utils.detections import Detections
from utils.masks import Images, crop_patches

CHUNK = 4096  # detections whose patches are in memory at once
AUTO, KERAS, ONNX = "auto", "keras", "onnx"
RUNTIMES = (AUTO, KERAS, ONNX)

Watch = Callable[[str], AbstractContextManager[None]]


def runtime_of(asked: str) -> str:
    """Return what embeds: what is asked for, else ONNX Runtime where it is, else Keras.

    ONNX Runtime starts in a fraction of the time and is the faster one (docs/speed.md). Who names a
    backend in KERAS_BACKEND asks for Keras.
    """
    if asked != AUTO:
        return asked
    there = all(importlib.util.find_spec(name) is not None for name in ("onnx", "onnxruntime"))
    return ONNX if there and not os.environ.get("KERAS_BACKEND") else KERAS


@cache
def load_model(weights: Path, runtime: str = KERAS) -> Any:
    """Return the DHAE of a weights file, loaded once; Keras is imported here and not before.

    Args:
        weights: *.keras. runtime: KERAS or ONNX.
    """
    if runtime == ONNX:
        from models.usc_mots.onnx_runtime import OnnxEncoder

        return OnnxEncoder(weights)
    from utils.cli import import_keras

    import_keras()
    from models.usc_mots.dhae import load

    return load(weights)


def embed(
    model: Any,
    detections: Detections,
    object_size: int | None,
    images: Images | None = None,
    watch: Watch | None = None,
    location_gain: float | None = None,
    keep: npt.NDArray[np.bool_] | None = None,
) -> npt.NDArray[np.float32]:
    """Return (n, F) float32 embeddings, row i that of detection i.

    Args:
        model: DHAE.
        detections: n Detections.
        object_size: see `utils.boxes.scaled_boxes`.
        images: function frame -> (height, width, 3) uint8 RGB; appearance models need it.
        watch: function stage -> context manager that times "crop" and "embed"; None times nothing.
        location_gain: see `DHAE.encode`.
        keep: (n,) bool, rows to embed, zeros elsewhere; None takes all.
    """
    watch = watch or (lambda stage: nullcontext())
    size, appearance = model.config["patch_size"], model.config["channels"] == 3
    boxes = scaled_boxes(detections, object_size)
    embeddings = np.zeros((len(detections), model.config["latent_dim"]), np.float32)
    chosen = np.arange(len(detections)) if keep is None else np.flatnonzero(keep)
    for start in range(0, len(chosen), CHUNK):
        rows = chosen[start : start + CHUNK]
        with watch("crop"):
            patches = crop_patches(detections.select(rows), size, images if appearance else None)
        with watch("embed"):
            embeddings[rows] = model.encode(patches, boxes[rows], location_gain=location_gain)
    return embeddings


class Embedder:
    """Embeds the sequences of a data set with the weights that may; loads them when needed.

    Args:
        data_set: DataSet.
        files: weights; None takes the data set's own.
        location_gain: replaces that of the weights; None keeps it.
        runtime: one of RUNTIMES.

    Raises:
        ValueError: weights that are missing, damaged or of another data set.
    """

    def __init__(
        self,
        data_set: DataSet,
        files: Iterable[Path] | None = None,
        location_gain: float | None = None,
        runtime: str = AUTO,
    ) -> None:
        self.data_set, self.location_gain = data_set, location_gain
        self.runtime = runtime_of(runtime)
        self.files = list(files or (PRETRAINED / name for name in data_set.weights))
        self.cards = {file: read_card(file) for file in self.files if file.is_file()}
        self.networks = {f: check_weights(f, self.cards.get(f), data_set) for f in self.files}

    def weights_of(self, sequence: str) -> Path:
        """Return the weights that track a sequence, see `choose_weights`."""
        name = self.data_set.canonical(sequence)
        return choose_weights(self.cards, self.data_set.name, name)

    def seen(self, sequences: Iterable[str]) -> list[str]:
        """Return lines that name the sequences which their weights were trained or chosen on."""
        return seen_lines({name: self.weights_of(name) for name in sequences}, self.data_set)

    def needs_images(self, sequence: str) -> bool:
        """Return whether a sequence's weights see colours."""
        return bool(self.networks[self.weights_of(sequence)]["channels"] == 3)

    def digests(self) -> dict[str, str]:
        """Return {file name: sha256}."""
        return {f.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in self.files}

    def embed(
        self,
        detections: Detections,
        keep: npt.NDArray[np.bool_],
        images: Images | None = None,
        watch: Watch | None = None,
    ) -> npt.NDArray[np.float32]:
        """Return (n, F) float32: the embeddings of the rows to keep, zeros elsewhere.

        Raises:
            ValueError: the weights see colours, and there are no images.
        """
        weights = self.weights_of(detections.sequence)
        if self.needs_images(detections.sequence) and images is None:
            raise ValueError(
                "--images must name the frames' folder for appearance weights, got none"
            )
        model = load_model(weights, self.runtime)
        return embed(
            model,
            detections,
            self.data_set.object_size,
            images,
            watch,
            self.location_gain,
            keep,
        )
