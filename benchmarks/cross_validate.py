"""The constants of the preset `best`, each chosen without the detector it counts on; distortions.

    python -m benchmarks.cross_validate --data data

First table: for each constant some values are tried on every data set. For each data set the value
with the best mean on the others is chosen, and counts on the one left out; all other constants are
the preset's. If the table's last two columns are alike, the choice carries over to detectors it was
not made on. A data set counts with the mean of sMOTSA, IDF1 and HOTA over its classes.

Second table: what becomes of the result under distortions that change no object: scores squared,
square-rooted, rounded to 0.1 or shifted, masks eroded, half the frames, a tenth of the detections
dropped. What is lost may cost, what is only renamed must not.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from pycocotools import mask as coco_mask

from benchmarks.ablation import Job, combined, measure, scenes_of
from benchmarks.compare_trackers import Scene, prepare
from models.parallel import Means
from models.settings import settings_for
from models.tracking import Array
from utils import masks
from utils.cli import Parser, positive, run, say
from utils.data_sets import data_set
from utils.detections import Detections
from utils.formats import mots_txt
from utils.formats.registry import read_detections
from utils.tables import format_table

GRID: dict[str, Sequence[Any]] = {
    "reach": (0.2, 0.4, 0.6, 0.8),
    "clutter": (3.0, 6.0, 12.0),
    "innovation": (5.0, 6.5, 8.0),
    "slack": (0.0, 0.2, 0.4),
    "smoothing": (0.15, 0.25, 0.4),
    "damping": (0.8, 0.9, 0.95),
    "mask_weight": (0.5, 1.0, 1.5),
    "size_weight": (0.2, 0.4, 0.6),
    "descriptor_weight": (0.0, 0.2, 0.4),
    "colour_weight": (0.0, 0.2, 0.4, 0.6),
    "memory": (15, 30, 60),
    "recall": (0, 60, 100, 200),
    "proof": (0.5, 0.7, 0.9),
    "confident": (0.3, 0.4, 0.5),
    "written": (0.5, 0.6, 0.7),
    "patience": (10, 30, 60),
    "recency": (0.03, 0.05, 0.1, 0.2),
}
SHIFT, ERODED, DROPPED = 0.15, 2, 0.1
METRICS = ("sMOTSA", "IDF1", "HOTA")
Named = tuple[str, Scene, Path]  # data set, sequence, file of its ground truth
Distortion = Callable[[Scene], Scene]


def _scores(change: Callable[[Array], Array]) -> Distortion:
    def distorted(scene: Scene) -> Scene:
        scores = change(scene.detections.scores).astype(np.float32)
        return replace(scene, detections=replace(scene.detections, scores=scores))

    return distorted


def rows_of(scene: Scene, rows: Array) -> Scene:
    """Return a scene with some of its rows only."""
    columns = {name: values[rows] for name, values in scene.columns.items()}
    return Scene(scene.detections.select(rows), columns)


def in_even_frames(found: Detections) -> Array:
    """Return the rows of every second frame."""
    return np.flatnonzero(found.frames % 2 == 0)


def half(scene: Scene) -> Scene:
    """Return every second frame."""
    return rows_of(scene, in_even_frames(scene.detections))


def dropped(scene: Scene) -> Scene:
    """Return a scene without a tenth of its detections, drawn at random."""
    left = np.random.default_rng(0).random(len(scene.detections)) >= DROPPED
    return rows_of(scene, np.flatnonzero(left))


def eroded(scene: Scene) -> Scene:
    """Return a scene with masks eroded by ERODED px, boxes around them; what vanishes stays."""
    found = scene.detections
    kernel = np.ones((2 * ERODED + 1,) * 2, np.uint8)
    rles = found.rles.copy()
    for i, rle in enumerate(found.coco(np.arange(len(found)))):
        smaller = cv2.erode(coco_mask.decode(rle), kernel)
        if smaller.any():
            rles[i] = masks.encode(smaller)
    boxes = masks.tight_boxes_xywh(rles, *found.size)
    return replace(scene, detections=replace(found, rles=rles, boxes_xywh=boxes))


DISTORTIONS: dict[str, Distortion] = {
    "none": lambda scene: scene,
    "scores squared": _scores(np.square),
    "square roots of scores": _scores(lambda s: np.sqrt(np.maximum(s, 0))),
    "scores rounded to 0.1": _scores(lambda s: np.round(s, 1)),
    f"scores less {SHIFT}": _scores(lambda s: s - SHIFT),
    f"masks eroded by {ERODED} px": eroded,
    "every second frame": half,
    f"{DROPPED:.0%} of detections dropped": dropped,
}


def averages(rows: Mapping[tuple[str, str], Mapping[str, Any]]) -> dict[str, float]:
    """Return {data set: mean of METRICS over its classes}."""
    return {
        name: float(
            np.mean([row[m] for (of, _), row in rows.items() if of == name for m in METRICS])
        )
        for name in dict.fromkeys(name for name, _ in rows)
    }


def choose(table: Mapping[Any, Mapping[str, float]], preset: Any) -> dict[str, Any]:
    """Return a row of the first table, from {value: {data set: mean}}."""
    names = list(next(iter(table.values())))
    picked = {}
    for left_out in names:
        others = [name for name in names if name != left_out]
        # Of values that are as good, the preset's.
        order = sorted(table, key=lambda value: value != preset)
        picked[left_out] = max(order, key=lambda v: np.mean([table[v][name] for name in others]))
    return {
        "values": " ".join(map(str, table)),
        "chosen without each": " ".join(str(picked[name]) for name in names),
        "preset": str(preset),
        "preset's mean": float(np.mean([table[preset][name] for name in names])),
        "left out": float(np.mean([table[picked[name]][name] for name in names])),
    }


def validate(means: Means, scenes: Sequence[Named], constants: Sequence[str]) -> None:
    """Print the first table."""
    settings, rows = settings_for(data_set("kitti"), "best").tracker, {}
    names = [name for name, _, _ in scenes]
    for constant in constants:
        table = {}
        for value in GRID[constant]:
            jobs = [(*scene, {constant: value}) for scene in scenes]
            table[value] = averages(combined(names, means.all(measure, jobs)))
        rows[constant] = choose(table, getattr(settings, constant))
    columns = ("values", "chosen without each", "preset", "preset's mean", "left out")
    order = ", ".join(dict.fromkeys(names))
    say(format_table(f"mean of {', '.join(METRICS)}; left out in turn: {order}", columns, rows))


def distort(means: Means, scenes: Sequence[Named], folder: Path) -> None:
    """Print the second table, of the data sets that have scores."""
    scored = [scene for scene in scenes if scene[1].detections.scored]
    names = [name for name, _, _ in scored]
    rows: dict[str, dict[str, Any]] = {}
    for label, change in DISTORTIONS.items():
        jobs: list[Job] = []
        for name, scene, truth in scored:
            if change is half:
                objects = read_detections(truth)
                truth = folder / name / truth.name
                truth.parent.mkdir(exist_ok=True)
                mots_txt.write(truth, objects.select(in_even_frames(objects)))
            jobs.append((name, change(scene), truth, {}))
        scores = combined(names, means.all(measure, jobs))
        rows[label] = {
            f"{name}, {cls}": " / ".join(f"{row[m]:.1f}" for m in METRICS)
            for (name, cls), row in scores.items()
        }
    say(format_table(" / ".join(METRICS), list(rows["none"]), rows))


def main() -> None:
    """Measure and print."""
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="holds kitti_mots, mots_challenge")
    parser.add_argument("--constants", nargs="*", choices=GRID, default=list(GRID))
    parser.add_argument("--jobs", type=positive, default=2)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        scenes = scenes_of(prepare(args.data, Path(folder)), args.data)
        means = Means(args.jobs)
        distort(means, scenes, Path(folder))
        validate(means, scenes, args.constants)


if __name__ == "__main__":
    run(main)
