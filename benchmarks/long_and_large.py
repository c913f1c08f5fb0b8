"""Long and large runs end to end: seconds, and the memory they take beyond the libraries.

    python -m benchmarks.long_and_large --case long crowd large

long: 100,000 frames of 10 objects; crowd: 200 frames of 2,000 cells; large: a video of 4K frames.
Each is a run of a script in a process of its own; beside it stands the same script on three frames,
whose memory is that of the libraries.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from utils import masks
from utils.cli import Parser, positive, run, say

ROOT = Path(__file__).resolve().parents[1]
SHORT = 3  # frames of the run that stands for the libraries
CASES = {  # frames, objects, height, width
    "long": (100_000, 10, 480, 640),
    "crowd": (200, 2_000, 1_024, 1_024),
    "large": (150, 12, 2_160, 3_840),
}


def positions(
    frames: int, objects: int, height: int, width: int
) -> Iterator[tuple[int, npt.NDArray[np.int64]]]:
    """Yield (frame, (k, 2) x and y) of objects that walk and turn back at the border."""
    rng = np.random.default_rng(0)
    side = max(8, int(np.sqrt(height * width / objects) / 3))
    start = rng.uniform(0, 1, (objects, 2))
    speed = rng.uniform(-0.002, 0.002, (objects, 2))
    room = np.array([width - side, height - side])
    for frame in range(frames):
        way = np.abs((start + speed * frame) % 2)
        yield frame, ((1 - np.abs(1 - way)) * room).astype(np.int64)


def write_masks(path: Path, frames: int, objects: int, height: int, width: int) -> None:
    """Write detections in the ten-field format, a line at a time."""
    side = max(8, int(np.sqrt(height * width / objects) / 3))
    ys, xs = np.mgrid[:side, :side] / (side - 1) - 0.5
    disc = (xs**2 + ys**2) <= 0.25
    rng = np.random.default_rng(1)
    with path.open("wb") as file:
        for frame, places in positions(frames, objects, height, width):
            scores = rng.uniform(0.5, 1, len(places))
            for (x, y), score in zip(places.tolist(), scores.tolist(), strict=True):
                rle = masks.encode_at(disc, x, y, height, width)
                head = f"{frame} {x} {y} {side} {side} {score:.4f} 1 {height} {width} "
                file.write(head.encode() + rle + b"\n")


def write_video(path: Path, frames: int, height: int, width: int) -> None:
    """Write a video of noise that moves."""
    from utils.video import VideoWriter

    rng = np.random.default_rng(2)
    tile = rng.integers(0, 255, (height // 8, width // 8, 3)).astype(np.uint8)
    whole = np.repeat(np.repeat(tile, 8, axis=0), 8, axis=1)
    with VideoWriter(path, (height, width), Fraction(25)) as video:
        for frame in range(frames):
            video.write(np.roll(whole, 4 * frame, axis=1))


def measure(command: list[str]) -> dict[str, Any]:
    """Run a command; return its seconds and the most memory it held, in MiB."""
    start = time.perf_counter()
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise ValueError(f"{' '.join(command)}: must end with 0, got {status}")
    return {"seconds": time.perf_counter() - start, "MiB": usage.ru_maxrss / 1024}


def command_of(case: str, folder: Path, frames: int, tracker: str) -> list[str]:
    """Make the input of a case; return the command that tracks it."""
    _, objects, height, width = CASES[case]
    folder.mkdir()
    write_masks(folder / "masks.txt", frames, objects, height, width)
    out = ["--detections", str(folder / "masks.txt"), "--output", str(folder / "out")]
    out += ["--tracker", tracker]
    if case != "large":
        return [sys.executable, "test_mots.py", *out]
    write_video(folder / "video.mp4", frames, height, width)
    return [sys.executable, "track_video.py", str(folder / "video.mp4"), *out]


def main() -> None:
    """Run the cases."""
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument("--case", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--tracker", default="best")
    parser.add_argument("--frames", type=positive, help="fewer, to try it")
    args = parser.parse_args()
    names = ("frames", "objects", "seconds", "frames/s", "MiB", "beyond")
    say(" " * 8 + "".join(f"{name:>9}" for name in names))
    for case in args.case:
        frames = args.frames or CASES[case][0]
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            base = measure(command_of(case, folder / "short", SHORT, args.tracker))
            found = measure(command_of(case, folder / "whole", frames, args.tracker))
            counts = json.loads((folder / "whole" / "out" / "summary.json").read_text())["counts"]
        if counts["frames"] != frames:
            raise ValueError(f"{case}: must track {frames} frames, got {counts['frames']}")
        beyond = found["MiB"] - base["MiB"]
        values = (frames, CASES[case][1], found["seconds"], frames / found["seconds"])
        shown = [f"{v:9.1f}" if v < 100 else f"{v:9.0f}" for v in (*values, found["MiB"], beyond)]
        say(f"{case:8}" + "".join(shown))


if __name__ == "__main__":
    run(main)
