"""What embeds masks fastest: TensorFlow's graph, XLA, JAX or ONNX Runtime, in one run.

    python -m benchmarks.runtimes [--data data/kitti_mots]

Each has a process of its own, on the same masks (of a generated crowd, or of KITTI MOTS'
annotations): seconds until it is imported, loaded and has embedded its first batch, masks a second
after that, the fastest of `--repeat`, and how far its embeddings are from TensorFlow's.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.association import frames_per_second
from benchmarks.scenes import crowd
from models.usc_mots.weights import PRETRAINED
from utils.boxes import scaled_boxes
from utils.cli import Parser, import_keras, positive, run, say
from utils.detections import IGNORE, Detections
from utils.formats.registry import read_sequences
from utils.masks import crop_patches
from utils.tables import format_table

WEIGHTS = PRETRAINED / "dhae_kitti_shape.keras"
BACKENDS = {"TensorFlow graph": "tensorflow", "TensorFlow XLA": "tensorflow", "JAX": "jax"}
ONNX = "ONNX Runtime"
BATCHES = (64, 512)

Array = np.ndarray[Any, Any]


def encoder(name: str, batch: int) -> Callable[[Array, Array], Array]:
    """Return a function patches, boxes -> embeddings of one runtime."""
    if name == ONNX:
        from models.usc_mots.onnx_runtime import OnnxEncoder

        return OnnxEncoder(WEIGHTS).encode
    import_keras()
    from models.usc_mots.dhae import load
    from models.usc_mots.fusing import gained

    model: Any = load(WEIGHTS)
    if name == "JAX":
        import jax

        def both(patches: Any, boxes: Any) -> Any:
            return model.head([model.mask_encoder(patches), boxes])

        step = jax.jit(both)
    else:
        import tensorflow as tf

        step = tf.function(
            lambda patches, boxes: model.head([model.mask_encoder(patches), boxes]),
            jit_compile=name.endswith("XLA"),
            reduce_retracing=True,
        )

    def encode(patches: Array, boxes: Array) -> Array:
        moved, scale = gained(model.config, boxes)
        found = []
        for k in range(0, len(patches), batch):
            # The last batch is filled up: a shape of its own would be compiled anew.
            parts = [v[k : k + batch] for v in (patches, moved)]
            lacking = batch - len(parts[0])
            parts = [np.pad(v, [(0, lacking)] + [(0, 0)] * (v.ndim - 1)) for v in parts]
            found.append(np.asarray(step(*parts)))
        return np.concatenate(found)[: len(patches)] * np.float32(scale)

    return encode


def one(name: str, batch: int, folder: Path, repeat: int) -> None:
    """Time one runtime in this process; write what it found."""
    start = time.perf_counter()
    with np.load(folder / "masks.npz") as file:
        patches, boxes = file["patches"], file["boxes"]
    encode = encoder(name, batch)
    encode(patches[:batch], boxes[:batch])
    begun = time.perf_counter() - start
    found = encode(patches, boxes)
    rate = frames_per_second(lambda: encode(patches, boxes), len(patches), repeat)
    np.save(folder / f"{name} {batch}.npy", found)
    print(json.dumps({"seconds": begun, "rate": rate}))


def write_masks(detections: list[Detections], path: Path) -> int:
    """Write what a network sees of detections; return how many there are."""
    patches = np.concatenate([crop_patches(d, 128) for d in detections])
    boxes = np.concatenate([scaled_boxes(d, None) for d in detections])
    np.savez(path, patches=patches, boxes=boxes)
    return len(patches)


def main() -> None:
    """Time every runtime and print."""
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="KITTI MOTS folder (holds instances_txt)")
    parser.add_argument("--masks", type=positive, default=4096)
    parser.add_argument("--repeat", type=positive, default=3)
    parser.add_argument("--only", nargs=3, metavar=("NAME", "BATCH", "FOLDER"), help="one of them")
    args = parser.parse_args()
    if args.only:
        name, batch, folder = args.only
        one(name, int(batch), Path(folder), args.repeat)
        return
    if args.data:
        given = [s.select(s.classes != IGNORE) for s in read_sequences(args.data / "instances_txt")]
    else:
        given = [crowd(100, args.masks // 100 + 1)[0]]
    rng, rows = np.random.default_rng(0), {}
    share = args.masks / sum(map(len, given))
    chosen = [d.select(rng.random(len(d)) < share) for d in given]
    ways = [(name, batch) for name in BACKENDS for batch in BATCHES] + [(ONNX, 16)]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        count = write_masks(chosen, folder / "masks.npz")
        for name, batch in ways:
            command = [sys.executable, "-m", "benchmarks.runtimes", "--repeat", str(args.repeat)]
            done = subprocess.run(
                [*command, "--only", name, str(batch), scratch],
                env={**os.environ, "KERAS_BACKEND": BACKENDS.get(name, "tensorflow")},
                check=True, capture_output=True, text=True,
            )  # fmt: skip
            found = json.loads(done.stdout.splitlines()[-1])
            first, mine = (np.load(folder / f"{n} {b}.npy") for n, b in (ways[0], (name, batch)))
            rows[f"{name}, batches of {batch}"] = {
                "first batch after": f"{found['seconds']:.1f} s",
                "masks/s": f"{found['rate']:,.0f}",
                "apart": f"{np.abs(first - mine).max():.0e}",
            }
    columns = ("first batch after", "masks/s", "apart")
    say(format_table(f"{count:,} masks of 128 px", columns, rows))


if __name__ == "__main__":
    run(main)
