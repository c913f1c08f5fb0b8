"""P(object | score): what it makes of objects, of false detections and of renamed scores."""

import numpy as np
import pytest

from models.best import confidence
from models.best.confidence import HORIZONS, READY, WAIT, Confidence
from utils import compiling

pytestmark = pytest.mark.usefixtures("each_way")


def watch(make, frames, rename=lambda s: s, cls=1, known=None, still=()):
    """Let a Confidence see frames of (scores, ids) from `make(frame)`."""
    known = known or Confidence()
    for frame in range(frames):
        scores, ids = make(frame)
        scores = rename(np.asarray(scores, float))
        ids = np.asarray(ids)
        known.observe(frame, np.full(len(ids), cls), scores, ids, boxes(frame, ids, still))
    return known


def boxes(frame, ids, still=()):
    """Return boxes of tracks that pass by, but for those that stand still."""
    x = 30.0 * ids + np.where(np.isin(ids, list(still)), 0, 4 * frame)
    return np.stack([x, 0 * x, 0 * x + 10, 0 * x + 20], axis=1)


def of(known, *scores, cls=1):
    return known.probability(np.full(len(scores), cls), np.array(scores, float))


def street(seed=0, lasting=2):
    """Return a maker of frames: ten objects that stay, six false detections that last shortly.

    Objects score around 0.8, false detections around 0.4; they overlap in between.
    """
    rng = np.random.default_rng(seed)

    def make(frame):
        false = 100 + 6 * (frame // lasting) + np.arange(6)
        scores = np.concatenate([rng.normal(0.8, 0.1, 10), rng.normal(0.4, 0.1, 6)])
        return scores, np.concatenate([1 + np.arange(10), false])

    return make


def test_scores_whose_tracks_go_on_are_those_of_objects():
    low, middle, high = of(watch(street(), 100), 0.3, 0.6, 0.9)
    assert low < 0.1 < middle < high and high > 0.95
    # Ten of sixteen are objects.
    purity = watch(street(), 100).purity(np.array([1, 1]))
    assert purity == pytest.approx([10 / 16] * 2, abs=0.1)


def test_false_detections_that_stand_still_for_ever_tell_nothing():
    """A sign taken for a person, seen in every frame of a camera that stands still."""

    def with_signs(make, rng):
        def made(frame):
            scores, ids = make(frame)
            return np.r_[scores, rng.normal(0.4, 0.1, 20)], np.r_[ids, 11:31]

        return made

    def seen(still):
        frames = with_signs(street(), np.random.default_rng(1))
        return of(watch(frames, 200, still=still), 0.45)[0]

    assert seen(range(11, 31)) < 0.15 < 0.4 < seen(())


@pytest.mark.parametrize("frames", [60, 300, 1000])
def test_where_everything_stands_still_scores_mean_what_they_do_elsewhere(frames):
    still = watch(street(), frames, still=range(10**4))
    assert of(still, 0.3, 0.6, 0.9) == pytest.approx(of(watch(street(), frames), 0.3, 0.6, 0.9))


@pytest.mark.parametrize(
    "rename",
    [np.square, lambda s: s - 0.15, lambda s: 100 * s, lambda s: np.log(s / (1.5 - s)), np.exp],
)
def test_another_rising_scale_is_the_same_detector(rename):
    plain, renamed = watch(street(), 60), watch(street(), 60, rename)
    asked = np.linspace(0.2, 1, 9)
    assert of(renamed, *rename(asked)) == pytest.approx(of(plain, *asked), abs=1e-12)


def test_coarse_scores_mean_what_fine_ones_do():
    known = watch(street(), 100, lambda s: np.round(s, 1))
    low, high = of(known, 0.3, 0.9)
    assert low < 0.1 and high > 0.95


def test_where_all_scores_are_alike_every_detection_is_an_object():
    def alike(frame):
        scores, ids = street()(frame)
        return np.ones(len(scores)), ids

    known = watch(alike, 40)
    assert of(known, 1.0) == 1 and known.purity(np.array([1])) == 1
    assert not watch(alike, HORIZONS[0]).ready(1) and watch(alike, HORIZONS[0] + 1).ready(1)
    # As soon as they differ, some may be false.
    assert watch(street(), 3).purity(np.array([1])) == confidence.ASSUMED


def test_a_detector_that_shows_only_its_best_is_believed():
    rng = np.random.default_rng(1)

    def certain(frame):
        # Every tenth detection is missed, whatever its score.
        ids = 1 + np.flatnonzero(rng.random(10) < 0.9)
        return rng.uniform(0.9, 1, len(ids)), ids

    assert of(watch(certain, 100), 0.9, 0.95, 1.0).min() > 0.7


def test_false_detections_that_last_need_a_longer_look():
    # 15 frames each: within 5 frames they go on almost as objects do.
    lasting = street(lasting=15)
    low, high = of(watch(lasting, 200), 0.35, 0.9)
    assert low < 0.3 and high > 0.95


def test_horizons_are_looked_at_up_to_the_first_that_tells(monkeypatch):
    monkeypatch.setattr(confidence, "HORIZONS", (5,))
    short = of(watch(street(lasting=15), 200), 0.45)
    monkeypatch.undo()
    assert of(watch(street(lasting=15), 200), 0.45) < short - 0.1


def test_classes_have_scales_of_their_own():
    known = watch(street(), 100)
    watch(lambda f: (street(f)(f)[0][10:], 1000 + np.arange(6)), 100, cls=2, known=known)
    assert of(known, 0.4)[0] < 0.2 and of(known, 0.4, cls=2)[0] > 0.3
    assert of(known, 0.1, cls=3) == 1 and not known.ready(3)


def test_when_enough_was_seen():
    def single(frame):
        return [0.5 + frame % 2 / 10], [1]

    assert not watch(street(), READY // 16).ready(1) and watch(street(), READY // 16 + 8).ready(1)
    assert not watch(single, WAIT).ready(1) and watch(single, WAIT + 1).ready(1)


def test_memory_is_that_of_the_latest_observations():
    known = watch(street(), 600)
    held = known._classes[1]._parts[0]
    assert sum(len(scores) for scores, _, _ in held) < confidence.KEPT + 17
    # A detector whose scores come to mean something else is followed.
    turned = street(1)
    for frame in range(600, 1200):
        scores, ids = turned(frame)
        known.observe(frame, np.ones(len(ids), int), 1.2 - scores, ids, boxes(frame, ids))
    assert of(known, 0.4)[0] > 0.9


def test_what_stands_still_is_told_compiled_as_by_numpy(each_way, monkeypatch):
    def told():
        rng, lives, found = np.random.default_rng(0), confidence._Lives(), []
        places = np.concatenate([rng.uniform(0, 90, (30, 2)), np.full((30, 2), 20.0)], axis=1)
        for frame in range(3 * confidence.SETTLED):
            ids = np.flatnonzero(rng.random(30) < 0.7)
            places[::2, :2] += rng.normal(0, 2, (15, 2))
            lives.take(frame, ids, places[ids])
            found.append((lives.totals.tolist(), lives.still.tolist()))
        return found

    found = told()
    monkeypatch.setattr(compiling, "_loaded", {})
    assert told() == found
    # Nothing is told of the first frames; then of those that do not move.
    assert not any(found[confidence.SETTLED - 1][1]) and 12 < sum(found[-1][1]) < 30
