"""NumPy stacks and archives."""

import numpy as np
import pytest

from tests.utils.formats.scenes import check_reading, check_writing, read
from utils.formats.arrays import Npy, Npz


def test_a_stack_is_read_plane_by_plane(tmp_path, monkeypatch):
    stack = np.zeros((50, 30, 40), np.int32)
    stack[:, 3:9, 4:9] = 7
    np.save(tmp_path / "s.npy", stack)
    held = []
    from utils.formats import labels

    plain = labels.label_rles
    monkeypatch.setattr(labels, "label_rles", lambda a: held.append(a.base is None) or plain(a))
    monkeypatch.setattr(np, "load", lambda *a, **k: pytest.fail("read at once"))
    found = read(tmp_path / "s.npy")
    assert len(found) == len(held) == 50 and set(found.ids.tolist()) == {7}


@pytest.mark.parametrize("name", ["npy", "npz"])
def test_arrays_are_read_to_the_pixel(tmp_path, name):
    check_reading(tmp_path, name, (Npy, Npz))


def test_written_files_round_trip(tmp_path):
    check_writing(tmp_path, "npz")
