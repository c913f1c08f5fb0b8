"""The whole way from txt to txt beside plain cropping alone, in one run; and its peak memory.

    python -m benchmarks.end_to_end --data data/kitti_mots

Plain cropping decodes each mask to a whole frame and resizes its box: what a tracker in this frame
would do first. The ratio says how much of that time the whole of test_mots.py takes.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
from pycocotools import mask as coco_mask

from utils.cli import Parser, run
from utils.detections import IGNORE, Detections
from utils.formats.registry import read_sequences
from utils.masks import crop_patches
from utils.tables import format_table

STAGES = ("read", "crop", "embed", "associate", "write")


def plain_crop(sequences: list[Detections], size: int) -> None:
    """Decode each mask to a whole frame, cut its box out, resize."""
    for detections in sequences:
        boxes = detections.boxes_xywh.astype(int)
        for mask, (x, y, w, h) in zip(detections.coco(), boxes, strict=True):
            part = coco_mask.decode(mask)[y : y + h, x : x + w]
            cv2.resize(part, (size, size), interpolation=cv2.INTER_NEAREST)


def seconds(call: Callable[[], object]) -> float:
    """Return how long a call takes."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def main() -> None:
    """Time and print."""
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="holds instances_txt")
    args = parser.parse_args()
    sequences = read_sequences(args.data / "instances_txt")
    sequences = [s.select(s.classes != IGNORE) for s in sequences]
    plain = seconds(lambda: plain_crop(sequences, 128))
    ours = seconds(lambda: [crop_patches(s, 128) for s in sequences])
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "test_mots.py", "--dataset", "kitti", "--output", folder]
        command += ["--detections", str(args.data / "instances_txt")]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        summary = json.loads((Path(folder) / "summary.json").read_text())
    whole = sum(summary["seconds"][stage] for stage in STAGES)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    rows = {
        "plain cropping": {"seconds": plain, "of plain cropping": "1.00"},
        "crop_patches": {"seconds": ours, "of plain cropping": f"{ours / plain:.2f}"},
        "txt to txt": {"seconds": whole, "of plain cropping": f"{whole / plain:.2f}"},
    }
    title = f"{sum(map(len, sequences))} masks"
    print(format_table(title, ("seconds", "of plain cropping"), rows))
    print("stages: " + ", ".join(f"{s} {summary['seconds'][s]:.1f} s" for s in STAGES))
    print(f"peak memory of test_mots.py: {peak:.2f} GiB")


if __name__ == "__main__":
    run(main)
