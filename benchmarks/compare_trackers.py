"""All trackers on identical detections: accuracy, frames per second and peak memory, in one table.

    pip install -r requirements-benchmark.txt
    python -m benchmarks.compare_trackers --data data --peers trackers=python pyxtrackers=python

Ours (all presets), the competitors of the registry, and trackers of other packages, each in the
Python that has the package (`benchmarks.peers`). Everything gets the same files. Competitors and
peers see what the paper's thresholds leave of a detector's; peers are run with what `best` gets,
too. Each runs in a process of its own, from detections (and, where used, embeddings) in memory to
identities; reading, embedding and scoring are not timed.
"""

from __future__ import annotations

import json
import multiprocessing
import pickle
import resource
import time
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco_mask

from benchmarks.peers import call
from models.assignment import assign_exactly
from models.tracking import Array
from pipeline.settings import PRESETS, settings_for
from pipeline.stages import Pipeline
from pipeline.tracked import Tracked
from utils import evaluation
from utils.cli import Parser, positive, run, say
from utils.data_sets import MOTS_CLASSES, DataSet, data_set
from utils.detections import Detections
from utils.files import atomic_path
from utils.formats.reading import read_detections, read_sequences
from utils.results import finished, make_disjoint
from utils.rules import DetectionRules
from utils.tables import format_table

DATA = {
    "KITTI ground truth": (data_set("kitti"), "instances_txt"),
    "KITTI detections_rrc": (data_set("kitti"), "detections_rrc"),
    "MOTSChallenge ground truth": (data_set("mots"), "instances_txt"),
    "MOTSChallenge detections_yolov8n_seg": (data_set("mots"), "detections_yolov8n_seg"),
}
WEAK = ", weak too"  # ends the rows whose trackers get weak detections
OURS = ("paper", "authors", "best")
MATCHED = {"mask IoU": "mask_iou", "TrackR-CNN matching": "trackrcnn", "MOTSNet LAP": "motsnet"}
PASSES = 3  # of which the fastest is timed; the first imports and warms up
BOUND = "true identities"  # no tracker: what an association without a mistake would make
ALL = (*MATCHED, *OURS, BOUND)
COLUMNS = ("sMOTSA", "IDS", "Frag", "IDF1", "HOTA")


@dataclass(frozen=True)
class Scene:
    """A sequence with all that trackers may read; row i is row i of the file.

    Attributes:
        detections: n Detections.
        columns: {name: (n, ...)}: embeddings.
    """

    detections: Detections
    columns: Mapping[str, Array]


def prepare(data: Path, output: Path) -> dict[str, Path]:
    """Embed every detection once; write one pickle per data set and return their paths."""
    files = {}
    for name, (dataset, detections) in DATA.items():
        folder = data / dataset.folder
        if not (folder / detections).is_dir():
            continue
        # Every score: what a tracker gets of these rows, its rules decide.
        least = settings_for(dataset, "best").rules.min_area
        settings = replace(settings_for(dataset, "paper"), rules=DetectionRules(min_area=least))
        pipeline = Pipeline(settings)
        scenes = read_sequences(folder / detections)
        prepared = [Scene(scene, pipeline.track(scene).columns) for scene in scenes]
        files[name] = output / f"{dataset.name}_{detections}.pickle"
        files[name].write_bytes(pickle.dumps(prepared))
    return files


def pipeline_of(tracker: str, dataset: DataSet) -> Pipeline:
    """Return the pipeline whose rules a tracker's detections have to meet, and ours who track."""
    name, rules = MATCHED.get(tracker, tracker if tracker in PRESETS else "authors"), None
    if tracker in ("best", BOUND) or tracker.endswith(WEAK):
        name = rules = "best"
    return Pipeline(settings_for(dataset, name, rules))


def associate(tracker: str, dataset: DataSet, truth: Path, scene: Scene) -> npt.NDArray[np.int32]:
    """Return (n,) ids of one sequence; truth is the folder of its ground truth."""
    pipeline = pipeline_of(tracker, dataset)
    if tracker == BOUND:
        rows = np.flatnonzero(pipeline.mark(scene.detections)[0])
        ids, part = np.zeros(len(scene.detections), np.int32), scene.detections.select(rows)
        ids[rows] = by_truth(part, read_detections(truth / f"{part.sequence}.txt"))
        return ids
    return run_ours(pipeline, scene).track_ids


def run_ours(pipeline: Pipeline, scene: Scene) -> Tracked:
    """Return a scene tracked with the columns that are there."""
    return pipeline.track(scene.detections, given=scene.columns)


def by_truth(scene: Detections, truth: Detections) -> Array:
    """Return (n,) ids of the true objects whose masks detections match at IoU 0.5; 0 for none."""
    ids, true_rows = np.zeros(len(scene), np.int32), dict(truth.rows_by_frame())
    for frame, rows in scene.rows_by_frame():
        there = true_rows.get(frame, np.zeros(0, int))
        if not len(there):
            continue
        size, objects = [scene.height, scene.width], truth.coco(there)
        # Whole, or less what others cover, since nobody knows yet which of them are written.
        disjoint = [{"size": size, "counts": c} for c in make_disjoint(scene, rows)[0]]
        whole, left = (
            coco_mask.iou(m, objects, [0] * len(there)) for m in (scene.coco(rows), disjoint)
        )
        iou = np.maximum(whole, left)
        iou *= (iou >= 0.5) & (scene.classes[rows][:, None] == truth.classes[there])
        first, second = assign_exactly(iou, 0)
        ids[rows[first]] = truth.ids[there[second]]
    return ids


def by_peer(peer: call.Peer, pipeline: Pipeline, scenes: list[Scene]) -> call.Answer:
    """Return a peer's ids, (n,) per scene, of what a pipeline's rules leave; seconds and memory."""
    kept = [np.flatnonzero(pipeline.mark(scene.detections)[0]) for scene in scenes]
    parts = [scene.detections.select(rows) for scene, rows in zip(scenes, kept, strict=True)]
    answer = call.track(peer, parts)
    tracked = [np.zeros(len(scene.detections), np.int32) for scene in scenes]
    for ids, rows, of_rows in zip(tracked, kept, answer.ids, strict=True):
        ids[rows] = of_rows
    return replace(answer, ids=tracked)


def measure(job: tuple[str, str, Path, Path, call.Peer | None]) -> dict[str, Any]:
    """Track and score one data set with one tracker; runs in a process of its own."""
    tracker, name, file, data, peer = job
    dataset, _ = DATA[name]
    scenes: list[Scene] = pickle.loads(file.read_bytes())
    truth, seconds = data / dataset.folder / dataset.truth, float("inf")
    pipeline, parts = pipeline_of(tracker, dataset), []
    if peer is not None:
        answer = by_peer(peer, pipeline, scenes)
        tracked, seconds, memory = answer.ids, answer.seconds, answer.mib
    else:
        for _ in range(PASSES):
            start = time.perf_counter()
            tracked = [associate(tracker, dataset, truth, scene) for scene in scenes]
            seconds = min(seconds, time.perf_counter() - start)
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    for scene, ids in zip(scenes, tracked, strict=True):
        in_front = tracker not in PRESETS or pipeline.tracker().in_front
        result, _ = finished(scene.detections, ids, in_front)
        objects = read_detections(truth / f"{result.sequence}.txt")
        parts.append(pipeline.counts(objects, result, pipeline.scored_classes([objects])))
    frames = sum(int(np.ptp(scene.detections.frames)) + 1 for scene in scenes)
    return {
        "scores": evaluation.combine_masks(parts),
        "frames/s": round(frames / seconds, 1),
        "MiB": round(memory),
    }


def main() -> None:
    """Run everything and print one table per class and data set."""
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="holds kitti_mots, mots_challenge")
    parser.add_argument("--output", type=Path, default=Path("results/compare"))
    parser.add_argument("--trackers", nargs="+", choices=ALL)
    parser.add_argument("--jobs", type=positive, default=1, help="more disturb the timing")
    parser.add_argument("--peers", nargs="+", default=[], metavar="PACKAGE=PYTHON")
    args = parser.parse_args()
    peers = {f"{peer}{weak}": peer for peer in call.peers_of(args.peers) for weak in ("", WEAK)}
    chosen = [*(args.trackers or ALL), *peers]
    args.output.mkdir(parents=True, exist_ok=True)
    # A fresh process each, so that the peak of memory is that tracker's own.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context) as pool:
        files = pool.submit(prepare, args.data, args.output).result()
    if not files:
        raise ValueError(
            f"{args.data}: must hold {' or '.join(dataset.folder for dataset, _ in DATA.values())}"
        )
    jobs = [
        (t, name, file, args.data, peers.get(t)) for name, file in files.items() for t in chosen
    ]
    with ProcessPoolExecutor(args.jobs, context, max_tasks_per_child=1) as pool:
        results = dict(zip([job[:2] for job in jobs], pool.map(measure, jobs), strict=True))
    for name in files:
        for cls in MOTS_CLASSES.values():
            rows = {}
            for tracker in chosen:
                result = results[tracker, name]
                if cls in result["scores"]:
                    scores = {column: result["scores"][cls][column] for column in COLUMNS}
                    rows[tracker] = scores | {k: result[k] for k in ("frames/s", "MiB")}
            if rows:
                say(format_table(f"{name}, {cls}", (*COLUMNS, "frames/s", "MiB"), rows) + "\n")
    kept = {f"{name} | {tracker}": result for (tracker, name), result in results.items()}
    with atomic_path(args.output / "compare.json") as temporary:
        temporary.write_text(json.dumps(kept, indent=2) + "\n")


if __name__ == "__main__":
    run(main)
