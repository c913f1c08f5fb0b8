"""Shared fixtures: small generated scenes, and real data where USC_MOTS_DATA names it."""

import os
from pathlib import Path

import numpy as np
import pytest

from models.streaming import iterate_frames, track
from models.tracking import trackers
from utils import masks, synthetic, synthetic_pictures
from utils.cli import quiet_tensorflow
from utils.data_sets import data_set
from utils.detections import Detections
from utils.formats import mots_txt
from utils.results import finished

quiet_tensorflow()

# JAX compiles for a second's use here: without its costly passes.
JAX = {
    "KERAS_BACKEND": "jax",
    "XLA_FLAGS": "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true",
}


@pytest.fixture(scope="session")
def real_data():
    """Return the folder of real data, or skip."""
    folder = os.environ.get("USC_MOTS_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("USC_MOTS_DATA does not name the folder of real data")
    return Path(folder)


def box_mask(x, y, w, h, height=40, width=60):
    """Return the RLE of a filled rectangle."""
    mask = np.zeros((height, width), np.uint8)
    mask[y : y + h, x : x + w] = 1
    return masks.encode(mask)


def make_detections(objects, height=40, width=60, name="seq"):
    """Return Detections of rectangles: [(frame, id, class, score, (x, y, w, h))]."""
    n = len(objects)
    rles = np.empty(n, object)
    rles[:] = [box_mask(*o[4], height, width) for o in objects]
    return Detections(
        name,
        height,
        width,
        np.array([o[0] for o in objects], np.int32),
        np.array([o[2] for o in objects], np.int16),
        np.array([o[3] for o in objects], np.float32),
        np.array([o[4] for o in objects], np.float64).reshape(-1, 4),
        rles,
        np.array([o[1] for o in objects], np.int32),
    )


def random_scene(rng, frames=12, objects=5, height=60, width=80, miss=0.1):
    """Return Detections of rectangles that drift, cross, appear and vanish."""
    found = []
    for identity in range(1, objects + 1):
        position = rng.uniform((0, 0), (width - 15, height - 15))
        velocity = rng.uniform(-4, 4, 2)
        size = rng.integers(4, 14, 2)
        start, stop = sorted(rng.integers(0, frames + 1, 2))
        cls = int(rng.integers(1, 3))
        for frame in range(start, stop):
            x, y = np.clip(position, 0, (width - size[0], height - size[1])).astype(int)
            if rng.random() >= miss:
                score = float(rng.uniform(0.5, 1))
                found.append((frame, identity, cls, score, (x, y, *size.tolist())))
            position = position + velocity
    rng.shuffle(found)
    return make_detections(found, height, width)


def track_with(config, detections, embeddings, colours=None):
    """Track by the tracker whose settings these are; return (ids, report)."""
    tracker = tracker_of(config)
    columns = {} if embeddings is None else {"embeddings": embeddings, "vectors": embeddings}
    if colours is not None:
        columns["colours"] = colours
    return track(detections, tracker, columns)


def tracker_of(config):
    """Return a fresh tracker whose settings class is that of the config."""
    kinds = {kind.settings: kind for kind in trackers().values()}
    return kinds[type(config)](config)


def frames_of(config, detections, embeddings, colours=None):
    """Return the Frames that a tracker of these settings gets."""
    columns = {"embeddings": embeddings, "vectors": embeddings, "colours": colours}
    columns = {name: values for name, values in columns.items() if values is not None}
    return list(iterate_frames(detections, tracker_of(config), columns))


def write_tracks(path, detections, ids):
    """Write a result as MOTS txt; return the rows that were dropped."""
    result, dropped = finished(detections, np.asarray(ids))
    mots_txt.write(Path(path), result)
    return dropped


def write_scored(path, found):
    """Write detections in the ten-field format."""
    size = f"{found.height} {found.width}"
    columns = (found.frames, found.boxes_xywh, found.scores, found.classes, found.rles)
    lines = [
        f"{f} {' '.join(f'{v:g}' for v in box)} {score:.4f} {cls} {size} {rle.decode()}\n"
        for f, box, score, cls, rle in zip(*columns, strict=True)
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(lines))


def generate(folder, kind, split, sequences, frames, objects, seed):
    """Generate a small set of sprites or digits."""
    draw, _ = synthetic_pictures.source(kind, split)
    margin = data_set(kind).margin
    return synthetic.generate(folder, kind, draw, margin, split, sequences, frames, objects, seed)
