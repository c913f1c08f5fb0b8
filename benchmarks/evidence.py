"""Why a descriptor helps or hurts: distances of true objects to themselves and to each other.

    python -m benchmarks.evidence --data data

Detections get their true identities. The mean of ten consecutive descriptors of an object is held
to its own descriptor some frames later, to that of the nearest other object of the class in that
frame, and to that of any other, as `models.best.evidence` does without identities; AUC is how often
the object itself is nearer than such another one.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score

from benchmarks.ablation import scenes_of
from benchmarks.compare_trackers import DATA, Scene, by_truth, prepare
from models.tracking import COLOURS, EMBEDDINGS, Array
from utils.cli import Parser, run, say
from utils.formats.registry import read_detections
from utils.tables import format_table

LAGS = (1, 10, 30)  # frames between the last of the ten and the descriptor held to it
PAST = 10
EVERY = 3  # detections of a track of which one is asked


def pairs(scene: Scene, ids: Array, descriptors: Array, lag: int) -> tuple[Array, Array, Array]:
    """Return (k,) distances of objects to themselves, to the nearest other and to any other."""
    found, rng = scene.detections, np.random.default_rng(0)
    centres = found.boxes_xywh[:, :2] + found.boxes_xywh[:, 2:] / 2
    in_frame = dict(found.rows_by_frame(ids > 0))
    distances: list[tuple[float, float, float]] = []
    for identity in np.unique(ids[ids > 0]).tolist():
        rows = np.flatnonzero(ids == identity)
        rows = rows[np.argsort(found.frames[rows], kind="stable")]
        frames = found.frames[rows].astype(int)
        for row, frame in zip(rows[::EVERY], frames[::EVERY].tolist(), strict=True):
            past = np.flatnonzero(frames <= frame - lag)[-PAST:]
            if len(past) < PAST or frame - frames[past[-1]] > lag + PAST:
                continue
            others = in_frame[frame]
            others = others[
                (ids[others] != identity) & (found.classes[others] == found.classes[row])
            ]
            if not len(others):
                continue
            away = np.linalg.norm(centres[others] - centres[row], axis=1)
            held = row, others[away.argmin()], rng.choice(others)
            mean = descriptors[rows[past]].mean(axis=0)
            a, b, c = np.linalg.norm(mean - descriptors[list(held)], axis=1).tolist()
            distances.append((a, b, c))
    itself, nearest, other = np.array(distances).reshape(-1, 3).T
    return itself, nearest, other


def row_of(scene: Scene, ids: Array, descriptors: Array) -> dict[str, Any]:
    """Return a sequence's row for one descriptor; distances in those of any other, 1 frame on."""
    by_lag = {lag: pairs(scene, ids, descriptors, lag) for lag in LAGS}
    unit = by_lag[LAGS[0]][2].mean()
    row: dict[str, Any] = {}
    for name, kind in (("itself", 0), ("nearest", 1), ("any other", 2)):
        row[name] = " / ".join(f"{by_lag[lag][kind].mean() / unit:.2f}" for lag in LAGS)
    for name, kind in (("nearest", 1), ("any other", 2)):
        row[f"AUC to {name}"] = " / ".join(
            f"{_auc(by_lag[lag][0], by_lag[lag][kind]):.3f}" for lag in LAGS
        )
    return row


def _auc(itself: Array, others: Array) -> float:
    labels = np.repeat([0, 1], [len(itself), len(others)])
    return float(roc_auc_score(labels, np.concatenate([itself, others])))


def main() -> None:
    """Measure and print."""
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="holds mots_challenge")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        named = scenes_of(prepare(args.data, Path(folder)), args.data)
    rows = {}
    for name, scene, truth in named:
        if DATA[name][0].name != "mots":
            continue
        ids = by_truth(scene.detections, read_detections(truth))
        for column in (EMBEDDINGS, COLOURS):
            if column in scene.columns:
                label = f"{name} {scene.detections.sequence}, {column}"
                rows[label] = row_of(scene, ids, scene.columns[column])
    say(format_table("frames " + " / ".join(map(str, LAGS)), list(next(iter(rows.values()))), rows))


if __name__ == "__main__":
    run(main)
