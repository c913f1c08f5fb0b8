"""Sequences tracked beside each other, and long ones in parts that overlap and are joined."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from models.tracking import Array
from pipeline.parallel import Failed, Means
from pipeline.settings import Settings
from pipeline.stages import Pipeline
from pipeline.tracked import Tracked
from utils.detections import Detections
from utils.frames import FrameFolder

# Steps that two parts have in common: most tracks that go on are seen in both (docs/speed.md).
SHARED = 50

Cut = tuple[Tracked, list[Array]]  # a sequence without ids, and the rows of its parts


@dataclass(frozen=True)
class Piece:
    """A sequence, or a part of it, to be tracked anywhere.

    Attributes:
        settings: Settings. weights: absolute paths, or None. detections: Detections.
        images: reader of its frames, or None.
    """

    settings: Settings
    weights: tuple[Path, ...] | None
    detections: Detections
    images: FrameFolder | None


def track_piece(piece: Piece) -> tuple[Tracked, dict[str, float]]:
    """Return the tracks of a piece, and the seconds of each stage."""
    pipeline = Pipeline(piece.settings, piece.weights)
    tracked = pipeline.track(piece.detections, piece.images)
    return tracked, pipeline.watch.seconds


def track_beside(
    pipeline: Pipeline,
    sequences: Sequence[Tracked],
    images: Mapping[str, FrameFolder],
    weights: Sequence[Path] | None,
    means: Means,
    chunk: int | None = None,
) -> tuple[list[Tracked], dict[str, str]]:
    """Return the tracks of all sequences that could be tracked, and why others could not.

    Args:
        pipeline: Pipeline, whose watch adds up the seconds of all processes.
        sequences: [Tracked] without ids. images: {sequence: reader}, of those that have any.
        weights: *.keras; None takes the data set's own. means: Means.
        chunk: frames after which a sequence is cut; None cuts none.
    """
    paths = tuple(p.resolve() for p in weights) if weights else None
    cuts: list[Cut] = []
    pieces: list[Piece] = []
    places: list[list[int]] = []  # of each sequence's pieces
    for whole in sequences:
        cuts.append((whole, parts_of(whole.detections, chunk, whole.step)))
        reader = images.get(whole.detections.sequence)
        parts = _pieces(pipeline.settings, paths, cuts[-1], reader)
        places.append(list(range(len(pieces), len(pieces) + len(parts))))
        pieces += parts
    results: dict[int, Tracked | Failed] = {}
    done = means.each(track_piece, pieces, [len(p.detections) for p in pieces])
    for k, result in tqdm(done, "tracking", len(pieces), unit="part", disable=None):
        if isinstance(result, Failed):
            results[k] = result
            continue
        results[k], seconds = result
        for stage, value in seconds.items():
            pipeline.watch.seconds[stage] += value
    parts_of_each = [[results[k] for k in numbers] for numbers in places]
    return _gathered(cuts, parts_of_each)


def _gathered(
    cuts: Sequence[Cut], results: Sequence[Sequence[Tracked | Failed]]
) -> tuple[list[Tracked], dict[str, str]]:
    """Return the sequences of which all pieces were tracked, and why others were not."""
    tracked: list[Tracked] = []
    failed: dict[str, str] = {}
    for (whole, rows), parts in zip(cuts, results, strict=True):
        done = [part for part in parts if isinstance(part, Tracked)]
        if len(done) == len(parts):
            tracked.append(joined(whole, rows, done))
        else:
            reasons = [part.reason for part in parts if isinstance(part, Failed)]
            failed[whole.detections.sequence] = reasons[-1]
    return tracked, failed


def _pieces(
    settings: Settings, weights: tuple[Path, ...] | None, cut: Cut, images: FrameFolder | None
) -> list[Piece]:
    """Return a sequence as the pieces that it is tracked in."""
    whole, parts = cut
    # Boxes are read already; the step of the frame numbers may not show in a part alone.
    settings = replace(settings, frame_step=whole.step, boxes="file")
    return [Piece(settings, weights, whole.detections.select(rows), images) for rows in parts]


def parts_of(detections: Detections, length: int | None, step: int = 1) -> list[Array]:
    """Return the rows of each part, `length` steps long, SHARED of them the next one's, too.

    Args:
        detections: n Detections. length: steps of a part; None: one part. step: frame numbers of a
            step.

    Raises:
        ValueError: parts that are no longer than what they share.
    """
    if length is None:
        return [np.arange(len(detections))]
    if length <= SHARED:
        raise ValueError(f"--chunk must be above {SHARED} frames, got {length}")
    if not len(detections):
        return [np.zeros(0, np.int64)]
    first, last = int(detections.frames.min()), int(detections.frames.max())
    starts = np.arange(first, max(last - SHARED * step, first) + 1, (length - SHARED) * step)
    frames = detections.frames
    parts = [np.flatnonzero((frames >= s) & (frames < s + length * step)) for s in starts]
    return [rows for rows in parts if len(rows)]


def stitched(
    detections: Detections, parts: Sequence[Array], ids: Sequence[Array]
) -> npt.NDArray[np.int32]:
    """Return (n,) int32 ids of a whole sequence from those of its parts.

    A track goes on as the one of the next part with which it has most detections in common, all
    tracks of both together (exact assignment). Of the frames that two parts share the earlier half
    is the earlier part's.

    Args:
        detections: n Detections. parts: rows of each, in order of time. ids: (k,) of each part.
    """
    whole = np.zeros(len(detections), np.int32)
    before, largest = whole, 0  # ids of the part before, under their final names; largest name
    for k, (rows, part_ids) in enumerate(zip(parts, ids, strict=True)):
        names = _names(part_ids, before[rows], largest)
        largest = max(largest, int(names.max(initial=0)))
        now = np.zeros(len(detections), np.int32)
        now[rows] = names[part_ids]
        taken = rows
        if k:
            common = np.intersect1d(parts[k - 1], rows)
            if len(common):
                numbers = detections.frames[common]
                middle = (int(numbers.min()) + int(numbers.max()) + 1) / 2
                taken = rows[detections.frames[rows] >= middle]
        whole[taken] = now[taken]
        before = now
    return whole


def _names(ids: Array, known: Array, largest: int) -> Array:
    """Return the final name of each id of a part: names[id], names[0] = 0.

    Args:
        ids: (k,) of the part. known: (k,) ids of the part before, 0 for none. largest: so far.
    """
    names = np.zeros(int(ids.max(initial=0)) + 1, np.int32)
    both = (known > 0) & (ids > 0)
    later, row = np.unique(ids[both], return_inverse=True)
    earlier, column = np.unique(known[both], return_inverse=True)
    common = np.zeros((len(later), len(earlier)))
    np.add.at(common, (row, column), 1)
    from scipy.optimize import linear_sum_assignment  # slow to import, and only parts need it

    for i, j in zip(*linear_sum_assignment(common, maximize=True), strict=True):
        if common[i, j]:
            names[later[i]] = earlier[j]
    fresh = [k for k in np.unique(ids[ids > 0]).tolist() if not names[k]]
    names[fresh] = largest + 1 + np.arange(len(fresh))
    return names


def joined(whole: Tracked, parts: Sequence[Array], tracked: Sequence[Tracked]) -> Tracked:
    """Return a whole sequence as it would be had it not been cut.

    Args:
        whole: the sequence without ids. parts: rows of each. tracked: each part.
    """
    columns: dict[str, Array] = {}
    report: Counter[str] = Counter()
    for rows, part in zip(parts, tracked, strict=True):
        for name, values in part.columns.items():
            size = (len(whole.detections), *values.shape[1:])
            columns.setdefault(name, np.zeros(size, values.dtype))[rows] = values
        report.update(part.report)  # += would drop the rules that dropped nothing
    ids = stitched(whole.detections, parts, [part.track_ids for part in tracked])
    notes = (*whole.notes, *dict.fromkeys(text for part in tracked for text in part.notes))
    return replace(whole, columns=columns, track_ids=ids, report=report, notes=notes)
