"""All trackers on identical detections: accuracy, frames per second and peak memory, in one table.

    pip install trackers==2.6.1
    python -m benchmarks.compare_trackers --data data --output results/compare

Ours (both presets, `best` with offline refinement, too), the competitors of `models.matching`, and
SORT, ByteTrack, OC-SORT and C-BIoU of the package `trackers` with its settings, but that the first
frame counts, one instance per class. Everything gets the same files. `trackers` and the competitors
see what the paper's thresholds leave of `detections_rrc`; ByteTrack, which is made for weak
detections, is run with all of them, too. Each runs in a process of its own, from detections (and,
where used, embeddings) in memory to identities; reading, embedding and scoring are not timed.
"""

import importlib.util
import json
import multiprocessing
import pickle
import resource
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
from pycocotools import mask as coco_mask

from benchmarks.association import package_boxes
from models.motion_tracker import assign_exactly
from models.rules import apply_rules
from utils import evaluation, mots_io
from utils.cli import Parser, import_keras, positive, run
from utils.config import DetectionRules, preset
from utils.detections import CLASS_NAMES
from utils.tables import format_table

DATA = {
    "KITTI ground truth": ("kitti", "kitti_mots", "instances_txt"),
    "KITTI detections_rrc": ("kitti", "kitti_mots", "detections_rrc"),
    "MOTSChallenge ground truth": ("mots", "mots_challenge", "instances_txt"),
}
PACKAGE = {
    "SORT": "SORTTracker",
    "ByteTrack": "ByteTrackTracker",
    "ByteTrack, weak too": "ByteTrackTracker",
    "OC-SORT": "OCSORTTracker",
    "C-BIoU": "CBIoUTracker",
}
OURS = ("paper", "best", "best + refinement")
MATCHED = {"mask IoU": "mask_iou", "TrackR-CNN matching": "trackrcnn", "MOTSNet LAP": "motsnet"}
PASSES = 3  # of which the fastest is timed; the first imports and warms up
BOUND = "true identities"  # no tracker: what an association without a mistake would make
ALL = (*MATCHED, *PACKAGE, *OURS, BOUND)
COLUMNS = ("sMOTSA", "IDS", "Frag", "IDF1", "HOTA")


def prepare(data, output):
    """Embed every detection once; write one pickle per data set and return their paths."""
    from test_mots import PRETRAINED, find_weights, parse_args

    import_keras()
    from models.dhae import load
    from models.embedding import embed
    from utils.colours import colour_histograms
    from utils.datasets import frame_reader

    files = {}
    for name, (dataset, folder, detections) in DATA.items():
        if not (data / folder / detections).is_dir():
            continue
        args = ["--dataset", dataset, "--detections", str(data / folder / detections)]
        chosen = preset(dataset)
        sequences = mots_io.read_sequences(data / folder / detections)
        weights, _ = find_weights(parse_args([*args, "--output", "-"]), chosen, sequences)
        models = {file: load(PRETRAINED / file) for file in set(weights.values())}
        prepared = []
        for every in sequences:
            scene, _ = apply_rules(
                every, chosen.classes, DetectionRules(min_area=chosen.rules.min_area)
            )
            images, colours = data / folder / "images" / scene.sequence, None
            if images.is_dir():
                read = frame_reader(images.parent, scene.sequence, (scene.height, scene.width))
                colours = colour_histograms(scene, read)
            embeddings = embed(models[weights[scene.sequence]], scene, chosen.object_size)
            prepared.append((scene, embeddings, colours))
        files[name] = output / f"{dataset}_{detections}.pickle"
        files[name].write_bytes(pickle.dumps(prepared))
    return files


def rules_of(tracker, dataset):
    """Return the DetectionRules that a tracker's detections have to meet."""
    name = "best" if tracker == "ByteTrack, weak too" else preset_of(tracker)
    return preset(dataset, name).rules


def preset_of(tracker):
    """Return the name of the preset whose settings apply to a tracker."""
    return "best" if tracker.startswith("best") or tracker == BOUND else "paper"


def visible(tracker, dataset, scene, embeddings, colours):
    """Return (Detections, embeddings, colours or None) of the rows that the tracker gets."""
    numbered = replace(scene, ids=np.arange(len(scene)))
    kept, _ = apply_rules(numbered, preset(dataset).classes, rules_of(tracker, dataset))
    rows = kept.ids
    colours = None if colours is None else colours[rows]
    return replace(kept, ids=scene.ids[rows]), embeddings[rows], colours


def associate(tracker, dataset, truth, scene, embeddings, colours):
    """Return (n,) ids of one sequence; truth is the folder of its ground truth."""
    from models.matching import TUNED, match
    from models.tracker import track

    if tracker in MATCHED:
        return match(scene, embeddings, TUNED[MATCHED[tracker]])[0]
    if tracker in PACKAGE:
        return by_package(PACKAGE[tracker], scene)
    if tracker == BOUND:
        return by_truth(scene, mots_io.read_detections(truth / f"{scene.sequence}.txt"))
    chosen = preset(dataset, preset_of(tracker))
    colours = colours if tracker != "paper" else None
    ids, _ = track(scene, embeddings, chosen.tracker_of(scene), colours)
    if tracker.endswith("refinement"):
        from models.tracklet_refinement import refine

        ids, _ = refine(scene, ids, [embeddings if colours is None else colours])
    return ids


def by_truth(scene, truth):
    """Return (n,) ids of the true objects whose masks detections match at IoU 0.5; 0 for none."""
    ids, true_rows = np.zeros(len(scene), np.int32), dict(truth.rows_by_frame())
    for frame, rows in scene.rows_by_frame():
        there = true_rows.get(frame, np.zeros(0, int))
        if not len(there):
            continue
        size, objects = [scene.height, scene.width], truth.coco(there)
        # Whole, or less what others cover, since nobody knows yet which of them are written.
        disjoint = [{"size": size, "counts": c} for c in mots_io.make_disjoint(scene, rows)[0]]
        whole, left = (
            coco_mask.iou(m, objects, [0] * len(there)) for m in (scene.coco(rows), disjoint)
        )
        iou = np.maximum(whole, left)
        iou *= (iou >= 0.5) & (scene.classes[rows][:, None] == truth.classes[there])
        first, second = assign_exactly(iou, 0)
        ids[rows[first]] = truth.ids[there[second]]
    return ids


def by_package(name, scene):
    """Return (n,) ids by a class of the package `trackers`, one instance per class."""
    import trackers

    ids, start = np.zeros(len(scene), np.int32), 0
    frames = range(int(scene.frames.min()), int(scene.frames.max()) + 1)
    for cls in np.unique(scene.classes):
        tracker = getattr(trackers, name)(minimum_consecutive_frames=1)
        mine = np.flatnonzero(scene.classes == cls)
        for rows, boxes in package_boxes(scene.select(mine), frames):
            boxes.data["row"] = mine[rows]
            found = tracker.update(boxes)
            if len(found):
                kept = found.tracker_id >= 0
                ids[found.data["row"][kept].astype(int)] = start + 1 + found.tracker_id[kept]
        start = int(ids.max())
    return ids


def measure(job):
    """Track and score one data set with one tracker; runs in a process of its own."""
    tracker, name, file, data, output = job
    dataset, folder, _ = DATA[name]
    if tracker.endswith("refinement"):
        import_keras()
    sequences = pickle.loads(file.read_bytes())
    prepared = [visible(tracker, dataset, *sequence) for sequence in sequences]
    truth, seconds = data / folder / "instances_txt", float("inf")
    for _ in range(PASSES):
        start = time.perf_counter()
        tracked = [associate(tracker, dataset, truth, *sequence) for sequence in prepared]
        seconds = min(seconds, time.perf_counter() - start)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    results, parts = output / tracker.replace(" ", "_") / file.stem, []
    for (scene, _, _), ids in zip(prepared, tracked, strict=True):
        mots_io.write_tracks(results / f"{scene.sequence}.txt", scene, ids)
        file = truth / f"{scene.sequence}.txt"
        classes = preset(dataset).classes
        parts.append(evaluation.mask_counts(scene.sequence, file, results, classes))
    frames = sum(int(scene.frames.max() - scene.frames.min()) + 1 for scene, _, _ in prepared)
    return {
        "scores": evaluation.combine_masks(parts),
        "frames/s": round(frames / seconds, 1),
        "MiB": round(memory),
    }


def main():
    """Run everything and print one table per class and data set."""
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="holds kitti_mots, mots_challenge")
    parser.add_argument("--output", type=Path, default=Path("results/compare"))
    parser.add_argument("--trackers", nargs="+", choices=ALL)
    parser.add_argument("--jobs", type=positive, default=1, help="more disturb the timing")
    args = parser.parse_args()
    chosen = args.trackers or ALL
    if not PACKAGE.keys().isdisjoint(chosen) and importlib.util.find_spec("trackers") is None:
        raise ValueError("package trackers must be installed: requirements-benchmark.txt")
    args.output.mkdir(parents=True, exist_ok=True)
    # A fresh process each, so that the peak of memory is that tracker's own.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context) as pool:
        files = pool.submit(prepare, args.data, args.output).result()
    if not files:
        raise ValueError(f"{args.data}: must hold {' or '.join(d[1] for d in DATA.values())}")
    jobs = [(t, name, file, args.data, args.output) for name, file in files.items() for t in chosen]
    with ProcessPoolExecutor(args.jobs, context, max_tasks_per_child=1) as pool:
        results = dict(zip([job[:2] for job in jobs], pool.map(measure, jobs), strict=True))
    for name in files:
        for cls in CLASS_NAMES.values():
            rows = {}
            for tracker in chosen:
                result = results[tracker, name]
                if cls in result["scores"]:
                    scores = {column: result["scores"][cls][column] for column in COLUMNS}
                    rows[tracker] = scores | {k: result[k] for k in ("frames/s", "MiB")}
            if rows:
                print(format_table(f"{name}, {cls}", (*COLUMNS, "frames/s", "MiB"), rows), "\n")
    kept = {f"{name} | {tracker}": result for (tracker, name), result in results.items()}
    with mots_io.atomic_path(args.output / "compare.json") as temporary:
        temporary.write_text(json.dumps(kept, indent=2) + "\n")


if __name__ == "__main__":
    run(main)
