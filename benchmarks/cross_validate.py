"""The constants of the preset `best`, one by one, cross-validated over sequences.

    python -m benchmarks.cross_validate --data data

For each constant some values are tried. For each fold of sequences the value with the best mean
IDF1 on the other folds is chosen, and counts on the fold; all other constants are the preset's. If
the table's last two columns are alike, the choice carries over to sequences it was not made on; the
preset's column is what the preset makes. Means are over the rows a constant is for: KITTI
`detections_rrc` ("tracker"), KITTI and MOTSChallenge ground truth ("trusted"), or all five, cars
and pedestrians apart.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.ablation import Job, measure, scenes_of
from benchmarks.compare_trackers import DATA, Scene, prepare
from models.tracking import Array
from utils.cli import Parser, positive, run, say
from utils.data_sets import data_set
from utils.tables import format_table

FOLDS = 4
GRID: dict[str, Any] = {
    "least_overlap": {
        "trusted": (-0.8, -0.7, -0.6, -0.5, -0.4, -0.3, -0.2),
        "tracker": (-0.2, -0.1, 0.0, 0.1),
    },
    "slack": {"trusted": (0.0, 0.2, 0.4, 0.6), "tracker": (0.0, 0.2)},
    "smoothing": (0.15, 0.2, 0.25, 0.3, 0.4),
    "damping": (0.8, 0.85, 0.9, 0.95),
    "mask_weight": (0.0, 0.5, 1.0, 1.5),
    "size_weight": {"trusted": (0.0, 0.1, 0.2), "tracker": (0.0, 0.2, 0.4, 0.6)},
    "descriptor_weight": (0.0, 0.1, 0.2, 0.3, 0.4),
    "colour_weight": (0.0, 0.2, 0.3, 0.4, 0.5),
    "memory": (15, 30, 45, 60),
}


def identities(job: Job) -> dict[str, tuple[int, int]]:
    """Return {class name: (IDTP, true + tracked)} of one sequence with changed settings."""
    counts = {cls: row["Identity"] for cls, row in measure(job).items()}
    return {
        cls: (row["IDTP"], 2 * row["IDTP"] + row["IDFN"] + row["IDFP"])
        for cls, row in counts.items()
    }


def mean_idf1(parts: Iterable[tuple[str, dict[str, tuple[int, int]]]]) -> float:
    """Return the mean over rows of IDF1 in percent, from [(row, identity counts)]."""
    rows: dict[tuple[str, str], list[int]] = {}
    for name, counts in parts:
        for cls, (matched, size) in counts.items():
            total = rows.setdefault((name, cls), [0, 0])
            total[0] += matched
            total[1] += size
    return float(np.mean([200 * m / s for m, s in rows.values() if s]))


def main() -> None:
    """Measure every value on every sequence, then choose by folds."""
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="holds kitti_mots, mots_challenge")
    parser.add_argument("--constants", nargs="+", choices=GRID, default=list(GRID))
    parser.add_argument("--jobs", type=positive, default=2)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        files = prepare(args.data, Path(folder))
        scenes = scenes_of(files, args.data)
    keys = [(DATA[name][0].folder, scene.detections.sequence) for name, scene, _ in scenes]
    names = sorted(set(keys))
    fold_of = {name: i % FOLDS for i, name in enumerate(names)}
    folds = np.array([fold_of[key] for key in keys])
    rows = {}
    with ProcessPoolExecutor(args.jobs) as pool:
        for constant in args.constants:
            for kind, values in kinds(GRID[constant]):
                mine = [i for i, s in enumerate(scenes) if in_kind(kind, s[1])]
                if len(set(folds[mine])) < FOLDS:
                    continue
                rows[f"{constant}, {kind}" if kind else constant] = choose(
                    pool, [scenes[i] for i in mine], folds[mine], constant, kind, values
                )
    columns = ("values", "chosen by fold", "preset", "preset IDF1", "held-out IDF1")
    say(format_table("mean IDF1", columns, rows))


def _constantly(value: int) -> Callable[[int], int]:
    return lambda _: value


def kinds(values: Any) -> Iterator[tuple[str | None, Sequence[Any]]]:
    """Yield (kind of files, values): None for all files."""
    yield from values.items() if isinstance(values, dict) else [(None, values)]


def in_kind(kind: str | None, scene: Scene) -> bool:
    """Return whether a sequence is of that kind."""
    return kind is None or (kind == "tracker") == scene.detections.scored


def choose(
    pool: ProcessPoolExecutor,
    scenes: Sequence[tuple[str, Scene, Path]],
    folds: Array,
    constant: str,
    kind: str | None,
    values: Sequence[Any],
) -> dict[str, Any]:
    """Return a row of the table."""
    jobs = [(*scene, {constant: value}) for value in values for scene in scenes]
    counts = list(pool.map(identities, jobs, chunksize=1))
    table = [counts[k : k + len(scenes)] for k in range(0, len(counts), len(scenes))]
    labels = [s[0] for s in scenes]

    def mean_of(picked: Callable[[int], int], among: Iterable[int]) -> float:
        return mean_idf1([(labels[i], table[picked(i)][i]) for i in among])

    chosen: list[int] = []
    for fold in range(FOLDS):
        others = np.flatnonzero(folds != fold)
        chosen.append(int(np.argmax([mean_of(_constantly(v), others) for v in range(len(values))])))
    every = range(len(scenes))
    settings = data_set("kitti").presets["best"]
    present = getattr(settings.trusted if kind == "trusted" else settings.tracker, constant)
    return {
        "values": " ".join(map(str, values)),
        "chosen by fold": " ".join(str(values[v]) for v in chosen),
        "preset": str(present),
        "preset IDF1": mean_of(_constantly(values.index(present)), every),
        "held-out IDF1": mean_of(lambda i: chosen[folds[i]], every),
    }


if __name__ == "__main__":
    run(main)
