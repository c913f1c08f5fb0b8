"""Networks beside torchvision and Ultralytics: the same weights, frames and cores in one run.

    python3 -m venv /tmp/torch
    /tmp/torch/bin/pip install torch torchvision ultralytics onnx onnxruntime
    python -m benchmarks.beside_torch --python /tmp/torch/bin/python

speed: seconds a frame and peak memory of `maskrcnn_resnet50_fpn` at 800 px, by Keras, by ONNX
Runtime (export.py), by torchvision. parity: mask pixels at 320 px in which our network differs from
torchvision, and in which torchvision in double precision does. yolo: how many of Ultralytics' own
detections `--segmenter FILE.onnx` finds at IoU 0.98 or more. Weights are random.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.torch_side import peak_mib
from pipeline.segmenters import find_segmenter
from utils.cli import Parser, import_keras, positive, run, say

ROOT = Path(__file__).resolve().parents[1]
HEIGHT, WIDTH = 480, 640
ALIKE = 0.98  # IoU
YOLOS = ("yolov8n-seg", "yolo11n-seg", "yolo26n-seg")
Array = npt.NDArray[Any]


def frames_of(count: int) -> Array:
    """Return (count, HEIGHT, WIDTH, 3) pictures of noise that moves."""
    rng = np.random.default_rng(0)
    tile = rng.integers(0, 256, (HEIGHT // 8, WIDTH // 8, 3)).astype(np.uint8)
    whole = tile.repeat(8, axis=0).repeat(8, axis=1)
    return np.stack([np.roll(whole, 4 * i, axis=1) for i in range(count)])


def called(python: str, *words: str) -> dict[str, Any]:
    """Return what a module of benchmarks prints as JSON on its last line."""
    done = subprocess.run([python, "-m", *words], cwd=ROOT, capture_output=True, text=True,
                          env={**os.environ, "PYTHONPATH": str(ROOT)})  # fmt: skip
    if done.returncode:
        raise ValueError(f"{' '.join(words)}: {(done.stderr.strip().splitlines() or ['?'])[-1]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def converted(folder: Path, min_size: int) -> Any:
    """Return torchvision's weights in this repository's network."""
    import_keras()
    from models.maskrcnn.torch_file import read_state
    from models.maskrcnn.weights import network_of

    state = read_state(folder / "weights.pth")
    return network_of(state, norm_eps=1e-5, min_size=min_size)


def ours(folder: Path, kind: str) -> dict[str, Any]:
    """Return seconds a frame and memory of this repository's network, "keras" or "onnx"."""
    if kind == "keras":
        import_keras()
        base = peak_mib()
        segmenter: Any = converted(folder, 800).segmenter(1)
    else:
        base = peak_mib()
        segmenter = find_segmenter(str(folder / "network.onnx"), 1)
    frames = np.load(folder / "frames.npy")
    segmenter(frames[0])  # it is compiled for the size
    seconds = []
    for frame in frames:
        start = time.perf_counter()
        segmenter(frame)
        seconds.append(time.perf_counter() - start)
    memory = peak_mib()
    return {"seconds": float(np.median(seconds)), "MiB": memory, "libraries": base}


def speed(python: str, folder: Path) -> None:
    """Print seconds a frame and memory, each in a process of its own."""
    called(python, "benchmarks.torch_side", "maskrcnn", str(folder), "800")  # writes the weights
    from models.networks.exported import export

    export(converted(folder, 800), folder / "network.onnx", (HEIGHT, WIDTH))
    say(f"{'maskrcnn_resnet50_fpn, 800 px':34}{'s a frame':>10}{'MiB':>8}{'of libraries':>14}")
    rows = {
        "torchvision": (python, "benchmarks.torch_side", "maskrcnn", str(folder), "800"),
        **{k: (sys.executable, "benchmarks.beside_torch", "--one", str(folder), k)
           for k in ("keras", "onnx")},
    }  # fmt: skip
    for name, words in rows.items():
        row = called(*words)
        say(f"{name:34}{row['seconds']:10.2f}{row['MiB']:8.0f}{row['libraries']:14.0f}")


def parity(python: str, folder: Path) -> None:
    """Print in how many mask pixels ours, and torchvision in double precision, differ from it."""
    from models.networks.inference import Seen
    from models.networks.transform import paste

    called(python, "benchmarks.torch_side", "maskrcnn", str(folder), "320")
    called(python, "benchmarks.torch_side", "maskrcnn", str(folder), "320")
    network = converted(folder, 320)
    segmenter = network.segmenter(1)
    frames = np.load(folder / "frames.npy")
    with np.load(folder / "found.npz") as data:
        theirs = {name: data[name] for name in data.files}
    say(f"{'frame':>6}{'detections':>12}{'boxes px':>10}{'scores':>10}{'mask px':>9}{'double':>9}")
    for i, frame in enumerate(frames):
        found = segmenter._found([], [Seen(i, frame, network.config)], [])[0]
        count, size = len(theirs[f"boxes/{i}"]), frame.shape[:2]
        if len(found["boxes"]) != count:
            say(f"{i:6}{count:12}  ours: {len(found['boxes'])}")
            continue
        full = np.zeros((count, *size), bool)
        for k, (mask, box) in enumerate(zip(found["masks"], found["boxes"], strict=True)):
            values, x, y = paste(mask, box, *size)
            full[k, y : y + values.shape[0], x : x + values.shape[1]] = values > 0.5
        packed = np.packbits(full)
        other, double = (theirs[f"{name}/{i}"] for name in ("masks", "double"))
        apart = [int(np.bitwise_count(other ^ a).sum()) for a in (packed, double)]
        boxes = np.abs(found["boxes"] - theirs[f"boxes/{i}"]).max()
        scores = np.abs(found["scores"] - theirs[f"scores/{i}"]).max()
        say(f"{i:6}{count:12}{boxes:10.1e}{scores:10.1e}{apart[0]:9}{apart[1]:9}")


def yolo(python: str, folder: Path) -> None:
    """Print how many of Ultralytics' detections an ONNX segmenter has, too."""
    for name in YOLOS:
        path = called(python, "benchmarks.torch_side", "yolo", str(folder), name)["path"]
        segmenter: Any = find_segmenter(path)
        alike = total = extra = 0
        worst = 0.0
        with np.load(folder / "found.npz") as theirs:
            for i, frame in enumerate(np.load(folder / "frames.npy")):
                items, masks = segmenter(frame), theirs[f"masks/{i}"]
                near, scores = matched(items, masks, theirs[f"classes/{i}"], theirs[f"scores/{i}"])
                alike, total = alike + near, total + len(masks)
                extra, worst = extra + len(items) - near, max(worst, scores)
        say(f"{name}: {alike} of {total} detections at IoU {ALIKE} or more, {extra} others; "
            f"scores differ by {worst:.1e} at most")  # fmt: skip
        Path(path).unlink()


def matched(
    items: list[dict[str, Any]], masks: Array, classes: Array, scores: Array
) -> tuple[int, float]:
    """Return how many masks match an item of their class, and their largest score difference."""
    from pycocotools import mask as coco_mask

    if not items or not len(masks):
        return 0, 0.0
    given = [coco_mask.encode(np.asfortranarray(m.astype(np.uint8))) for m in masks]
    overlap = coco_mask.iou(items, given, [0] * len(given))
    same = np.array([i["category_id"] - 1 for i in items])[:, None] == classes
    best = np.where(same, overlap, 0).argmax(axis=0)
    enough = (overlap * same)[best, np.arange(len(given))] >= ALIKE
    apart = np.abs(np.array([items[b]["score"] for b in best]) - scores)[enough]
    return int(enough.sum()), float(apart.max(initial=0))


PARTS = {"speed": speed, "parity": parity, "yolo": yolo}


def main() -> None:
    """Run the parts that are asked for."""
    parser = Parser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--python", help="of an environment with torch, torchvision, ultralytics")
    add("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    add("--frames", type=positive, default=6)
    add("--one", nargs=2, help="FOLDER KIND: measure here, print JSON")
    args = parser.parse_args()
    if args.one:
        say(json.dumps(ours(Path(args.one[0]), args.one[1])))
        return
    if not args.python:
        parser.error("--python is needed")
    for name in args.parts:
        with tempfile.TemporaryDirectory() as folder:
            np.save(Path(folder) / "frames.npy", frames_of(args.frames))
            PARTS[name](args.python, Path(folder))


if __name__ == "__main__":
    run(main)
