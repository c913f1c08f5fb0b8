"""segment.py start to end: frames/s, memory, and whether a run that was killed ends the same.

    python -m benchmarks.segmenting --frames 100 --batch 1 4

The network is `tiny` of a model, fresh, so that every frame has as many detections as it may; the
frames are 640 x 480. Each run is a process of its own, imports and compiling included; beside its
memory stands that of a run over two batches, which is that of the libraries and the network. The
last one is run once more, and killed at half its frames and gone on with; how many lines of the
file differ is printed for both: TensorFlow's sums are not the same to the last bit in every
process, and the masks of a fresh network lie close to their limit everywhere.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import cv2

from benchmarks.long_and_large import ROOT, measure
from models.frame_networks import NETWORKS, network_class
from pipeline.spool import FOLDER
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
    own = ["--output", str(folder / output), "--weights", str(folder / "tiny.keras")]
    return [sys.executable, "segment.py", str(folder / frames), *own, "--batch", str(batch)]


def stored(folder: Path) -> int:
    """Return how many frames a run in progress has kept."""
    path = folder / FOLDER / "masks.txt"
    if not path.is_file():
        return 0
    # A frame's head is five whole numbers; a detection has its run lengths among five fields.
    lines = (line.split() for line in path.read_bytes().splitlines())
    return sum(len(fields) == 5 and all(f.isdigit() for f in fields) for fields in lines)


def killed_and_resumed(words: Sequence[str], output: Path, at: int) -> None:
    """Kill a run once it has kept `at` frames, and go on with it."""
    process = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.DEVNULL)
    while stored(output) < at:
        if process.poll() is not None:
            raise ValueError(f"{output}: must still run after {at} frames, got its end")
        time.sleep(0.1)
    process.kill()
    process.wait()
    measure([*words, "--resume"])


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
        measure(command(folder, "walk", "again", batch))
        killed_and_resumed(command(folder, "walk", "cut", batch), folder / "cut", args.frames // 2)
        names = (f"whole{batch}", "again", "cut")
        first, again, cut = (
            (folder / n / "detections" / "walk.txt").read_bytes().splitlines() for n in names
        )
        for what, lines in (("run once more", again), ("killed and resumed", cut)):
            if len(lines) != len(first):
                raise ValueError(f"{what}: must find {len(first)} objects, got {len(lines)}")
            differ = sum(a != b for a, b in zip(first, lines, strict=True))
            say(f"{what}: {differ} of {len(first)} lines differ")


if __name__ == "__main__":
    run(main)
