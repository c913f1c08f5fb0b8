"""The papers' systems beside each other: from frames, and on common masks (`--table systems`)."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from models.remots.config import RetrackingConfig
from models.usc_mots.weights import read_card
from pipeline.segmenting import SegmentRequest, segment
from pipeline.settings import Settings, changed, settings_for
from pipeline.stages import Pipeline, reader_of
from reproduction import paper
from reproduction.runs import weights_path
from reproduction.tables import listed
from utils import evaluation
from utils.cli import say
from utils.data_sets import CUSTOM, DataSet, data_set
from utils.detection_scores import average_precision
from utils.detections import Detections
from utils.files import atomic_path, find_sequences
from utils.formats.reading import read_detections
from utils.tables import format_table

TITLE = "The papers' systems"
DATA = ("sprites", "mots")
COLUMNS = ("box AP50", "mask AP50", "sMOTSA", "IDF1", "HOTA", "IDS", "frames/s", "weights")
REMOTS = " + ReMOTS"


@dataclass(frozen=True)
class System:
    """A network, and how its detections are tracked.

    Attributes:
        network: its weights are `pretrained/NETWORK_DATASET.keras`. tracker: in the registry.
        changes: of the tracker's settings, FIELD=VALUE.
    """

    network: str
    tracker: str
    changes: tuple[str, ...]


# Found by `python -m benchmarks.own_vectors` on generated sequences that are not those of the table
# (docs/systems.md).
SYSTEMS = {
    "TrackR-CNN": System("trackrcnn", "trackrcnn", ("window=2", "scale=1.08", "min_score=0.78")),
    "MOTSNet": System(
        "motsnet", "motsnet", ("window=4", "scale=0.48", "overlap_weight=0", "min_score=0.71")
    ),
    "pixel embeddings": System("pixel_embeddings", "pixel_embeddings", ("limit=3.76", "window=2")),
}
ON_MASKS = ("paper", "best")


class Lacking(ValueError):
    """A row cannot be made: the message says what is missing."""


@dataclass(frozen=True)
class Scene:
    """A sequence to go by: its frames' folder, its truth."""

    name: str
    frames: Path
    truth: Detections

    @property
    def count(self) -> int:
        """Return how many frames there are."""
        return sum(1 for _ in self.frames.iterdir())


def scenes_of(
    data: Path, dataset: DataSet, names: Sequence[str] | None, quick: bool
) -> list[Scene]:
    """Return the sequences of a data set that have frames and truth.

    Raises:
        Lacking: there is none.
    """
    folder = data / dataset.folder
    scenes = []
    truths = find_sequences(folder / dataset.truth) if (folder / dataset.truth).is_dir() else {}
    for name, file in sorted(truths.items()):
        frames = folder / dataset.images / name
        if frames.is_dir() and (not names or name in names):
            scenes.append(Scene(name, frames, read_detections(file, name)))
    if not scenes:
        raise Lacking(f"{folder / dataset.images} and {dataset.truth} missing: {dataset.source}")
    return scenes[:1] if quick else scenes


def segmented(
    system: System, dataset: DataSet, scene: Scene, cache: Path
) -> tuple[Detections, float]:
    """Return what a network finds in a sequence, and the seconds it took; made once.

    Raises:
        Lacking: there are no weights, or they were trained on the sequence.
    """
    weights = weights_path(f"{system.network}_{dataset.name}.keras")
    if not weights.is_file():
        raise Lacking(f"{weights} missing: train_network.py --model {system.network}")
    card = read_card(weights) or {}
    # Generated sequences for training and for testing have the same names.
    trained = () if dataset.box_truth else card.get("trained_on", ())
    if scene.name in trained:
        raise Lacking(f"{weights.name} was trained on {scene.name}")
    output = cache / card.get("sha256", weights.stem)[:12] / scene.frames.parts[-3] / scene.name
    file = output / "detections" / f"{scene.name}.txt"
    if not file.is_file():
        segment(SegmentRequest(str(scene.frames), output, str(weights)))
    rate = json.loads((output / "summary.json").read_text())["frames_per_second"]
    detections = read_detections(file, scene.name)
    return detections, scene.count / rate


def size_of(system: System, dataset: DataSet) -> int:
    """Return how many values a network learned."""
    card = read_card(weights_path(f"{system.network}_{dataset.name}.keras")) or {}
    return int(card.get("weights_count", 0))


def common_masks(data: Path, dataset: DataSet, scene: Scene) -> Detections:
    """Return the detections that come with a sequence.

    Raises:
        Lacking: there are none.
    """
    for folder in sorted((data / dataset.folder).glob(dataset.detections)):
        file = find_sequences(folder).get(scene.name) if folder.is_dir() else None
        if file is not None:
            return read_detections(file, scene.name)
    raise Lacking(f"{data / dataset.folder / dataset.detections} missing")


def on_masks(name: str, dataset: DataSet) -> Settings:
    """Return a preset's Settings; a data set without the preset has that of any masks."""
    if name in dataset.presets:
        return settings_for(dataset, name)
    plain = settings_for(data_set(CUSTOM), name)
    return replace(plain, data_set=dataset, classes=dataset.tracked)


def rows_of(
    scene: Scene, detections: Detections, settings: Settings, spent: float
) -> dict[str, tuple[dict[str, Any], float]]:
    """Return {"" or REMOTS: (counts of masks, seconds)} of one tracker on one sequence.

    Args:
        scene: Scene. detections: its detections. settings: of the tracker. spent: seconds before.
    """
    rows = {}
    images = reader_of(scene.frames.parent, detections)
    for name, refine in (("", False), (REMOTS, True)):
        refined = replace(settings, refine=refine, refinement=RetrackingConfig())
        pipeline, start = Pipeline(refined), time.perf_counter()
        # With ReMOTS there are frames, so that `best` sees colours, too; without, masks only.
        result, _ = pipeline.track(detections, images if refine else None).result()
        seconds = spent + time.perf_counter() - start
        counts = pipeline.counts(scene.truth, result, pipeline.scored_classes([scene.truth]))
        rows[name] = counts, seconds
    return rows


def settings_of(system: System, dataset: DataSet) -> Settings:
    """Return the Settings that a network's detections are tracked with."""
    base = settings_for(dataset, system.tracker)
    changes = [f"tracker.{change}" for change in system.changes]
    return replace(changed(base, [*changes, "tracker.min_track_length=1"]), boxes="mask")


def table(
    args: argparse.Namespace, dataset: DataSet
) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Return {row: {column: figure}} for a data set, and the lines under it."""
    scenes = scenes_of(args.data, dataset, args.sequences, args.quick)
    cache = args.output / "cache" / "segmented"
    rows: dict[str, dict[str, Any]] = {}
    notes = [f"* {dataset.title}: {listed([s.name for s in scenes])}."]
    for name in (*SYSTEMS, *ON_MASKS):
        system = SYSTEMS.get(name)
        parts: dict[str, list[tuple[dict[str, Any], float]]] = {}
        segmentations: list[tuple[Scene, Detections]] = []
        for scene in scenes:
            try:
                detections, spent = (
                    (common_masks(args.data, dataset, scene), 0.0)
                    if system is None
                    else segmented(system, dataset, scene, cache)
                )
            except Lacking as reason:
                notes.append(f"* {name}: not run on {scene.name}: {reason}")
                continue
            settings = on_masks(name, dataset) if system is None else settings_of(system, dataset)
            segmentations.append((scene, detections))
            for top, part in rows_of(scene, detections, settings, spent).items():
                parts.setdefault(top, []).append(part)
        for top, scores in parts.items():
            label = f"{name}{top}" + (", common masks" if system is None else "")
            row = scored(dataset, segmentations, [counts for counts, _ in scores])
            frames = sum(scene.count for scene, _ in segmentations)
            row["frames/s"] = frames / sum(seconds for _, seconds in scores)
            if system is not None and (count := size_of(system, dataset)):
                row["weights"] = f"{count:,}"
            rows[label] = row
    return rows, notes


def scored(
    dataset: DataSet,
    segmentations: Sequence[tuple[Scene, Detections]],
    counts: Sequence[dict[str, Any]],
) -> dict[str, Any]:
    """Return the figures of a row, those of several classes as their mean."""
    scores = evaluation.combine_masks(counts)
    names = {c: n for c, n in dataset.class_names.items() if n in scores}
    values = average_precision(
        [scene.truth for scene, _ in segmentations],
        [detections for _, detections in segmentations],
        names,
        dataset.ignore,
    )
    row: dict[str, Any] = {f"{kind} AP50": values[kind]["mean"] for kind in ("box", "mask")}
    for column in ("sMOTSA", "IDF1", "HOTA"):
        row[column] = sum(row_scores[column] for row_scores in scores.values()) / len(scores)
    row["IDS"] = sum(row_scores["IDS"] for row_scores in scores.values())
    return row


def make_systems(args: argparse.Namespace) -> None:
    """Make, print and save the comparison."""
    made_by = shlex.join(["python", Path(sys.argv[0]).name, *sys.argv[1:]])
    text, some = [f"# {TITLE}", f"* Made by `{made_by}`."], False
    for name in DATA:
        dataset = data_set(name)
        try:
            rows, notes = table(args, dataset)
        except Lacking as reason:
            text.append(f"* {dataset.title}: not run: {reason}")
            continue
        some = some or bool(rows)
        shown = format_table(dataset.title, COLUMNS, rows)
        text += [f"```\n{shown}\n```", "\n".join(notes)]
    if args.quick:
        text.append("* `--quick`: a part of the data only. These are not the figures.")
    text.append(published())
    whole = "\n\n".join(text) + "\n"
    say(whole)
    path = args.output / f"table_systems{'_quick' * args.quick}.md"
    if not some and path.is_file():
        say(f"{path}: left as it was, since nothing could be run")
        return
    with atomic_path(path) as temporary:
        temporary.write_text(whole)


def published() -> str:
    """Return what the papers report of their own, which is not comparable."""
    rows = {
        name: dict(zip(paper.SYSTEM_COLUMNS, values, strict=True))
        for name, values in paper.SYSTEMS.items()
    }
    shown = format_table("as published", paper.SYSTEM_COLUMNS, rows)
    return (
        f"Not comparable: other data, networks many times as large, on GPUs.\n\n```\n{shown}\n```"
    )
