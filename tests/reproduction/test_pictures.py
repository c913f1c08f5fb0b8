"""Which window and which objects the figures show."""

import cv2
import numpy as np
import pytest

from reproduction import figures, pictures
from reproduction.sources import Missing
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


def test_neighbours_are_those_of_the_window_in_which_they_are_nearest():
    objects = [
        (f, i, 2, 1.0, (5 + (12 if f >= pictures.WINDOW else 60) * i, 5, 8, 20))
        for f in range(2 * pictures.WINDOW)
        for i in (0, 1, 2)
    ]
    objects += [(f, 9, 2, 1.0, (220, 2, 30, 36)) for f in range(2 * pictures.WINDOW) if f % 3]
    found = make_detections([(f, i + 1, *rest) for f, i, *rest in objects], 40, 300)
    start, chosen = pictures._neighbours(found, found.ids)
    assert start == pictures.WINDOW and set(chosen.tolist()) == {1, 2, 3}


def test_each_curve_has_its_own_points_and_lines_follow_the_frames(monkeypatch, tmp_path):
    kept = []
    monkeypatch.setattr(figures, "save", lambda figure, path: kept.append(figure))
    lines = [("0.50", "a sMOTSA", 10.0, None), ("0.60", "a sMOTSA", 20.0, None)]
    lines += [("0.50", "b sMOTSA", 30.0, None), ("0.60", "b sMOTSA", None, None)]
    figures.plot_thresholds(tmp_path / "t.png", lines)
    curves = [line.get_ydata().tolist() for line in kept[0].axes[0].lines]
    assert curves == [[10, 20], [30]]
    shown = [(1, np.zeros((4, 4, 3), np.uint8))]
    points, frames = np.array([[2.0, 0], [0, 0], [1, 0]]), np.array([3, 1, 2])
    figures.plot_windows(tmp_path / "w.png", [("x", shown, points, frames, np.ones(3, int))])
    assert kept[1].subfigs[0].axes[-1].lines[0].get_xdata().tolist() == [0, 1, 2]
