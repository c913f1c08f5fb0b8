"""Whole runs of test_mots.py: start-up, stages, cropping, sequences beside each other.

    python -m benchmarks.whole_runs [--data data/kitti_mots]

Generated crowds, or KITTI MOTS' annotations for what is per mask. Ratios are of two things timed in
this run, each the fastest of `--repeat`. To see the start without TensorFlow, run it with a Python
that has requirements-runtime.txt alone.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.association import frames_per_second
from benchmarks.scenes import crowd
from models.usc_mots.embedding import KERAS, ONNX
from utils.cli import BACKENDS, Parser, positive, run, say
from utils.detections import IGNORE, Detections
from utils.formats import mots_txt
from utils.formats.registry import read_sequences
from utils.tables import format_table

STAGES = ("read", "crop", "embed", "associate", "write")
SEQUENCES = 8


def fastest(call: Callable[[], Any], repeat: int) -> float:
    """Return the seconds of the fastest of so many calls."""
    return 1 / frames_per_second(call, 1, repeat)


def track(detections: Path, output: Path, *more: str) -> dict[str, Any]:
    """Run test_mots.py in a process of its own; return its summary."""
    command = [sys.executable, "test_mots.py", "--no-report", "--detections", str(detections)]
    subprocess.run(
        [*command, "--output", str(output), *more], check=True, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    summary: dict[str, Any] = json.loads((output / "summary.json").read_text())
    return summary


def _all(calls: Sequence[Callable[[], Any]]) -> None:
    for call in calls:
        call()


def runtimes() -> list[str]:
    """Return what embeds and is installed."""
    return [*([KERAS] if any(map(importlib.util.find_spec, BACKENDS)) else []), ONNX]


def stages(folder: Path, scratch: Path, count: int, repeat: int) -> None:
    """Print what each stage of a run takes, imports left out."""
    rows = {}
    ways: dict[str, tuple[str, ...]] = {
        f"paper, {r}": ("--preset", "paper", "--runtime", r) for r in runtimes()
    }
    for name in ("best", "mask_iou"):
        ways[name] = ("--tracker", name)
    for name, more in ways.items():
        totals = []
        for _ in range(repeat):
            spent = track(folder, scratch / "stages", "--dataset", "kitti", *more)["seconds"]
            totals.append((sum(spent[s] for s in STAGES), spent))
        total, spent = min(totals, key=lambda pair: pair[0])
        rows[name] = {s: f"{spent[s]:.2f}" for s in STAGES} | {"masks/s": f"{count / total:,.0f}"}
    say(format_table(f"seconds for {count:,} masks, txt to txt", (*STAGES, "masks/s"), rows))


def starting(folder: Path, scratch: Path, repeat: int) -> None:
    """Print how long a run of 1,000 masks takes, imports and all."""
    told = []
    for runtime in runtimes():
        more = ("--dataset", "kitti", "--preset", "paper", "--runtime", runtime)
        spent = fastest(partial(track, folder, scratch / "start", *more), repeat)
        told.append(f"{runtime} {spent:.1f} s")
    say(f"1,000 masks, start to end, imports and all: {', '.join(told)}")


def beside(folder: Path, scratch: Path, repeat: int) -> None:
    """Print how much faster two jobs are than one, where masks are embedded and where not."""
    for name in ("best", "mask_iou"):
        times = {}
        for jobs in (1, 2):
            more = ("--dataset", "kitti", "--tracker", name, "--jobs", str(jobs))
            times[jobs] = fastest(partial(track, folder, scratch / "jobs", *more), repeat)
        say(
            f"{SEQUENCES} sequences, {name}: --jobs 1 {times[1]:.1f} s, --jobs 2 {times[2]:.1f} s: "
            f"{times[1] / times[2]:.2f} times as fast"
        )


def write_crowds(folder: Path, objects: int, frames: int, count: int) -> list[Detections]:
    """Write generated sequences as MOTS txt; return them."""
    made = []
    for seed in range(count):
        found, _ = crowd(objects, frames, seed, 375, 1242)
        name = f"{seed:04}"
        found = replace(found, sequence=name)
        found = found.select(np.argsort(found.frames, kind="stable"))
        mots_txt.write(folder / f"{name}.txt", found)
        made.append(found)
    return made


def main() -> None:
    """Time and print."""
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="KITTI MOTS folder (holds instances_txt)")
    parser.add_argument("--repeat", type=positive, default=3)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        write_crowds(scratch / "start_in", 20, 50, 1)
        long = write_crowds(scratch / "jobs_in", 40, 150, SEQUENCES)
        folder = args.data / "instances_txt" if args.data else scratch / "jobs_in"
        found = read_sequences(folder) if args.data else long
        found = [s.select(s.classes != IGNORE) for s in found]
        starting(scratch / "start_in", scratch, args.repeat)
        stages(folder, scratch, sum(map(len, found)), args.repeat)
        beside(scratch / "jobs_in", scratch, args.repeat)


if __name__ == "__main__":
    run(main)
