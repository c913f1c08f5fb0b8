"""Pieces of tracklets and pairs of which the answer is known, by hand."""

import numpy as np
import pytest

from models.remots.config import EvidenceConfig
from models.remots.pieces import come_in, known_pairs, pieces_of, weighed

CONFIG = EvidenceConfig()


def walk(start, frames, pace, y=50.0, height=20.0):
    frames = np.asarray(frames)
    x = start + pace * (frames - frames[0])
    return np.stack([x, np.full(len(frames), y), np.full(len(frames), 10.0),
                     np.full(len(frames), height)], axis=1)  # fmt: skip


def two_walkers():
    """Return a walker seen in frames 0 to 4 and 8 to 12, as two parts, at 2 px a frame."""
    frames = np.array([*range(5), *range(8, 13)])
    boxes = np.concatenate([walk(100, range(5), 2.0), walk(116, range(8, 13), 2.0)])
    looks = np.tile([1.0, 0.0], (10, 1))
    return [np.arange(5), np.arange(5, 10)], frames, boxes, looks


def test_motion_of_both_ends_is_a_line():
    parts, frames, boxes, looks = two_walkers()
    pieces = pieces_of(parts, frames, boxes, looks, ends=5)
    assert pieces.first.tolist() == [0, 8] and pieces.last.tolist() == [4, 12]
    assert pieces.pace == pytest.approx(np.tile([2.0, 0.0], (2, 2, 1)))
    assert pieces.place[0] == pytest.approx(np.array([[105, 60], [113, 60]]))
    assert pieces.height == pytest.approx(np.full((2, 2), 20.0))
    # Two detections show no motion.
    short = pieces_of([np.arange(2)], frames, boxes, looks, ends=5)
    assert not short.pace.any() and short.place[0, 0].tolist() == [106, 60]


def test_a_pair_is_weighed_by_looks_motion_and_gap():
    parts, frames, boxes, looks = two_walkers()
    looks[5:] = [0.6, 0.8]
    pieces = pieces_of(parts, frames, boxes, looks, ends=5)
    ((apart, error, gap),) = weighed(pieces, np.array([0]), np.array([1]), CONFIG)
    assert apart == pytest.approx(0.4) and gap == pytest.approx(np.log(4))
    assert error == pytest.approx(np.log(CONFIG.motion_floor), abs=1e-6)  # just where it goes
    boxes[5:, 0] += 40  # two heights off
    pieces = pieces_of(parts, frames, boxes, looks, ends=5)
    ((_, error, _),) = weighed(pieces, np.array([0]), np.array([1]), CONFIG)
    assert error == pytest.approx(np.log(2 + CONFIG.motion_floor))


@pytest.mark.parametrize(
    ("start", "pace", "inside"),
    [(2, 2.0, True), (3, 2.0, False), (88, -2.0, True), (87, -2.0, False)],
)
def test_who_comes_in_was_at_the_edge_a_frame_before(start, pace, inside):
    frames, boxes = np.arange(5), walk(start, range(5), pace)
    pieces = pieces_of([frames], frames, boxes, np.ones((5, 1)), ends=5)
    assert come_in(pieces, [frames], boxes, (200, 100)).tolist() == [inside]


def test_known_pairs_are_of_one_tracklet_or_of_two_at_once():
    frames = np.concatenate([np.arange(40), np.arange(40), np.arange(60, 100)])
    parts = [np.arange(40), np.arange(40, 80), np.arange(80, 120)]
    pieces, pairs, same = known_pairs(parts, frames, CONFIG, np.random.default_rng(0))
    owner = frames * 0 + np.repeat([0, 1, 2], 40)
    assert len(pairs) == len(same) > CONFIG.cuts and sum(same) == CONFIG.cuts
    for (earlier, later), one in zip(pairs, same, strict=True):
        before, after = pieces[earlier], pieces[later]
        gap = frames[after[0]] - frames[before[-1]]
        assert 1 <= gap <= CONFIG.horizon and min(len(before), len(after)) >= CONFIG.cut_side
        assert (owner[before[0]] == owner[after[0]]) == one
        assert len(before) < CONFIG.cut_longest and len(after) < CONFIG.cut_longest
        assert one or {owner[before[0]], owner[after[0]]} == {0, 1}  # the third is never beside
    short = [rows[: CONFIG.cut_length - 1] for rows in parts]
    assert known_pairs(short, frames, CONFIG, np.random.default_rng(0)) == ([], [], [])
