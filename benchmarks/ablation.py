"""What each part of the preset `best` adds, on identical detections.

    python -m benchmarks.ablation --data data

Each row leaves one part out. Cells are identity switches and IDF1, of KITTI ground truth and
`detections_rrc` for cars and pedestrians, and of MOTSChallenge ground truth.
"""

import pickle
import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.compare_trackers import DATA, prepare, visible
from models.tracker import track
from utils import evaluation, mots_io
from utils.cli import Parser, positive, run
from utils.config import preset
from utils.tables import format_table

SHORT = {
    "KITTI ground truth": "GT",
    "KITTI detections_rrc": "rrc",
    "MOTSChallenge ground truth": "MOTS",
}
VARIANTS = {
    "best": {},
    "no masks": {"mask_weight": 0.0},
    "no change of size": {"size_weight": 0.0},
    "no descriptors": {"descriptor_weight": 0.0, "colour_weight": 0.0},
    "no colours, shape embedding only": {"colours": False},
    "no shape embedding, colours only": {"embeddings": False},
    "no memory beyond t_lag": {"memory": 2},
    "velocity of the last step": {"smoothing": 1.0},
    "no wider limit after a gap": {"slack": 0.0},
    "velocity for one frame only": {"damping": 1e-9},
    "no confirmation by score": {"confirmed": {}},
}


def measure(job):
    """Return `evaluation.mask_counts` of one sequence under one variant."""
    name, scene, embeddings, colours, truth, changes = job
    chosen, changes = preset(DATA[name][0], "best"), dict(changes)
    if not changes.pop("embeddings", True):
        embeddings = np.zeros((len(scene), 1))
    if not changes.pop("colours", True):
        colours = None
    config = replace(chosen.tracker_of(scene), **changes)
    ids, _ = track(scene, embeddings, config, colours)
    with tempfile.TemporaryDirectory() as folder:
        mots_io.write_tracks(Path(folder) / f"{scene.sequence}.txt", scene, ids)
        return evaluation.mask_counts(scene.sequence, truth, Path(folder), chosen.classes)


def scenes_of(files, data):
    """Return [(data set, Detections, embeddings, colours, ground truth)] as `best` gets them."""
    scenes = []
    for name, file in files.items():
        dataset, folder, _ = DATA[name]
        for prepared in pickle.loads(file.read_bytes()):
            truth = data / folder / "instances_txt" / f"{prepared[0].sequence}.txt"
            scenes.append((name, *visible("best", dataset, *prepared), truth))
    return scenes


def main():
    """Measure and print."""
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="holds kitti_mots, mots_challenge")
    parser.add_argument("--jobs", type=positive, default=2)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        files = prepare(args.data, Path(folder))
        scenes = scenes_of(files, args.data)
    rows, columns = {}, []
    with ProcessPoolExecutor(args.jobs) as pool:
        for variant, changes in VARIANTS.items():
            parts = list(pool.map(measure, [(*scene, changes) for scene in scenes]))
            rows[variant] = {}
            for name in files:
                mine = [p for p, scene in zip(parts, scenes, strict=True) if scene[0] == name]
                for cls, row in evaluation.combine_masks(mine).items():
                    column = f"{SHORT[name]} {cls}"
                    rows[variant][column] = f"{row['IDS']} / {row['IDF1']:.1f}"
                    columns += [] if column in columns else [column]
    print(format_table("IDS / IDF1", columns, rows))


if __name__ == "__main__":
    run(main)
