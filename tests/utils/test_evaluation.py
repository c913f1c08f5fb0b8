from dataclasses import replace

import numpy as np
import pytest

from pipeline.settings import settings_for
from tests.conftest import make_detections, random_scene, track_with, write_tracks
from utils import evaluation
from utils.boxes import scaled_boxes
from utils.data_sets import MOTS_CLASSES, data_set
from utils.formats.reading import read_detections
from utils.tables import format_table
from utils.truth import truth_notes

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
            settings_for(data_set("kitti"), "paper").tracker, found, scaled_boxes(found, None)
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


def test_hota_is_the_mean_over_the_thresholds():
    # IoU 0.6 in every frame: right at 0.05 to 0.6, wrong at the other 7 of 19 thresholds.
    truth = make_detections([(f, 1, 1, 1.0, (2, 2, 10, 8)) for f in range(3)])
    found = make_detections([(f, 1, 1, 1.0, (2, 2, 6, 8)) for f in range(3)])
    row = evaluation.combine_masks([evaluation.mask_counts(truth, found, {1: "car"})])["car"]
    assert row["HOTA"] == pytest.approx(100 * 12 / 19) and row["MOTSP"] == pytest.approx(60)


def test_boxes_match_from_an_iou_of_one_half(tmp_path):
    truth = tmp_path / "gt.txt"
    truth.write_text("0,1,2,2,10,8,1,-1,-1,-1\n1,1,2,2,10,8,1,-1,-1,-1\n")
    found = make_detections([(0, 1, 1, 1.0, (2, 2, 6, 8)), (1, 1, 1, 1.0, (2, 2, 4, 8))])
    scores = evaluation.score_boxes({"s": truth}, {"s": (found, np.array([1, 1]))})
    assert scores["FN"] == 1  # IoU 0.6 and 0.4


def test_results_outside_the_annotated_frames_can_be_left_out():
    truth = make_detections([(f, 1, 1, 1.0, (2, 2, 8, 8)) for f in (0, 2)])
    found = make_detections([(f, 1, 1, 1.0, (2, 2, 8, 8)) for f in range(4)])
    for only, false in ((False, 2), (True, 0)):
        counts = evaluation.mask_counts(truth, found, {1: "car"}, annotated_only=only)
        assert counts["car"]["counts"]["FP"] == false and counts["car"]["counts"]["FN"] == 0


def test_rows_without_an_id_are_no_results_and_ignore_regions_no_objects():
    truth = make_detections([(0, 1, 1, 1.0, (2, 2, 8, 8)), (0, 2, 10, 1.0, (30, 2, 9, 9))])
    found = replace(truth, ids=np.array([1, 0]))
    counts = evaluation.mask_counts(truth, found, {1: "car", 2: "pedestrian"})
    assert (counts["car"]["counts"]["TP"], counts["car"]["counts"]["FP"]) == (1, 0)
    table = evaluation.combine_masks([counts])
    assert table["pedestrian"]["sMOTSA"] is None and table["pedestrian"]["objects"] == 0
    # A region of the truth forgives what lies in it, under the number that the data set gives it.
    seven = replace(truth, classes=np.array([1, 7]), ids=np.array([1, 2]))
    extra = make_detections([(0, 1, 1, 1.0, (2, 2, 8, 8)), (0, 2, 1, 1.0, (31, 3, 5, 5))])
    for ignore, false in ((7, 0), (10, 1), (None, 1)):
        counts = evaluation.mask_counts(seven, extra, {1: "car"}, ignore)
        assert counts["car"]["counts"]["FP"] == false


def test_truth_notes_speak_of_shifts_gaps_and_empty_masks():
    objects = [(f, 1, 1, 1.0, (2 + 6 * f, 2, 8, 8)) for f in range(8)]
    found, keep = make_detections(objects), np.ones(8, bool)
    assert truth_notes(found, found, keep) == []
    later = replace(found, frames=found.frames + 1)
    (note, *_) = truth_notes(later, found, keep)
    assert "one frame earlier (mean IoU 1.00, 0.12 as it stands)" in note
    (note, *_) = truth_notes(found, later, keep)
    assert "one frame later (mean IoU 1.00," in note
    half = found.select(found.frames < 4)
    (note,) = truth_notes(half, found, keep)
    assert note.startswith("4 of 8 detections are in frames without any annotation (truth: 4 ")
    assert truth_notes(half, found, found.frames < 4) == []  # only what takes part


def test_a_shift_is_said_though_most_masks_match_anyhow():
    # Two of ten objects are fast: 80% match as they stand, all of them a frame earlier.
    objects = [(f, i, 1, 1.0, (5 + 12 * i, 2, 8, 8)) for f in range(8) for i in range(8)]
    objects += [(f, i, 1, 1.0, (2 + 9 * f, 12 * i - 80, 8, 8)) for f in range(8) for i in (8, 9)]
    found, keep = make_detections(objects, 60, 120), np.ones(80, bool)
    moved = replace(found, frames=found.frames + 1)
    notes = truth_notes(moved, found, keep)
    assert any("one frame earlier (mean IoU 1.00, " in note for note in notes)
    assert truth_notes(found, found, keep) == []


def test_a_shift_of_slow_objects_is_said_though_all_of_them_match():
    # 20 px wide, 4 px a frame: IoU 2 / 3 a frame off, above the limit of a match; in the first of
    # eight frames there is nothing to match.
    objects = [(f, i, 1, 1.0, (5 + 4 * f, 22 * i, 20, 20)) for f in range(8) for i in range(2)]
    found, keep = make_detections(objects, 60, 120), np.ones(16, bool)
    (note, *_) = truth_notes(replace(found, frames=found.frames + 1), found, keep)
    assert "one frame earlier (mean IoU 1.00, 0.58 as it stands)" in note


def test_objects_that_are_seen_once_are_said():
    objects = [(f, f + 1, 1, 1.0, (5, 5, 20, 20)) for f in range(4)]
    found = make_detections(objects, 60, 120)
    (note,) = truth_notes(found, found, np.ones(4, bool))
    assert note.startswith("ground truth: each of its 4 objects is in one frame only")
