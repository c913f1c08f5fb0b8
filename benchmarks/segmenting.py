"""segment.py start to end: frames per second, and the memory beyond that of the libraries.

    python -m benchmarks.segmenting --frames 100 --batch 1 4 --runtime keras onnx

The network is `tiny` of a model, fresh, so that every frame has as many detections as it may; the
frames are 640 x 480. Each run is a process of its own, imports and compiling included. Beside it
stands what it takes beyond a run over two batches, which is that of the libraries and the network:
frames per second once it runs, and memory.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from itertools import product
from pathlib import Path

import cv2

from benchmarks.speed import measure
from models.frame_networks import NETWORKS, network_class
from utils.cli import Parser, import_keras, positive, run, say

HEIGHT, WIDTH = 480, 640


def write_network(path: Path, model: str) -> None:
    """Write a fresh network of the profile `tiny`."""
    keras = import_keras()
    keras.utils.set_random_seed(0)
    settings = {**NETWORKS[model].profiles["tiny"].network, "min_score": 0.0}
    network_class(model)(NETWORKS[model].config(**settings)).save(path)


def write_frames(folder: Path, count: int) -> None:
    """Write pictures of noise that moves."""
    import numpy as np

    rng = np.random.default_rng(0)
    tile = rng.integers(0, 256, (HEIGHT // 8, WIDTH // 8, 3)).astype(np.uint8)
    whole = np.repeat(np.repeat(tile, 8, axis=0), 8, axis=1)
    folder.mkdir()
    for number in range(1, count + 1):
        cv2.imwrite(str(folder / f"{number:06d}.jpg"), np.roll(whole, 4 * number, axis=1))


def command(folder: Path, frames: str, runtime: str, batch: int) -> list[str]:
    """Return the command that segments a folder of frames."""
    output = folder / f"{frames}_{runtime}{batch}"
    words = ["--output", str(output), "--weights", str(folder / f"tiny.{runtime}")]
    return [sys.executable, "segment.py", str(folder / frames), *words, "--batch", str(batch)]


def main() -> None:
    """Run, print."""
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--model", choices=("maskrcnn", "trackrcnn", "motsnet"), default="trackrcnn"
    )
    parser.add_argument("--frames", type=positive, default=100)
    parser.add_argument("--batch", type=positive, nargs="+", default=[1, 4])
    parser.add_argument("--runtime", choices=("keras", "onnx"), nargs="+", default=["keras"])
    args = parser.parse_args()
    head = f"{'runtime':8}{'batch':>6}{'seconds':>9}{'frames/s':>10}{'once it runs':>14}"
    say(f"{head}{'MiB':>7}{'beyond':>8}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_network(folder / "tiny.keras", args.model)
        if "onnx" in args.runtime:
            size = ["--size", f"{HEIGHT}x{WIDTH}"]
            words = [str(folder / "tiny.keras"), str(folder / "tiny.onnx"), *size]
            measure([sys.executable, "export.py", *words])
        write_frames(folder / "walk", args.frames)
        for runtime, batch in product(args.runtime, args.batch):
            few = folder / f"few{batch}"
            few.mkdir(exist_ok=True)
            for path in sorted((folder / "walk").iterdir())[: 2 * batch]:
                shutil.copy(path, few)
            base = measure(command(folder, few.name, runtime, batch))
            whole = measure(command(folder, "walk", runtime, batch))
            rate, beyond = args.frames / whole["seconds"], whole["MiB"] - base["MiB"]
            steady = (args.frames - 2 * batch) / (whole["seconds"] - base["seconds"])
            row = f"{runtime:8}{batch:6}{whole['seconds']:9.1f}{rate:10.2f}{steady:14.2f}"
            say(f"{row}{whole['MiB']:7.0f}{beyond:8.0f}")


if __name__ == "__main__":
    run(main)
