"""Which window and which objects the figures show."""

import cv2
import numpy as np
import pytest

from reproduction import figures, pictures
from reproduction.experiments import Missing
from tests.conftest import make_detections


def test_the_window_with_most_objects_is_shown():
    frames = np.repeat(np.arange(1, 31), 2)
    ids = np.where((frames >= 11) & (frames < 11 + pictures.WINDOW), 1, 0)
    assert pictures._longest_full_window(frames, ids, 2) == 11


def neighbours(apart):
    objects = [(f, i, 2, 1.0, (5 + apart * i, 5, 8, 20)) for f in range(20) for i in (1, 2, 3)]
    objects += [(f, 4, 2, 1.0, (200, 5, 3, 6)) for f in range(20)]  # small, far
    objects += [(f, 5, 2, 1.0, (230, 5, 30, 30)) for f in range(3)]  # large, gone soon
    return make_detections(objects, 40, 300)


def test_neighbours_are_large_near_each_other_and_there_throughout():
    found = neighbours(12)
    start, chosen = pictures._neighbours(found, found.ids)
    assert set(chosen.tolist()) == {1, 2, 3}
    inside = (found.frames >= start) & (found.frames < start + pictures.WINDOW)
    assert all((found.ids[inside] == i).sum() == pictures.WINDOW for i in chosen)
    few = found.select(found.ids < 3)
    with pytest.raises(Missing, match="no window has 3 tracks throughout"):
        pictures._neighbours(few, few.ids)


def test_a_frame_is_drawn_with_its_own_masks_and_recent_trails():
    found = make_detections([(f, 1, 1, 1.0, (5 + 4 * f, 5, 8, 8)) for f in range(6)])
    image = np.zeros((40, 60, 3), np.uint8)
    drawn = pictures._drawn(found, found.ids, 3, image, 1)
    assert drawn[6, 18].any() and not drawn[6, 30].any()  # frame 3 starts at 17; 25 is frame 5
    assert drawn[9, 10].any()  # the trail, from frame 0 on
    none = pictures._drawn(found, np.zeros(6, int), 3, image, 1)
    assert not none.any()


def test_plots_show_every_curve(tmp_path):
    lines = [(f"{t:.2f}", c, 10 * t, None) for t in (0.5, 0.6) for c in ("a sMOTSA", "b sMOTSA")]
    figures.plot_thresholds(tmp_path / "t.png", lines)
    figures.plot_thresholds(tmp_path / "u.png", lines[::2])
    t, u = (cv2.imread(str(tmp_path / n)) for n in ("t.png", "u.png"))
    assert t.std() > 5 and (t.shape != u.shape or (t != u).any())
    assert figures.enlarged(np.zeros((10, 20, 3), np.uint8), 25).shape == (30, 60, 3)
