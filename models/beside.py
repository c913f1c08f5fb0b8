"""Sequences, and parts of long ones, tracked beside each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tqdm import tqdm

from models.chunks import joined, parts_of
from models.parallel import Failed, Means
from models.pipeline import Pipeline, Tracked
from models.settings import Settings
from models.tracking import Array
from utils.detections import Detections
from utils.frames import FrameFolder

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
    sequences: Sequence[Detections],
    images: Mapping[str, FrameFolder],
    weights: Sequence[Path] | None,
    means: Means,
    chunk: int | None = None,
) -> tuple[list[Tracked], dict[str, str]]:
    """Return the tracks of all sequences that could be tracked, and why others could not.

    Args:
        pipeline: Pipeline, whose watch adds up the seconds of all processes.
        sequences: [Detections]. images: {sequence: reader}, of those that have any.
        weights: *.keras; None takes the data set's own. means: Means.
        chunk: frames after which a sequence is cut; None cuts none.

    Returns:
        [Tracked], {sequence: reason}.
    """
    paths = tuple(p.resolve() for p in weights) if weights else None
    cuts: list[Cut | None] = []
    pieces: list[Piece] = []
    owner: list[int] = []  # the sequence of each piece
    for k, detections in enumerate(sequences):
        cuts.append(None if chunk is None else _cut(pipeline, detections, chunk))
        own = Piece(pipeline.settings, paths, detections, images.get(detections.sequence))
        parts = _pieces(own, cuts[k])
        pieces += parts
        owner += [k] * len(parts)
    failed: dict[str, str] = {}
    found: dict[int, Tracked] = {}
    done = means.each(track_piece, pieces, [len(p.detections) for p in pieces])
    for k, result in tqdm(done, "tracking", len(pieces), unit="part", disable=None):
        if isinstance(result, Failed):
            failed[sequences[owner[k]].sequence] = result.reason
            continue
        found[k], seconds = result
        for stage, value in seconds.items():
            pipeline.watch.seconds[stage] += value
    whole = []
    for k, (detections, cut) in enumerate(zip(sequences, cuts, strict=True)):
        if detections.sequence not in failed:
            mine = [found[i] for i, of in enumerate(owner) if of == k]
            whole.append(mine[0] if cut is None else joined(*cut, mine))
    return whole, failed


def _cut(pipeline: Pipeline, detections: Detections, chunk: int) -> Cut:
    whole = pipeline.untracked(detections)
    return whole, parts_of(whole.detections, chunk, whole.step)


def _pieces(piece: Piece, cut: Cut | None) -> list[Piece]:
    """Return a sequence as the pieces that it is tracked in."""
    if cut is None:
        return [piece]
    whole, parts = cut
    # What a part alone cannot tell is told of the whole.
    settings = replace(piece.settings, frame_step=whole.step, boxes="file")
    return [
        replace(piece, settings=settings, detections=whole.detections.select(rows))
        for rows in parts
    ]
