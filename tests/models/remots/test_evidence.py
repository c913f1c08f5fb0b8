"""Tracklets linked by the odds that a video shows: looks, motion, and the tracks given."""

from dataclasses import replace

import numpy as np
import pytest

from models.remots.config import EvidenceConfig
from models.remots.evidence import known_pairs, link, pieces_of, weighed
from tests.conftest import make_detections

QUICK = EvidenceConfig(intra_frame_steps=5, tracklet_steps=40, batch_size=64, dimensions=8)


def scene(objects=14, length=60, hidden=(28, 34), seed=0):
    """Return objects in lanes, half of them hidden for a while, and looks that tell them apart."""
    rng = np.random.default_rng(seed)
    pace = np.where(np.arange(objects) % 2, 3.0, -3.0)
    rows = [
        (f, k + 1, 2, 1.0, (round(250 + pace[k] * (f - length / 2)), 5 + 14 * k, 10, 12))
        for k in range(objects)
        for f in range(length)
        if k % 2 or not hidden[0] <= f < hidden[1]
    ]
    detections = make_detections(rows, height=14 * objects + 20, width=520)
    looks = rng.normal(0, 1, (objects + 1, 12))[detections.ids]
    return detections, looks + rng.normal(0, 0.3, looks.shape)


def swapped(detections):
    """Return ids of tracks that went on as another after the gap, by pairs of hidden objects."""
    ids = detections.ids.astype(np.int64).copy()
    late = (detections.frames >= 34) & (ids % 2 == 1) & (ids < 13)
    ids[late] = np.where(ids[late] % 4 == 1, ids[late] + 2, ids[late] - 2)
    return ids


def groups(ids):
    return {frozenset(np.flatnonzero(ids == k).tolist()) for k in set(ids.tolist()) - {0}}


def test_tracks_that_went_on_as_another_are_put_right():
    detections, looks = scene()
    given = swapped(detections)
    assert groups(given) != groups(detections.ids)
    ids, report = link(detections, given, [looks], QUICK)
    assert groups(ids) == groups(detections.ids)
    assert (report["links"], report["cut"], report["new"]) == (7, 6, 6) and not report["unclear"]
    for k in set(ids.tolist()):
        assert len(set(detections.frames[ids == k].tolist())) == (ids == k).sum()


def test_motion_tells_where_looks_do_not():
    detections, _ = scene()
    noise = np.random.default_rng(1).normal(size=(len(detections), 12))
    broken = detections.ids + 100 * ((detections.frames >= 34) & (detections.ids % 2 == 1))
    ids, report = link(detections, broken, [noise], QUICK)
    assert groups(ids) == groups(detections.ids) and report["new"] == 7


def test_looks_tell_where_motion_does_not():
    detections, looks = scene()
    boxes = detections.boxes_xywh.copy()
    boxes[:, :2] = np.random.default_rng(2).uniform(0, 400, (len(boxes), 2))
    ids, _ = link(replace(detections, boxes_xywh=boxes), swapped(detections), [looks], QUICK)
    assert groups(ids) == groups(detections.ids)


def test_who_was_one_track_stays_one_the_more_it_is_trusted():
    detections, looks = scene()
    blind = replace(QUICK, odds=50.0, least_change=0.0)
    ids, report = link(detections, detections.ids, [looks], blind)
    assert report["links"] == 0 and report["cut"] == 7 and len(set(ids.tolist())) == 21
    ids, report = link(detections, detections.ids, [looks], replace(blind, trust=100.0))
    assert report["cut"] == 0 and (ids == detections.ids).all()


def test_tracks_against_which_little_speaks_are_not_cut():
    detections, looks = scene()
    # Nothing links the halves of true tracks: no new link, so that the given ones are believed.
    ids, report = link(detections, detections.ids, [looks], replace(QUICK, odds=50.0))
    assert report["believed"] == 1 and report["cut"] == 0 and (ids == detections.ids).all()
    # Cut in two, one track is joined again where that is sure, and the others stay.
    halved = detections.ids + 100 * ((detections.ids == 3) & (detections.frames >= 34))
    strict = replace(QUICK, least_change=0.3)
    ids, report = link(detections, halved, [looks], strict)
    assert report["new"] == 1 and report["cut"] == 0 and (ids == detections.ids).all()
    ids, report = link(detections, halved, [looks], replace(strict, sure=50.0))
    assert report["new"] == 0 and (ids == halved).all()


def test_who_comes_in_at_the_edge_is_not_taken_for_one_who_left():
    detections, looks = scene()
    late = (detections.frames >= 34) & (detections.ids % 2 == 1)
    ids = detections.ids + 100 * late
    # They come back at 238 to 248 px and move to the left: in a picture as wide as 250 px they were
    # not in it one frame before.
    for width, joined in ((252, 7), (250, 0)):
        _, report = link(replace(detections, width=width), ids, [looks], QUICK)
        assert report["new"] == joined


def test_what_cannot_be_told_is_left_alone():
    detections, looks = scene(objects=1)
    ids, report = link(detections, detections.ids, [looks], QUICK)
    assert (ids == detections.ids).all() and report["unclear"] == 1
    detections, looks = scene()
    ids, _ = link(detections, np.zeros(len(detections), int), [looks], QUICK)
    assert not ids.any()
    none = detections.select(np.zeros(0, np.int64))
    assert len(link(none, np.zeros(0, int), [looks[:0]], QUICK)[0]) == 0


def test_pairs_by_hand():
    frames = np.array([0, 1, 2, 6, 7, 8])
    boxes = np.array([[10 + 2 * f, 20, 4, 8] for f in frames], float)
    looks = np.array([[1.0, 0]] * 3 + [[0.6, 0.8]] * 3)
    pieces = pieces_of([np.arange(3), np.arange(3, 6)], frames, boxes, looks, 10)
    apart, error, gap = weighed(pieces, np.array([0]), np.array([1]), EvidenceConfig())[0]
    assert (apart, gap) == pytest.approx((0.4, np.log(4)))
    assert error == pytest.approx(np.log(0.05))  # it moved on as before
    boxes[3:, 1] += 4  # half its height beside the way
    pieces = pieces_of([np.arange(3), np.arange(3, 6)], frames, boxes, looks, 10)
    assert weighed(pieces, np.array([0]), np.array([1]), EvidenceConfig())[0, 1] == pytest.approx(
        np.log(0.5 + 0.05)
    )
    # From 2 to 4 px a frame: over 4 frames 3 px each are expected, 12 of the 8 that it went.
    boxes[3:, 1] = 20
    boxes[3:, 0] = [22, 26, 30]
    pieces = pieces_of([np.arange(3), np.arange(3, 6)], frames, boxes, looks, 10)
    error = weighed(pieces, np.array([0]), np.array([1]), EvidenceConfig())[0, 1]
    assert error == pytest.approx(np.log(4 / 8 + 0.05))
    # Two detections have no pace.
    pieces = pieces_of([np.arange(2), np.arange(3, 6)], frames, boxes, looks, 10)
    assert (pieces.pace[0] == 0).all() and pieces.pace[1, 0].tolist() == [4, 0]


def test_known_pairs_are_of_one_tracklet_or_of_two_that_were_seen_together():
    rng = np.random.default_rng(0)
    frames = np.concatenate([np.arange(40), np.arange(10, 50), np.arange(60, 75)])
    parts = [np.arange(40), np.arange(40, 80), np.arange(80, 95)]
    pieces, pairs, same = known_pairs(parts, frames, EvidenceConfig(horizon=20), rng)
    owner = np.repeat([0, 1, 2], [40, 40, 15])
    assert any(same) and not all(same)
    for (a, b), one in zip(pairs, same, strict=True):
        first, second = (set(owner[pieces[k]].tolist()) for k in (a, b))
        assert len(first) == len(second) == 1 and (first == second) == one
        assert 1 <= frames[pieces[b][0]] - frames[pieces[a][-1]] <= 20
        assert one or 2 not in first | second  # the third shares no frame with another
