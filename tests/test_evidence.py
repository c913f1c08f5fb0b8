import numpy as np
import pytest

from models.evidence import ANCHOR, LIMIT, PAIRS, Evidence

CLASSES = np.ones(4, int)


def learn(noise, apart, frames=100, seed=0, classes=CLASSES):
    """Return Evidence about 4 tracks whose descriptors are `apart` and noisy, and their centres."""
    rng = np.random.default_rng(seed)
    centres = apart * np.eye(4)
    evidence = Evidence()
    evidence.add(centres + rng.normal(0, noise, (4, 4)))
    for _ in range(frames):
        found = centres + rng.normal(0, noise, (4, 4))
        evidence.update(np.arange(4), classes, found.astype(np.float32))
    return evidence, centres


def ratio(evidence, track, descriptor):
    return evidence.log_ratio(np.array([track]), np.array([1]), np.asarray(descriptor)[None])[0]


def test_what_separates_speaks_and_what_does_not_is_silent():
    reliable, centres = learn(noise=0.1, apart=1.0)
    assert ratio(reliable, 0, centres[0]) == pytest.approx(LIMIT)
    assert ratio(reliable, 0, centres[1]) == pytest.approx(-LIMIT)
    useless, centres = learn(noise=1.0, apart=0.0)
    assert abs(ratio(useless, 0, centres[0])) < 1
    doubtful, centres = learn(noise=0.8, apart=1.0)
    assert 0.5 < ratio(doubtful, 0, centres[0]) < LIMIT


def test_it_is_the_likelihood_ratio_of_two_normals():
    evidence = Evidence()
    evidence.add(np.zeros((1, 1)))
    # 100 distances each: same 1 and 3 (mean 2), different 5 and 7 (mean 6), both of variance 1.
    for kind, (a, b) in enumerate(((1, 3), (5, 7))):
        evidence._observe(kind, np.ones(100, int), np.array([[a], [b]] * 50, float))
    # log N(d; 2, 1) - log N(d; 6, 1) = 4 (4 - d).
    assert ratio(evidence, 0, [4.0]) == pytest.approx(0)
    assert ratio(evidence, 0, [3.5]) == pytest.approx(2)
    assert ratio(evidence, 0, [4.5]) == pytest.approx(-2)


def test_silent_until_enough_pairs_are_seen():
    # Four pairs of each kind in a frame, from the frame on in which tracks have a past.
    enough = ANCHOR + PAIRS // 4 + 1
    few, centres = learn(0.1, 1.0, frames=enough - 3)
    assert ratio(few, 0, centres[0]) == 0
    many, centres = learn(0.1, 1.0, frames=enough)
    assert ratio(many, 0, centres[0]) > 0


def test_classes_are_measured_apart():
    evidence, centres = learn(0.1, 1.0, classes=np.array([1, 1, 2, 2]))
    other = evidence.log_ratio(np.array([0]), np.array([3]), centres[:1])
    assert other.tolist() == [0]  # nothing is known of class 3
    assert ratio(evidence, 0, centres[0]) > 0


def test_means_anchors_add_and_keep():
    evidence = Evidence(memory=0.5)
    evidence.add([[0.0], [10.0]])
    for value in (2.0, 4.0):
        evidence.update(np.array([0]), np.array([1]), np.array([[value]], np.float32))
    # (0 + 2) / 2 = 1, then half of 4: 2.5.
    assert evidence.means[:, 0].tolist() == [2.5, 10]
    assert evidence.anchors[:, 0].tolist() == [0, 10]
    for _ in range(ANCHOR):
        evidence.update(np.array([0]), np.array([1]), np.array([[4.0]], np.float32))
    assert evidence.anchors[0, 0] > 2.5
    evidence.keep(np.array([False, True]))
    assert evidence.means[:, 0].tolist() == [10]
