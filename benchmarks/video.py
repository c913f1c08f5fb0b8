"""How many frames a second `track_video.py` draws, and how late live identities are.

    python -m benchmarks.video [--frames 300]

drawing: 1920 x 1080 px with 12 masks in each frame, with the page and without; start-up is taken
out by a run over a third of the frames. live: 640 x 480 px with given masks, from the lines of
`--live-csv` for one frame to those for the next.
"""

from __future__ import annotations

import contextlib
import io
import tempfile
import time
from fractions import Fraction
from pathlib import Path
from typing import Any
from unittest import mock

import cv2
import numpy as np

import track_video
from pipeline.run import execute
from pipeline.watching import LiveCsv
from utils.cli import Parser, positive, run, say
from utils.masks import encode
from utils.tables import format_table
from utils.video_writing import VideoWriter

OBJECTS = 12


def scene(folder: Path, size: tuple[int, int], frames: int) -> Path:
    """Write a video of a textured street, and masks of blobs that walk; return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    height, width = size
    ground = cv2.GaussianBlur(rng.normal(120, 60, (*size, 3)), (0, 0), 3) * 1.5
    lines = []
    with VideoWriter(folder / "walk.mp4", size, Fraction(25)) as video:
        for frame in range(frames):
            image = np.roll(ground, frame, axis=1).clip(0, 255).astype(np.uint8)
            for k in range(OBJECTS):
                mask = np.zeros(size, np.uint8)
                at = int((k + 0.5) * width / OBJECTS + 2 * (frame % 30) * (-1) ** k), height // 2
                axes = max(1, width // 34), max(1, height // 6)
                cv2.ellipse(mask, at, axes, 0, 0, 360, 1, -1)
                image[mask > 0] = image[mask > 0] // 2 + 20 * k % 120
                lines.append(f"{frame} {k + 1} 1 {height} {width} ".encode() + encode(mask) + b"\n")
            video.write(image)
    (folder / "walk.txt").write_bytes(b"".join(lines))
    return folder


def tracked(folder: Path, *more: str) -> float:
    """Track a scene; return the seconds it took."""
    arguments = [str(folder / "walk.mp4"), "--detections", str(folder / "walk.txt"), "--tracker",
                 "best", "--output", str(folder / "out"), *more]  # fmt: skip
    start = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        execute(track_video.request_of(track_video.parse_args(arguments)))
    return time.perf_counter() - start


def drawing(place: Path, frames: int) -> dict[str, float]:
    """Return frames a second, with the page and without."""
    long, short = (scene(place / str(n), (1080, 1920), n) for n in (frames, frames // 3))
    rates = {}
    for name, more in (("with the page", ()), ("--no-report", ("--no-report",))):
        tracked(short, *more)  # compiles and imports
        seconds = tracked(long, *more) - tracked(short, *more)
        rates[name] = (frames - frames // 3) / seconds
    return rates


def delays(place: Path, frames: int) -> list[float]:
    """Return the ms from the lines of a frame to those of the next: decoding is part of them."""
    folder, written = scene(place / "live", (480, 640), frames), list[float]()
    write = LiveCsv.take

    def take(self: LiveCsv, *arguments: Any) -> None:
        write(self, *arguments)
        written.append(time.perf_counter())

    with mock.patch.object(LiveCsv, "take", take):
        tracked(folder, "--no-report", "--live-csv", str(place / "live.csv"))
    return [1000 * step for step in np.diff(written).tolist()]


def main() -> None:
    """Print the table of docs/speed.md."""
    parser = Parser(description=__doc__)
    parser.add_argument("--frames", type=positive, default=300)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        rates = drawing(Path(place), args.frames)
        late = delays(Path(place), args.frames)
    row: dict[str, Any] = {f"frames/s, {name}": f"{rate:.1f}" for name, rate in rates.items()}
    row["ms a live frame"] = f"{np.median(late):.1f}"
    row["the slowest 1 %"] = f"{np.percentile(late, 99):.1f}"
    say(format_table("video", tuple(row), {"12 masks in a frame": row}))


if __name__ == "__main__":
    run(main)
