"""What a page shows of a run: where identities switched, or may have, and who was there."""

import numpy as np
import pytest

from tests.conftest import make_detections
from utils.review import Review


def reviewed(objects, truth=None, pictures=None, size=(40, 60)):
    """Return the Review of [(frame, id, class, box)]."""
    scene = make_detections([(f, i, c, 1.0, box) for f, i, c, box in objects], *size)
    true = None
    if truth is not None:
        true = make_detections([(f, i, c, 1.0, box) for f, i, c, box in truth], *size)
    review = Review("seq", size, {1: "cell"}, truth=true)
    for frame, rows in scene.rows_by_frame():
        review.take(frame, scene.select(rows), None if pictures is None else pictures[frame])
    return review


def steady(identity, frames, x=5, y=5, cls=1):
    return [(f, identity, cls, (x, y, 8, 8)) for f in frames]


def test_switches_are_those_of_the_benchmark_with_who_had_the_ids():
    truth = steady(1, range(10)) + steady(2, range(10), y=25)
    tracks = steady(7, range(4)) + steady(8, range(6, 10))  # id 1: lost, then another
    tracks += steady(8, range(4), y=25) + steady(7, range(4, 10), y=25)  # id 2: becomes 7
    review = reviewed(tracks, truth)
    assert [(e.kind, e.frame, e.text) for e in review.events] == [
        ("switch", 4, "object 2: track 8 becomes 7"),
        ("switch", 6, "object 1: track 7 becomes 8"),
    ]
    captions = [caption for caption, _ in review.events[1].looks]
    assert captions == ["7 in frame 3", "8 in frame 6", "8 in frame 3", "7 in frame 6"]
    assert review.events[1].weight == 3 and review.found == 2


def test_a_true_object_of_another_class_is_no_match():
    review = reviewed(steady(7, range(4), cls=2) + steady(8, range(4, 8), cls=1),
                      steady(1, range(8)))  # fmt: skip
    assert review.events == []


def test_crops_show_the_place_before_and_after():
    pictures = {f: np.full((40, 60, 3), 20 * f, np.uint8) for f in range(8)}
    pictures[5][0:20, 0:20] = (250, 0, 0)
    review = reviewed(steady(7, range(5)) + steady(8, range(5, 8)), steady(1, range(8)), pictures)
    (event,) = review.events
    assert event.ids == (7, 8)
    before, after = (picture for _, picture in event.looks[:2])
    assert max(before.shape[:2]) == 112 == max(after.shape[:2])
    assert np.abs(before[60:, 60:].astype(int) - 80).mean() < 30  # the grey of frame 4
    assert (after[:, :, 0] > 200).mean() > 0.15  # what is red in frame 5


def test_the_picture_of_a_track_is_of_where_it_is_large():
    pictures = {f: np.full((40, 60, 3), 10 * f, np.uint8) for f in range(4)}
    sizes = [(8, 8), (9, 9), (16, 16), (17, 17)]
    tracks = [(f, 7, 1, (5, 5, *size)) for f, size in enumerate(sizes)]
    thumb = reviewed(tracks, pictures=pictures).tracks[7].thumb
    assert max(thumb.shape[:2]) == 160
    assert abs(int(np.median(thumb[-20:])) - 20) < 5  # frame 2: twice as large as in frame 0


@pytest.mark.parametrize(
    ("tracks", "kind", "text"),
    [
        (steady(7, range(5)) + steady(8, range(9, 14), x=8), "gap",
         "7 ends, and 5 frames later 8 begins nearby"),
        (steady(7, range(5)) + steady(7, range(5, 9), x=40), "jump",
         "7 moves 3.1 of its diagonals in a frame"),
        (steady(7, range(4)) + steady(8, range(4), x=14) + steady(7, [4], x=14) + steady(8, [4]),
         "rival", "7 was where 8 is now"),
    ],
)  # fmt: skip
def test_suspicious_places_without_truth(tracks, kind, text):
    review = reviewed(tracks)
    assert (kind, text) in [(e.kind, e.text) for e in review.events]


def test_what_is_usual_is_not_suspicious():
    pan = [(f, i, 1, (5 + 30 * (f > 3) + i, 2 + 9 * i, 8, 8)) for f in range(8) for i in range(4)]
    assert reviewed(pan).found == 0  # the camera turns: all move alike
    calm = steady(7, range(20)) + steady(8, range(20), y=25)
    assert reviewed(calm).found == 0
    far = steady(7, range(5)) + steady(8, range(60, 70))  # too long ago
    other = steady(7, range(5)) + steady(8, range(7, 12), x=45)  # too far
    unlike = steady(7, range(5)) + steady(8, range(7, 12), cls=2)
    for tracks in (far, other, unlike):
        assert reviewed(tracks).found == 0
