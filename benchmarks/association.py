"""Association alone: frames per second of both presets beside SORT and ByteTrack, in one run.

    pip install trackers==2.6.1
    python -m benchmarks.association --data data/kitti_mots

SORT and ByteTrack (the classes of the package `trackers`) get the boxes of the same detections.
All are timed from detections in memory to identities; each figure is the best of `--repeat`.
"""

import time
from pathlib import Path

import numpy as np

from benchmarks.scenes import crowd
from models.rules import apply_rules
from models.tracker import track
from utils import mots_io
from utils.cli import Parser, positive
from utils.config import preset
from utils.datasets import scaled_boxes
from utils.tables import format_table


def package_boxes(detections, frames):
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


def frames_per_second(run, frames, repeat):
    """Return frames / seconds of the fastest of `repeat` calls of `run`."""
    best = float("inf")
    for _ in range(repeat):
        start = time.perf_counter()
        run()
        best = min(best, time.perf_counter() - start)
    return frames / best


def compare(scenes, repeat):
    """Time all on [(Detections, embeddings)]; return a table row."""
    from trackers import ByteTrackTracker, SORTTracker

    spans = [range(int(d.frames.min()), int(d.frames.max()) + 1) for d, _ in scenes]
    inputs = [
        [boxes for _, boxes in package_boxes(d, span)]
        for (d, _), span in zip(scenes, spans, strict=True)
    ]
    frames = sum(map(len, spans))

    def ours(name):
        chosen = preset("kitti", name)
        for detections, embeddings in scenes:
            track(detections, embeddings, chosen.tracker_of(detections))

    def theirs(tracker_class):
        for sequence in inputs:
            tracker = tracker_class()
            for boxes in sequence:
                tracker.update(boxes)

    rates = {
        "paper": frames_per_second(lambda: ours("paper"), frames, repeat),
        "SORT": frames_per_second(lambda: theirs(SORTTracker), frames, repeat),
        "best": frames_per_second(lambda: ours("best"), frames, repeat),
        "ByteTrack": frames_per_second(lambda: theirs(ByteTrackTracker), frames, repeat),
    }
    row = {name: f"{rate:.0f}" for name, rate in rates.items()}
    row["paper / SORT"] = f"{rates['paper'] / rates['SORT']:.2f}"
    row["best / ByteTrack"] = f"{rates['best'] / rates['ByteTrack']:.2f}"
    return row


def main():
    """Time and print."""
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="KITTI MOTS folder (holds instances_txt)")
    parser.add_argument("--repeat", type=positive, default=3)
    args = parser.parse_args()
    rows = {}
    if args.data:
        chosen = preset("kitti")
        sequences = [
            apply_rules(s, chosen.classes, chosen.rules)[0]
            for s in mots_io.read_sequences(args.data / "instances_txt")
        ]
        # Any embedding of the right size costs the same: the box, repeated to F = 128.
        scenes = [(s, np.tile(scaled_boxes(s, None), (1, 32))) for s in sequences]
        rows[f"KITTI MOTS, {len(scenes)} sequences"] = compare(scenes, args.repeat)
    for objects, frames in ((10, 300), (100, 100), (300, 50)):
        rows[f"{objects} objects a frame"] = compare([crowd(objects, frames)], args.repeat)
    print(format_table("frames/s, association", list(next(iter(rows.values()))), rows))


if __name__ == "__main__":
    main()
