"""Scores: masks by TrackEval, boxes by py-motmetrics' rules, association alone by its truth."""

from __future__ import annotations

import contextlib
import csv
import io
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from utils import mots_metrics
from utils.detections import CAR, IGNORE, Detections
from utils.formats import mots_txt
from utils.formats.mot import read_mot

MASK_COLUMNS = ("sMOTSA", "MOTSA", "MOTSP", "IDS", "Frag", "MT", "ML", "IDF1", "HOTA", "F_DR")
BOX_IOU = 0.5
SAMPLE = 40  # frames of a sequence that are looked at to see whether its truth is shifted
SHIFTED = 0.05  # share of true masks by which another frame must match better to be worth a word
OUTSIDE = 0.05  # share of results in frames without truth that is worth a word

Array = npt.NDArray[Any]
Row = dict[str, Any]


def find_box_truth(path: Path | str, names: Iterable[str], pattern: str) -> dict[str, Path]:
    """Return {sequence: gt.txt} of a synthetic set, or {} where there is none.

    Args:
        path: the data set's folder, or a folder in it.
        names: sequences.
        pattern: of a sequence's file in the data set's folder, see `DataSet.box_truth`.
    """
    names = list(names)
    for root in (Path(path), Path(path).parent):
        files = {name: root / pattern.format(sequence=name) for name in names}
        if all(file.is_file() for file in files.values()):
            return files
    return {}


def mask_counts(
    truth: Detections,
    result: Detections,
    classes: Mapping[int, str],
    ignore: int | None = IGNORE,
    annotated_only: bool = False,
) -> dict[str, Row]:
    """Score one sequence with TrackEval and the benchmark's own counts.

    TrackEval reads both from files of our own writer, frames and ids numbered through, one class at
    a time under a number it knows: what it is slow or helpless with never reaches it.

    Args:
        truth: ground truth, with ids.
        result: n Detections with disjoint masks and the written ids, 0 for what is not written.
        classes: {number: name} of the classes to score.
        ignore: class of ignore regions in the truth.
        annotated_only: leave out results in frames without truth.

    Returns:
        {class name: {"HOTA", "Identity": TrackEval's results; "counts": those of
        `mots_metrics.count`; "recalls", "precisions": R_m and P_h of the diminishing returns}}.
    """
    result = result.select(result.ids > 0)
    if annotated_only:
        result = result.select(np.isin(result.frames, truth.frames))
    both = [_renumbered(d, truth, result) for d in (truth, result)]
    length = len(np.union1d(truth.frames, result.frames))
    scores = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for cls, title in classes.items():
            for part, d in zip(("truth", "result"), both, strict=True):
                number = np.where(d.classes == cls, CAR, 0)
                if part == "truth" and ignore:
                    number[d.classes == ignore] = IGNORE
                chosen = replace(d, classes=number.astype(np.int16)).select(number > 0)
                mots_txt.write(folder / part / "data" / "sequence.txt", chosen)
            scores[title] = _score_class(folder, max(1, length))
    return scores


def _renumbered(masks_of: Detections, truth: Detections, result: Detections) -> Detections:
    """Return one of both with frames from 0 and ids from 1, without gaps."""
    numbers = np.union1d(truth.frames, result.frames)
    ids = np.unique(masks_of.ids, return_inverse=True)[1] + 1
    frames = np.searchsorted(numbers, masks_of.frames)
    return replace(masks_of, frames=frames.astype(np.int32), ids=ids.astype(np.int32))


def _score_class(folder: Path, length: int) -> Row:
    """Return the scores of one class from truth/data and result/data in a folder."""
    # TrackEval is slow to import, and only scoring needs it.
    from trackeval.datasets import KittiMOTS

    limit = csv.field_size_limit(2**31 - 1)  # a mask may be longer than Python's csv allows
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            reader = KittiMOTS(
                {
                    "GT_FOLDER": str(folder / "truth" / "data"),
                    "GT_LOC_FORMAT": "{gt_folder}/{seq}.txt",
                    "TRACKERS_FOLDER": str(folder),
                    "TRACKERS_TO_EVAL": ["result"],
                    "TRACKER_SUB_FOLDER": "data",
                    "CLASSES_TO_EVAL": ["car"],
                    "SEQ_INFO": {"sequence": length},
                    "PRINT_CONFIG": False,
                }
            )
            raw = reader.get_raw_seq_data("result", "sequence")
            data = reader.get_preprocessed_seq_data(raw, "car")
            scores: Row = {name: m.eval_sequence(data) for name, m in _metrics().items()}
    finally:
        csv.field_size_limit(limit)
    scores["counts"] = mots_metrics.count(data)
    shared, true_size, got_size = mots_metrics.shared_pixels(data)
    returns = mots_metrics.diminishing_returns
    seen = true_size > 0  # an object without a pixel has no share of them
    scores["recalls"] = returns(shared[seen], true_size[seen]).tolist()
    scores["precisions"] = returns(shared.T, got_size).tolist()
    return scores


def combine_masks(scores: Sequence[dict[str, Row]]) -> dict[str, Row]:
    """Return {class name: {column: value}} over sequences.

    sMOTSA to FP are `mots_metrics.combine_counts`, IDF1 and HOTA are TrackEval's, R_DR, P_DR and
    F_DR the scores with diminishing returns. A class without true masks has no scores, but counts.

    Args:
        scores: list of what `mask_counts` returns, one per sequence.

    Returns:
        rates in percent (MT and ML of all objects), counts as int; None where there is no truth.
    """
    table: dict[str, Row] = {}
    for name in scores[0] if scores else ():
        rows = [s[name] for s in scores]
        whole = {
            metric: m.combine_sequences({str(i): row[metric] for i, row in enumerate(rows)})
            for metric, m in _metrics().items()
        }
        recalls, precisions = (
            [value for row in rows for value in row[k]] for k in ("recalls", "precisions")
        )
        table[name] = {
            **mots_metrics.combine_counts([row["counts"] for row in rows]),
            "IDF1": 100 * float(whole["Identity"]["IDF1"]),
            "HOTA": 100 * float(np.mean(whole["HOTA"]["HOTA"])),
            **mots_metrics.combine_returns(recalls, precisions),
        }
        if not table[name]["objects"]:
            counts = ("IDS", "FN", "FP", "objects")
            table[name] = {k: v if k in counts else None for k, v in table[name].items()}
    return table


def _metrics() -> dict[str, Any]:
    """Return {name: TrackEval metric}."""
    from trackeval.metrics import HOTA, Identity

    return {"HOTA": HOTA(), "Identity": Identity({"PRINT_CONFIG": False})}


# {py-motmetrics' name: ours} of the columns of Table 1.
BOX_METRICS = {
    "idf1": "IDF1",
    "mostly_tracked": "MT",
    "mostly_lost": "ML",
    "num_misses": "FN",
    "num_switches": "IDS",
    "num_fragmentations": "Frag",
    "mota": "MOTA",
}
BOX_COLUMNS = tuple(BOX_METRICS.values())


def score_boxes(truth: Mapping[str, Path], tracked: Mapping[str, tuple[Detections, Array]]) -> Row:
    """Score boxes as the paper's Table 1: py-motmetrics' rules, a match at IoU >= 0.5.

    Args:
        truth: {sequence: MOT gt.txt, `frame,id,x,y,w,h,...`}.
        tracked: {sequence: (Detections, track_ids)}.

    Returns:
        {column: value} over all sequences; IDF1 and MOTA in percent, counts as int.
    """
    # motrics.compat runs on NumPy 2, which the last release of py-motmetrics does not.
    from motrics.compat import motmetrics

    # One accumulator for all: ids are pairs (sequence, id), so that sequences never mix.
    accumulator = motmetrics.MOTAccumulator(auto_id=True)
    for name, file in truth.items():
        frames, ids, boxes = read_mot(file)
        detections, track_ids = tracked[name]
        kept = np.flatnonzero(track_ids)
        for frame in np.union1d(frames, detections.frames[kept]).tolist():
            real, mine = frames == frame, kept[detections.frames[kept] == frame]
            distances = motmetrics.distances.iou_matrix(
                boxes[real], detections.boxes_xywh[mine], max_iou=1 - BOX_IOU
            )
            real_ids, my_ids = (
                [(name, i) for i in column.tolist()] for column in (ids[real], track_ids[mine])
            )
            accumulator.update(real_ids, my_ids, distances)
    overall = motmetrics.metrics.create().compute(
        accumulator, metrics=list(BOX_METRICS), return_dataframe=False
    )
    return {
        column: 100 * float(overall[name]) if name in ("idf1", "mota") else int(overall[name])
        for name, column in BOX_METRICS.items()
    }


def association_accuracy(detections: Detections, track_ids: Array) -> tuple[float, int, int]:
    """Score tracks of ground-truth masks by the identities that came with them.

    With ground-truth masks as detections every match is exact, so that sMOTSA is
    1 - (untracked + switches) / n, where a switch is a new id on a known identity.

    Args:
        detections: n Detections with true ids.
        track_ids: (n,) int, 0 for no track.

    Returns:
        (accuracy in 0..1, untracked, switches)
    """
    order = np.argsort(detections.frames, kind="stable")
    last: dict[int, int] = {}
    untracked = switches = 0
    for true, got in zip(detections.ids[order].tolist(), track_ids[order].tolist(), strict=True):
        if not got:
            untracked += 1
            continue
        switches += last.get(true, got) != got
        last[true] = got
    return 1 - (untracked + switches) / max(1, len(order)), untracked, switches


def identity_f1(true_ids: Array, track_ids: Array) -> tuple[float, int, int]:
    """Score tracks of ground-truth masks by IDF1: one track per identity, chosen globally.

    Args:
        true_ids: (n,) int; track_ids: (n,) int, 0 for no track.

    Returns:
        (IDF1 in 0..1, identity true positives, detections true and tracked added up)
    """
    from scipy.optimize import linear_sum_assignment  # for which runs without truth need not wait

    kept = track_ids > 0
    names, true = np.unique(true_ids, return_inverse=True)
    tracks, got = np.unique(track_ids[kept], return_inverse=True)
    together = np.zeros((len(names), len(tracks)), np.int64)
    np.add.at(together, (true[kept], got), 1)
    matched = int(together[linear_sum_assignment(together, maximize=True)].sum())
    size = len(true_ids) + int(kept.sum())
    return 2 * matched / max(1, size), matched, size
