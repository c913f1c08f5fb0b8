"""Time per frame against the objects in it, beside compiled and other peers, in one run.

    pip install -r requirements-benchmark.txt
    python -m benchmarks.growth --plot docs/growth.png

Generated crowds as dense as 300 objects in a frame of 1080 x 1920 px: with more objects the frame
grows, with fewer it stays. ByteTrack of `trackers` and of `pyxtrackers` (compiled) get the boxes of
the same detections. Each figure is the fastest of `--repeat`; a tracker that takes longer than
`--patience` seconds for a frame is not asked for more objects.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.association import compiled_bytetrack, frames_per_second, package_boxes
from benchmarks.scenes import crowd
from models.streaming import track
from models.tracking import EMBEDDINGS, Array
from pipeline.settings import settings_for
from pipeline.stages import Pipeline
from utils.cli import Parser, positive, run, say
from utils.compiling import compile_all
from utils.data_sets import data_set
from utils.detections import Detections
from utils.tables import format_table

COUNTS = (10, 30, 100, 300, 1000, 3000, 10000)
DENSE = 300  # objects in a frame of 1080 x 1920
DETECTIONS = 30_000  # of a scene, about
FEWEST, MOST = 5, 300  # frames


def ours(name: str, detections: Detections, embeddings: Array) -> Callable[[], None]:
    """Return a call that tracks a scene with a preset."""

    def call() -> None:
        tracker = Pipeline(settings_for(data_set("kitti"), name)).tracker()
        track(detections, tracker, {EMBEDDINGS: embeddings})

    return call


def bytetrack(detections: Detections, span: Sequence[int]) -> Callable[[], None]:
    """Return a call that tracks a scene with ByteTrack of the package `trackers`."""
    from trackers import ByteTrackTracker

    boxes = [given for _, given in package_boxes(detections, span)]

    def call() -> None:
        tracker = ByteTrackTracker()
        for frame in boxes:
            tracker.update(frame)

    return call


def measured(
    counts: Sequence[int], trackers: Sequence[str], repeat: int, patience: float
) -> dict[str, dict[int, float]]:
    """Return {tracker: {objects: seconds per frame}}."""
    found: dict[str, dict[int, float]] = {name: {} for name in trackers}
    for count in counts:
        wider = math.sqrt(max(1.0, count / DENSE))
        frames = min(MOST, max(FEWEST, DETECTIONS // count))
        detections, embeddings = crowd(
            count, frames, height=round(1080 * wider), width=round(1920 * wider)
        )
        span = range(1, frames + 1)
        for name in trackers:
            known = found[name]
            if known and known[max(known)] > patience:
                continue
            make = PEERS.get(name)
            call = make(detections, span) if make else ours(name, detections, embeddings)
            known[count] = 1 / frames_per_second(call, frames, repeat)
            say(f"{count} objects, {name}: {1000 * known[count]:.2f} ms a frame")
    return found


PEERS: Mapping[str, Callable[[Detections, Sequence[int]], Callable[[], None]]] = {
    "ByteTrack (trackers)": bytetrack,
    "ByteTrack (pyxtrackers)": compiled_bytetrack,
}


def exponent(times: Mapping[int, float], low: int = 100) -> float:
    """Return the power of the number of objects by which time grows, from `low` to the most."""
    most = max(times)
    if low not in times or most <= low:
        return float("nan")
    return math.log(times[most] / times[low]) / math.log(most / low)


def plot(found: Mapping[str, Mapping[int, float]], path: Path) -> None:
    """Draw time against objects, both on logarithmic axes."""
    import matplotlib.pyplot as plt

    from utils.visualization import save

    figure, axes = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
    for name, times in found.items():
        style = "o-" if name not in PEERS else "s--"
        values = [1000 * v for v in times.values()]
        axes.plot(list(times), values, style, label=name)
    axes.set(
        xscale="log", yscale="log", xlabel="objects in a frame", ylabel="ms a frame, association"
    )
    axes.grid(alpha=0.3)
    axes.legend()
    save(figure, path)


def main() -> None:
    """Time, print, draw."""
    names = ("best", "paper", *PEERS)
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument("--counts", type=positive, nargs="+", default=list(COUNTS))
    parser.add_argument("--trackers", nargs="+", choices=names, default=list(names))
    parser.add_argument("--repeat", type=positive, default=3)
    parser.add_argument("--patience", type=float, default=0.3, help="seconds")
    parser.add_argument("--plot", type=Path, help="*.png to write")
    args = parser.parse_args()
    compile_all()
    found = measured(args.counts, args.trackers, args.repeat, args.patience)
    rows: dict[str, dict[str, Any]] = {}
    for name, times in found.items():
        rows[name] = {str(c): f"{1000 * v:.2f}" for c, v in times.items()}
        rows[name]["exponent"] = f"{exponent(times):.2f}"
    columns = [*map(str, args.counts), "exponent"]
    say(format_table("ms a frame, by objects in it", columns, rows))
    compiled = found.get("ByteTrack (pyxtrackers)", {})
    ratios = {c: compiled[c] / v for c, v in found.get("best", {}).items() if c in compiled}
    if ratios:
        told = ", ".join(f"{ratio:.2f} at {count}" for count, ratio in ratios.items())
        say(f"best / ByteTrack (pyxtrackers), frames per second: {told}")
    if args.plot:
        plot(found, args.plot)


if __name__ == "__main__":
    run(main)
