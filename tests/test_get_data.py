"""get_data.py against a local server: archives unpacked into the official layout."""

import io
import zipfile
from dataclasses import replace

import pytest

import get_data
from tests.conftest import make_detections, write_tracks
from tests.utils.test_download import server  # noqa: F401 (a fixture)
from utils.data_sets import archives, data_set
from utils.layouts import find_layout


def archive_of(files, method=zipfile.ZIP_STORED):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return stream.getvalue()


def run(monkeypatch, *arguments):
    monkeypatch.setattr("sys.argv", ["get_data.py", *map(str, arguments)])
    get_data.main()


@pytest.fixture
def kitti(server, tmp_path, monkeypatch):  # noqa: F811
    """Let the entry of KITTI's annotations lead to the local server."""
    truth = make_detections([(0, 1001, 1, 1.0, (3, 4, 5, 6))])
    write_tracks(tmp_path / "t.txt", truth, truth.ids)
    text = (tmp_path / "t.txt").read_bytes()
    names = [f"{n:04d}" for n in range(21)]
    server.content = archive_of({f"instances_txt/{name}.txt": text for name in names})
    first = replace(archives.ARCHIVES[0], url=f"{server.url}/instances_txt.zip")
    monkeypatch.setattr(get_data, "ARCHIVES", (first, *archives.ARCHIVES[1:]))
    return server


def test_annotations_come_into_the_official_layout_once(kitti, tmp_path, monkeypatch, capsys):
    run(monkeypatch, "kitti_mots", "--output", tmp_path / "data")
    layout = find_layout(tmp_path / "data", data_set("kitti"))
    assert len(layout.truth) == 21 and layout.folder.name == "instances_txt"
    text = capsys.readouterr().out
    assert text.index("CC BY-NC-SA 3.0") < text.index("downloading")
    assert "this address was not tried" in text
    run(monkeypatch, "kitti_mots", "--output", tmp_path / "data")
    assert len(kitti.asked) == 1 and "unpacked before" in capsys.readouterr().out
    run(monkeypatch, "--check", tmp_path / "data")
    text = capsys.readouterr().out
    assert "split train: 12 of 12 sequences, complete" in text
    assert "split val: 9 of 9 sequences, complete" in text and "frames: of 0 of 21" in text
    (tmp_path / "data" / "kitti_mots" / "instances_txt" / "0008.txt").unlink()
    run(monkeypatch, "--check", tmp_path / "data")
    assert "split val: 8 of 9 sequences, missing 0008" in capsys.readouterr().out


def test_an_archive_that_is_none_or_leads_elsewhere_leaves_nothing(kitti, tmp_path, monkeypatch):
    kitti.content = b"<html>moved</html>"
    with pytest.raises(ValueError, match=r"instances_txt\.zip: must be a zip archive"):
        run(monkeypatch, "kitti_mots", "--output", tmp_path / "data")
    (tmp_path / "data" / "downloads" / "instances_txt.zip").unlink()
    kitti.content = archive_of({"a/../../../evil.txt": b"x"})
    with pytest.raises(ValueError, match="names must stay in the archive's folder"):
        run(monkeypatch, "kitti_mots", "--output", tmp_path / "data")
    assert not (tmp_path / "data" / "kitti_mots").exists() and not (tmp_path / "evil.txt").exists()


def test_an_archive_with_damaged_bytes_is_refused_in_one_line(tmp_path):
    content = bytearray(archive_of({"0000.txt": bytes(range(256)) * 20}, zipfile.ZIP_DEFLATED))
    content[60:90] = b"\xff" * 30
    (tmp_path / "m.zip").write_bytes(content)
    with pytest.raises(ValueError, match=r"m\.zip: must be a whole archive"):
        get_data.unpack(tmp_path / "m.zip", tmp_path / "mots")
    assert not (tmp_path / "mots").exists()


def test_what_has_no_address_is_said(kitti, tmp_path, monkeypatch, capsys):
    run(monkeypatch, "kitti_mots", "--detections", "--output", tmp_path / "data")
    assert "detections have no address of their own: see https://" in capsys.readouterr().out


def test_a_folder_around_everything_is_left_out(tmp_path):
    (tmp_path / "m.zip").write_bytes(archive_of({"MOTS/train/MOTS20-02/gt/gt.txt": b"x"}))
    assert get_data.unpack(tmp_path / "m.zip", tmp_path / "mots") == 1
    assert (tmp_path / "mots" / "train" / "MOTS20-02" / "gt" / "gt.txt").is_file()


def test_arguments(capsys):
    for bad, rule in ((["coco"], "data sets are kitti_mots"), ([], "name a data set")):
        with pytest.raises(SystemExit) as caught:
            get_data.parse_args(bad)
        assert caught.value.code == 2 and rule in capsys.readouterr().err
