"""Compiled patches: bit for bit those that OpenCV makes of decoded masks."""

import importlib.util

import numpy as np
import pytest

from tests.conftest import make_detections
from utils import compiling, masks

pytest.importorskip("numba")
from utils.compiled import patches_of


def shapes(rng, height, width):
    """Return masks: blobs, slivers, whole columns, exact multiples of a patch, the whole frame."""
    found = []
    for _ in range(60):
        h, w = (int(np.exp(rng.uniform(0, np.log(side)))) for side in (height, width))
        y, x = rng.integers(0, height - h + 1), rng.integers(0, width - w + 1)
        mask = np.zeros((height, width), np.uint8)
        mask[y : y + h, x : x + w] = rng.random((h, w)) < rng.choice([0.2, 0.6, 1])
        mask[y, x : x + w] = mask[y : y + h, x] = 1
        found.append(mask)
    for h, w in ((32, 32), (64, 32), (16, 8), (48, 48), (height, 3), (1, 1), (height, width)):
        mask = np.zeros((height, width), np.uint8)
        mask[:h, :w] = rng.random((h, w)) < 0.7
        mask[:h, 0] = mask[0, :w] = 1
        found.append(mask)
    return found


@pytest.mark.parametrize("size", [16, 32, 128])
def test_patches_are_those_of_opencv_bit_by_bit(size):
    height, width = 150, 170
    rles = [masks.encode(m) for m in shapes(np.random.default_rng(size), height, width)]
    runs, offsets = masks.decode_runs(rles, height * width)
    boxes = masks.tight_boxes_xywh(rles, height, width).astype(np.int64)
    found = patches_of(runs, offsets, boxes, height, size)
    assert found.shape == (len(rles), size, size)
    for i, box in enumerate(boxes.tolist()):
        plain = masks.fit_square(masks.crop(runs[offsets[i] : offsets[i + 1]], box, height), size)
        assert (found[i] == plain).all(), (i, box)
    assert (found.max(axis=(1, 2)) == 255).sum() > 50


def test_few_masks_do_not_wait_for_numba_and_many_do(monkeypatch):
    row = (1, 1, 2, 1.0, (3, 4, 9, 7))
    detections = make_detections([row, (2, 1, 2, 1.0, (30, 5, 20, 31))], height=60, width=80)
    used = []
    compiling.load_all()
    monkeypatch.setattr("utils.compiled.patches_of", lambda *a: used.append(a) or patches_of(*a))
    monkeypatch.setattr(compiling, "_loaded", {})
    monkeypatch.setattr(compiling, "_done", 0)
    plain = masks.crop_patches(detections, 32)
    assert not used
    # Where there is no Numba, nothing is compiled, however much there is to do.
    monkeypatch.setattr(compiling, "_done", compiling.MANY)
    there = importlib.util.find_spec
    with monkeypatch.context() as without:
        find = lambda n: None if n == "numba" else there(n)  # noqa: E731
        without.setattr(compiling.importlib.util, "find_spec", find)
        compiling.usable.cache_clear()
        assert (masks.crop_patches(detections, 32) == plain).all() and not used
    compiling.usable.cache_clear()
    assert (masks.crop_patches(detections, 32) == plain).all() and len(used) == 1
    # Colours are cut out as ever.
    masks.crop_patches(detections, 32, lambda frame: np.zeros((60, 80, 3), np.uint8))
    assert len(used) == 1


def test_nothing_is_compiled_on_the_way_and_that_is_said_once(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(compiling, "_loaded", {})
    monkeypatch.setattr(compiling, "_done", compiling.MANY)
    monkeypatch.setattr(compiling, "folder", lambda: tmp_path / "compiled-0")
    monkeypatch.setattr(compiling, "load", lambda name: name)
    assert compiling.compiled("utils.compiled") is None
    assert compiling.compiled("models.compiled", 1000) is None
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "python -m utils.compiling" in said
    compiling.usable.cache_clear()
    (tmp_path / "compiled-0").mkdir()
    (tmp_path / "compiled-0" / compiling.COMPLETE).touch()
    assert compiling.compiled("utils.compiled") == "utils.compiled"
    # Numba writes beside what it loads: where it cannot, it would compile anew.
    compiling.usable.cache_clear()
    monkeypatch.setattr(compiling.os, "access", lambda *_: False)
    assert compiling.compiled("utils.compiled") is None


def test_what_is_compiled_lies_where_it_is_looked_for():
    """Whoever imports it, and whatever the program that does has set for its own functions."""
    compiling.load_all()
    numba = pytest.importorskip("numba")
    assert numba.config.CACHE_DIR != str(compiling.folder())
    if not numba.config.DISABLE_JIT:
        kept = {path.name for path in compiling.folder().rglob("*.nbi")}
        for name in ("compiled._patches", "compiled.near", "compiled.build", "compiled.compare"):
            assert any(file.startswith(name) for file in kept), name


def test_where_the_repository_cannot_be_written_to_the_users_cache_is_taken(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(compiling.os, "access", lambda path, mode: tmp_path in path.parents)
    assert compiling.folder.__wrapped__().parent == tmp_path / "usc-mots"


@pytest.mark.parametrize("kind", [np.float64, np.float32, np.int64])
def test_arrays_are_handed_over_as_compiled_code_takes_them(kind):
    values = np.arange(12, dtype=kind).reshape(3, 4)
    locked = values.copy()
    locked.flags.writeable = False
    for given in (values, locked, np.asfortranarray(values), values[:, ::2], values.tolist()):
        found = compiling.solid(given)
        assert found.dtype == np.float64 and found.flags.c_contiguous and found.flags.writeable
        assert (found == np.asarray(given)).all()
    assert (compiling.solid(values) is values) == (kind is np.float64)


def test_a_changed_function_is_compiled_anew(monkeypatch, tmp_path):
    (tmp_path / "compiled_one.py").write_text("first")
    monkeypatch.setattr(compiling, "sources", lambda: [tmp_path / "compiled_one.py"])
    names = set()
    for text in ("first", "second", "first"):
        (tmp_path / "compiled_one.py").write_text(text)
        names.add(compiling.folder.__wrapped__())
    assert len(names) == 2


def test_compiled_runs_are_those_of_numpy(monkeypatch):
    height, width = 150, 170
    rles = [masks.encode(m) for m in shapes(np.random.default_rng(3), height, width)]
    monkeypatch.setattr(compiling, "_loaded", {})
    monkeypatch.setattr(compiling, "_done", -(10**12))
    runs, offsets = masks.decode_runs(rles, height * width)
    compiling.load("utils.compiled")
    found = masks.decode_runs(rles, height * width)
    assert (found[0] == runs).all() and (found[1] == offsets).all() and len(offsets) == 68
