"""Results as label images: MOTS PNG, and PNG with a palette (DAVIS)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from utils import masks
from utils.detections import Detections
from utils.files import atomic_folder
from utils.formats.base import Output
from utils.formats.labels import CHUNK, LARGEST_PNG, MARK, PER_CLASS, VOID
from utils.identity_colours import colour_of

Array = npt.NDArray[Any]


def label_image(detections: Detections, rows: Array, values: Array) -> npt.NDArray[np.int64]:
    """Return the (height, width) image of disjoint masks, each filled with its value.

    Args:
        detections: holds the masks. rows: (k,) indices. values: (k,) from 1.
    """
    pixels = detections.height * detections.width
    steps = np.zeros(pixels + 1, np.int64)
    if len(rows):
        runs, offsets = masks.decode_runs(detections.rles[rows], pixels)
        ends = np.cumsum(runs) - np.repeat(np.arange(len(rows)) * pixels, np.diff(offsets))
        inside = (np.arange(len(runs)) - np.repeat(offsets[:-1], np.diff(offsets))) % 2 == 1
        owner = np.repeat(values, np.diff(offsets))[inside]
        np.add.at(steps, (ends - runs)[inside], owner)
        np.subtract.at(steps, ends[inside], owner)
    flat = np.cumsum(steps)[:-1]
    return flat.reshape(detections.width, detections.height).T


def write_mots_png(path: Path, output: Output) -> None:
    """Write a folder of 16-bit PNGs, class * 1000 + instance; frames are those with detections.

    Raises:
        ValueError: identities that such images cannot hold.
    """
    from PIL import Image, PngImagePlugin

    result, rows = output.result, output.rows
    ids, classes = result.ids[rows], result.classes[rows]
    if len(rows) and (ids.max() > LARGEST_PNG or (ids // PER_CLASS != classes).any()):
        worst = int(ids.max() if ids.max() > LARGEST_PNG else ids[ids // PER_CLASS != classes][0])
        rule = f"png holds ids of class * 1000 + number to {LARGEST_PNG}"
        raise ValueError(f"{rule}, got {worst}")
    chunk = PngImagePlugin.PngInfo()
    chunk.add_text("numbers", MARK.decode())
    with atomic_folder(path) as folder:
        for frame, of in output.by_frame():
            image = Image.fromarray(label_image(result, of, result.ids[of]).astype(np.uint16))
            image.save(folder / f"{frame:06d}.png", pnginfo=chunk)


def write_davis(path: Path, output: Output) -> None:
    """Write a folder of PNGs with a palette, an index per track in the order of identities.

    The files say which identity and class an index stands for, in a text chunk that `DavisPng`
    reads; to other programs an index is an object.

    Raises:
        ValueError: more tracks than indices.
    """
    from PIL import Image, PngImagePlugin

    result, rows = output.result, output.rows
    identities, first = np.unique(result.ids[rows], return_index=True)
    if len(identities) >= VOID:
        raise ValueError(f"davis holds {VOID - 1} tracks, got {len(identities)}")
    index = {identity: i for i, identity in enumerate(identities.tolist(), 1)}
    classes = result.classes[rows[first]].tolist()
    meanings = [[i, identity, classes[i - 1]] for identity, i in index.items()]
    chunk = PngImagePlugin.PngInfo()
    chunk.add_text(CHUNK, json.dumps(meanings))
    palette = [v for i in range(256) for v in (colour_of(i) if 0 < i < VOID else (0, 0, 0))]
    with atomic_folder(path) as folder:
        for frame, of in output.by_frame():
            values = np.array([index[i] for i in result.ids[of].tolist()], np.int64)
            image = Image.fromarray(label_image(result, of, values).astype(np.uint8), mode="P")
            image.putpalette(palette)
            image.save(folder / f"{frame:06d}.png", pnginfo=chunk)
