"""Association alone: frames per second of both presets beside SORT and ByteTrack, in one run.

    pip install -r requirements-benchmark.txt
    python -m benchmarks.association --data data/kitti_mots

SORT and ByteTrack (the classes of the package `trackers`) and the compiled ByteTrack of
`pyxtrackers` get the boxes of the same detections.
All are timed from detections in memory to identities; each figure is the best of `--repeat`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.scenes import crowd
from models.streaming import track
from models.tracking import EMBEDDINGS, Array
from pipeline.settings import settings_for
from pipeline.stages import Pipeline
from utils.boxes import scaled_boxes, xywh_to_xyxy
from utils.cli import Parser, positive, run
from utils.compiling import compile_all
from utils.data_sets import data_set
from utils.detections import Detections
from utils.formats.registry import read_sequences
from utils.tables import format_table

Scenes = Sequence[tuple[Detections, Array]]  # [(detections, embeddings)]


def package_boxes(detections: Detections, frames: Iterable[int]) -> Iterator[tuple[Array, Any]]:
    """Yield (rows, the package's input) per frame, empty frames included."""
    import supervision

    rows_of = dict(detections.rows_by_frame())
    for frame in frames:
        rows = rows_of.get(frame, np.zeros(0, int))
        boxes = detections.boxes_xywh[rows].astype(np.float32)
        boxes[:, 2:] += boxes[:, :2]
        yield (
            rows,
            supervision.Detections(
                boxes,
                confidence=detections.scores[rows],
                class_id=detections.classes[rows].astype(int),
            ),
        )


def frames_per_second(call: Callable[[], Any], frames: int, repeat: int) -> float:
    """Return frames / seconds of the fastest of `repeat` calls."""
    best = float("inf")
    for _ in range(repeat):
        start = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - start)
    return frames / best


def compiled_bytetrack(detections: Detections, span: Sequence[int]) -> Callable[[], None]:
    """Return a call that tracks a scene with ByteTrack of the package `pyxtrackers`."""
    from pyxtrackers import BYTETracker

    rows_of = dict(detections.rows_by_frame())
    frames = []
    for frame in span:
        rows = rows_of.get(frame, np.zeros(0, int))
        corners = xywh_to_xyxy(detections.boxes_xywh[rows])
        frames.append(np.concatenate([corners, detections.scores[rows, None]], axis=1))

    def call() -> None:
        tracker = BYTETracker()
        for boxes in frames:
            tracker.update(boxes)

    return call


def compare(scenes: Scenes, repeat: int) -> dict[str, str]:
    """Time all on [(Detections, embeddings)]; return a table row."""
    from trackers import ByteTrackTracker, SORTTracker

    spans = [range(int(d.frames.min()), int(d.frames.max()) + 1) for d, _ in scenes]
    inputs = [
        [boxes for _, boxes in package_boxes(d, span)]
        for (d, _), span in zip(scenes, spans, strict=True)
    ]
    frames = sum(map(len, spans))

    def ours(name: str) -> None:
        pipeline = Pipeline(settings_for(data_set("kitti"), name))
        for detections, embeddings in scenes:
            track(detections, pipeline.tracker(), {EMBEDDINGS: embeddings})

    def theirs(tracker_class: Any) -> None:
        for sequence in inputs:
            tracker = tracker_class()
            for boxes in sequence:
                tracker.update(boxes)

    peers = [compiled_bytetrack(d, span) for (d, _), span in zip(scenes, spans, strict=True)]

    def compiled() -> None:
        for call in peers:
            call()

    rates = {
        "paper": frames_per_second(lambda: ours("paper"), frames, repeat),
        "SORT": frames_per_second(lambda: theirs(SORTTracker), frames, repeat),
        "best": frames_per_second(lambda: ours("best"), frames, repeat),
        "ByteTrack": frames_per_second(lambda: theirs(ByteTrackTracker), frames, repeat),
        "compiled": frames_per_second(compiled, frames, repeat),
    }
    row = {name: f"{rate:.0f}" for name, rate in rates.items()}
    row["paper / SORT"] = f"{rates['paper'] / rates['SORT']:.2f}"
    row["best / ByteTrack"] = f"{rates['best'] / rates['ByteTrack']:.2f}"
    return row


def main() -> None:
    """Time and print."""
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="KITTI MOTS folder (holds instances_txt)")
    parser.add_argument("--repeat", type=positive, default=3)
    args = parser.parse_args()
    compile_all()
    rows = {}
    if args.data:
        pipeline = Pipeline(settings_for(data_set("kitti")))
        sequences = [
            s.select(pipeline.mark(s)[0]) for s in read_sequences(args.data / "instances_txt")
        ]
        # Any embedding of the right size costs the same: the box, repeated to F = 128.
        scenes = [(s, np.tile(scaled_boxes(s, None), (1, 32))) for s in sequences]
        rows[f"KITTI MOTS, {len(scenes)} sequences"] = compare(scenes, args.repeat)
    for objects, frames in ((10, 300), (100, 100), (300, 50)):
        rows[f"{objects} objects a frame"] = compare([crowd(objects, frames)], args.repeat)
    print(format_table("frames/s, association", list(next(iter(rows.values()))), rows))


if __name__ == "__main__":
    run(main)
