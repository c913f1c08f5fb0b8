"""Track detections: masks in, MOTS txt out, scores where there is ground truth."""

from __future__ import annotations

import argparse
import json
import platform
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from models.pipeline import Pipeline, Stopwatch, Tracked, frames_of
from models.settings import BOXES, PRESETS, Settings, changed, settings_for, with_min_score
from models.tracking import COLOURS, EMBEDDINGS, IDS, describe_trackers, trackers
from utils import evaluation
from utils.cli import Parser, check_backend, note, positive, run, say, warn
from utils.config import parts_of
from utils.data_sets import CUSTOM, DATA_SETS, DataSet, data_set, parse_class_names
from utils.detections import Detections
from utils.files import atomic_path, check_writable
from utils.inputs import Inputs, read_inputs
from utils.report import dropped_lines, why_nothing
from utils.tables import format_table

PACKAGES = ("tensorflow", "keras", "numpy", "scipy", "pycocotools", "opencv-python", "trackeval")
MATCHERS = ("mask_iou", "trackrcnn", "motsnet", "given")
OURS = "results of test_mots.py"


def parse_args(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the parsed command line."""
    parser = Parser(description=__doc__)
    add = parser.add_argument
    add("--list", action="store_true", help="print every tracker and its settings, and end")
    add("--dataset", choices=DATA_SETS, default=CUSTOM, help=f"default: {CUSTOM}, any masks")
    add(
        "--detections",
        type=Path,
        nargs="+",
        help="SEQ.txt or a folder of them; several folders are merged by sequence",
    )
    add("--output", type=Path, help="folder for the results")
    add("--ground-truth", type=Path, help="folder of MOTS txt to score against")
    add("--images", type=Path, help="folder of SEQ/000000.png, SEQ/img1/000001.jpg or the like")
    add("--sequences", nargs="+", help="names (default: all)")
    add("--classes", nargs="+", help="names or numbers (default: the data set's)")
    add("--class-names", help="1=cell,2=nucleus or a file of such lines; 'ignore' marks regions")
    add("--tracker", help="any of --list (default: the data set's own)")
    add("--preset", choices=PRESETS, help="settings of a tracker of ours (paper, best)")
    add("--matcher", choices=MATCHERS, help="associate by a competitor's rule, or keep given ids")
    add("--set", action="append", default=[], metavar="FIELD=VALUE", help="override a setting")
    add("--min-score", help="least score, as 0.3 or car=0.3,pedestrian=0.5")
    add("--min-area", help="least box area in px^2, as 100 or car=150")
    add("--min-length", help="least detections of a track, as 3 or car=5")
    add("--t-lag", type=positive, help="frames in the window (default: 3)")
    add("--no-graph", action="store_true", help="plain k-means, as in Table 4")
    add("--frame-step", type=positive, help="frame numbers in a step (default: found out)")
    add("--boxes", choices=BOXES, default="check", help="check, believe, or take the masks'")
    add("--trusted", choices=("yes", "no"), help="are masks free of misses and inventions")
    add("--refine", action="store_true", help="merge tracklets afterwards, offline (ReMOTS)")
    add(
        "--weights",
        type=Path,
        nargs="+",
        help="*.keras (default: the data set's own). Of several, a sequence is tracked with the "
        "first that never saw it, else the first that was not chosen on it, by their cards",
    )
    add("--score-frames", choices=("all", "annotated"), default="all", help="frames to score")
    add("--visualize", action="store_true", help="videos and t-SNE pictures")
    add("--seed", type=int, default=0, help="of the t-SNE pictures")
    args = parser.parse_args(arguments)
    if not args.list and not (args.detections and args.output):
        parser.error("--detections and --output are needed")
    if args.t_lag == 1:
        parser.error("--t-lag must be at least 2 frames, got 1")
    if args.tracker and (args.matcher or args.preset):
        parser.error(f"--tracker names one already, got --matcher or --preset, too: {args.tracker}")
    return args


def of_args(args: argparse.Namespace) -> DataSet:
    """Return the data set that the command line names, with its class names."""
    chosen = data_set(args.dataset)
    if not args.class_names:
        return chosen
    file = Path(args.class_names)
    names = parse_class_names(file.read_text() if file.is_file() else args.class_names)
    if chosen.any_class:
        # A class 10 of the user's own is no ignore region.
        kept = {c: n for c, n in chosen.class_names.items() if n not in names.values()}
        return replace(chosen, class_names=kept | names)
    raise ValueError(f"--class-names is for --dataset {CUSTOM}, got --dataset {args.dataset}")


def settings_of(args: argparse.Namespace) -> Settings:
    """Return the Settings that the command line asks for."""
    chosen = of_args(args)
    name = args.tracker or args.matcher or args.preset
    settings = settings_for(chosen, name, args.preset)
    changes = list(args.set)
    for flag, given, field, value in (
        ("--no-graph", args.no_graph, "use_graph", "no"),
        ("--t-lag", args.t_lag, "t_lag", str(args.t_lag)),
    ):
        if given and field not in parts_of(settings.tracker):
            having = [n for n, t in trackers().items() if field in parts_of(t.settings())]
            who = f"{flag} is a setting of {' and '.join(having)}"
            raise ValueError(f"{who}, got tracker {settings.name}")
        changes += [f"{field}={value}"] if given else []
    changes += [f"rules.min_area={args.min_area}"] if args.min_area else []
    if args.min_length:
        changes += [f"min_track_length={args.min_length}"]
    settings = changed(settings, changes)
    if args.min_score:
        settings = with_min_score(settings, args.min_score)
    if args.classes:
        settings = replace(settings, classes=class_numbers(args.classes, chosen))
    return replace(
        settings,
        refine=args.refine,
        trust=None if args.trusted is None else args.trusted == "yes",
        frame_step=args.frame_step,
        boxes=args.boxes,
    )


def class_numbers(names: Sequence[str], of: DataSet) -> tuple[int, ...]:
    """Return the numbers of classes given by name or number, ascending."""
    numbers = set()
    for name in names:
        number = of.numbers.get(name, int(name) if name.isdigit() else 0)
        allowed = [c for c in of.numbers.values() if c != of.ignore]
        if not number or number == of.ignore or (not of.any_class and number not in allowed):
            known = ", ".join(of.name_of(c) for c in allowed) or "numbers"
            raise ValueError(f"--classes must be classes of {of.name} ({known}), got {name!r}")
        numbers.add(number)
    return tuple(sorted(numbers))


@dataclass
class Run:
    """One call of the script: what was asked for, read and found on the way."""

    args: argparse.Namespace
    settings: Settings
    pipeline: Pipeline
    inputs: Inputs
    boxes: dict[str, Path]
    notes: list[str]


def begin(args: argparse.Namespace) -> Run:
    """Read and check everything before anything slow is imported.

    Raises:
        ValueError: bad input; nothing is written then.
    """
    watch, settings = Stopwatch(), settings_of(args)
    check_output(args)
    with watch("read"):
        inputs = read_inputs(args.detections, args.ground_truth, args.sequences)
    pipeline = Pipeline(settings, args.weights, watch=watch)
    made = Run(args, settings, pipeline, inputs, {}, list(inputs.notes))
    of = settings.data_set
    if of.box_truth and args.ground_truth:
        names = [s.sequence for s in inputs.sequences]
        made.boxes = evaluation.find_box_truth(args.ground_truth, names, of.box_truth)
        for file in made.boxes.values():
            evaluation.read_mot(file)
    check_sequences(made)
    say(f"tracker {settings.name} ({trackers()[settings.name].meaning}), data set {args.dataset}")
    return made


def check_output(args: argparse.Namespace) -> None:
    """Refuse an output folder that cannot be written, or holds what is not ours."""
    data = args.output / "data"
    check_writable(args.output)
    for path in args.detections:
        folder = path if path.is_dir() else path.parent
        if data.exists() and folder.resolve() == data.resolve():
            raise ValueError(f"--output must not be where the detections are, got {args.output}")
    names = set(earlier_files(args.output))
    foreign = [f for f in sorted(data.glob("*.txt")) if not names] if data.is_dir() else []
    if foreign and not (args.output / "summary.json").exists():
        rule = "must be a new folder, or one with the results of an earlier run"
        raise ValueError(f"{args.output}: {rule}, got {foreign[0]} and no summary.json")


def earlier_files(output: Path) -> list[str]:
    """Return the files that an earlier run left in a folder, by its summary."""
    try:
        files = json.loads((output / "summary.json").read_text())["files"]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    return [str(name) for name in files]


def check_sequences(made: Run) -> None:
    """Check what each sequence needs: weights, the backend, frames; say what is missing."""
    pipeline, args = made.pipeline, made.args
    for detections in made.inputs.sequences:
        prepared = pipeline.prepare(detections)
        images = frames_of(args.images, detections)
        numbers = np.unique(detections.frames).tolist()
        if images is not None:
            images.check(numbers)
            missing = images.missing(numbers)
            if len(missing) == len(numbers):
                got = f"none of the {len(numbers)} frames that have detections"
                raise ValueError(f"{images.folder}: must hold the frames' pictures, got {got}")
            if missing:
                shown = ", ".join(map(str, missing[:3])) + ", ..." * (len(missing) > 3)
                made.notes.append(
                    f"{detections.sequence}: no picture of {len(missing)} frames ({shown}): they "
                    "are drawn grey, and colours of this sequence are not used"
                )
        if len(prepared) and pipeline.needs_embeddings(prepared, images is not None):
            check_backend()
            whole = images is not None and not images.missing(numbers)
            if pipeline.embedder.needs_images(detections.sequence) and not whole:
                got = "none" if images is None else f"frames missing in {images.folder}"
                raise ValueError(
                    f"--images must name the frames' folder for appearance weights, got {got}"
                )
        if IDS in pipeline.tracker(prepared).needs:
            without = (prepared.ids == 0) & pipeline.mark(prepared)[0]
            if without.any():
                rule = f"tracker {made.settings.name} needs MOTS txt with ids"
                got = f"{without.sum()} of {len(prepared)} without"
                raise ValueError(f"{rule}, got {got} in {detections.sequence}")


def track_all(made: Run) -> list[Tracked]:
    """Track every sequence."""
    tracked = []
    for detections in tqdm(made.inputs.sequences, desc="tracking", unit="seq", disable=None):
        images = frames_of(made.args.images, detections)
        whole = images is not None and not images.missing(np.unique(detections.frames).tolist())
        tracked.append(made.pipeline.track(detections, images if whole else None))
        made.notes += tracked[-1].notes
        truth = made.inputs.truth.get(detections.sequence)
        if truth is not None:
            found = evaluation.truth_notes(truth, detections, tracked[-1].keep)
            made.notes += [f"{detections.sequence}: {text}" for text in found]
    return tracked


def write_all(made: Run, tracked: Sequence[Tracked], counts: Counter[str]) -> list[Detections]:
    """Write the results, and pictures where they are asked for, once all sequences are tracked."""
    output, results = made.args.output, []
    files = [f"data/{t.detections.sequence}.txt" for t in tracked]
    remove_stale(made, files)
    for one in tqdm(tracked, desc="writing", disable=None):
        result, hidden = made.pipeline.write(one, output / "data")
        counts["dropped_hidden"] += len(hidden)
        counts["written"] += int((result.ids > 0).sum())
        counts["tracks"] += len(np.unique(result.ids[result.ids > 0]))
        results.append(result)
        if made.args.visualize:
            visualize(made, one, result)
    return results


def remove_stale(made: Run, files: Sequence[str]) -> None:
    """Remove what an earlier run left and this one does not write again."""
    output = made.args.output
    # Runs before summaries named their files wrote one text per sequence, and pictures.
    old = set(earlier_files(output))
    if not old and (output / "summary.json").exists():
        old = {f"data/{f.name}" for f in (output / "data").glob("*.txt")}
    stems = [Path(name).stem for name in old if name.startswith("data/")]
    old |= {f"pictures/{stem}{end}" for stem in stems for end in (".mp4", ".png", "_tsne.png")}
    stale = sorted(n for n in old - set(files) if (output / n).is_file() and ".." not in n)
    for name in stale:
        (output / name).unlink()
    if stale:
        made.notes.append(f"{output}: {len(stale)} files of an earlier run removed ({stale[0]})")


def visualize(made: Run, tracked: Tracked, result: Detections) -> None:
    """Write SEQ.mp4, its fullest frame as SEQ.png and a t-SNE picture of the frames around it."""
    from utils import visualization

    name, written = result.sequence, np.flatnonzero(result.ids)
    if not len(written):
        return
    folder = made.args.output / "pictures"
    images = frames_of(made.args.images, result)
    reader = None if images is None else images.drawn
    still = visualization.write_video(folder / f"{name}.mp4", result, reader, step=tracked.step)
    if still is not None:
        visualization.write_picture(folder / f"{name}.png", still)
    embeddings = tracked.columns.get(EMBEDDINGS)
    if embeddings is None:
        made.notes.append(f"{name}: no t-SNE picture: {made.settings.name} needs no embeddings")
        return
    # Long enough for tracks to show as paths: ten windows around the fullest frame.
    frames = result.frames
    numbers, sizes = np.unique(frames[written], return_counts=True)
    reach = 5 * getattr(made.settings.tracker, "t_lag", 3) * tracked.step
    window = written[np.abs(frames[written] - numbers[sizes.argmax()]) <= reach]
    visualization.plot_embeddings(
        folder / f"{name}_tsne.png",
        embeddings[window],
        frames[window],
        result.ids[window],
        f"{name}, frames {frames[window].min()} to {frames[window].max()}",
        made.args.seed,
    )


def score(
    made: Run, tracked: Sequence[Tracked], results: Sequence[Detections]
) -> dict[str, dict[str, dict[str, Any]]]:
    """Return {kind of score: {row: {column: value}}}, empty without ground truth."""
    truth, of = made.inputs.truth, made.settings.data_set
    if not truth:
        return {}
    classes = made.pipeline.scored_classes([*truth.values(), *results])
    only = made.args.score_frames == "annotated"
    parts = [
        made.pipeline.counts(truth[result.sequence], result, classes, only)
        for result in tqdm(results, desc="scoring", unit="seq", disable=None)
        if result.sequence in truth
    ]
    scores = {"masks": evaluation.combine_masks(parts)}
    if made.boxes:
        by_name = {t.detections.sequence: (t.detections, t.track_ids) for t in tracked}
        with made.pipeline.watch("score"):
            scores["boxes"] = {of.name: evaluation.score_boxes(made.boxes, by_name)}
    return scores


def evaluate(args: argparse.Namespace) -> dict[str, Any]:
    """Read, track, write, score; return the summary that DIR/summary.json holds."""
    made = begin(args)
    tracked = track_all(made)
    counts = count(tracked)
    results = write_all(made, tracked, counts)
    scores = score(made, tracked, results)
    summary = summarise(made, tracked, counts, scores)
    with atomic_path(args.output / "summary.json") as temporary:
        temporary.write_text(json.dumps(summary, indent=2, allow_nan=False) + "\n")
    return summary


def count(tracked: Sequence[Tracked]) -> Counter[str]:
    """Return what was read, what each rule dropped and what the trackers counted."""
    counts: Counter[str] = Counter()
    for one in tracked:
        counts["read"] += len(one.detections)
        counts["frames"] += len(np.unique(one.detections.frames))
        counts.update({f"dropped_{rule}": n for rule, n in one.dropped.items()})
        counts.update({f"tracker_{what}": n for what, n in one.report.items()})
    return counts


def summarise(
    made: Run, tracked: Sequence[Tracked], counts: Counter[str], scores: dict[str, Any]
) -> dict[str, Any]:
    """Return all that made the results, for summary.json."""
    args, embedder, of = made.args, made.pipeline._embedder, made.settings.data_set
    names = [t.detections.sequence for t in tracked]
    used = embedder is not None
    settings = made.settings.summary()
    classes = made.pipeline.scored_classes([t.detections.select(t.keep) for t in tracked])
    return {
        "what": OURS,
        **settings,
        "preset": args.preset or (settings["tracker_name"] if not args.matcher else None),
        "matcher": args.matcher,
        "detections": [str(path) for path in args.detections],
        "sequences": len(tracked),
        "files": [f"data/{name}.txt" for name in names],
        "steps": {t.detections.sequence: t.step for t in tracked},
        "classes": list(classes.values()),
        "class_names": {str(cls): of.name_of(cls) for cls in classes},
        "seed": args.seed,
        "weights": {n: embedder.weights_of(n).name for n in names} if embedder else {},
        "weights_sha256": embedder.digests() if embedder else {},
        "colours": [t.detections.sequence for t in tracked if COLOURS in t.columns],
        "versions": {
            "python": platform.python_version(),
            **{p: version(p) for p in PACKAGES if used or p not in PACKAGES[:2]},
        },
        "counts": dict(counts),
        "scores": scores,
        "notes": made.notes,
        "seconds": {stage: round(v, 3) for stage, v in made.pipeline.watch.seconds.items()},
    }


def print_results(summary: dict[str, Any]) -> None:
    """Print notes, what the rules dropped and one table: scores, or counts without truth."""
    for text in summary["notes"]:
        note(text)
    for text in dropped_lines(summary):
        say(text)
    reason = why_nothing(summary)
    if reason:
        warn(reason)
    rows: dict[str, dict[str, Any]] = {}
    columns: tuple[str, ...] = evaluation.MASK_COLUMNS
    for kind, scores in summary["scores"].items():
        rows |= {f"{kind}, {name}": row for name, row in scores.items()}
    if "boxes" in summary["scores"]:
        columns += tuple(c for c in evaluation.BOX_COLUMNS if c not in columns)
    if not rows:
        names = {"frames": "frames", "read": "detections", "written": "written", "tracks": "tracks"}
        counts = summary["counts"]
        rows["all"] = {text: counts.get(name, 0) for name, text in names.items()}
        columns = tuple(rows["all"])
    say(format_table(summary["dataset"], columns, rows))


def main() -> None:
    """Run the command line and print the scores."""
    args = parse_args()
    if args.list:
        say(describe_trackers())
        return
    summary = evaluate(args)
    print_results(summary)
    seconds = sum(summary["seconds"].values())
    say(f"{args.output}: {summary['sequences']} sequences in {seconds:.1f} s")


if __name__ == "__main__":
    run(main)
