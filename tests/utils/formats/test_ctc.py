"""Results for the Cell Tracking Challenge: by hand, read back, and by its own measure."""

from dataclasses import replace

import numpy as np
import pytest
import tifffile

import test_mots
from tests.conftest import make_detections, write_tracks
from tests.utils.formats.scenes import content, output_of, read
from utils.files import FormatError
from utils.formats import ctc
from utils.formats.writing import WRITERS


def cells():
    """Return a cell with a gap, and one that divides in frame 3."""
    objects = [(f, 1, 1, 1.0, (5, 5, 8, 8)) for f in (0, 1, 4)]
    objects += [(f, 2, 1, 1.0, (30, 20, 16, 12)) for f in range(3)]
    objects += [(f, i, 1, 1.0, (x, 20, 8, 12)) for f in (3, 4) for i, x in ((3, 26), (4, 42))]
    return replace(make_detections(objects, 60, 90, name="dish"), parents={3: 2, 4: 2})


def test_tracks_gaps_and_daughters_are_in_the_table(tmp_path):
    assert WRITERS["ctc"].write is ctc.write
    ctc.write(tmp_path / "dish", output_of(cells()))
    assert sorted(p.name for p in (tmp_path / "dish").iterdir()) == [
        *(f"mask{f:03d}.tif" for f in range(5)), "res_track.txt"]  # fmt: skip
    lines = (tmp_path / "dish" / "res_track.txt").read_text().splitlines()
    assert lines == ["1 0 1 0", "2 0 2 0", "3 3 4 2", "4 3 4 2", "5 4 4 1"]
    image = tifffile.imread(tmp_path / "dish" / "mask004.tif")
    assert image.dtype == np.uint16 and image.shape == (60, 90)
    assert {int(image[8, 8]), int(image[25, 28]), int(image[25, 45])} == {5, 3, 4}


def test_it_is_read_back_to_the_same(tmp_path):
    scene = cells()
    WRITERS["ctc"].write(tmp_path / "dish", output_of(scene))
    found = read(tmp_path / "dish")
    assert content(found) == content(scene) and found.parents == {3: 2, 4: 2}
    assert read(tmp_path / "dish", ids=False).parents is None
    (tmp_path / "dish" / "res_track.txt").write_text("1 0 4\n")
    with pytest.raises(FormatError, match=r"res_track.txt:1: must be label, first frame"):
        read(tmp_path / "dish")


def test_identities_of_more_than_16_bits_are_numbered(tmp_path):
    scene = cells()
    wide = replace(scene, ids=scene.ids + 10**6, parents={10**6 + 3: 10**6 + 2})
    WRITERS["ctc"].write(tmp_path / "dish", output_of(wide))
    rows = [line.split() for line in (tmp_path / "dish" / "res_track.txt").read_text().splitlines()]
    assert [int(row[0]) for row in rows] == [1, 2, 3, 4, 5]
    assert [int(row[3]) for row in rows] == [0, 1, 0, 3, 0]


def divided_run(tmp_path):
    """Track cells, of which one divides; return the folders of the truth and of the result."""
    truth = replace(cells(), ids=np.where(cells().ids == 1, 5, cells().ids).astype(np.int32))
    truth = truth.select(truth.ids != 5)
    WRITERS["ctc"].write(tmp_path / "truth", output_of(truth))
    write_tracks(tmp_path / "in" / "dish.txt", truth, truth.ids)
    arguments = ["--tracker", "mask_iou", "--detections", str(tmp_path / "in"), "--output",
                 str(tmp_path / "out"), "--divisions", "--write", "ctc"]  # fmt: skip
    summary = test_mots.evaluate(test_mots.parse_args(arguments))
    assert "dish: 1 division found" in summary["notes"]
    return tmp_path / "truth", tmp_path / "out" / "ctc" / "dish"


def test_a_tracked_division_is_in_the_table(tmp_path):
    _, result = divided_run(tmp_path)
    rows = [list(map(int, line.split())) for line in (result / "res_track.txt").open()]
    (mother,) = [row[0] for row in rows if row[1:3] == [0, 2]]
    assert sorted(row[1:] for row in rows) == [[0, 2, 0], [3, 4, mother], [3, 4, mother]]


def test_the_challenges_measure_finds_no_fault(tmp_path):
    measure = pytest.importorskip("ctc_metrics", reason="py-ctcmetrics is not installed")
    truth, result = divided_run(tmp_path)
    tra = tmp_path / "01_GT" / "TRA"
    tra.mkdir(parents=True)
    for path in truth.iterdir():
        name = path.name.replace("mask", "man_track").replace("res_track", "man_track")
        path.rename(tra / name)
    res = result.rename(tmp_path / "01_RES")
    found = measure.evaluate_sequence(str(res), str(tmp_path / "01_GT"), ["Valid", "TRA", "LNK"])
    assert found["Valid"] == 1 and found["TRA"] == 1 and found["LNK"] == 1
