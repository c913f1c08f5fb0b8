"""What Numba compiles is kept, announced where one waits for it, and runs as Python, too."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numba
import numpy as np
import pytest

from utils import compiling

ROOT = Path(__file__).resolve().parents[2]


def test_a_long_wait_is_announced_once(monkeypatch, capsys):
    monkeypatch.setattr(compiling, "PATIENCE", 0.05)
    announcer = compiling.Announcer()
    for _ in range(2):
        announcer.on_start(None)
        announcer.on_start(None)  # a function within it
        time.sleep(0.15)
        announcer.on_end(None)
        announcer.on_end(None)
    assert capsys.readouterr().out.count("compiling inner loops, once for all runs to come") == 1
    quick = compiling.Announcer()
    quick.on_start(None)
    quick.on_end(None)
    time.sleep(0.15)
    assert capsys.readouterr().out == ""


def test_what_is_compiled_is_kept_in_one_folder():
    """Whatever the program has set for functions of its own."""
    compiling.compile_all()
    assert numba.config.CACHE_DIR != str(compiling.folder())
    if not numba.config.DISABLE_JIT:
        kept = {path.name for path in compiling.folder().rglob("*.nbi")}
        for name in ("runs.decode", "kmeans_loops.cluster", "constraints.must_link", "step.take"):
            assert any(file.startswith(name) for file in kept), name


def test_every_file_of_compiled_functions_is_listed():
    using = {
        path.relative_to(ROOT).as_posix()
        for folder in ("models", "utils")
        for path in (ROOT / folder).rglob("*.py")
        if "\n@loop()" in path.read_text()
    }
    assert using == set(compiling.SOURCES)


def test_where_the_repository_cannot_be_written_to_the_users_cache_is_taken(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(compiling.os, "access", lambda path, mode: tmp_path in path.parents)
    assert compiling.folder.__wrapped__().parent == tmp_path / "usc-mots"


def test_where_nothing_can_be_kept_it_still_runs(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(compiling, "folder", lambda: tmp_path / "file" / "no")

    def twice(x):
        return 2 * x

    assert compiling.loop()(twice)(4) == 8


def test_a_changed_function_is_compiled_anew(monkeypatch, tmp_path):
    monkeypatch.setattr(compiling, "sources", lambda: [tmp_path / "loops.py"])
    names = set()
    for text in ("first", "second", "first"):
        (tmp_path / "loops.py").write_text(text)
        names.add(compiling.folder.__wrapped__())
    assert len(names) == 2


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


def test_the_same_lines_run_as_python():
    """The graph, k-means, runs and cells of a scene: compiled and not, the same."""
    code = (
        "import numpy as np\n"
        "from tests.conftest import random_scene, track_with\n"
        "from models.usc_mots.config import UscMotsConfig\n"
        "from utils.mask_cells import mask_cells\n"
        "from utils import masks\n"
        "found = random_scene(np.random.default_rng(3))\n"
        "z = np.random.default_rng(0).normal(size=(len(found), 3))\n"
        "config = UscMotsConfig(min_track_length={0: 1})\n"
        "print(track_with(config, found, z)[0].tolist(), masks.areas_of(found.rles, 4800).tolist(),"
        " mask_cells(found.rles.tolist(), found.boxes_xywh, found.size).tolist())\n"
    )
    results = [
        subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "NUMBA_DISABLE_JIT": jit},
            cwd=ROOT, capture_output=True, text=True, check=True,
        ).stdout.splitlines()[-1]
        for jit in ("0", "1")
    ]  # fmt: skip
    assert results[0] == results[1] and "1" in results[0]
