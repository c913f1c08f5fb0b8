"""How good the preset `best` is, what each part adds, and how its constants were chosen.

    python -m benchmarks.accuracy --data data [--tables parts constants scores at_once refined]

parts: one part left out at a time. constants: for each some values are tried on every data set; for
each data set the value with the best mean on the others is chosen, and counts on the one left out.
scores: what fitting scores is worth on sequences that the fit never saw, by how much it is shrunk
and by how many frames are annotated. at_once: the share of detections whose first identity is their
last. refined: `refine.py` on the tracks of `best`, and on true identities.

A data set counts with the mean of sMOTSA, IDF1 and HOTA over its classes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from models.remots.config import RetrackingConfig
from models.streaming import iterate_frames
from pipeline.parallel import Means
from pipeline.settings import Settings, settings_for
from pipeline.stages import Pipeline, reader_of
from utils import evaluation
from utils.cli import Parser, positive, run, say
from utils.data_sets import data_set
from utils.detections import Detections
from utils.formats.reading import read_detections, read_sequences
from utils.score_curves import SHRINKAGE, Observations, ScoreCurves, fit, observe
from utils.tables import format_table

# Short name: data set, folder of its detections.
SOURCES = {
    "KITTI GT": ("kitti", "instances_txt"),
    "rrc": ("kitti", "detections_rrc"),
    "MOTS GT": ("mots", "instances_txt"),
    "yolov8n": ("mots", "detections_yolov8n_seg"),
}
PARTS: dict[str, dict[str, Any]] = {
    "best": {},
    "no masks": {"mask_weight": 0.0},
    "no false detections": {"clutter": 0.0},
    "velocity of the last step": {"smoothing": 1.0},
    "velocity for one frame only": {"damping": 1e-9},
    "memory of 3 frames": {"memory": 3},
    "all detections choose at once, all written": {"part": 0.0},
    "all tracks written": {"written": 0.0},
}
GRID: dict[str, Sequence[Any]] = {
    "nearness": (3.0, 4.0, 5.0, 6.0),
    "mask_weight": (4.0, 8.0, 12.0),
    "prior": (0.5, 1.0, 1.5, 2.0),
    "clutter": (2.0, 4.0, 6.0),
    "assumed_frames": (10, 30, 100),
    "smoothing": (0.1, 0.15, 0.2, 0.3),
    "damping": (0.93, 0.96, 0.98),
    "memory": (20, 30, 45),
    "written": (0.5, 0.55, 0.6, 0.65),
    "part": (0.2, 0.3, 0.4),
}
METRICS = ("sMOTSA", "IDF1", "HOTA")
SHRINKAGES = (100.0, 200.0, SHRINKAGE)
FEW = (50, 200)  # annotated frames of one sequence


@dataclass(frozen=True)
class Scene:
    """A sequence of a source, and the truth of it."""

    source: str
    detections: Detections
    truth: Detections

    @property
    def settings(self) -> Settings:
        """Return the preset's settings."""
        return settings_for(data_set(SOURCES[self.source][0]), "best")


@dataclass(frozen=True)
class Job:
    """A scene, and how it is tracked: changes of settings, and curves for its scores."""

    scene: Scene
    changes: Mapping[str, Any] = field(default_factory=dict)
    curves: ScoreCurves | None = None


def scenes_of(data: Path) -> list[Scene]:
    """Return the sequences of all sources that are there."""
    scenes = []
    for source, (name, folder) in SOURCES.items():
        dataset = data_set(name)
        if (data / dataset.folder / folder).is_dir():
            for detections in read_sequences(data / dataset.folder / folder):
                truth = read_detections(
                    data / dataset.folder / dataset.truth / f"{detections.sequence}.txt"
                )
                scenes.append(Scene(source, detections, truth))
    if not scenes:
        raise ValueError(f"{data}: must hold kitti_mots or mots_challenge")
    return scenes


def measured(job: Job) -> dict[str, Any]:
    """Return `evaluation.mask_counts` of one sequence."""
    settings = job.scene.settings
    tracker = replace(settings.tracker, **job.changes)
    pipeline = Pipeline(replace(settings, tracker=tracker, curves=job.curves))
    result, _ = pipeline.track(job.scene.detections).result()
    return pipeline.counts(job.scene.truth, result, pipeline.scored_classes([job.scene.truth]))


def combined(jobs: Sequence[Job], parts: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return {"source class": scores}."""
    rows: dict[str, dict[str, Any]] = {}
    for source in dict.fromkeys(job.scene.source for job in jobs):
        source_parts = [p for job, p in zip(jobs, parts, strict=True) if job.scene.source == source]
        for name, row in evaluation.combine_masks(source_parts).items():
            rows[f"{source} {name}"] = row
    return rows


def shown(row: Mapping[str, Any]) -> str:
    """Return sMOTSA / IDS / IDF1 / HOTA."""
    return f"{row['sMOTSA']:.1f} / {row['IDS']} / {row['IDF1']:.1f} / {row['HOTA']:.1f}"


def averages(rows: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """Return {source: mean of METRICS over its classes}."""
    means: dict[str, list[float]] = {}
    for name, row in rows.items():
        source = next(s for s in SOURCES if name.startswith(f"{s} "))
        means.setdefault(source, []).append(sum(row[m] for m in METRICS) / len(METRICS))
    return {source: sum(values) / len(values) for source, values in means.items()}


Measure = Callable[[Sequence[Job]], dict[str, dict[str, Any]]]


def parts(scenes: Sequence[Scene], measure: Measure) -> None:
    """Print what each part adds."""
    rows: dict[str, dict[str, Any]] = {}
    for part, changes in PARTS.items():
        results = measure([Job(scene, changes) for scene in scenes])
        rows[part] = {name: shown(row) for name, row in results.items()}
    say(format_table("sMOTSA / IDS / IDF1 / HOTA", list(rows["best"]), rows))


def left_out(values: Mapping[Any, Mapping[str, float]]) -> tuple[dict[str, Any], float]:
    """Return {source: value chosen on the others}, and the mean on those left out.

    Args:
        values: {value: {source: figure}}.
    """
    sources = list(next(iter(values.values())))
    chosen, figures = {}, []
    for source in sources:
        others = [s for s in sources if s != source] or [source]
        chosen[source] = max(values, key=lambda v: sum(values[v][s] for s in others))
        figures.append(values[chosen[source]][source])
    return chosen, sum(figures) / len(figures)


def constants(scenes: Sequence[Scene], measure: Measure) -> None:
    """Print each constant as it is chosen without the data set it counts on."""
    preset = scenes[0].settings.tracker
    rows: dict[str, dict[str, Any]] = {}
    for name, values in GRID.items():
        means = {v: averages(measure([Job(s, {name: v}) for s in scenes])) for v in values}
        chosen, figure = left_out(means)
        value = getattr(preset, name)
        rows[name] = {
            "values": " ".join(map(str, values)),
            "chosen without each": " ".join(str(v) for v in chosen.values()),
            "preset": str(value),
            "preset's mean": sum(means[value].values()) / len(means[value]),
            "left out": figure,
        }
    say(format_table("constant", list(next(iter(rows.values()))), rows))


def observations_of(scene: Scene, frames: int | None = None) -> dict[str, Observations]:
    """Return {class name: Observations} of a scene, or of its first annotated frames."""
    dataset, truth = scene.settings.data_set, scene.truth
    if frames is not None:
        truth = truth.select(np.isin(truth.frames, np.unique(truth.frames)[:frames]))
    keep, _ = Pipeline(scene.settings).mark(scene.detections)
    observations = observe(scene.detections, truth, keep, dataset.ignore)
    return {dataset.name_of(cls): seen for cls, seen in observations.items()}


def curves_of(parts: Sequence[dict[str, Observations]], shrinkage: float) -> ScoreCurves:
    """Return the curves that fit several scenes together."""
    names = dict.fromkeys(name for part in parts for name in part)
    each = {name: [part[name] for part in parts if name in part] for name in names}
    return ScoreCurves({n: fit(seen, shrinkage) for n, seen in each.items()})


def scores(scenes: Sequence[Scene], measure: Measure) -> None:
    """Print what fitted scores are worth where the fit saw other sequences only."""
    scored = [s for s in scenes if s.detections.scored]
    seen = [observations_of(s) for s in scored]
    plain = measure([Job(s) for s in scored])
    rows = {"P = score": {name: shown(row) for name, row in plain.items()}}
    worst: dict[str, dict[str, Any]] = {}
    for shrinkage in SHRINKAGES:
        jobs = []
        for scene in scored:
            pairs = zip(scored, seen, strict=True)
            others = [o for s, o in pairs if s.source == scene.source and s is not scene]
            jobs.append(Job(scene, curves=curves_of(others, shrinkage)))
        results = measure(jobs)
        label = f"fitted on the others, shrunk by {shrinkage:g}"
        rows[label] = {name: shown(row) for name, row in results.items()}
        for frames in FEW:
            losses = [
                loss
                for scene in scored
                for loss in few_frames(scene, scored, frames, shrinkage, measure)
            ]
            worst[f"{frames} frames, shrunk by {shrinkage:g}"] = {
                "worst change of sMOTSA": min(losses), "mean": sum(losses) / len(losses)
            }  # fmt: skip
    say(format_table("sMOTSA / IDS / IDF1 / HOTA", list(rows["P = score"]), rows))
    say(format_table("fitted on one sequence, on all others", ["worst change of sMOTSA", "mean"],
                     worst))  # fmt: skip


def few_frames(
    scene: Scene, scored: Sequence[Scene], frames: int, shrinkage: float, measure: Measure
) -> list[float]:
    """Return by how much sMOTSA of each class changes on the other sequences of a source."""
    others = [s for s in scored if s.source == scene.source and s is not scene]
    curves = curves_of([observations_of(scene, frames)], shrinkage)
    before = measure([Job(s) for s in others])
    after = measure([Job(s, curves=curves) for s in others])
    return [after[name]["sMOTSA"] - before[name]["sMOTSA"] for name in before]


def at_once(scenes: Sequence[Scene], measure: Measure) -> None:
    """Print how often the first answer is the last."""
    rows: dict[str, dict[str, Any]] = {}
    for source in dict.fromkeys(s.source for s in scenes):
        same = read = 0
        for scene in (s for s in scenes if s.source == source):
            pipeline = Pipeline(scene.settings)
            keep, _ = pipeline.mark(scene.detections)
            tracker, first = pipeline.tracker(), np.zeros(len(scene.detections), np.int64)
            for frame in iterate_frames(scene.detections, tracker, keep=keep):
                first[frame.rows] = tracker.update(frame)
            last = np.zeros(len(first), np.int64)
            flushed, ids = tracker.flush()
            last[flushed] = ids
            same += int((first == last)[keep].sum())
            read += int(keep.sum())
        rows[source] = {"detections": read, "first answer is the last, %": 100 * same / read}
    say(format_table("at once", ["detections", "first answer is the last, %"], rows))


def refined(scenes: Sequence[Scene], data: Path, seeds: Sequence[int]) -> None:
    """Print what refining changes, where there are frames."""
    rows: dict[str, dict[str, Any]] = {}
    for source in dict.fromkeys(s.source for s in scenes):
        source_scenes = [s for s in scenes if s.source == source]
        dataset = source_scenes[0].settings.data_set
        pictures = [
            reader_of(data / dataset.folder / dataset.images, s.detections) for s in source_scenes
        ]
        numbers = [np.unique(s.detections.frames).tolist() for s in source_scenes]
        pairs = zip(pictures, numbers, strict=True)
        if any(p is None or p.missing(n) for p, n in pairs):
            continue
        ways = {f"{source}, best": source_scenes[0].settings}
        if not source_scenes[0].detections.scored:
            ways[f"{source}, true identities"] = settings_for(dataset, "given")
        for label, settings in ways.items():
            for seed in (None, *seeds):
                config = RetrackingConfig(seed=seed or 0)
                asked = replace(settings, refine=seed is not None, refinement=config)
                pipeline, counts, start = Pipeline(asked), [], time.perf_counter()
                for scene, reader in zip(source_scenes, pictures, strict=True):
                    result, _ = pipeline.track(scene.detections, reader).result()
                    classes = pipeline.scored_classes([scene.truth])
                    counts.append(pipeline.counts(scene.truth, result, classes))
                seconds = time.perf_counter() - start
                title = label + ("" if seed is None else f", refined, seed {seed}")
                for row in evaluation.combine_masks(counts).values():
                    rows[title] = {"figures": shown(row), "seconds": seconds}
    say(format_table("sMOTSA / IDS / IDF1 / HOTA", ["figures", "seconds"], rows))


TABLES = {"parts": parts, "constants": constants, "scores": scores, "at_once": at_once}


def main() -> None:
    """Measure and print."""
    parser = Parser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--data", type=Path, required=True, help="holds kitti_mots and mots_challenge")
    add("--tables", nargs="+", choices=(*TABLES, "refined"), default=[*TABLES, "refined"])
    add("--seeds", type=int, nargs="+", default=[0], help="of refining, a row each")
    add("--jobs", type=positive, default=2)
    args = parser.parse_args()
    scenes, means = scenes_of(args.data), Means(args.jobs)

    def measure(jobs: Sequence[Job]) -> dict[str, dict[str, Any]]:
        return combined(jobs, means.all(measured, jobs))

    for name in args.tables:
        if name == "refined":
            refined(scenes, args.data, args.seeds)
        else:
            TABLES[name](scenes, measure)


if __name__ == "__main__":
    run(main)
