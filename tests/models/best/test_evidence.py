import numpy as np
import pytest

from models.best.evidence import ANCHOR, LIMIT, PAIRS, Evidence
from models.best.track_table import TrackTable

CLASSES = np.ones(4, int)


class Held:
    """Evidence and the table of the tracks it is about, as the tracker holds them."""

    def __init__(self, size, **arguments):
        self.evidence = Evidence("looks", **arguments)
        self.tracks = TrackTable(**self.evidence.columns(size))

    def add(self, descriptors):
        self.tracks.append(**self.evidence.start(descriptors))

    def update(self, rows, classes, descriptors):
        descriptors = np.asarray(descriptors, np.float32)
        self.evidence.update(self.tracks, np.asarray(rows), np.asarray(classes), descriptors)

    def ratio(self, track, descriptor, cls=1):
        found = np.asarray(descriptor)[None]
        args = self.tracks, np.array([track]), np.array([cls]), found
        return self.evidence.log_ratio(*args)[0]


def learn(noise, apart, frames=100, seed=0, classes=CLASSES):
    """Return Evidence about 4 tracks whose descriptors are `apart` and noisy, and their centres."""
    rng = np.random.default_rng(seed)
    centres = apart * np.eye(4)
    held = Held(4)
    held.add(centres + rng.normal(0, noise, (4, 4)))
    for _ in range(frames):
        held.update(np.arange(4), classes, centres + rng.normal(0, noise, (4, 4)))
    return held, centres


def test_what_separates_speaks_and_what_does_not_is_silent():
    reliable, centres = learn(noise=0.1, apart=1.0)
    assert reliable.ratio(0, centres[0]) == pytest.approx(LIMIT)
    assert reliable.ratio(0, centres[1]) == pytest.approx(-LIMIT)
    useless, centres = learn(noise=1.0, apart=0.0)
    assert abs(useless.ratio(0, centres[0])) < 1
    doubtful, centres = learn(noise=0.8, apart=1.0)
    assert 0.5 < doubtful.ratio(0, centres[0]) < LIMIT


def test_it_is_the_likelihood_ratio_of_two_normals():
    held = Held(1)
    held.add(np.zeros((1, 1)))
    # 100 distances each: same 1 and 3 (mean 2), different 5 and 7 (mean 6), both of variance 1.
    for kind, (a, b) in enumerate(((1, 3), (5, 7))):
        differences = np.array([[a], [b]] * 50, float)
        held.evidence._observe(kind, np.ones(100, int), differences)
    # log N(d; 2, 1) - log N(d; 6, 1) = 4 (4 - d).
    assert held.ratio(0, [4.0]) == pytest.approx(0)
    assert held.ratio(0, [3.5]) == pytest.approx(2)
    assert held.ratio(0, [4.5]) == pytest.approx(-2)


def test_silent_until_enough_pairs_are_seen():
    # Four pairs of each kind in a frame, from the frame on in which tracks have a past.
    enough = ANCHOR + PAIRS // 4 + 1
    few, centres = learn(0.1, 1.0, frames=enough - 3)
    assert few.ratio(0, centres[0]) == 0
    many, centres = learn(0.1, 1.0, frames=enough)
    assert many.ratio(0, centres[0]) > 0


def test_classes_are_measured_apart_and_may_have_any_number():
    held, centres = learn(0.1, 1.0, classes=np.array([1, 1, 900, 900]))
    assert held.ratio(0, centres[0], cls=3) == 0  # nothing is known of class 3
    assert held.ratio(0, centres[0]) > 0 and held.ratio(2, centres[2], cls=900) > 0


def test_means_anchors_add_and_keep():
    held = Held(1, memory=0.5)
    held.add([[0.0], [10.0]])
    for value in (2.0, 4.0):
        held.update([0], [1], [[value]])
    # (0 + 2) / 2 = 1, then half of 4: 2.5.
    assert held.tracks["mean_looks"][:, 0].tolist() == [2.5, 10]
    assert held.tracks["anchor_looks"][:, 0].tolist() == [0, 10]
    for _ in range(ANCHOR):
        held.update([0], [1], [[4.0]])
    assert held.tracks["anchor_looks"][0, 0] > 2.5
    held.tracks.keep(np.array([False, True]))
    assert held.tracks["mean_looks"][:, 0].tolist() == [10]


def test_distances_are_counted_once_tracks_have_a_past_and_within_a_class():
    held = Held(1)
    held.add([[0.0], [10.0], [30.0]])
    found = [[0.0], [10.0], [30.0]]
    for _ in range(ANCHOR):
        held.update([0, 1, 2], [1, 1, 2], found)
    assert held.evidence._sums[:, :, 0].sum() == 0
    held.update([0, 1, 2], [1, 1, 2], found)
    # Same: a distance of 0 each. Different: 0 and 10 of class 1; the other is of another class.
    same, different = held.evidence._sums[held.evidence._index[1]]
    assert same.tolist() == [2, 0, 0] and different.tolist() == [1, 10, 100]
    assert held.evidence._sums[held.evidence._index[2]].tolist() == [[1, 0, 0], [0, 0, 0]]


def test_both_kinds_must_have_been_seen_often_enough():
    held = Held(1)
    held.add(np.zeros((1, 1)))
    held.evidence._observe(0, np.ones(100, int), np.array([[1.0], [3.0]] * 50))
    held.evidence._observe(1, np.ones(10, int), np.array([[5.0], [7.0]] * 5))
    assert held.ratio(0, [2.0]) == 0


def test_the_past_that_others_are_held_to_moves_every_ten_detections():
    held = Held(1, memory=0.5)
    held.add([[0.0]])
    anchors = []
    for value in range(1, 21):
        held.update([0], [1], [[float(value)]])
        anchors.append(float(held.tracks["anchor_looks"][0, 0]))
    # The first detection counts: the ninth update is the tenth, the nineteenth the twentieth.
    assert anchors[:8] == [0.0] * 8 and anchors[8] > 7
    assert len(set(anchors[8:18])) == 1 and anchors[18] > 16 and anchors[19] == anchors[18]
