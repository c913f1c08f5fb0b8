"""Official splits, and the official folders as they unpack."""

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from models.networks.data import load_sequences
from models.usc_mots.training_data import load_training_sequences
from reproduction.runs import Run
from reproduction.sources import Missing, Sources
from tests.conftest import make_detections, write_tracks
from utils.data_sets import data_set
from utils.layouts import find_layout, layout_of, read_truth

KITTI, MOTS = data_set("kitti"), data_set("mots")
TRAIN = tuple(f"{n:04d}" for n in (0, 1, 3, 4, 5, 9, 11, 12, 15, 17, 19, 20))
VAL = ("0002", "0006", "0007", "0008", "0010", "0013", "0014", "0016", "0018")


def scene(cls=2):
    boxes = [(4, 4, 12, 14), (30, 8, 12, 14)]
    return make_detections(
        [(f, cls * 1000 + k, cls, 1.0, b) for f in (1, 2) for k, b in enumerate(boxes, 1)]
    )


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Return a folder with all 21 sequences of KITTI and all four of MOTS20, as they unpack."""
    root = tmp_path_factory.mktemp("official")
    truth = scene()
    write_tracks(root / "one.txt", truth, truth.ids)
    kitti = root / "kitti_mots"
    for n in range(21):
        (kitti / "instances_txt").mkdir(parents=True, exist_ok=True)
        shutil.copy(root / "one.txt", kitti / "instances_txt" / f"{n:04d}.txt")
        frames = kitti / "training" / "image_02" / f"{n:04d}"
        frames.mkdir(parents=True)
        for frame in (1, 2):
            cv2.imwrite(str(frames / f"{frame:06d}.png"), np.zeros((40, 60, 3), np.uint8))
    for name in ("02", "05", "09", "11"):
        folder = root / "mots_challenge" / "train" / f"MOTS20-{name}"
        for inner in ("gt", "det", "img1"):
            (folder / inner).mkdir(parents=True)
        shutil.copy(root / "one.txt", folder / "gt" / "gt.txt")
        (folder / "det" / "det.txt").write_text("1,-1,4,4,12,14,1\n")
        (folder / "seqinfo.ini").write_text("[Sequence]\nname=x\n")
        for frame in (1, 2):
            cv2.imwrite(str(folder / "img1" / f"{frame:06d}.jpg"), np.zeros((40, 60, 3), np.uint8))
    return root


def test_the_official_splits():
    assert KITTI.splits["train"] == TRAIN and KITTI.splits["val"] == VAL
    assert len(KITTI.splits["test"]) == 29 and MOTS.splits["train"] == MOTS.splits["val"]
    assert MOTS.canonical("MOTS20-02") == "0002" and KITTI.canonical("MOTS20-02") == "MOTS20-02"
    assert KITTI.of_split("all", ["x"]) == KITTI.of_split(None, ["x"]) == ["x"]
    assert KITTI.of_split("val", ["0001", "0002"]) == ["0002"]
    with pytest.raises(ValueError, match=r"--split must be one of custom \(only all\), got val"):
        data_set("custom").of_split("val", ["0002"])
    with pytest.raises(
        ValueError, match=r"--split val needs one of its 9 sequences of KITTI MOTS .0002"
    ):
        KITTI.of_split("val", ["0001"])
    note = KITTI.split_note("val", ["0001", *VAL[1:]], VAL[1:])
    assert note == "split val: 8 of its 9 sequences, of 9 that are there; missing: 0002"


def test_training_takes_exactly_the_12_and_says_so(root, capsys):
    sequences = load_training_sequences(root / "kitti_mots", KITTI, 16, 1, None, None, "train")
    assert tuple(s.detections.sequence for s in sequences) == TRAIN
    assert "split train: 12 of its 12 sequences, of 21 that are there" in capsys.readouterr().out
    named = load_training_sequences(root / "kitti_mots", KITTI, 16, 1, None, ["0002"], "train")
    assert [s.detections.sequence for s in named] == ["0002"]


def test_networks_train_on_the_same_with_the_frames_where_they_unpack(root):
    sequences = load_sequences(root / "kitti_mots", KITTI, None, None, "train")
    assert tuple(s.name for s in sequences) == TRAIN and sequences[0].numbers == [1, 2]
    sequences = load_sequences(root, MOTS, None, None, "train")
    assert [s.name for s in sequences] == [f"MOTS20-{n}" for n in ("02", "05", "09", "11")]


def test_table_4_takes_exactly_the_papers_9_and_4(root, tmp_path):
    sources = Sources(root, tmp_path)
    kitti = sources.inputs(Run("kitti", KITTI.mtl_weights, "truth"))
    assert tuple(name for name, _, _ in kitti) == VAL
    mots = sources.inputs(Run("mots", MOTS.mtl_weights, "truth"))
    assert [MOTS.canonical(name) for name, _, _ in mots] == ["0002", "0005", "0009", "0011"]
    assert any("split val: 9 of its 9 sequences, of 21" in note for note in sources.notes)
    every = Sources(root, tmp_path, split="all").inputs(Run("kitti", KITTI.weights, "truth"))
    assert len(every) == 21
    few = root.parent / "few" / "kitti_mots" / "instances_txt"
    few.mkdir(parents=True)
    shutil.copy(root / "one.txt", few / "0001.txt")
    with pytest.raises(Missing, match=r"got 0001 .--split all takes these"):
        Sources(root.parent / "few", tmp_path).inputs(Run("kitti", KITTI.weights, "truth"))


def test_layouts_of_both_archives(root, tmp_path):
    kitti = find_layout(root, KITTI)
    assert kitti.folder.name == "instances_txt" and kitti.images.name == "image_02"
    mots = find_layout(root / "mots_challenge", MOTS)
    assert mots.folder.name == "train" and mots.images == mots.folder
    (tmp_path / "kitti_mots_x" / "instances" / "0003").mkdir(parents=True)
    labels = np.zeros((40, 60), np.uint16)
    labels[3:9, 4:9] = 2007
    cv2.imwrite(str(tmp_path / "kitti_mots_x" / "instances" / "0003" / "000000.png"), labels)
    (truth,), _, _ = read_truth(tmp_path / "kitti_mots_x", KITTI)
    assert truth.sequence == "0003" and truth.ids.tolist() == [2007]
    with pytest.raises(
        ValueError, match=r"must hold MOTSChallenge: instances_txt/SEQ.txt, .*nothing"
    ):
        layout_of(Path(tmp_path / "empty"), MOTS)
