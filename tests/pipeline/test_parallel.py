"""Sequences beside each other: the same results, whoever fails or is killed on the way."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.parallel import LOST, Failed, Means
from tests.conftest import generate

ROOT = Path(__file__).resolve().parents[2]


def work(piece):
    """Square a number; some pieces fail, some kill who does them, always or once."""
    kind, value = piece
    if kind == "refuse":
        raise ValueError(f"0001.txt:{value}: must be better\nsecond line")
    if kind == "break":
        return value / 0
    if kind == "kill" or (kind == "once" and not Path(value).exists()):
        if kind == "once":
            Path(value).touch()
        time.sleep(0.3)  # others are on their way
        os.kill(os.getpid(), signal.SIGKILL)
    return value if kind == "once" else value**2


def test_largest_first_and_results_in_order():
    pieces = [("square", 2), ("square", 5), ("square", 3)]
    assert [k for k, _ in Means().each(work, pieces, [2, 5, 3])] == [1, 2, 0]
    assert Means().map(work, pieces, [2, 5, 3]) == [4, 25, 9] == Means(2).map(work, pieces)
    with pytest.raises(ValueError, match="jobs must be at least 1, got 0"):
        Means(0)


def test_who_fails_is_named_and_the_others_are_done():
    pieces = [("square", 2), ("refuse", 7), ("break", 1), ("square", 3)]
    expected = [4, Failed("0001.txt:7: must be better"),
                Failed("ZeroDivisionError: division by zero"), 9]  # fmt: skip
    assert Means(2).map(work, pieces) == expected == Means(1).map(work, pieces)


def test_who_kills_its_process_is_found_out(capsys):
    pieces = [("square", k) for k in range(6)] + [("kill", 0)]
    found = Means(2).map(work, pieces, [1] * 6 + [9])
    assert found == [0, 1, 4, 9, 16, 25, Failed(LOST)]
    assert "a process was killed" in capsys.readouterr().out


@pytest.fixture(scope="module")
def cluster():
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50
    ) as made:
        yield made.scheduler_address


def test_a_lost_workers_piece_is_done_by_another(cluster, tmp_path):
    once = str(tmp_path / "was here")
    pieces = [("square", 2), ("once", once), ("refuse", 7), ("square", 3)]
    found = Means(cluster=cluster).map(work, pieces, [1, 9, 1, 1])
    assert found == [4, once, Failed("0001.txt:7: must be better"), 9] and Path(once).exists()


def test_a_cluster_that_is_not_there_is_named():
    pytest.importorskip("distributed")
    with pytest.raises(ValueError, match="--cluster must be HOST:PORT of a scheduler, got nowhere"):
        Means(cluster="nowhere").map(work, [("square", 2)])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("sprites")
    generate(made, "sprites", "test", 3, 12, 3, 4)
    return made


def track(folder, output, *more):
    command = [sys.executable, "test_mots.py", "--detections", folder / "detections", "--output"]
    command += [output, "--images", folder / "images", "--no-report", *more]
    return subprocess.run(
        list(map(str, command)), cwd=ROOT, capture_output=True, text=True, check=False
    )


def test_a_run_on_processes_or_a_cluster_writes_the_same_files(folder, cluster, tmp_path):
    ways = {"one": (), "two": ("--jobs", "2"), "far": ("--cluster", cluster)}
    for name, more in ways.items():
        done = track(folder, tmp_path / name, *more)
        assert done.returncode == 0, done.stderr
    for name in ("0001", "0002", "0003"):
        texts = {(tmp_path / way / "data" / f"{name}.txt").read_bytes() for way in ways}
        assert len(texts) == 1 and texts.pop()
    counts = [json.loads((tmp_path / w / "summary.json").read_text())["counts"] for w in ways]
    assert counts[0] == counts[1] == counts[2]


def test_a_damaged_sequence_is_named_and_the_others_are_written(folder, tmp_path):
    picture = sorted((folder / "images" / "0002").iterdir())[5]
    whole = picture.read_bytes()
    picture.write_bytes(whole[: len(whole) // 2])
    try:
        seeing = ROOT / "pretrained" / "dhae_mots_appearance.keras"
        more = ("--tracker", "paper", "--weights", seeing, "--jobs", "2")
        done = track(folder, tmp_path / "out", *more)
    finally:
        picture.write_bytes(whole)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "0002: not tracked: " in done.stderr and picture.name in done.stderr
    written = sorted(p.name for p in (tmp_path / "out" / "data").iterdir())
    assert written == ["0001.txt", "0003.txt"]
    assert list(json.loads((tmp_path / "out" / "summary.json").read_text())["failed"]) == ["0002"]
