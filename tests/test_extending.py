"""docs/extending.md, done as it says: one file and one line each."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import make_detections, write_scored

ROOT = Path(__file__).parents[1]
TABLES = {  # of each section: the file that gets the line, and what the line comes after
    "format": ("utils/formats/registry.py", "CLASSES = (\n"),
    "tracker": ("models/tracking.py", "MODULES = {\n"),
    "data set": ("utils/data_sets/__init__.py", "ENTRIES = (\n"),
}


@pytest.fixture(scope="module")
def extended(tmp_path_factory):
    """Return a copy of the code with the three additions."""
    folder = tmp_path_factory.mktemp("extended")
    for name in ("models", "pipeline", "utils"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "test_mots.py", folder)
    text = (ROOT / "docs" / "extending.md").read_text()
    for title, (table, after) in TABLES.items():
        section = re.split(r"^## ", text.split(f"## A {title}\n")[1], flags=re.M)[0]
        file, line = re.findall(r"```(?:python|text)\n(.*?)```", section, re.S)
        name = file.splitlines()[0].removeprefix("# ")
        assert f"`{table}`" in section and not (ROOT / name).exists()
        (folder / name).write_text(file)
        assert line.count("\n") == 1
        content = (folder / table).read_text()
        assert content.count(after) == 1
        (folder / table).write_text(content.replace(after, after + line))
    return folder


def run(folder, *arguments):
    command = [sys.executable, "test_mots.py", *map(str, arguments)]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "NUMBA_DISABLE_JIT": "1"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


def test_a_format_by_one_file_and_one_line(extended, tmp_path):
    rows = [f"{f},{2 + f},3,8,9,0.9\n{f},{40 - f},3,8,9,0.8" for f in range(5)]
    path = tmp_path / "walk.csv"
    path.write_text("frame,x,y,width,height,score\n" + "\n".join(rows) + "\n")
    done = run(extended, "--detections", path, "--size", "40x60", "--output", tmp_path / "o")
    assert done.returncode == 0, done.stderr
    counts = json.loads((tmp_path / "o" / "summary.json").read_text())["counts"]
    assert counts["read"] == counts["written"] == 10 and counts["tracks"] == 2
    path.write_text(path.read_text() + "9,1,x\n")
    done = run(extended, "--detections", path, "--size", "40x60", "--output", tmp_path / "p")
    assert (done.returncode, done.stderr) == (2, f"{path}:12: expected 6 numbers, got 9,1,x\n")


def test_a_tracker_and_a_data_set_by_one_file_and_one_line(extended, tmp_path):
    objects = [(f, 0, c, 0.2 if c == 2 else 0.9, (5 + f, 12 * c, 8, 8)) for f in range(4)
               for c in (1, 2, 3)]  # fmt: skip
    write_scored(tmp_path / "in" / "walk.txt", make_detections(objects))
    given = ("--detections", tmp_path / "in", "--dataset", "harbour", "--output", tmp_path / "o")
    done = run(extended, *given, "--tracker", "nearest", "--set", "limit=0.1")
    assert done.returncode == 0, done.stderr
    summary = json.loads((tmp_path / "o" / "summary.json").read_text())
    assert summary["classes"] == ["boat", "gull"] and summary["counts"]["tracks"] == 2
    best = run(extended, *given)
    summary = json.loads((tmp_path / "o" / "summary.json").read_text())
    assert best.returncode == 0 and summary["counts"]["dropped_low_score"] == 4, best.stderr
    assert "nearest" in run(extended, "--list").stdout
