"""Speed as ratios of things timed in one run: association, whole runs, long runs.

    pip install -r requirements-benchmark.txt
    python -m benchmarks.speed --data data/kitti_mots --plot docs/growth.png

association: time per frame against the objects in it, beside ByteTrack of `trackers` and the
compiled one of `pyxtrackers`, which get the boxes of the same detections. runs: `test_mots.py` from
start to end, and its stages. long: a long run, a crowd and a 4K video, each beside the same script
on three frames, whose memory is that of the libraries. Each figure is the fastest of `--repeat`.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.scenes import crowd
from models.streaming import track
from models.tracking import EMBEDDINGS
from pipeline.settings import settings_for
from pipeline.stages import Pipeline
from utils.boxes import xywh_to_xyxy
from utils.cli import Parser, positive, run, say
from utils.compiling import compile_all
from utils.data_sets import data_set
from utils.detections import IGNORE, Detections
from utils.formats import mots_txt
from utils.formats.reading import read_sequences
from utils.tables import format_table

ROOT = Path(__file__).resolve().parents[1]
Call = Callable[[], Any]

COUNTS = (10, 30, 100, 300, 1000, 3000, 10000)
DENSE = 300  # objects in a frame of 1080 x 1920; with more the frame grows
DETECTIONS = 30_000  # of a scene, about
FEWEST, MOST = 5, 300  # frames of a scene
PATIENCE = 0.3  # s a frame, beyond which a tracker is not asked for more objects
STAGES = ("read", "crop", "embed", "associate", "write")
SEQUENCES = 8  # that are tracked beside each other
SHORT = 3  # frames of the run that stands for the libraries
LONG = {  # frames, objects, height, width
    "long": (100_000, 10, 480, 640),
    "crowd": (200, 2_000, 1_024, 1_024),
    "large": (150, 12, 2_160, 3_840),
}


def fastest(call: Call, repeat: int) -> float:
    """Return the seconds of the fastest of so many calls."""
    best = float("inf")
    for _ in range(repeat):
        start = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - start)
    return best


def preset(name: str) -> Callable[[Detections, Any], Call]:
    """Return what makes the call that tracks a scene with a preset."""

    def make(detections: Detections, embeddings: Any) -> Call:
        pipeline = Pipeline(settings_for(data_set("kitti"), name))
        return lambda: track(detections, pipeline.tracker(), {EMBEDDINGS: embeddings})

    return make


def frames_of(detections: Detections) -> list[Any]:
    """Return the rows of every frame, of empty ones, too."""
    rows = dict(detections.rows_by_frame())
    span = range(int(detections.frames.min()), int(detections.frames.max()) + 1)
    return [rows.get(frame, np.zeros(0, int)) for frame in span]


def bytetrack(detections: Detections, _: Any) -> Call:
    """Return a call that tracks a scene with ByteTrack of the package `trackers`."""
    import supervision
    from trackers import ByteTrackTracker

    frames = [
        supervision.Detections(
            xywh_to_xyxy(detections.boxes_xywh[rows]).astype(np.float32),
            confidence=detections.scores[rows],
            class_id=detections.classes[rows].astype(int),
        )
        for rows in frames_of(detections)
    ]

    def call() -> None:
        tracker = ByteTrackTracker()
        for frame in frames:
            tracker.update(frame)

    return call


def compiled_bytetrack(detections: Detections, _: Any) -> Call:
    """Return a call that tracks a scene with ByteTrack of the package `pyxtrackers`."""
    from pyxtrackers import BYTETracker

    corners = xywh_to_xyxy(detections.boxes_xywh)
    columns = np.concatenate([corners, detections.scores[:, None]], axis=1)
    frames = [columns[rows] for rows in frames_of(detections)]

    def call() -> None:
        tracker = BYTETracker()
        for frame in frames:
            tracker.update(frame)

    return call


TRACKERS: Mapping[str, Callable[[Detections, Any], Call]] = {
    "best": preset("best"),
    "paper": preset("paper"),
    "ByteTrack (trackers)": bytetrack,
    "ByteTrack (pyxtrackers)": compiled_bytetrack,
}


def growth(
    counts: Sequence[int], names: Sequence[str], repeat: int, patience: float = PATIENCE
) -> dict[str, dict[int, float]]:
    """Return {tracker: {objects in a frame: seconds per frame}} of generated crowds."""
    times: dict[str, dict[int, float]] = {name: {} for name in names}
    for count in counts:
        side = math.sqrt(max(1.0, count / DENSE))
        frames = min(MOST, max(FEWEST, DETECTIONS // count))
        scene = crowd(count, frames, height=round(1080 * side), width=round(1920 * side))
        for name in names:
            known = times[name]
            if known and known[max(known)] > patience:
                continue
            known[count] = fastest(TRACKERS[name](*scene), repeat) / frames
            say(f"{count} objects, {name}: {1000 * known[count]:.2f} ms a frame")
    return times


def exponent(times: Mapping[int, float], low: int = 100) -> float:
    """Return the power of the number of objects by which time grows, from `low` to the most."""
    most = max(times)
    if low not in times or most <= low:
        return float("nan")
    return math.log(times[most] / times[low]) / math.log(most / low)


def plot(times: Mapping[str, Mapping[int, float]], path: Path) -> None:
    """Draw time against objects, both on logarithmic axes."""
    import matplotlib.pyplot as plt

    from utils.visualization import save

    figure, axes = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
    for name, values in times.items():
        style = "s--" if "ByteTrack" in name else "o-"
        axes.plot(list(values), [1000 * v for v in values.values()], style, label=name)
    axes.set(xscale="log", yscale="log", xlabel="objects in a frame", ylabel="ms a frame")
    axes.grid(alpha=0.3)
    axes.legend()
    save(figure, path)


def association(data: Path | None, repeat: int, picture: Path | None) -> None:
    """Print and draw what association alone takes, on crowds and on KITTI's annotations."""
    compile_all()
    times = growth(COUNTS, list(TRACKERS), repeat)
    rows = {}
    for name, values in times.items():
        rows[name] = {str(c): f"{1000 * v:.2f}" for c, v in values.items()}
        rows[name]["exponent"] = f"{exponent(values):.2f}"
    say(format_table("ms a frame, by objects in it", [*map(str, COUNTS), "exponent"], rows))
    if picture:
        plot(times, picture)
    if data is None:
        return
    sequences = [s.select(s.classes != IGNORE) for s in read_sequences(data / "instances_txt")]
    count = sum(len(frames_of(s)) for s in sequences)
    rates = {}
    for name, make in TRACKERS.items():
        # Any embedding of the right size costs the same: the box, repeated to F = 128.
        calls = [make(s, np.tile(s.boxes_xywh, (1, 32))) for s in sequences]
        rates[name] = count / fastest(lambda calls=calls: [call() for call in calls], repeat)  # type: ignore[misc]
    row = {name: f"{rate:,.0f}" for name, rate in rates.items()}
    say(format_table("frames/s, association", list(TRACKERS), {"KITTI MOTS": row}))


def tracked(detections: Path, output: Path, *more: str) -> dict[str, Any]:
    """Run test_mots.py in a process of its own; return its summary."""
    command = [sys.executable, "test_mots.py", "--no-report", "--detections", str(detections)]
    command += ["--dataset", "kitti", "--output", str(output), *more]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    summary: dict[str, Any] = json.loads((output / "summary.json").read_text())
    return summary


def write_crowds(folder: Path, objects: int, frames: int, count: int) -> None:
    """Write generated sequences as MOTS txt."""
    for seed in range(count):
        scene, _ = crowd(objects, frames, seed, 375, 1242)
        name = f"{seed:04}"
        scene = replace(scene.select(np.argsort(scene.frames, kind="stable")), sequence=name)
        mots_txt.write(folder / f"{name}.txt", scene)


def runs(data: Path | None, repeat: int, scratch: Path) -> None:
    """Print what whole runs take: start-up, stages, sequences beside each other."""
    write_crowds(scratch / "start", 20, 50, 1)
    write_crowds(scratch / "jobs", 40, 150, SEQUENCES)
    for runtime in ("keras", "onnx"):
        words = (scratch / "start", scratch / "out", "--preset", "paper", "--runtime", runtime)
        spent = fastest(lambda words=words: tracked(*words), repeat)  # type: ignore[misc]
        say(f"1,000 masks, start to end, imports and all, {runtime}: {spent:.1f} s")
    folder, rows = data / "instances_txt" if data else scratch / "jobs", {}
    for name in ("paper", "best", "mask_iou"):
        spent_by = [
            tracked(folder, scratch / "out", "--tracker", name)["seconds"] for _ in range(repeat)
        ]
        stages = min(spent_by, key=lambda spent: sum(spent[s] for s in STAGES))
        rows[name] = {s: f"{stages[s]:.2f}" for s in STAGES}
    say(format_table("seconds, txt to txt", STAGES, rows))
    for name in ("best", "mask_iou"):
        times = []
        for jobs in ("1", "2"):
            words = (scratch / "jobs", scratch / "out", "--tracker", name, "--jobs", jobs)
            times.append(fastest(lambda words=words: tracked(*words), repeat))  # type: ignore[misc]
        say(f"{SEQUENCES} sequences, {name}: --jobs 2 takes {times[1] / times[0]:.2f} of --jobs 1")


def measure(command: Sequence[str]) -> dict[str, float]:
    """Run a command; return its seconds and the most memory it held, in MiB."""
    start = time.perf_counter()
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise ValueError(f"{' '.join(command)}: must end with 0, got {status}")
    return {"seconds": time.perf_counter() - start, "MiB": usage.ru_maxrss / 1024}


def long_command(case: str, folder: Path, frames: int) -> list[str]:
    """Make the input of a case of LONG; return the command that tracks it."""
    from utils.video_writing import VideoWriter

    _, objects, height, width = LONG[case]
    size = max(8, round(math.sqrt(height * width / objects) / 3))
    scene, _ = crowd(objects, frames, 0, height, width, size)
    scene = replace(scene.select(np.argsort(scene.frames, kind="stable")), sequence="masks")
    mots_txt.write(folder / "masks.txt", scene)
    words = ["--detections", str(folder / "masks.txt"), "--output", str(folder / "out")]
    if case != "large":
        return [sys.executable, "test_mots.py", *words]
    noise = np.random.default_rng(2).integers(0, 255, (height // 8, width // 8, 3), np.uint8)
    picture = np.repeat(np.repeat(noise, 8, axis=0), 8, axis=1)
    with VideoWriter(folder / "video.mp4", (height, width), Fraction(25)) as video:
        for frame in range(frames):
            video.write(np.roll(picture, 4 * frame, axis=1))
    return [sys.executable, "track_video.py", str(folder / "video.mp4"), *words]


def long(frames: int | None, scratch: Path) -> None:
    """Print what long and large runs take, and their memory beyond the libraries'."""
    rows = {}
    for case, (count, objects, *_) in LONG.items():
        count = frames or count
        base = measure(long_command(case, scratch / f"{case} short", SHORT))
        whole = measure(long_command(case, scratch / case, count))
        rows[case] = {
            "frames": count, "objects": objects, "seconds": whole["seconds"],
            "frames/s": count / whole["seconds"], "MiB beyond": whole["MiB"] - base["MiB"],
        }  # fmt: skip
    say(format_table("long and large runs", list(rows["long"]), rows))


def main() -> None:
    """Time and print."""
    parser = Parser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, help="KITTI MOTS folder (holds instances_txt)")
    parser.add_argument("--parts", nargs="+", choices=("association", "runs", "long"),
                        default=["association", "runs"])  # fmt: skip
    parser.add_argument("--repeat", type=positive, default=3)
    parser.add_argument("--frames", type=positive, help="of `long`, fewer, to try it")
    parser.add_argument("--plot", type=Path, help="*.png to write")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        if "association" in args.parts:
            association(args.data, args.repeat, args.plot)
        if "runs" in args.parts:
            runs(args.data, args.repeat, Path(name))
        if "long" in args.parts:
            long(args.frames, Path(name))


if __name__ == "__main__":
    run(main)
