from dataclasses import replace

import numpy as np
import pytest

from models.tracker import track
from tests.conftest import make_detections, random_scene
from utils import evaluation, mots_io
from utils.config import preset
from utils.datasets import scaled_boxes
from utils.tables import format_table

BOX = (5, 5, 8, 8)


def scene():
    """Two cars of four frames; the numbers below are worked out from it."""
    objects = [(f, 1, 1, 1.0, (2, 2, 8, 8)) for f in range(4)]
    return make_detections(objects + [(f, 2, 1, 1.0, (30, 2, 8, 8)) for f in range(4)])


def write(folder, detections, ids):
    mots_io.write_tracks(folder / "seq.txt", detections, ids)
    return folder / "seq.txt"


@pytest.mark.parametrize(
    ("ids", "switches", "missed", "smotsa"),
    [
        ([1, 1, 1, 1, 2, 2, 2, 2], 0, 0, 100.0),
        ([1, 1, 3, 3, 2, 2, 2, 2], 1, 0, 100 * 7 / 8),  # one switch
        ([1, 0, 1, 1, 2, 2, 2, 2], 0, 1, 100 * 7 / 8),  # one miss
        ([1, 1, 2, 2, 2, 2, 1, 1], 2, 0, 100 * 6 / 8),  # ids swapped half-way
        ([0] * 8, 0, 8, 0.0),
    ],
)
def test_mask_scores_by_hand(tmp_path, ids, switches, missed, smotsa):
    truth = write(tmp_path / "gt", scene(), scene().ids)
    write(tmp_path / "out" / "data", scene(), np.array(ids))
    scores = evaluation.score_masks({"seq": truth}, tmp_path / "out" / "data", (1, 2))["car"]
    assert (scores["IDS"], scores["FN"], scores["FP"]) == (switches, missed, 0)
    assert scores["sMOTSA"] == pytest.approx(smotsa) == scores["MOTSA"]
    accuracy, untracked, switched = evaluation.association_accuracy(scene(), np.array(ids))
    assert (100 * accuracy, untracked, switched) == (pytest.approx(smotsa), missed, switches)


def test_identity_f1_by_hand_and_like_trackeval(tmp_path):
    ids = np.array([1, 1, 3, 3, 2, 2, 2, 0])
    # Best pairing: identity 1 with track 1 (2 detections), identity 2 with track 2 (3).
    idf1, matched, size = evaluation.identity_f1(scene().ids, ids)
    assert (matched, size) == (5, 15) and idf1 == pytest.approx(10 / 15)
    truth = write(tmp_path / "gt", scene(), scene().ids)
    write(tmp_path / "out" / "data", scene(), ids)
    scores = evaluation.score_masks({"seq": truth}, tmp_path / "out" / "data", (1,))
    assert scores["car"]["IDF1"] == pytest.approx(100 * idf1)


def test_frames_from_one_and_empty_results(tmp_path):
    later = replace(scene(), frames=scene().frames + 1)
    truth = write(tmp_path / "gt", later, later.ids)
    write(tmp_path / "out" / "data", later, later.ids)
    perfect = evaluation.score_masks({"seq": truth}, tmp_path / "out" / "data", (1,))
    assert perfect["car"]["sMOTSA"] == pytest.approx(100)
    (tmp_path / "out" / "data" / "seq.txt").write_bytes(b"")
    nothing = evaluation.score_masks({"seq": truth}, tmp_path / "out" / "data", (1,))
    assert nothing["car"]["FN"] == 8


def test_box_scores_by_hand(tmp_path):
    truth = tmp_path / "gt.txt"
    lines = [f"{f},{i},{2 if i == 1 else 30},2,8,8,1,-1,-1,-1" for f in range(4) for i in (1, 2)]
    truth.write_text("\n".join(lines) + "\n")
    ids = np.array([1, 1, 3, 3, 2, 2, 2, 0])
    scores = evaluation.score_boxes({"seq": truth}, {"seq": (scene(), ids)})
    # One switch and one miss of 8; both objects tracked at 4 / 4 and 3 / 4 (not above 80 %).
    assert (scores["IDS"], scores["FN"], scores["MT"], scores["ML"]) == (1, 1, 1, 0)
    assert scores["MOTA"] == pytest.approx(100 * 6 / 8)
    assert scores["IDF1"] == pytest.approx(100 * 10 / 15)
    # Ids of different sequences never mix: twice the sequence, twice the counts.
    both = {"a": (scene(), ids), "b": (scene(), ids)}
    twice = evaluation.score_boxes({"a": truth, "b": truth}, both)
    assert (twice["IDS"], twice["FN"]) == (2, 2) and twice["IDF1"] == scores["IDF1"]


def test_ground_truth_folders(tmp_path):
    write(tmp_path / "instances_txt", scene(), scene().ids)
    assert evaluation.find_ground_truth(tmp_path, ["seq"])["seq"].parent.name == "instances_txt"
    with pytest.raises(mots_io.FormatError, match="must hold sequence 0001"):
        evaluation.find_ground_truth(tmp_path, ["0001"])
    assert evaluation.find_box_truth(tmp_path, ["seq"]) == {}


def test_table():
    text = format_table("a", ("x", "yy"), {"row": {"x": 1.25, "yy": 3}})
    assert text.splitlines() == ["a      x  yy", "row  1.2   3"]


def test_association_accuracy_is_trackevals_smotsa_on_random_scenes(tmp_path):
    for seed in range(5):
        found = random_scene(np.random.default_rng(seed), frames=15, objects=6)
        # Disjoint masks, as ground truth has them: only then every match is exact.
        ids = found.ids.copy()
        truth = write(tmp_path / "gt", found, ids)
        found = mots_io.read_detections(truth)
        got, _ = track(found, scaled_boxes(found, None), preset("kitti").tracker)
        write(tmp_path / "out" / "data", found, got)
        scores = evaluation.score_masks({"seq": truth}, tmp_path / "out" / "data", (1, 2))
        for cls, name in ((1, "car"), (2, "pedestrian")):
            rows = found.classes == cls
            mine = evaluation.association_accuracy(found.select(rows), got[rows])[0]
            assert scores[name]["sMOTSA"] == pytest.approx(100 * mine)


def test_real_scores_are_trackevals_own(real_data, tmp_path):
    folder = real_data / "kitti_mots" / "instances_txt"
    truth = evaluation.find_ground_truth(folder.parent, ["0012", "0017"])
    for name, file in truth.items():
        found = mots_io.read_detections(file)
        mots_io.write_tracks(tmp_path / "data" / f"{name}.txt", found, found.ids)
    scores = evaluation.score_masks(truth, tmp_path / "data", (1, 2))
    for row in scores.values():
        assert row["sMOTSA"] == row["HOTA"] == row["IDF1"] == pytest.approx(100)
