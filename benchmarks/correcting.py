"""How far corrections of identities get: edits taken from the ground truth, applied as a user's.

    python -m benchmarks.correcting --data data/mots_challenge --sequence 0009

A sequence is tracked by `best`. Tracks are split where their true object changes, and merged where
they are parts of one object; tracks of no object are deleted.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

import correct
import test_mots
from utils.cli import Parser, run, say
from utils.detections import Detections
from utils.edits import KIND, Editing
from utils.formats.reading import read_detections
from utils.mots_metrics import MATCH_IOU
from utils.page.writing import read_held

NAME = "pedestrian"  # whose identities are scored


def true_ids(result: Detections, truth: Detections) -> Any:
    """Return the (n,) identity of the true mask that each row is, 0 for none."""
    found = np.zeros(len(result), np.int64)
    there = dict(truth.rows_by_frame(truth.classes == 2))
    for frame, rows in result.rows_by_frame():
        mine = there.get(frame, np.zeros(0, np.int64))
        if len(mine):
            iou = coco_mask.iou(result.coco(rows), truth.coco(mine), [0] * len(mine))
            best = np.asarray(iou).argmax(axis=1)
            matched = np.asarray(iou).max(axis=1) > MATCH_IOU
            found[rows[matched]] = truth.ids[mine[best[matched]]]
    return found


def edits_of(result: Detections, true: Any) -> list[dict[str, Any]]:
    """Return the edits that give each true object one track, as far as masks of a frame allow."""
    editing, edits = Editing(result.frames, result.ids, result.classes), list[dict[str, Any]]()

    def edit(**numbers: Any) -> None:
        with contextlib.suppress(ValueError):  # two masks of one object in a frame stay apart
            editing.apply(numbers)
            edits.append({"sequence": result.sequence, **numbers})

    for identity in np.unique(result.ids).tolist():
        rows = np.flatnonzero(result.ids == identity)
        rows = rows[np.argsort(result.frames[rows], kind="stable")]
        seen = rows[true[rows] > 0]
        for row in seen[1:][np.diff(true[seen]) != 0].tolist():
            edit(op="split", track=int(editing.ids[row]), frame=int(result.frames[row]))
    owner: dict[int, int] = {}
    order = np.argsort(editing.frames, kind="stable")
    for track in dict.fromkeys(editing.ids[order].tolist()):
        objects = true[editing.ids == track]
        if not objects.any():
            edit(op="delete", track=track, first=0, last=int(result.frames.max()))
        elif (known := owner.setdefault(int(objects[objects > 0][0]), track)) != track:
            edit(op="merge", track=track, into=known)
    return edits


def main() -> None:
    """Print IDF1 and switches before and after, and how many edits there were."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sequence", default="0009")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        output, edits_file = Path(place) / "run", Path(place) / "edits.json"
        words = ["--dataset", "mots", "--tracker", "best", "--sequences", args.sequence,
                 "--detections", str(args.data / "detections_yolov8n_seg"), "--ground-truth",
                 str(args.data), "--output", str(output)]  # fmt: skip
        with contextlib.redirect_stdout(io.StringIO()):
            before = test_mots.evaluate(test_mots.parse_args(words))
        result = read_detections(output / "data" / f"{args.sequence}.txt")
        truth = read_detections(args.data / "instances_txt" / f"{args.sequence}.txt")
        true = true_ids(result, truth)
        edits = edits_of(result, true)
        held = read_held(output / "report.html")["sequences"]
        runs = {s["name"]: s["digest"] for s in held}
        edits_file.write_text(json.dumps({"kind": KIND, "runs": runs, "edits": edits}))
        words = ["--tracks", str(output), "--edits", str(edits_file), "--output",
                 str(Path(place) / "new"), "--ground-truth", str(args.data)]  # fmt: skip
        after = correct.corrected(correct.parse_args(words))
    for name, summary in (("before", before), ("after", after)):
        row = summary["scores"]["masks"][NAME]
        say(f"{name}: IDF1 {row['IDF1']:.1f}, {row['IDS']} switches")
    count, matched = int((truth.classes == 2).sum()), int((true > 0).sum())
    most = 200 * matched / (matched + count)
    ops = ", ".join(f"{n} {op}" for op, n in sorted(Counter(e["op"] for e in edits).items()))
    say(f"{len(edits)} edits ({ops}); {count - matched} of {count} true masks have no detection: "
        f"IDF1 at most {most:.1f}")  # fmt: skip


if __name__ == "__main__":
    run(main)
