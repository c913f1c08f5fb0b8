"""What positions say of tracks and detections, and who takes which: compiled as by NumPy."""

import numpy as np
import pytest

from models.best import linking
from models.best.linking import compared, linked
from models.best.motion import Motion
from models.best.track_table import TrackTable
from utils import compiling
from utils.config import BestConfig


def scene(seed, count=60):
    """Return a Motion, tracks of some age, and boxes near them, all shifted by a turning camera."""
    rng = np.random.default_rng(seed)
    motion = Motion(damping=(0.8, 1.0)[seed % 2])
    tracks = TrackTable(classes=np.zeros(0, np.int64), belief=np.zeros(0), **Motion.columns())
    corners = rng.uniform(0, 600, (count, 2))
    boxes = np.concatenate([corners, rng.uniform(10, 80, (count, 2))], axis=1)
    classes, belief = rng.integers(0, 3, count), rng.random(count)
    tracks.append(classes=classes, belief=belief, **Motion.start(boxes, 0))
    for frame in range(1, 9):
        rows = np.flatnonzero(rng.random(count) < 0.5)
        boxes[:, :2] += rng.normal(0, 2, (count, 2))
        motion.move(tracks, rows, boxes[rows], frame)
    found = boxes[rng.permutation(count)[: count - 8]]
    found[:, :2] += rng.normal(0, 6, (len(found), 2)) + ([9, -4] if seed % 3 else [0, 0])
    found = np.concatenate([found, found[:4] + 3.0])
    return rng, motion, tracks, found, rng.integers(0, 3, len(found))


@pytest.mark.parametrize("seed", range(12))
def test_compiled_comparison_and_links_are_those_of_numpy(seed, monkeypatch):
    pytest.importorskip("numba")
    rng, motion, tracks, boxes, classes = scene(seed)
    if seed < 6:  # so that nearly all may belong together
        classes[:] = 0
        tracks.update(np.arange(len(tracks)), classes=np.zeros(len(tracks), int))
    least, config = np.array([-0.1, 0.1, -0.3]), BestConfig(memory=4)
    probability = rng.random(len(boxes))
    results = []
    monkeypatch.setattr(compiling, "_loaded", {})
    monkeypatch.setattr(compiling, "_done", -(10**12))
    for load in (lambda: None, compiling.load_all):
        load()
        found = compared(motion, tracks, 10, boxes, classes, least, config)
        pairs, gain = found.pairs, found.gain
        links = linked(pairs, gain, tracks, probability, 10, 0.4)
        results.append(
            (pairs.rows, pairs.columns, pairs.overlap, found.expected, gain, found.doubtful, *links)
        )
    for plain, fast in zip(*results, strict=True):
        assert plain.shape == fast.shape and plain == pytest.approx(fast, rel=1e-12)
    pairs, doubtful, owner = results[0][0], results[0][5], results[0][6]
    assert len(pairs) > len(doubtful) > 0 and (owner >= 0).sum() > 10


def test_a_crowd_too_entangled_for_the_dense_solver_has_the_same_links(monkeypatch):
    pytest.importorskip("numba")
    _, motion, tracks, boxes, classes = scene(1)
    compiling.load_all()
    results = []
    for most in (100, 0):  # 0: every connected part is left to the sparse solver
        monkeypatch.setattr(linking.candidates, "SMALL", most)
        found = compared(motion, tracks, 10, boxes, classes, np.zeros(3), BestConfig())
        owner, _ = linked(found.pairs, found.gain, tracks, np.ones(len(boxes)), 10, 0.5)
        results.append((found.gain, owner))
    assert (results[0][0] == results[1][0]).all() and (results[0][1] == results[1][1]).all()
