"""Scores: masks by TrackEval, boxes by py-motmetrics' rules, association alone by its truth."""

import contextlib
import io
from pathlib import Path

import numpy as np
from scipy.optimize import linear_sum_assignment
from tqdm import tqdm

from utils import masks, mots_io, mots_metrics
from utils.detections import CLASS_NAMES

MASK_COLUMNS = ("sMOTSA", "MOTSA", "MOTSP", "IDS", "Frag", "MT", "ML", "IDF1", "HOTA", "F_DR")
BOX_COLUMNS = ("IDF1", "MT", "ML", "FN", "IDS", "Frag", "MOTA")
BOX_IOU = 0.5


def find_ground_truth(path, names):
    """Return {sequence: MOTS txt file} for a ground-truth folder.

    Args:
        path: folder (or file) of MOTS txt, or a folder that holds `instances_txt`.
        names: the sequences needed.

    Raises:
        mots_io.FormatError: a sequence has no ground truth.
    """
    return mots_io.find_sequences(mots_io.instances_folder(path), names)


def check_ground_truth(file, detections):
    """Refuse a ground truth that TrackEval could not score these detections against.

    Raises:
        mots_io.FormatError: not MOTS txt, another frame size, or masks that overlap.
    """
    truth = mots_io.read_detections(file, detections.sequence)
    if not len(truth):
        return
    if truth.scored:
        raise mots_io.FormatError(file, None, "ground truth must have 6 fields", "scores")
    size = detections.height, detections.width
    if len(detections) and (truth.height, truth.width) != size:
        rule = f"ground truth must have the detections' frame size {size[0]} {size[1]}"
        raise mots_io.FormatError(file, None, rule, f"{truth.height} {truth.width}")
    for frame, rows in truth.rows_by_frame():
        coco = truth.coco(rows)
        shared = np.triu(masks.overlap(coco, coco), 1)
        if shared.any():
            first, second = (int(truth.ids[rows[i]]) for i in np.argwhere(shared)[0])
            rule = "ground-truth masks of a frame must be disjoint"
            value = f"ids {first} and {second} in frame {frame}"
            raise mots_io.FormatError(file, None, rule, value)


def find_box_truth(path, names):
    """Return {sequence: gt.txt} of a synthetic set, or {} where there is none."""
    for root in (Path(path), Path(path).parent):
        files = {name: root / "gt" / name / "gt.txt" for name in names}
        if all(file.is_file() for file in files.values()):
            return files
    return {}


def score_masks(truth, results, classes):
    """Score MOTS txt results as the MOTS benchmark does.

    Args:
        truth: {sequence: ground-truth file}, all in one folder.
        results: folder of SEQ.txt results.
        classes: class numbers to score, 1 (car) or 2 (pedestrian).

    Returns:
        {class name: {column: value}} over all sequences, see `combine_masks`.

    Raises:
        ValueError: TrackEval refuses a file.
    """
    sequences = tqdm(truth.items(), desc="scoring", unit="seq", disable=None)
    return combine_masks([mask_counts(n, file, results, classes) for n, file in sequences])


def mask_counts(sequence, truth, results, classes):
    """Score one sequence with TrackEval and the benchmark's own counts.

    Args:
        sequence: its name; truth: its ground-truth file; results: folder of SEQ.txt results.
        classes: class numbers to score.

    Returns:
        {class name: {"HOTA", "Identity": TrackEval's results; "counts": those of
        `mots_metrics.count`; "recalls", "precisions": R_m and P_h of the diminishing returns}}.

    Raises:
        ValueError: TrackEval refuses a file.
    """
    # TrackEval is slow to import, and only scoring needs it.
    from trackeval.utils import TrackEvalException

    scores = {}
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            names = [CLASS_NAMES[cls] for cls in classes]
            dataset = _trackeval_dataset({sequence: truth}, Path(results), names)
            raw = dataset.get_raw_seq_data(dataset.tracker_list[0], sequence)
            for name in names:
                data = dataset.get_preprocessed_seq_data(raw, name)
                scores[name] = {k: m.eval_sequence(data) for k, m in _metrics().items()}
                scores[name]["counts"] = mots_metrics.count(data)
                shared, true_size, got_size = mots_metrics.shared_pixels(data)
                returns = mots_metrics.diminishing_returns
                scores[name]["recalls"] = returns(shared, true_size).tolist()
                scores[name]["precisions"] = returns(shared.T, got_size).tolist()
    except TrackEvalException as error:
        raise ValueError(f"{results}: TrackEval refuses it: {error}") from None
    return scores


def combine_masks(scores):
    """Return {class name: {column: value}} over sequences.

    sMOTSA to FP are `mots_metrics.combine_counts`, IDF1 and HOTA are TrackEval's, R_DR, P_DR and
    F_DR the scores with diminishing returns.

    Args:
        scores: list of what `mask_counts` returns, one per sequence.

    Returns:
        rates in percent (MT and ML of all objects), counts as int.
    """
    table = {}
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
    return table


def _metrics():
    """Return {name: TrackEval metric}."""
    from trackeval.metrics import HOTA, Identity

    return {"HOTA": HOTA(), "Identity": Identity({"PRINT_CONFIG": False})}


def _trackeval_dataset(truth, results, names):
    """Return TrackEval's reader of the given sequences; frames may start at 0 or 1."""
    from trackeval.datasets import KittiMOTS

    lengths = {}
    for name, file in truth.items():
        frames = [mots_io.read_detections(f).frames for f in (file, results / f"{name}.txt")]
        lengths[name] = 1 + max((int(f.max()) for f in frames if len(f)), default=0)
    folder = next(iter(truth.values())).parent
    return KittiMOTS(
        {
            "GT_FOLDER": str(folder),
            "GT_LOC_FORMAT": "{gt_folder}/{seq}.txt",
            "TRACKERS_FOLDER": str(results.resolve().parent),
            "TRACKERS_TO_EVAL": [results.resolve().name],
            "TRACKER_SUB_FOLDER": "",
            "CLASSES_TO_EVAL": names,
            "SEQ_INFO": lengths,
            "PRINT_CONFIG": False,
        }
    )


def score_boxes(truth, tracked):
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
        frames, ids, boxes = mots_io.read_mot(file)
        detections, track_ids = tracked[name]
        kept = np.flatnonzero(track_ids)
        for frame in np.union1d(frames, detections.frames[kept]).tolist():
            real = frames == frame
            mine = kept[detections.frames[kept] == frame]
            distances = motmetrics.distances.iou_matrix(
                boxes[real], detections.boxes_xywh[mine], max_iou=1 - BOX_IOU
            )
            real_ids = [(name, identity) for identity in ids[real].tolist()]
            my_ids = [(name, identity) for identity in track_ids[mine].tolist()]
            accumulator.update(real_ids, my_ids, distances)
    columns = {
        "idf1": "IDF1",
        "mostly_tracked": "MT",
        "mostly_lost": "ML",
        "num_misses": "FN",
        "num_switches": "IDS",
        "num_fragmentations": "Frag",
        "mota": "MOTA",
    }
    overall = motmetrics.metrics.create().compute(
        accumulator, metrics=list(columns), return_dataframe=False
    )
    return {
        column: 100 * float(overall[name]) if name in ("idf1", "mota") else int(overall[name])
        for name, column in columns.items()
    }


def association_accuracy(detections, track_ids):
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
    last, untracked, switches = {}, 0, 0
    for true, got in zip(detections.ids[order].tolist(), track_ids[order].tolist(), strict=True):
        if not got:
            untracked += 1
            continue
        switches += last.get(true, got) != got
        last[true] = got
    return 1 - (untracked + switches) / max(1, len(order)), untracked, switches


def identity_f1(true_ids, track_ids):
    """Score tracks of ground-truth masks by IDF1: one track per identity, chosen globally.

    Args:
        true_ids: (n,) int; track_ids: (n,) int, 0 for no track.

    Returns:
        (IDF1 in 0..1, identity true positives, detections true and tracked added up)
    """
    kept = track_ids > 0
    names, true = np.unique(true_ids, return_inverse=True)
    tracks, got = np.unique(track_ids[kept], return_inverse=True)
    together = np.zeros((len(names), len(tracks)), np.int64)
    np.add.at(together, (true[kept], got), 1)
    matched = int(together[linear_sum_assignment(together, maximize=True)].sum())
    size = len(true_ids) + int(kept.sum())
    return 2 * matched / max(1, size), matched, size
