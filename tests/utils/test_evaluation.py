from dataclasses import replace

import numpy as np
import pytest

from tests.conftest import make_detections, random_scene, track_with, write_tracks
from utils import evaluation
from utils.boxes import scaled_boxes
from utils.data_sets import MOTS_CLASSES, data_set
from utils.formats.registry import read_detections
from utils.tables import format_table

BOX = (5, 5, 8, 8)


def scene():
    """Two cars of four frames; the numbers below are worked out from it."""
    objects = [(f, 1, 1, 1.0, (2, 2, 8, 8)) for f in range(4)]
    return make_detections(objects + [(f, 2, 1, 1.0, (30, 2, 8, 8)) for f in range(4)])


def score(truth, results, classes):
    """Return the scores of a result file, read back, against a truth file."""
    read = (read_detections(path) for path in (truth, results / "seq.txt"))
    names = {cls: MOTS_CLASSES[cls] for cls in classes}
    return evaluation.combine_masks([evaluation.mask_counts(*read, names)])


def write(folder, detections, ids):
    write_tracks(folder / "seq.txt", detections, ids)
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
    scores = score(truth, tmp_path / "out" / "data", (1, 2))["car"]
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
    scores = score(truth, tmp_path / "out" / "data", (1,))
    assert scores["car"]["IDF1"] == pytest.approx(100 * idf1)


def test_frames_from_one_and_empty_results(tmp_path):
    later = replace(scene(), frames=scene().frames + 1)
    truth = write(tmp_path / "gt", later, later.ids)
    write(tmp_path / "out" / "data", later, later.ids)
    perfect = score(truth, tmp_path / "out" / "data", (1,))
    assert perfect["car"]["sMOTSA"] == pytest.approx(100)
    (tmp_path / "out" / "data" / "seq.txt").write_bytes(b"")
    nothing = score(truth, tmp_path / "out" / "data", (1,))
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


def test_table():
    text = format_table("a", ("x", "yy"), {"row": {"x": 1.25, "yy": 3}})
    assert text.splitlines() == ["a      x  yy", "row  1.2   3"]


def test_association_accuracy_is_trackevals_smotsa_on_random_scenes(tmp_path):
    for seed in range(5):
        found = random_scene(np.random.default_rng(seed), frames=15, objects=6)
        # Disjoint masks, as ground truth has them: only then every match is exact.
        ids = found.ids.copy()
        truth = write(tmp_path / "gt", found, ids)
        found = read_detections(truth)
        got, _ = track_with(
            data_set("kitti").presets["paper"].tracker, found, scaled_boxes(found, None)
        )
        write(tmp_path / "out" / "data", found, got)
        scores = score(truth, tmp_path / "out" / "data", (1, 2))
        for cls, name in ((1, "car"), (2, "pedestrian")):
            rows = found.classes == cls
            mine = evaluation.association_accuracy(found.select(rows), got[rows])[0]
            assert scores[name]["sMOTSA"] == pytest.approx(100 * mine)


def test_real_truth_against_itself_is_perfect(real_data):
    parts = []
    for name in ("0012", "0017"):
        found = read_detections(real_data / "kitti_mots" / "instances_txt" / f"{name}.txt")
        parts.append(evaluation.mask_counts(found, found, {1: "car", 2: "pedestrian"}))
    for row in evaluation.combine_masks(parts).values():
        assert row["sMOTSA"] == row["HOTA"] == row["IDF1"] == pytest.approx(100)
