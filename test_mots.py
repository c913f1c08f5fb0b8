"""Track detections with USC-MOTS: masks in, MOTS txt out, scores where there is ground truth."""

import hashlib
import json
import platform
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
from tqdm import tqdm

from models.embedding import choose_weights, embed, read_card
from models.matching import MATCHERS, TUNED, match
from models.rules import apply_rules
from models.tracker import track
from models.tracklet_refinement import refine
from utils import evaluation, mots_io
from utils.cli import Parser, import_keras, positive, run
from utils.colours import colour_histograms
from utils.config import DATASETS, PRESETS, REAL, preset
from utils.datasets import frame_path, frame_reader
from utils.detections import CLASS_NAMES
from utils.tables import format_table

PRETRAINED = Path(__file__).resolve().parent / "pretrained"
PACKAGES = ("tensorflow", "keras", "numpy", "scipy", "pycocotools", "opencv-python", "trackeval")


def parse_args(arguments=None):
    """Return the parsed command line."""
    parser = Parser(description=__doc__)
    parser.add_argument("--dataset", choices=DATASETS, required=True)
    parser.add_argument(
        "--detections",
        type=Path,
        nargs="+",
        required=True,
        help="SEQ.txt or a folder of them; several folders are merged by sequence",
    )
    parser.add_argument(
        "--weights",
        type=Path,
        nargs="+",
        help="*.keras (default: the data set's own). Of several, a sequence is tracked with the "
        "first that never saw it, else the first that was not chosen on it, by their cards",
    )
    parser.add_argument("--output", type=Path, required=True, help="folder for the results")
    parser.add_argument("--sequences", nargs="+", help="names (default: all)")
    parser.add_argument("--classes", nargs="+", choices=("car", "pedestrian"))
    parser.add_argument("--ground-truth", type=Path, help="folder of MOTS txt to score against")
    parser.add_argument("--images", type=Path, help="folder of SEQ/000000.png")
    parser.add_argument("--preset", choices=PRESETS, default="paper")
    parser.add_argument("--t-lag", type=positive, help="frames in the window (default: 3)")
    parser.add_argument(
        "--matcher",
        choices=(*MATCHERS, "given"),
        help="associate by a competitor's rule instead of the preset's, or keep the given ids",
    )
    parser.add_argument(
        "--refine", action="store_true", help="merge tracklets afterwards, offline (ReMOTS)"
    )
    parser.add_argument("--no-graph", action="store_true", help="plain k-means, as in Table 4")
    parser.add_argument("--visualize", action="store_true", help="videos and t-SNE pictures")
    parser.add_argument("--seed", type=int, default=0, help="of the t-SNE pictures")
    args = parser.parse_args(arguments)
    if args.t_lag == 1:
        parser.error("--t-lag must be at least 2 frames, got 1")
    if args.matcher and (args.no_graph or args.t_lag):
        parser.error(f"--no-graph and --t-lag are the presets' own, got --matcher {args.matcher}")
    return args


class Stopwatch:
    """Adds up seconds by stage in `seconds`."""

    def __init__(self):
        self.seconds = dict.fromkeys(
            ("read", "crop", "embed", "associate", "refine", "write", "score"), 0.0
        )

    @contextmanager
    def __call__(self, stage):
        """Time a block."""
        start = time.perf_counter()
        yield
        self.seconds[stage] += time.perf_counter() - start


def settings_of(args):
    """Return the Preset that the command line asks for."""
    chosen = preset(args.dataset, args.preset)
    if args.preset == "best" and args.no_graph:
        raise ValueError("--no-graph is an ablation of --preset paper, got --preset best")
    changes = {} if args.preset == "best" else {"use_graph": not args.no_graph}
    if args.t_lag:
        changes["t_lag"] = args.t_lag
    chosen = replace(chosen, tracker=replace(chosen.tracker, **changes))
    if chosen.trusted:
        chosen = replace(chosen, trusted=replace(chosen.trusted, **changes))
    if args.classes:
        numbers = tuple(cls for cls, name in CLASS_NAMES.items() if name in args.classes)
        chosen = replace(chosen, classes=numbers)
    return chosen


def read_input(args):
    """Return ([Detections], {sequence: ground-truth file}); reads and checks all input."""
    merged = {}
    for path in args.detections:
        # Of several folders, one need not have every sequence: what is missing shows below.
        names = args.sequences if len(args.detections) == 1 else None
        for detections in mots_io.read_sequences(path, names):
            name = detections.sequence
            merged[name] = (
                mots_io.merge_sequences(merged[name], detections) if name in merged else detections
            )
    if args.sequences:
        for name in args.sequences:
            if name not in merged:
                raise ValueError(f"--sequences must name sequences of the input, got {name}")
        merged = {name: merged[name] for name in args.sequences}
    truth = {}
    if args.ground_truth:
        truth = evaluation.find_ground_truth(args.ground_truth, list(merged))
        for name, file in truth.items():
            evaluation.check_ground_truth(file, merged[name])
        if args.dataset not in REAL:
            for file in evaluation.find_box_truth(args.ground_truth, list(merged)).values():
                mots_io.read_mot(file)
    if args.matcher == "given":
        for detections in merged.values():
            check_given(detections)
    if args.images:
        for name, detections in merged.items():
            for frame in np.unique(detections.frames).tolist():
                frame_path(args.images, name, frame)
    return [merged[name] for name in sorted(merged)], truth


def check_given(detections):
    """Raise ValueError unless the ids of a sequence can be kept as they are."""
    name, ids = detections.sequence, detections.ids
    if not (ids > 0).all():
        raise ValueError(f"--matcher given needs MOTS txt with ids, got {name} without")
    keys = np.stack([detections.frames, detections.classes, ids], axis=1)
    found, counts = np.unique(keys, axis=0, return_counts=True)
    if (counts > 1).any():
        frame, _, identity = found[counts.argmax()].tolist()
        rule = f"id {identity} must be given once in frame {frame}"
        raise ValueError(
            f"{name}: {rule} by all --detections together, got it {counts.max()} times"
        )


def find_weights(args, chosen, sequences):
    """Return {sequence: weights file} and {file: sha256}.

    Raises:
        ValueError: a file is missing.
    """
    files = args.weights or [PRETRAINED / name for name in chosen.weights]
    for file in files:
        if not file.is_file():
            raise ValueError(f"{file}: must be a weights file (*.keras), got no such file")
    cards = {file: read_card(file) for file in files}
    by_sequence = {s.sequence: choose_weights(cards, args.dataset, s.sequence) for s in sequences}
    return by_sequence, {f: hashlib.sha256(f.read_bytes()).hexdigest() for f in files}


def visualize(folder, detections, embeddings, track_ids, t_lag, images, seed):
    """Write SEQ.mp4, its fullest frame as SEQ.png and a t-SNE picture of the frames around it."""
    from utils import visualization

    name, tracked = detections.sequence, np.flatnonzero(track_ids)
    if not len(tracked):
        return
    ids = np.zeros(len(detections), np.int32)
    order = tracked[np.argsort(detections.frames[tracked], kind="stable")]
    ids[order] = mots_io.output_ids(track_ids[order], detections.classes[order])
    still = visualization.write_video(folder / f"{name}.mp4", detections, ids, images)
    visualization.write_picture(folder / f"{name}.png", still)
    frames = detections.frames
    # Long enough for tracks to show as paths: ten windows around the fullest frame.
    numbers, sizes = np.unique(frames[tracked], return_counts=True)
    window = tracked[np.abs(frames[tracked] - numbers[sizes.argmax()]) <= 5 * t_lag]
    visualization.plot_embeddings(
        folder / f"{name}_tsne.png",
        embeddings[window],
        frames[window],
        ids[window],
        f"{name}, frames {frames[window].min()} to {frames[window].max()}",
        seed,
    )


def associate(args, chosen, detections, embeddings, colours):
    """Return (n,) track ids and the report of whatever the command line asks for."""
    if args.matcher == "given":
        keys = np.stack([detections.classes, detections.ids], axis=1)
        found, ids = np.unique(keys, axis=0, return_inverse=True)
        return ids.astype(np.int32) + 1, Counter(tracks=len(found))
    if args.matcher:
        return match(detections, embeddings, TUNED[args.matcher])
    return track(detections, embeddings, chosen.tracker_of(detections), colours)


def track_all(args, chosen, sequences, weights, watch):
    """Track every sequence; return [(Detections, embeddings, ids, image reader)], Counter."""
    from models.dhae import load

    models = {file: load(file) for file in sorted(set(weights.values()))}
    if any(m.config["channels"] == 3 for m in models.values()) and not args.images:
        raise ValueError("--images must name the frames' folder for appearance weights, got none")
    tracked, counts = [], Counter()
    for detections in tqdm(sequences, desc="tracking", unit="seq", disable=None):
        name = detections.sequence
        counts["read"] += len(detections)
        counts["frames"] += len(np.unique(detections.frames))
        detections, dropped = apply_rules(detections, chosen.classes, chosen.rules)
        counts.update({f"dropped_{rule}": count for rule, count in dropped.items()})
        images = None
        if args.images:
            images = frame_reader(args.images, name, (detections.height, detections.width))
        embeddings = embed(models[weights[name]], detections, chosen.object_size, images, watch)
        colours = None
        if images and (args.refine or (args.preset == "best" and not args.matcher)):
            with watch("crop"):
                colours = colour_histograms(detections, images)
        with watch("associate"):
            track_ids, report = associate(args, chosen, detections, embeddings, colours)
        if args.refine:
            appearance = models[weights[name]].config["channels"] == 3
            descriptors = [embeddings] if colours is None or appearance else []
            descriptors += [] if colours is None else [colours]
            with watch("refine"):
                track_ids, merges = refine(detections, track_ids, descriptors)
            report = report + merges
        counts.update({f"tracker_{what}": count for what, count in report.items()})
        tracked.append((detections, embeddings, track_ids, images))
    return tracked, counts


def write_all(args, chosen, tracked, counts, watch):
    """Write the results, and pictures where they are asked for, once all sequences are tracked."""
    for detections, embeddings, track_ids, images in tqdm(tracked, desc="writing", disable=None):
        with watch("write"):
            path = args.output / "data" / f"{detections.sequence}.txt"
            hidden = mots_io.write_tracks(path, detections, track_ids)
        counts["dropped_hidden"] += len(hidden)
        written = np.delete(track_ids, hidden)
        counts["written"] += int((written > 0).sum())
        counts["tracks"] += len(set(written.tolist()) - {0})
        if args.visualize:
            folder, t_lag = args.output / "pictures", chosen.tracker.t_lag
            visualize(folder, detections, embeddings, track_ids, t_lag, images, args.seed)


def score(args, chosen, truth, tracked, watch):
    """Return {kind of score: {row: {column: value}}}, empty without ground truth."""
    if not truth:
        return {}
    with watch("score"):
        scores = {"masks": evaluation.score_masks(truth, args.output / "data", chosen.classes)}
        boxes = {}
        by_name = {d.sequence: (d, track_ids) for d, _, track_ids, _ in tracked}
        if args.dataset not in REAL:
            boxes = evaluation.find_box_truth(args.ground_truth, list(by_name))
        if boxes:
            scores["boxes"] = {args.dataset: evaluation.score_boxes(boxes, by_name)}
    return scores


def evaluate(args):
    """Read, track, write, score; return the summary that DIR/summary.json holds."""
    chosen, watch = settings_of(args), Stopwatch()
    with watch("read"):
        sequences, truth = read_input(args)
    weights, digests = find_weights(args, chosen, sequences)
    import_keras()  # slow: only after the input is checked
    tracked, counts = track_all(args, chosen, sequences, weights, watch)
    write_all(args, chosen, tracked, counts, watch)
    summary = {
        "dataset": args.dataset,
        "preset": args.preset,
        "detections": [str(path) for path in args.detections],
        "sequences": len(sequences),
        "classes": [CLASS_NAMES[cls] for cls in chosen.classes],
        "rules": asdict(chosen.rules),
        "matcher": asdict(TUNED[args.matcher]) if args.matcher in TUNED else args.matcher,
        "refined": args.refine,
        "tracker": asdict(chosen.tracker),
        "trusted": asdict(chosen.trusted) if chosen.trusted else None,
        "seed": args.seed,
        "weights": {name: file.name for name, file in weights.items()},
        "weights_sha256": {file.name: digest for file, digest in digests.items()},
        "versions": {"python": platform.python_version(), **{p: version(p) for p in PACKAGES}},
        "counts": dict(counts),
        "scores": score(args, chosen, truth, tracked, watch),
        "seconds": {stage: round(value, 3) for stage, value in watch.seconds.items()},
    }
    with mots_io.atomic_path(args.output / "summary.json") as temporary:
        temporary.write_text(json.dumps(summary, indent=2) + "\n")
    return summary


def print_table(summary):
    """Print one table: the scores, or what was read and written where there is no truth."""
    rows, columns = {}, evaluation.MASK_COLUMNS
    for kind, scores in summary["scores"].items():
        rows |= {f"{kind}, {name}": row for name, row in scores.items()}
    if "boxes" in summary["scores"]:
        columns += tuple(c for c in evaluation.BOX_COLUMNS if c not in columns)
    if not rows:
        names = {"frames": "frames", "read": "detections", "written": "written", "tracks": "tracks"}
        counts = summary["counts"]
        rows["all"] = {text: counts.get(name, 0) for name, text in names.items()}
        columns = tuple(rows["all"])
    print(format_table(summary["dataset"], columns, rows))


def main():
    """Run the command line and print the scores."""
    args = parse_args()
    summary = evaluate(args)
    print_table(summary)
    seconds = sum(summary["seconds"].values())
    print(f"{args.output}: {summary['sequences']} sequences in {seconds:.1f} s")


if __name__ == "__main__":
    run(main)
