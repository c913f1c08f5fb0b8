"""Archives for the benchmarks' servers."""

import zipfile

import numpy as np
import pytest

from pipeline.request import Files, Request
from pipeline.run import execute
from pipeline.settings import settings_for
from pipeline.submission import SubmissionSink, check_submission, server_name
from tests.conftest import make_detections, write_scored
from utils.data_sets import data_set

TEST = ("0001", "0006", "0007", "0012")


def request(tmp_path, names, dataset="mots", server="mots_challenge"):
    for name in names:
        objects = [(f, 0, 2, 0.9, (4 + f, 4, 20, 30)) for f in range(1, 7)]
        write_scored(tmp_path / "in" / f"{name}.txt", make_detections(objects, 60, 80, name))
    settings = settings_for(data_set(dataset), "mask_iou")
    return Request(settings, Files([tmp_path / "in"]), tmp_path / "out", submit=server)


def test_the_archive_has_a_file_a_test_sequence_by_the_servers_names(tmp_path):
    summary = execute(request(tmp_path, (*TEST, "0002")))
    path = tmp_path / "out" / "submission" / "mots_challenge.zip"
    assert "submission/mots_challenge.zip" in summary["files"]
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == [f"MOTS20-{n[2:]}.txt" for n in TEST]
        assert archive.read("MOTS20-06.txt") == (tmp_path / "out/data/0006.txt").read_bytes()
        table = np.loadtxt(archive.open("MOTS20-06.txt"), dtype=str)
    assert table.shape == (6, 6) and set(table[:, 1]) == {"2001"}
    before = path.read_bytes()
    execute(request(tmp_path, (*TEST, "0002")))
    assert path.read_bytes() == before


def test_a_missing_sequence_or_another_data_set_is_refused_before_tracking(tmp_path):
    with pytest.raises(
        ValueError, match=r"needs all 4 test sequences, got 2 of them .missing: 0007, 0012"
    ):
        execute(request(tmp_path, TEST[:2]))
    assert not (tmp_path / "out").exists()
    with pytest.raises(ValueError, match="--submit kitti needs --dataset kitti, got mots"):
        check_submission("kitti", data_set("mots"), TEST)
    check_submission("kitti", data_set("kitti"), [f"{n:04d}" for n in range(29)])
    assert server_name("kitti", "0003") == "0003.txt"


def test_no_archive_is_written_if_a_sequence_failed(tmp_path):
    (tmp_path / "data").mkdir()
    for name in TEST[1:]:
        (tmp_path / "data" / f"{name}.txt").write_text("")
    summary = {"notes": []}
    SubmissionSink(tmp_path, "mots_challenge").finish(summary)
    assert not (tmp_path / "submission").exists()
    assert summary["notes"] == ["--submit mots_challenge: no archive is written, without 0001"]
