"""segment.py start to end: frames per second, and the memory beyond that of the libraries.

    python -m benchmarks.segmenting --frames 100 --batch 1 4

The network is `tiny` of a model, fresh, so that every frame has as many detections as it may; the
frames are 640 x 480. Each run is a process of its own, imports and compiling included; beside its
memory stands that of a run over two batches, which is that of the libraries and the network.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
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


def command(folder: Path, frames: str, output: str, batch: int) -> list[str]:
    """Return the command that segments a folder of frames."""
    words = ["--output", str(folder / output), "--weights", str(folder / "tiny.keras")]
    return [sys.executable, "segment.py", str(folder / frames), *words, "--batch", str(batch)]


def main() -> None:
    """Run, print."""
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--model", choices=("maskrcnn", "trackrcnn", "motsnet"), default="trackrcnn"
    )
    parser.add_argument("--frames", type=positive, default=100)
    parser.add_argument("--batch", type=positive, nargs="+", default=[1, 4])
    args = parser.parse_args()
    say(f"{'batch':>6}{'seconds':>9}{'frames/s':>10}{'MiB':>7}{'beyond':>8}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_network(folder / "tiny.keras", args.model)
        write_frames(folder / "walk", args.frames)
        for batch in args.batch:
            few = folder / f"few{batch}"
            few.mkdir()
            for path in sorted((folder / "walk").iterdir())[: 2 * batch]:
                shutil.copy(path, few)
            base = measure(command(folder, few.name, f"short{batch}", batch))
            whole = measure(command(folder, "walk", f"whole{batch}", batch))
            rate, beyond = args.frames / whole["seconds"], whole["MiB"] - base["MiB"]
            say(f"{batch:6}{whole['seconds']:9.1f}{rate:10.2f}{whole['MiB']:7.0f}{beyond:8.0f}")


if __name__ == "__main__":
    run(main)
