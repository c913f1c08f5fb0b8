"""Which video is this: the name of each sequence, decided once from all paths together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TypeVar

Value = TypeVar("Value", str, int)

# Folders that tools make below a sequence's, which name a kind of content and no video.
INNER = (
    "gt", "TRA", "SEG", "labels", "masks", "instances", "annotations", "img1", "predict", "exp",
    "images", "img", "frames",
)  # fmt: skip
# Names of files and folders that say what is in them, likewise.
GENERIC = frozenset(
    name.lower()
    for name in (
        *INNER, "annotation", "ann", "anns", "data", "default", "det", "dets", "detection",
        "detections", "ground_truth", "groundtruth", "image", "instance", "instances_default",
        "instances_txt", "label", "mask", "object", "objects", "output", "outputs", "pred",
        "prediction", "predictions", "preds", "result", "results", "seg", "segmentation",
        "segmentations", "segments", "track", "tracking", "tracks", "truth",
        "video", "videos",
    )
)  # fmt: skip


def informative(parts: Sequence[str]) -> tuple[str, ...]:
    """Return a path's parts without those at its end that name no video, if any other is left."""
    kept = list(parts)
    while len(kept) > 1 and kept[-1].lower() in GENERIC:
        kept.pop()
    return tuple(parts) if kept[-1].lower() in GENERIC else tuple(kept)


def video_names(paths: Sequence[Sequence[str]]) -> list[str]:
    """Return a name for each sequence: the shortest end of its path that tells all apart.

    Parts that name a kind of content are left out: `a/gt.txt` and `b/gt.txt` are `a` and `b`. Of
    `train/cam1` and `val/cam1` both parts are needed: `train_cam1` and `val_cam1`.

    Args:
        paths: parts of each, from the outermost to the file's name without suffix. Equal paths get
            equal names.
    """
    useful = [informative(parts) for parts in paths]
    lengths = [1] * len(useful)
    while True:
        names = ["_".join(parts[-n:]) for parts, n in zip(useful, lengths, strict=True)]
        owners: dict[str, set[tuple[str, ...]]] = {}
        for name, parts in zip(names, useful, strict=True):
            owners.setdefault(name, set()).add(parts)
        grown = [
            min(n + 1, len(parts)) if len(owners[name]) > 1 else n
            for name, parts, n in zip(names, useful, lengths, strict=True)
        ]
        if grown == lengths:
            return names
        lengths = grown


def repeated(values: Sequence[Value]) -> list[Value]:
    """Return the values that occur more than once."""
    return [value for value, count in Counter(values).items() if count > 1]
