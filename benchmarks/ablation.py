"""What each part of the preset `best` adds, on identical detections.

    python -m benchmarks.ablation --data data

Each row leaves one part out. Cells are identity switches and IDF1, of KITTI ground truth and
`detections_rrc` for cars and pedestrians, and of MOTSChallenge ground truth.
"""

from __future__ import annotations

import pickle
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.compare_trackers import DATA, Scene, pipeline_of, prepare, run_ours
from models.parallel import Means
from models.tracking import COLOURS
from utils import evaluation
from utils.cli import Parser, positive, run, say
from utils.formats.registry import read_detections
from utils.tables import format_table

Job = tuple[str, Scene, Path, Mapping[str, Any]]

SHORT = {
    "KITTI ground truth": "GT",
    "KITTI detections_rrc": "rrc",
    "MOTSChallenge ground truth": "MOTS",
    "MOTSChallenge detections_yolov8n_seg": "yolov8n",
}
VARIANTS: dict[str, dict[str, Any]] = {
    "best": {},
    "no masks": {"mask_weight": 0.0},
    "no change of size": {"size_weight": 0.0},
    "no reach in clean files": {"reach": 0.0},
    "all reach everywhere": {"clutter": 0.0},
    "no descriptors": {"descriptor_weight": 0.0, "colour_weight": 0.0},
    "no colours, shape embedding only": {"colours": False},
    "no shape embedding, colours only": {"descriptor_weight": 0.0},
    "no memory beyond t_lag": {"memory": 2},
    "velocity of the last step": {"smoothing": 1.0},
    "no wider limit after a gap": {"slack": 0.0},
    "velocity for one frame only": {"damping": 1e-9},
    "all detections choose at once": {"confident": 0.0},
    "all detections written": {"written": 0.0},
    "no patience": {"patience": 0},
}


def measure(job: Job) -> dict[str, Any]:
    """Return `evaluation.mask_counts` of one sequence under one variant."""
    name, scene, truth, given = job
    changes, pipeline = dict(given), pipeline_of("best", DATA[name][0])
    columns = dict(scene.columns)
    if not changes.pop("colours", True):
        columns.pop(COLOURS, None)
    config = replace(pipeline.settings.tracker, **changes)
    pipeline.settings = replace(pipeline.settings, tracker=config)
    result, _ = run_ours(pipeline, Scene(scene.detections, columns)).result()
    objects = read_detections(truth)
    return pipeline.counts(objects, result, pipeline.scored_classes([objects]))


def scenes_of(files: Mapping[str, Path], data: Path) -> list[tuple[str, Scene, Path]]:
    """Return [(data set, scene, ground truth)]."""
    scenes = []
    for name, file in files.items():
        of, _ = DATA[name]
        for scene in pickle.loads(file.read_bytes()):
            truth = data / of.folder / of.truth / f"{scene.detections.sequence}.txt"
            scenes.append((name, scene, truth))
    return scenes


def combined(
    names: Sequence[str], parts: Sequence[dict[str, Any]]
) -> dict[tuple[str, str], dict[str, Any]]:
    """Return {(data set, class): scores} of sequences, from what `measure` made of each."""
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for name in dict.fromkeys(names):
        mine = [part for of, part in zip(names, parts, strict=True) if of == name]
        rows |= {(name, cls): row for cls, row in evaluation.combine_masks(mine).items()}
    return rows


def main() -> None:
    """Measure and print."""
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="holds kitti_mots, mots_challenge")
    parser.add_argument("--jobs", type=positive, default=2)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        files = prepare(args.data, Path(folder))
        scenes = scenes_of(files, args.data)
    rows: dict[str, dict[str, str]] = {}
    columns: list[str] = []
    means = Means(args.jobs)
    for variant, changes in VARIANTS.items():
        parts = means.all(measure, [(*scene, changes) for scene in scenes])
        rows[variant] = {}
        for (name, cls), row in combined([scene[0] for scene in scenes], parts).items():
            column = f"{SHORT[name]} {cls}"
            rows[variant][column] = f"{row['IDS']} / {row['IDF1']:.1f}"
            columns += [] if column in columns else [column]
    say(format_table("IDS / IDF1", columns, rows))


if __name__ == "__main__":
    run(main)
