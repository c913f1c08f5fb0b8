"""What descriptors are worth: measured on pairs as near, and as old, as those in doubt."""

import numpy as np
import pytest

from models.best.evidence import ANCHOR, KNOWN, LIMIT, PAIRS, Evidence
from models.best.track_table import TrackTable
from utils import compiling

pytestmark = pytest.mark.usefixtures("each_way")


class Held:
    """Evidence and the table of the tracks it is about, as the tracker holds them."""

    def __init__(self, size, **arguments):
        self.evidence = Evidence("looks", **arguments)
        empty = {name: np.zeros(0, np.int64) for name in ("classes", "frames")}
        self.tracks = TrackTable(**empty, **self.evidence.columns(size))

    def add(self, descriptors, classes=None, frame=0):
        classes = np.ones(len(descriptors), int) if classes is None else np.asarray(classes)
        frames = np.full(len(descriptors), frame)
        columns = self.evidence.start(frame, np.asarray(descriptors, np.float32))
        self.tracks.append(classes=classes, frames=frames, **columns)

    def update(self, frame, rows, descriptors, nearest=None):
        """Let tracks take detections; each is nearest to the next of them, or as told."""
        rows = np.asarray(rows)
        if nearest is None:
            nearest = np.roll(np.arange(len(rows)), -1) if len(rows) > 1 else [-1]
        found = np.asarray(descriptors, np.float32)
        self.evidence.update(self.tracks, rows, frame, found, np.asarray(nearest))
        self.tracks.update(rows, frames=np.full(len(rows), frame))

    def ratio(self, track, descriptor, frame=None):
        frame = self.tracks["frames"][track] + 1 if frame is None else frame
        found = np.asarray(descriptor)[None]
        return self.evidence.log_ratio(self.tracks, np.array([track]), frame, found, np.array([0]))[
            0
        ]


def learn(noise, apart, frames=100, seed=0, classes=None):
    """Return Evidence about 4 tracks whose descriptors are `apart` and noisy, and their centres."""
    rng = np.random.default_rng(seed)
    centres = apart * np.eye(4)
    held = Held(4)
    held.add(centres + rng.normal(0, noise, (4, 4)), classes)
    nearest = None if classes is None else [1, 0, 3, 2]
    for frame in range(1, frames + 1):
        held.update(frame, np.arange(4), centres + rng.normal(0, noise, (4, 4)), nearest)
    return held, centres


def measured(held, same, different, lags=None):
    """Let it know distances as if they had been seen."""
    for kind, distances in enumerate((same, different)):
        distances = np.asarray(distances, float)
        ages = np.ones(len(distances)) if lags is None else np.asarray(lags)
        held.evidence._observe(kind, np.ones(len(distances), int), ages, distances)


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
    held.add([[0.0]])
    # 100 distances each: same 1 and 3 (mean 2), different 5 and 7 (mean 6), both of variance 1.
    measured(held, [1, 3] * 50, [5, 7] * 50)
    # log N(d; 2, 1) - log N(d; 6, 1) = 4 (4 - d).
    assert held.ratio(0, [4.0]) == pytest.approx(0)
    assert held.ratio(0, [3.7]) == pytest.approx(1.2)
    assert held.ratio(0, [4.3]) == pytest.approx(-1.2)


def test_looks_that_wander_are_expected_further_after_longer():
    held = Held(1)
    held.add([[0.0]])
    # Same: 1 + sqrt(frames), known for 1 and 16 frames only; different: always 9; a spread of 1.
    lags = np.repeat([1, 16], 100)
    spread = np.tile([-1, 1], 100)
    measured(held, 1 + np.sqrt(lags) + spread, 9 + spread, lags)
    # After 4 frames the same are 3 away: midway is 6; after 49 they are 8 away: midway is 8.5.
    assert held.ratio(0, [6.0], frame=4) == pytest.approx(0, abs=1e-6)
    assert held.ratio(0, [8.5], frame=49) == pytest.approx(0, abs=1e-6)
    # After a hundred frames or more the same look as different as others: nothing is told.
    assert held.ratio(0, [6.0], frame=100) == 0 and held.ratio(0, [12.0], frame=100) == 0


def test_the_nearest_rival_is_what_others_are_measured_by():
    """Neighbours in alike clothes: what tells from those far away does not tell from them."""
    rng = np.random.default_rng(0)
    centres = np.array([[0.0], [0.5], [9.0], [9.5]])
    alike, apart = Held(1), Held(1)
    for held, nearest in ((alike, [1, 0, 3, 2]), (apart, [2, 3, 0, 1])):
        held.add(centres)
        for frame in range(1, 100):
            held.update(frame, range(4), centres + rng.normal(0, 0.3, (4, 1)), nearest)
    assert apart.ratio(0, [2.5]) == pytest.approx(LIMIT)
    assert alike.ratio(0, [2.5]) == pytest.approx(-LIMIT)


def test_silent_until_enough_pairs_of_both_kinds_are_seen():
    # Two pasts of four tracks in a frame, from the frame on in which they are known.
    enough = KNOWN + PAIRS // 8 + 1
    few, centres = learn(0.1, 1.0, frames=enough - 1)
    assert few.ratio(0, centres[0]) == 0
    many, centres = learn(0.1, 1.0, frames=enough)
    assert many.ratio(0, centres[0]) > 0
    alone = Held(1)
    alone.add([[0.0]])
    for frame in range(1, 100):
        alone.update(frame, [0], [[frame % 2]])
    assert alone.ratio(0, [0.0]) == 0


def test_classes_are_measured_apart_and_may_have_any_number():
    held, centres = learn(0.1, 1.0, classes=np.array([1, 1, 900, 900]))
    assert held.ratio(0, centres[0]) > 0 and held.ratio(2, centres[2]) > 0
    held.add(centres[:1], classes=[3], frame=100)
    assert held.ratio(4, centres[0]) == 0  # nothing is known of class 3


def test_what_is_learned_compiled_is_what_numpy_learns(each_way, monkeypatch):
    def learned():
        rng, held = np.random.default_rng(1), Held(3)
        held.add(rng.random((8, 3)) + np.arange(8)[:, None], classes=[0, 1] * 4)
        for frame in range(1, 3 * ANCHOR):
            rows = rng.permutation(8)[: rng.integers(1, 8)]
            nearest = rng.integers(-1, len(rows), len(rows))
            held.update(frame, rows, rng.random((len(rows), 3)) + rows[:, None], nearest)
        names = ("mean", "anchor", "held", "count")
        columns = [held.tracks[f"{name}_looks"] for name in names]
        rows, taken = np.repeat(np.arange(8), 5), np.tile(np.arange(5), 8)
        looks, number = rng.random((5, 3)) + np.arange(5)[:, None], 3 * ANCHOR
        ratio = held.evidence.log_ratio(held.tracks, rows, number, looks, taken)
        return [*columns, held.evidence._moments, ratio]

    found = learned()
    monkeypatch.setattr(compiling, "_loaded", {})
    for one, plain in zip(found, learned(), strict=True):
        assert one == pytest.approx(plain, rel=1e-5, abs=1e-6)
    assert (found[4][:, :, 0] > PAIRS).all() and len(set(found[3].tolist())) > 3
    assert np.abs(found[5]).max() > 0


def test_means_add_and_keep():
    held = Held(1, memory=0.5)
    held.add([[0.0], [10.0]])
    for frame, value in ((1, 2.0), (2, 4.0)):
        held.update(frame, [0], [[value]])
    # (0 + 2) / 2 = 1, then half of 4: 2.5.
    assert held.tracks["mean_looks"][:, 0].tolist() == [2.5, 10]
    held.tracks.keep(np.array([False, True]))
    assert held.tracks["mean_looks"][:, 0].tolist() == [10]


def test_the_past_that_others_are_held_to_moves_every_so_many_detections():
    held = Held(1, memory=0.5)
    held.add([[0.0]])
    pasts = []
    for value in range(1, 2 * ANCHOR + 1):
        held.update(value, [0], [[float(value)]])
        pasts.append((float(held.tracks["anchor_looks"][0, 0]), held.tracks["held_looks"][0]))
    # The first detection counts: the update before the last of ANCHOR is that many.
    assert set(pasts[: ANCHOR - 2]) == {(0.0, 0)}
    assert len(set(pasts[ANCHOR - 2 : 2 * ANCHOR - 2])) == 1 and pasts[-1] == pasts[-2]
    assert pasts[ANCHOR - 2][0] > ANCHOR - 4 and pasts[ANCHOR - 2][1] == ANCHOR - 1
    assert pasts[-1][0] > 2 * ANCHOR - 4 and pasts[-1][1] == 2 * ANCHOR - 1
