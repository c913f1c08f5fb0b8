"""One tracker of another package on sequences of boxes, run by the Python of that package.

    PEER_PYTHON run_peer.py PACKAGE NAME INPUT.npz OUTPUT.npz [INPUT.npz OUTPUT.npz ...]

It needs numpy and the package, nothing of this repository. An input is a sequence: `frames` (n,)
int, `boxes_xyxy` (n, 4) float px, `scores` (n,), `classes` (n,) int, `size` (2,) height and width.
An output has `ids` (n,) int32, 0 where a row got no track, `seconds` of the tracking alone, and
`mib`, the most memory that this process has held.
Trackers see boxes and scores: appearance and the correction of the camera's motion, which need
images, are off. All else is as the package comes, but that a track's first frame counts where a
setting says so; whatever is set stands in the tables below.
"""

from __future__ import annotations

import importlib
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Update = Callable[[Array, Array], Any]  # one frame's (n, 4) px and (n,) scores -> their answer
Read = Callable[
    [Any, Array], Array
]  # their answer and (n, 4) px -> (n,) ids as theirs, NONE for none
Table = dict[str, tuple[str, dict[str, Any]]]  # {name: (class, settings)}

NONE = -1  # ids of theirs are from 0 or from 1, by package and tracker
PASSES = 3  # of which the fastest is timed; the first imports and warms up
LEAST_IOU = 0.1  # of a returned box with its detection's, from which a filter may have drawn it

# boxmot: the constructors' defaults, as its README calls them with arrays; the configurations of
# its command line are tuned together with appearance. min_hits=0 and confirm_hits=1 count the first
# frame. ByteTrack, BoT-SORT and SFSORT have no such setting; the first two count it in the first
# frame of a sequence only, SFSORT always.
NO_IMAGES: dict[str, Any] = {"use_embeddings": False, "use_cmc": False}
BOXMOT: Table = {
    "ByteTrack": ("ByteTrack", {}),
    "OC-SORT": ("OcSort", {"min_hits": 0}),
    "BoT-SORT": ("BotSort", NO_IMAGES),
    "Deep OC-SORT": ("DeepOcSort", {"use_embeddings": False, "cmc_off": True, "min_hits": 0}),
    "BoostTrack": ("BoostTrack", NO_IMAGES | {"min_hits": 0}),
    "OccluBoost": ("OccluBoost", NO_IMAGES | {"min_hits": 0, "confirm_hits": 1}),
    "Hybrid-SORT": ("HybridSort", {"use_embeddings": False, "cmc_method": None, "min_hits": 0}),
    "SFSORT": ("SFSORT", {}),
}
# pyxtrackers: min_hits=0 counts the first frame; ByteTrack has no such setting. det_thresh has no
# default: 0.3 is its README's. SORT starts tracks from every score.
PYXTRACKERS: Table = {
    "SORT": ("Sort", {"min_hits": 0}),
    "ByteTrack": ("BYTETracker", {}),
    "OC-SORT": ("OCSort", {"det_thresh": 0.3, "min_hits": 0}),
}
# trackers (Roboflow): minimum_consecutive_frames=1 counts the first frame. McByte is without masks,
# as it comes.
ONE_FRAME: dict[str, Any] = {"minimum_consecutive_frames": 1}
TRACKERS: Table = {
    "SORT": ("SORTTracker", ONE_FRAME),
    "ByteTrack": ("ByteTrackTracker", ONE_FRAME),
    "OC-SORT": ("OCSORTTracker", ONE_FRAME),
    "C-BIoU": ("CBIoUTracker", ONE_FRAME),
    "BoT-SORT": ("BoTSORTTracker", ONE_FRAME | {"enable_cmc": False}),
    "McByte": ("McByteTracker", ONE_FRAME | {"enable_cmc": False}),
}
PEERS = {"boxmot": BOXMOT, "pyxtrackers": PYXTRACKERS, "trackers": TRACKERS}


def start(package: str, name: str, size: Array) -> tuple[Update, Read]:
    """Return a fresh tracker's update, and what reads ids out of its answers."""
    of_class, settings = PEERS[package][name]
    tracker = getattr(importlib.import_module(package), of_class)(**settings)
    if package == "boxmot":
        black = np.zeros((*size.tolist(), 3), np.uint8)  # SFSORT asks for height and width
        none = np.zeros(1)  # the class, of which it is told nothing
        return (
            lambda boxes, scores: tracker.update(
                np.column_stack((boxes, scores, none.repeat(len(boxes)))), black
            )
        ), by_index
    if package == "pyxtrackers":
        return (lambda boxes, scores: tracker.update(np.column_stack((boxes, scores)))), by_box
    detections = importlib.import_module("supervision").Detections
    return (
        lambda boxes, scores: tracker.update(
            detections(boxes, confidence=scores, data={"row": np.arange(len(boxes))})
        )
    ), by_data


def by_index(answer: Array, boxes: Array) -> Array:
    """Return (n,) ids of boxmot's (m, 8): box, id, score, class, row of the detection."""
    ids = np.full(len(boxes), NONE)
    tracked = answer[answer[:, 7] >= 0]
    ids[tracked[:, 7].astype(int)] = tracked[:, 4]
    return ids


def by_data(answer: Any, boxes: Array) -> Array:
    """Return (n,) ids of supervision's Detections, of which -1 is none, too."""
    ids = np.full(len(boxes), NONE)
    if len(answer):
        ids[answer.data["row"].astype(int)] = answer.tracker_id
    return ids


def by_box(answer: Array, boxes: Array) -> Array:
    """Return (n,) ids of (m, 5): box, id; a box is taken for the one that it overlaps most.

    Pairs are taken from the highest IoU down to LEAST_IOU, each row and each track once.
    """
    ids = np.full(len(boxes), NONE)
    sides = np.minimum(answer[:, None, 2:4], boxes[:, 2:])
    sides -= np.maximum(answer[:, None, :2], boxes[:, :2])
    both = sides.clip(0).prod(axis=2)
    first, second = ((b[:, 2:4] - b[:, :2]).prod(axis=1) for b in (answer, boxes))
    iou = both / np.maximum(first[:, None] + second - both, 1e-9)
    while iou.size and iou.max() >= LEAST_IOU:
        track, row = np.unravel_index(iou.argmax(), iou.shape)
        ids[row] = answer[track, 4]
        iou[track], iou[:, row] = 0, 0
    return ids


def by_frame(frames: Array, span: range, rows: Array) -> Iterator[Array]:
    """Yield those of (m,) rows that are in each frame of a span, empty frames included."""
    order = rows[np.argsort(frames[rows], kind="stable")]
    bounds = np.searchsorted(frames[order], (*span, span.stop))
    for i in range(len(span)):
        yield order[bounds[i] : bounds[i + 1]]


def track(package: str, name: str, scene: dict[str, Array]) -> tuple[Array, float]:
    """Return (n,) int32 ids of a sequence, by one tracker per class, and the seconds it took."""
    frames, classes = scene["frames"], scene["classes"]
    boxes, scores = scene["boxes_xyxy"].astype(float), scene["scores"].astype(float).clip(0, 1)
    ids, seconds = np.zeros(len(frames), np.int32), 0.0
    span = range(int(frames.min()), int(frames.max()) + 1) if len(frames) else range(0)
    for cls in np.unique(classes):
        update, read = start(package, name, scene["size"])
        rows_of = list(by_frame(frames, span, np.flatnonzero(classes == cls)))
        given, before = [(boxes[rows], scores[rows]) for rows in rows_of], ids.max()
        begin = time.perf_counter()
        answers = [update(*of_frame) for of_frame in given]
        seconds += time.perf_counter() - begin
        for rows, answer in zip(rows_of, answers, strict=True):
            frame_ids = read(answer, boxes[rows])
            ids[rows] = np.where(frame_ids == NONE, 0, before + 1 + frame_ids)
    return ids, seconds


def peak_mib() -> float:
    """Return the most memory of this process; 0 where the system does not say.

    Not `resource`: its peak goes on from that of the process that started this one.
    """
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return sum(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def main(package: str, name: str, *files: str) -> None:
    """Track every input into its output."""
    for source, target in zip(files[::2], files[1::2], strict=True):
        with np.load(source) as scene:
            columns = dict(scene)
        passes = [track(package, name, columns) for _ in range(PASSES)]
        seconds = min(seconds for _, seconds in passes)
        np.savez(target, ids=passes[-1][0], seconds=seconds, mib=peak_mib())


if __name__ == "__main__":
    main(*sys.argv[1:])
