"""What users bring: nothing is lost in silence, and what is wrong is said in one line."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

import test_mots
from tests.conftest import box_mask, make_detections, write_scored, write_tracks
from utils import masks
from utils.formats.reading import read_detections
from utils.report import print_results

ROOT = Path(__file__).resolve().parents[1]


def walkers(frames, score=0.9, cls=1, count=3, x=2, name="0001"):
    """Return objects side by side that walk a pixel a frame."""
    objects = [
        (f, i + 1, cls, score, (x + k, 3 + 12 * i, 9, 10))
        for i in range(count)
        for k, f in enumerate(frames)
    ]
    return make_detections(objects, name=name)


def run(capsys, folder, *arguments, tracker=("--tracker", "mask_iou")):
    """Track a folder's `in`; return (summary, what was printed)."""
    given = ["--detections", folder / "in", "--output", folder / "out", *tracker, *arguments]
    summary = test_mots.evaluate(test_mots.parse_args([*map(str, given)]))
    print_results(summary)
    captured = capsys.readouterr()
    return json.loads((folder / "out" / "summary.json").read_text()), captured.out + captured.err


def refused(folder, *arguments, tracker=("--tracker", "mask_iou")):
    """Return the one line with which a run is refused; it leaves nothing."""
    given = ["--detections", folder / "in", "--output", folder / "out", *tracker, *arguments]
    with pytest.raises(ValueError) as caught:
        test_mots.evaluate(test_mots.parse_args([*map(str, given)]))
    assert not (folder / "out").exists() and "\n" not in str(caught.value)
    return str(caught.value)


BEST = ("--set", "memory=20")
PAPER = ("--tracker", "paper", "--dataset", "kitti")


# Frames


@pytest.mark.parametrize("step", [1, 3, 5, 10])
@pytest.mark.parametrize("tracker", [("--tracker", "mask_iou"), BEST])
def test_frames_in_steps_are_tracked_in_steps_and_it_is_said(tmp_path, capsys, step, tracker):
    write_scored(tmp_path / "in" / "0001.txt", walkers(range(7, 7 + 8 * step, step)))
    summary, text = run(capsys, tmp_path, tracker=tracker)
    result = read_detections(tmp_path / "out" / "data" / "0001.txt")
    assert len(result) == 24 and len(set(result.ids.tolist())) == 3
    assert set(result.frames.tolist()) == set(range(7, 7 + 8 * step, step))  # never shifted
    assert summary["steps"] == {"0001": step}
    assert (f"0001: frames come in steps of {step} (7, {7 + step}" in text) == (step > 1)


def test_the_step_can_be_forced_and_must_keep_frames_apart(tmp_path, capsys):
    write_scored(tmp_path / "in" / "0001.txt", walkers(range(0, 40, 5)))
    short = (*BEST, "--set", "memory=4")
    summary, text = run(capsys, tmp_path, "--frame-step", 1, tracker=short)
    assert summary["counts"]["written"] == 0 and "nothing was written" in text
    # Time stamps in milliseconds have no common step.
    write_scored(tmp_path / "in" / "0001.txt", walkers((0, 33, 67, 100, 133)))
    summary, _ = run(capsys, tmp_path, "--frame-step", 33, tracker=BEST)
    assert (summary["counts"]["written"], summary["counts"]["tracks"]) == (15, 3)
    given = ["--detections", tmp_path / "in", "--output", tmp_path / "o", "--frame-step", 80]
    with pytest.raises(ValueError, match="must be at least a step of 80 apart"):
        test_mots.evaluate(test_mots.parse_args([*map(str, given), "--tracker", "mask_iou"]))


@pytest.mark.parametrize(
    ("frames", "step"),
    [
        ((0, 5, 10, 15), 5),
        ((3, 8, 18, 23), 5),  # one was missed
        ((0, 7), 1),  # two frames have no common step
        ((0, 10, 12, 30), 1),  # all even, by chance: 2 is a third of the gaps only
        ((4,), 1),
        ((0, 1, 2, 10), 1),
    ],
)
def test_a_common_step_is_found(frames, step):
    from pipeline.stages import find_step

    assert find_step(np.array(frames)) == step
    assert find_step(np.array(frames + frames)[::-1]) == step


# Nothing written


@pytest.mark.parametrize(
    ("frames", "score", "cls", "arguments", "rule", "flag"),
    [
        (range(1), 0.9, 1, (*PAPER, "--min-area", "0"), "tentative", "--min-length"),
        (range(2), 0.9, 1, (*PAPER, "--min-area", "0"), "short", "--min-length"),
        (range(6), 0.5, 1, PAPER, "low_score", "--min-score"),
        (range(6), 0.9, 1, ("--tracker", "paper", "--dataset", "mots"), "other_class", "--classes"),
        (range(6), 0.2, 1, (*BEST, "--min-score", "0.3"), "low_score", "--min-score"),
    ],
)
def test_nothing_written_names_the_rule_and_the_flag(
    tmp_path, capsys, frames, score, cls, arguments, rule, flag
):
    write_scored(tmp_path / "in" / "0001.txt", walkers(frames, score, cls))
    summary, text = run(capsys, tmp_path, tracker=arguments)
    assert summary["counts"]["written"] == 0
    warning = next(line for line in text.splitlines() if line.startswith("warning: nothing"))
    assert f"rule {rule}" in warning and flag in warning
    n = 3 * len(frames)
    assert f"  {n} " in text and f"of {n} detections {n} are" in warning


@pytest.mark.parametrize("tracker", [BEST, PAPER])
def test_limits_of_score_area_and_length_are_flags_by_class_too(tmp_path, capsys, tracker):
    low = walkers(range(6), 0.55)
    write_scored(tmp_path / "in" / "0001.txt", low)
    flags = ["--min-score", "0.2", "--min-area", "50"]
    summary, text = run(capsys, tmp_path, *flags, tracker=tracker)
    assert summary["counts"]["written"] == 18 and summary["rules"]["min_score"] == {"0": 0.2}
    more = ["--min-score", "0.6"]
    assert run(capsys, tmp_path, *more, tracker=tracker)[0]["counts"]["dropped_low_score"] == 18
    flags = ["--min-score", "1=0.2,2=0.9", "--min-area", "1=91"]
    summary, text = run(capsys, tmp_path, *flags, tracker=tracker)
    assert summary["counts"]["dropped_small_box"] == 18
    assert "18 boxes below the least area (small_box; --min-area)" in text
    flags = ["--min-score", "0.2", "--min-area", "0", "--min-length"]
    for length, written in (("7", 0), ("6", 18), ("1=7,2=1", 0), ("2=7,1=6", 18)):
        summary, _ = run(capsys, tmp_path, *flags, length, tracker=tracker)
        assert summary["counts"]["written"] == written, length


def test_every_rule_says_what_it_dropped(tmp_path, capsys):
    found = make_detections(
        [(f, 1, 1, 0.9, (5, 5, 14, 14)) for f in range(6)]
        + [(0, 2, 1, 0.2, (30, 5, 14, 14)), (1, 3, 10, 0.9, (40, 20, 9, 9))]
    )
    write_scored(tmp_path / "in" / "0001.txt", found)
    _, text = run(capsys, tmp_path, tracker=("--dataset", "kitti", "--tracker", "mask_iou"))
    assert "detections: 6 of 8 written; dropped:" in text
    assert "  1 ignore regions (ignore_region; --class-names)" in text
    assert "  1 scores below the least (low_score; --min-score)" in text


# Ground truth


def test_truth_without_detections_counts_as_missed_unless_left_out(tmp_path, capsys):
    for name in ("0001", "0002"):
        found = walkers(range(8), name=name)
        write_scored(tmp_path / "in" / f"{name}.txt", found)
        write_tracks(tmp_path / "gt" / f"{name}.txt", found, found.ids)
    truth = ("--ground-truth", tmp_path / "gt", "--classes", "1")
    whole, _ = run(capsys, tmp_path, *truth)
    assert whole["scores"]["masks"]["class 1"]["sMOTSA"] == 100
    (tmp_path / "in" / "0002.txt").unlink()
    half, text = run(capsys, tmp_path, *truth)
    assert half["scores"]["masks"]["class 1"]["sMOTSA"] == 50
    assert half["scores"]["masks"]["class 1"]["FN"] == 24
    assert "0002: ground truth and no detections: 24 masks count as missed" in text
    left, text = run(capsys, tmp_path, *truth, "--sequences", "0001")
    assert left["scores"]["masks"]["class 1"]["sMOTSA"] == 100 and "missed" not in text
    # A file named by itself is a choice, too.
    file = ("--detections", tmp_path / "in" / "0001.txt")
    left, _ = run(capsys, tmp_path, *truth, *file)
    assert left["scores"]["masks"]["class 1"]["sMOTSA"] == 100


@pytest.mark.parametrize("shift", [-1, 0, 1])
def test_a_shift_of_the_frame_numbers_by_one_is_warned_about(tmp_path, capsys, shift):
    objects = [(f, 1, 1, 0.9, (2 + 5 * (f - 10), 3, 9, 10)) for f in range(10, 20)]
    found = make_detections(objects, name="0001")
    write_scored(tmp_path / "in" / "0001.txt", found)
    moved = replace(found, frames=found.frames + shift)
    write_tracks(tmp_path / "gt" / "0001.txt", moved, moved.ids)
    summary, text = run(capsys, tmp_path, "--ground-truth", tmp_path / "gt")
    way = {-1: "one frame later", 1: "one frame earlier"}
    if shift:
        assert f"0001: ground truth matches far better {way[shift]}" in text
        assert summary["scores"]["masks"]["class 1"]["sMOTSA"] < 0  # the benchmark's rule stays
    else:
        assert "far better" not in text and summary["scores"]["masks"]["class 1"]["sMOTSA"] == 100


def test_truth_of_other_frames_is_said(tmp_path, capsys):
    found = make_detections([(f, 1, 1, 0.9, (2 + 9 * f, 3, 8, 10)) for f in range(5)], name="0001")
    write_scored(tmp_path / "in" / "0001.txt", found)
    moved = replace(found, frames=found.frames[::-1].copy()).select(np.array([4, 3, 1, 0]))
    write_tracks(tmp_path / "gt" / "0001.txt", moved, moved.ids)
    _, text = run(capsys, tmp_path, "--ground-truth", tmp_path / "gt")
    assert "0001: ground truth and detections hardly overlap (mean IoU 0.00)" in text


@pytest.mark.parametrize("annotated", [range(0, 40, 10), range(20)])
def test_results_outside_the_annotated_frames_are_warned_about(tmp_path, capsys, annotated):
    found = walkers(range(40), count=1)
    write_scored(tmp_path / "in" / "0001.txt", found)
    part = found.select(np.isin(found.frames, annotated))
    write_tracks(tmp_path / "gt" / "0001.txt", part, part.ids)
    truth = ("--ground-truth", tmp_path / "gt")
    summary, text = run(capsys, tmp_path, *truth)
    outside = 40 - len(annotated)
    assert f"0001: {outside} of 40 detections are in frames without any annotation" in text
    row = summary["scores"]["masks"]["class 1"]
    assert row["FP"] == outside
    summary, _ = run(capsys, tmp_path, *truth, "--score-frames", "annotated")
    assert summary["scores"]["masks"]["class 1"]["sMOTSA"] == 100


def test_truth_that_trackeval_cannot_read_is_scored_all_the_same(tmp_path, capsys):
    found = walkers(range(6), count=2)
    write_scored(tmp_path / "in" / "0001.txt", found)
    write_tracks(tmp_path / "gt" / "0001.txt", found, found.ids)
    file = tmp_path / "gt" / "0001.txt"
    plain, _ = run(capsys, tmp_path, "--ground-truth", tmp_path / "gt")
    lines = file.read_text().splitlines()
    # A byte-order mark, tabs, blank lines, a run of length zero inside a mask, far frames and ids.
    runs = masks.decode_runs([lines[0].split()[5].encode()], 2400)[0].tolist()
    split = [runs[0] - 1, 0, 1, *runs[1:]]
    fields = lines[0].split()
    fields[5] = masks.encode_runs(split, 40, 60).decode()
    lines[0] = " ".join(fields)
    text = "\n\n".join(line.replace(" ", "\t") for line in lines) + "\n\n"
    file.write_bytes(b"\xef\xbb\xbf" + text.encode())
    odd, _ = run(capsys, tmp_path, "--ground-truth", tmp_path / "gt")
    assert odd["scores"] == plain["scores"]


def test_frames_and_ids_of_any_size_score_like_small_ones(tmp_path, capsys):
    found = walkers(range(6), count=2)
    far = replace(found, frames=found.frames + 900_000, ids=found.ids + 899_999_000)
    write_scored(tmp_path / "in" / "0001.txt", far)
    truth = far.select(slice(None))
    lines = [
        f"{f} {i} {c} 40 60 {rle.decode()}\n"
        for f, i, c, rle in zip(truth.frames, truth.ids, truth.classes, truth.rles, strict=True)
    ]
    (tmp_path / "gt").mkdir()
    (tmp_path / "gt" / "0001.txt").write_text("".join(lines))
    summary, _ = run(capsys, tmp_path, "--ground-truth", tmp_path / "gt")
    row = summary["scores"]["masks"]["class 1"]
    assert (row["sMOTSA"], row["HOTA"], row["IDF1"]) == (100, 100, 100)


def test_a_mask_longer_than_a_field_of_csv_is_scored(tmp_path, capsys):
    rng = np.random.default_rng(0)
    noise = (rng.random((700, 700)) < 0.5).astype(np.uint8)
    rle = masks.encode(noise)
    assert len(rle) > 131_072
    rles = np.empty(3, object)
    rles[:] = [rle] * 3
    found = make_detections([(f, 1, 1, 0.9, (0, 0, 700, 700)) for f in range(3)], 700, 700, "0001")
    found = replace(found, rles=rles)
    write_scored(tmp_path / "in" / "0001.txt", found)
    write_tracks(tmp_path / "gt" / "0001.txt", found, found.ids)
    summary, _ = run(capsys, tmp_path, "--ground-truth", tmp_path / "gt")
    assert summary["scores"]["masks"]["class 1"]["sMOTSA"] == 100


def test_a_class_without_truth_has_no_score_and_an_empty_mask_is_said(tmp_path, capsys):
    cars = walkers(range(6), count=1)
    write_scored(tmp_path / "in" / "0001.txt", cars)
    only = walkers(range(6), cls=2, count=1)
    write_tracks(tmp_path / "gt" / "0001.txt", only, only.ids)
    empty = masks.encode(np.zeros((40, 60), np.uint8)).decode()
    with open(tmp_path / "gt" / "0001.txt", "a") as file:
        file.write(f"2 2007 2 40 60 {empty}\n")
    kitti = ("--dataset", "kitti", "--tracker", "mask_iou", "--min-area", "0")
    summary, text = run(capsys, tmp_path, "--ground-truth", tmp_path / "gt", tracker=kitti)
    car, person = (summary["scores"]["masks"][n] for n in ("car", "pedestrian"))
    assert car["sMOTSA"] is None and car["IDF1"] is None and car["FP"] == 6
    assert (person["FN"], person["F_DR"]) == (7, 0.0)
    assert "NaN" not in (tmp_path / "out" / "summary.json").read_text()
    row = next(line for line in text.splitlines() if line.startswith("masks, car"))
    assert row.split()[2:4] == ["-", "-"]
    assert "1 ground-truth masks have no pixel (first: id 2007 in frame 2)" in text


def test_truth_needs_ids(tmp_path):
    found = walkers(range(3))
    write_scored(tmp_path / "in" / "0001.txt", found)
    (tmp_path / "gt").mkdir()
    rle = box_mask(2, 2, 5, 5).decode()
    (tmp_path / "gt" / "0001.txt").write_text(f"0 0 1 40 60 {rle}\n")
    message = refused(tmp_path, "--ground-truth", tmp_path / "gt")
    assert "0001.txt: ground truth must have ids from 1, got 0 in frame 0" in message


# Boxes


def boxes_as(found, how):
    x, y, w, h = found.boxes_xywh.T
    size = np.array([60, 40, 60, 40])
    made = {
        "corners": np.stack([x, y, x + w, y + h], 1),
        "centres": np.stack([x + w / 2, y + h / 2, w, h], 1),
        "zeros": np.zeros((len(found), 4)),
        "normalised": found.boxes_xywh / size,
    }
    return replace(found, boxes_xywh=made[how])


@pytest.mark.parametrize(
    ("how", "reading"),
    [
        ("corners", "got corners x1 y1 x2 y2 in pixels"),
        ("centres", "got centres cx cy w h in pixels"),
        ("zeros", "got zeros"),
        ("normalised", "got top-left and size x y w h normalised to 0..1"),
    ],
)
def test_boxes_that_are_not_around_their_masks_are_refused_by_name(tmp_path, capsys, how, reading):
    found = walkers(range(6), x=30)
    write_scored(tmp_path / "in" / "0001.txt", boxes_as(found, how))
    message = refused(tmp_path)
    assert message.startswith("0001: boxes must be x y w h in pixels") and reading in message
    summary, _ = run(capsys, tmp_path, "--boxes", "mask", tracker=BEST)
    assert summary["counts"]["written"] == 18
    by_mask = (tmp_path / "out" / "data" / "0001.txt").read_bytes()
    write_scored(tmp_path / "in" / "0001.txt", found)
    run(capsys, tmp_path, tracker=BEST)
    assert (tmp_path / "out" / "data" / "0001.txt").read_bytes() == by_mask
    write_scored(tmp_path / "in" / "0001.txt", boxes_as(found, how))
    summary, _ = run(capsys, tmp_path, "--boxes", "file")
    assert summary["counts"]["read"] == 18


def test_boxes_of_whole_objects_are_believed(tmp_path, capsys):
    found = walkers(range(6), x=20)
    wide = found.boxes_xywh + np.array([-2, -3, 4, 7])  # what is hidden of them, too
    write_scored(tmp_path / "in" / "0001.txt", replace(found, boxes_xywh=wide))
    assert run(capsys, tmp_path)[0]["counts"]["written"] == 18


# Frames' pictures and videos


def pictures(folder, frames, suffix=".png", stem="{:06d}", size=(40, 60)):
    folder.mkdir(parents=True, exist_ok=True)
    for frame in frames:
        image = np.full((*size, 3), 90, np.uint8)
        cv2.imwrite(str(folder / (stem.format(frame) + suffix.lower())), image)
        if suffix.lower() != suffix:
            name = stem.format(frame)
            (folder / (name + suffix.lower())).rename(folder / (name + suffix))


@pytest.mark.parametrize(
    ("inner", "suffix", "stem"),
    [
        ("", ".png", "{:06d}"),
        ("img1", ".jpg", "{:06d}"),
        ("", ".JPG", "{:05d}"),
        ("", ".jpeg", "frame_{}"),
        ("images", ".png", "cam2_{:04d}"),
    ],
)
def test_frames_are_found_by_number_under_any_usual_name(tmp_path, capsys, inner, suffix, stem):
    write_scored(tmp_path / "in" / "0001.txt", walkers(range(6)))
    pictures(tmp_path / "images" / "0001" / inner, range(6), suffix, stem)
    more = ("--images", tmp_path / "images", "--visualize")
    _, text = run(capsys, tmp_path, *more)
    assert "no picture" not in text
    video = cv2.VideoCapture(str(tmp_path / "out" / "pictures" / "0001.mp4"))
    ok, frame = video.read()
    assert ok and np.abs(frame[-5, -5].astype(int) - 90).max() < 8


def test_a_missing_frame_is_said_before_and_drawn_grey(tmp_path, capsys):
    write_scored(tmp_path / "in" / "0001.txt", walkers(range(6)))
    pictures(tmp_path / "images" / "0001", (0, 1, 3, 4))
    more = ("--images", tmp_path / "images", "--visualize")
    summary, text = run(capsys, tmp_path, *more, tracker=BEST)
    assert "0001: no picture of 2 frames (2, 5): they are drawn grey" in text
    assert summary["counts"]["written"] == 18
    video = cv2.VideoCapture(str(tmp_path / "out" / "pictures" / "0001.mp4"))
    shown = [video.read()[1][-5, -5, 0] for _ in range(6)]
    assert [abs(int(v) - 90) < 8 for v in shown] == [True, True, False, True, True, False]


def test_pictures_of_another_size_are_refused_at_once(tmp_path):
    write_scored(tmp_path / "in" / "0001.txt", walkers(range(6)))
    pictures(tmp_path / "images" / "0001", range(6), size=(40, 61))
    message = refused(tmp_path, "--images", tmp_path / "images")
    assert "000000.png: must be an image of size (40, 60)" in message and "(40, 61)" in message


def test_the_video_shows_the_written_masks_only(tmp_path, capsys):
    objects = [(f, 1, 1, 0.9, (5, 5, 30, 30)) for f in range(6)]
    objects += [(f, 2, 1, 0.8, (10, 10, 8, 8)) for f in range(6)]  # hidden by the first
    write_scored(tmp_path / "in" / "0001.txt", make_detections(objects))
    summary, text = run(capsys, tmp_path, "--visualize")
    assert summary["counts"]["dropped_hidden"] == 6 and "6 masks that better ones cover" in text
    still = cv2.imread(str(tmp_path / "out" / "pictures" / "0001.png"))
    scale = still.shape[0] // 40
    # One object: the place of the second has the colour around it.
    assert (
        np.abs(still[12 * scale, 12 * scale].astype(int) - still[30 * scale, 30 * scale]).max() < 3
    )


# Folders


def test_an_earlier_runs_files_do_not_stay_beside_the_new_ones(tmp_path, capsys):
    for name in ("0001", "0002"):
        write_scored(tmp_path / "in" / f"{name}.txt", walkers(range(6), name=name))
    run(capsys, tmp_path, "--visualize")
    assert (tmp_path / "out" / "pictures" / "0001.mp4").is_file()
    (tmp_path / "out" / "data" / "notes.md").write_text("mine")
    _, text = run(capsys, tmp_path, "--sequences", "0002")
    left = {p.relative_to(tmp_path / "out").as_posix() for p in (tmp_path / "out").rglob("*.*")}
    assert left == {"data/0002.txt", "data/notes.md", "report.html", "summary.json"}
    assert "the results of an earlier run are replaced, " in text and "of its files removed" in text


def test_a_folder_that_is_not_ours_is_left_alone(tmp_path):
    write_scored(tmp_path / "in" / "0001.txt", walkers(range(6)))
    (tmp_path / "work" / "data").mkdir(parents=True)
    (tmp_path / "work" / "data" / "0009.txt").write_text("precious")
    arguments = ["--detections", tmp_path / "in", "--output", tmp_path / "work"]
    with pytest.raises(ValueError, match=r"must be a new folder, .* got .*0009\.txt and no sum"):
        test_mots.evaluate(test_mots.parse_args([*map(str, arguments)]))
    # Somebody else's summary does not make it ours; nor does a path out of the folder.
    (tmp_path / "work" / "summary.json").write_text('{"files": ["data/0009.txt"]}')
    with pytest.raises(ValueError, match="must be a new folder"):
        test_mots.evaluate(test_mots.parse_args([*map(str, arguments)]))
    arguments = ["--detections", tmp_path / "work" / "data", "--output", tmp_path / "work"]
    with pytest.raises(ValueError, match="must not be where the detections are"):
        test_mots.evaluate(test_mots.parse_args([*map(str, arguments)]))
    assert (tmp_path / "work" / "data" / "0009.txt").read_text() == "precious"


def test_a_summary_cannot_name_files_elsewhere(tmp_path, capsys):
    write_scored(tmp_path / "in" / "0001.txt", walkers(range(6)))
    run(capsys, tmp_path)
    (tmp_path / "precious.txt").write_text("mine")
    file = tmp_path / "out" / "summary.json"
    files = ["data/../../precious.txt", str(tmp_path / "precious.txt")]
    file.write_text(json.dumps(json.loads(file.read_text()) | {"files": files}))
    run(capsys, tmp_path)
    assert (tmp_path / "precious.txt").read_text() == "mine"


def test_an_output_that_cannot_be_written_is_refused_at_once(tmp_path):
    write_scored(tmp_path / "in" / "0001.txt", walkers(range(6)))
    (tmp_path / "file").write_text("")
    arguments = ["--detections", tmp_path / "in", "--output", tmp_path / "file" / "out"]
    with pytest.raises(ValueError, match="must be a folder that can be written, got Not a dir"):
        test_mots.evaluate(test_mots.parse_args([*map(str, arguments)]))


# Trust, ids, classes


def test_a_missing_score_column_is_said_and_trust_can_be_told(tmp_path, capsys):
    found = walkers(range(6))
    write_tracks(tmp_path / "in" / "0001.txt", found, found.ids)
    summary, text = run(capsys, tmp_path, tracker=BEST)
    assert "0001: no scores: score and area rules are off (" in text
    _, text = run(capsys, tmp_path, "--trusted", "no", "--min-area", "91", tracker=BEST)
    assert "no scores" not in text and "18 boxes below the least area" in text
    write_scored(tmp_path / "in" / "0001.txt", walkers(range(6), 0.1))
    summary, text = run(capsys, tmp_path, "--trusted", "yes", tracker=BEST)
    assert summary["counts"]["written"] == 18 and "low_score" not in text


def test_id_0_means_none(tmp_path, capsys):
    found = walkers(range(6))
    lines = [
        f"{f} 0 1 40 60 {rle.decode()}\n" for f, rle in zip(found.frames, found.rles, strict=True)
    ]
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "0001.txt").write_text("".join(lines))
    summary, _ = run(capsys, tmp_path)
    assert summary["counts"]["tracks"] == 3 and summary["counts"]["written"] == 18


def test_a_zebra_is_read_tracked_written_drawn_and_scored(tmp_path, capsys):
    objects = [(f, i, 7, 1.0, (100 + 6 * f, 90 * i, 50, 60)) for f in range(17, 30) for i in (1, 3)]
    found = make_detections(objects, 480, 640, "herd")
    write_tracks(tmp_path / "in" / "herd.txt", found, found.ids)
    more = ("--class-names", "7=zebra", "--ground-truth", tmp_path / "in", "--visualize")
    summary, text = run(capsys, tmp_path, *more, tracker=())
    assert summary["tracker_name"] == "best" and summary["classes"] == ["zebra"]
    row = summary["scores"]["masks"]["zebra"]
    assert (row["sMOTSA"], row["IDF1"], row["HOTA"], row["objects"]) == (100, 100, 100, 2)
    assert "masks, zebra" in text
    result = read_detections(tmp_path / "out" / "data" / "herd.txt")
    assert set(result.ids.tolist()) == {7001, 7002} and set(result.classes.tolist()) == {7}
    assert (result.frames.min(), result.size) == (17, (480, 640))
    video = cv2.VideoCapture(str(tmp_path / "out" / "pictures" / "herd.mp4"))
    assert video.get(cv2.CAP_PROP_FRAME_COUNT) == 13


def test_several_classes_are_scored_each_by_itself(tmp_path, capsys):
    objects = [
        (f, c, c, 0.9, (5, 3 + 12 * k, 9, 10)) for f in range(6) for k, c in enumerate((3, 40))
    ]
    found = make_detections(objects)
    write_scored(tmp_path / "in" / "0001.txt", found)
    missed = found.select(~((found.classes == 40) & (found.frames > 2)))
    write_tracks(tmp_path / "gt" / "0001.txt", found, found.ids)
    write_scored(tmp_path / "in" / "0001.txt", missed)
    (tmp_path / "names.txt").write_text("3=cell\n40=nucleus\n")
    more = ("--ground-truth", tmp_path / "gt", "--class-names", tmp_path / "names.txt")
    summary, _ = run(capsys, tmp_path, *more)
    scores = summary["scores"]["masks"]
    assert (scores["cell"]["sMOTSA"], scores["nucleus"]["sMOTSA"]) == (100, 50)
    only, _ = run(capsys, tmp_path, *more, "--classes", "nucleus")
    assert list(only["scores"]["masks"]) == ["nucleus"]
    assert only["counts"]["dropped_other_class"] == 6


def test_class_10_is_an_ignore_region_unless_it_has_a_name(tmp_path, capsys):
    write_scored(tmp_path / "in" / "0001.txt", walkers(range(6), cls=10))
    summary, _ = run(capsys, tmp_path)
    assert summary["counts"]["dropped_ignore_region"] == 18
    summary, _ = run(capsys, tmp_path, "--class-names", "10=boat,11=ignore")
    assert summary["counts"]["written"] == 18


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--class-names", "cell"], "class names must be NUMBER=NAME"),
        (["--class-names", "1=a,1=b"], "class names must differ"),
        (["--class-names", "0=a"], "numbers in 1..32767"),
        (["--class-names", "1=a", "--dataset", "kitti"], "--class-names is for --dataset custom"),
        (["--classes", "zebra"], "--classes must be classes of custom (numbers), got 'zebra'"),
        (["--classes", "7", "--dataset", "kitti"], "(car, pedestrian), got '7'"),
        (["--min-score", "car=x"], "min_score must be a number, or CLASS=NUMBER"),
    ],
)
def test_bad_classes_are_one_line(tmp_path, arguments, message):
    write_scored(tmp_path / "in" / "0001.txt", walkers(range(6)))
    assert message in refused(tmp_path, *arguments)


# Weights, backends


def test_a_git_lfs_pointer_is_called_so(tmp_path):
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
    write_scored(tmp_path / "in" / "0001.txt", walkers(range(6)))
    (tmp_path / "w.keras").write_text(pointer)
    message = refused(tmp_path, "--weights", tmp_path / "w.keras", tracker=("--tracker", "best"))
    assert (
        "w.keras: must be the weights themselves (git lfs pull), got a Git LFS pointer" in message
    )
    (tmp_path / "in" / "0001.txt").write_text(pointer)
    assert "0001.txt: must be the file itself (git lfs pull)" in refused(tmp_path)


def test_weights_of_another_data_set_are_refused(tmp_path):
    write_scored(tmp_path / "in" / "0001.txt", walkers(range(6), cls=2))
    weights = ROOT / "pretrained" / "dhae_mnist_shape.keras"
    message = refused(tmp_path, "--weights", weights, tracker=("--tracker", "best"))
    assert "must be weights of kitti or mots or custom to track custom (128 px" in message
    sprites = ("--tracker", "paper", "--dataset", "sprites")
    assert "must be weights of sprites" in refused(tmp_path, "--weights", weights, tracker=sprites)


@pytest.mark.parametrize(
    ("variables", "config", "message"),
    [
        ({"KERAS_BACKEND": "torch"}, "", "KERAS_BACKEND: must name an installed backend"),
        ({"KERAS_BACKEND": "theano"}, "", "got 'theano', which there is not"),
        ({}, '{"backend": "torch"}', "keras.json: must name an installed backend"),
    ],
)
def test_a_backend_that_is_not_there_is_one_line(tmp_path, variables, config, message):
    import os

    write_scored(tmp_path / "in" / "0001.txt", walkers(range(6)))
    (tmp_path / "keras.json").write_text(config or "{}")
    environment = {k: v for k, v in os.environ.items() if k != "KERAS_BACKEND"}
    environment |= {"KERAS_HOME": str(tmp_path), **variables}
    command = [sys.executable, "test_mots.py", "--runtime", "keras", "--preset", "paper"]
    command += ["--detections"]
    command += [tmp_path / "in", "--output"]
    done = subprocess.run(
        [*map(str, command), str(tmp_path / "out")],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2 and message in done.stderr, done.stderr
    assert done.stderr.count("\n") == 1 and not (tmp_path / "out").exists()


def test_channels_first_in_keras_json_is_overridden_and_said(tmp_path):
    import os

    write_scored(tmp_path / "in" / "0001.txt", walkers(range(6)))
    (tmp_path / "keras.json").write_text('{"image_data_format": "channels_first"}')
    command = [sys.executable, "test_mots.py", "--runtime", "keras", "--preset", "paper"]
    command += ["--detections"]
    command += [tmp_path / "in", "--output"]
    results = []
    for name, home in (("a", tmp_path), ("b", tmp_path / "none")):
        done = subprocess.run(
            [*map(str, command), str(tmp_path / name)],
            cwd=ROOT,
            env={**os.environ, "KERAS_HOME": str(home)},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("tracker paper (")  # the first line names the tracker
        assert ("channels_last is used" in done.stdout) == (name == "a")
        results.append((tmp_path / name / "data" / "0001.txt").read_bytes())
    assert results[0] == results[1] and results[0]


@pytest.mark.parametrize("tracker", ["mask_iou", "given"])
def test_what_needs_no_embeddings_loads_no_network(tmp_path, tracker):
    found = walkers(range(6))
    write_tracks(tmp_path / "in" / "0001.txt", found, found.ids)
    code = (
        "import sys, test_mots\n"
        f"sys.argv = ['test_mots.py', '--detections', {str(tmp_path / 'in')!r}, '--tracker',"
        f" {tracker!r}, '--output', {str(tmp_path / 'out')!r}]\n"
        "test_mots.main()\n"
        "slow = ('tensorflow', 'keras', 'trackeval', 'matplotlib', 'sklearn')\n"
        "print([n for n in slow if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.endswith("[]\n"), done.stdout + done.stderr


# Settings


def test_any_setting_is_overridden_by_name_and_type(tmp_path, capsys):
    write_scored(tmp_path / "in" / "0001.txt", walkers(range(6)))
    sets = ["--set", "memory=60", "--set", "tracker.prior=0.5", "--set", "max_overlap=0.9"]
    summary, _ = run(capsys, tmp_path, *sets, "--set", "min_track_length=1=2,3=4", tracker=BEST)
    assert (summary["tracker"]["memory"], summary["tracker"]["prior"]) == (60, 0.5)
    assert summary["rules"]["max_overlap"] == 0.9
    assert summary["tracker"]["min_track_length"] == {"1": 2, "3": 4}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("memory=soon", "memory must be an integer, got 'soon'"),
        ("memory=1.5", "memory must be an integer, got '1.5'"),
        ("memory=0", "memory must be at least 1 frame, got 0"),
        ("memry=3", "--set must name a setting of best ("),
        ("tracker.tau=2", "--set must name a setting of best ("),
        ("tracer.memory=2", "--set must name one of tracker, rules, refinement, got 'tracer'"),
        ("memory", "--set must be FIELD=VALUE, got 'memory'"),
        ("prior=nan", "prior must be a number, got 'nan'"),
    ],
)
def test_settings_that_mean_nothing_are_one_line(tmp_path, change, message):
    write_scored(tmp_path / "in" / "0001.txt", walkers(range(6)))
    assert message in refused(tmp_path, "--set", change, tracker=("--tracker", "best"))


def test_the_list_has_every_tracker_with_settings_defaults_and_meanings():
    done = subprocess.run(
        [sys.executable, "test_mots.py", "--list"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    for line in ("paper: ", "best: ", "mask_iou: ", "trackrcnn: ", "motsnet: ", "given: "):
        assert f"\n{line}" in f"\n{done.stdout}"
    assert "    memory = 30  (int) frames for which a missed track stays" in done.stdout
    assert "    overlap_weight = 0.152  (float) of the signed IoU" in done.stdout


def test_counts_are_of_frames_and_of_written_tracks(tmp_path, capsys):
    objects = [(f, 1, 1, 0.9, (5, 5, 30, 30)) for f in range(6)]
    objects += [(f, 2, 1, 0.8, (10, 10, 8, 8)) for f in range(6)]  # hidden by the first
    write_scored(tmp_path / "in" / "0001.txt", make_detections(objects))
    summary, text = run(capsys, tmp_path)
    counts = summary["counts"]
    assert (counts["frames"], counts["read"], counts["written"], counts["tracks"]) == (6, 12, 6, 1)
    assert text.splitlines()[-1].split() == ["all", "6", "12", "6", "1"]


def test_the_video_of_a_sequence_in_steps_has_no_empty_frames(tmp_path, capsys):
    write_scored(tmp_path / "in" / "0001.txt", walkers(range(0, 40, 5)))
    run(capsys, tmp_path, "--visualize")
    video = cv2.VideoCapture(str(tmp_path / "out" / "pictures" / "0001.mp4"))
    assert video.get(cv2.CAP_PROP_FRAME_COUNT) == 8


def test_the_embeddings_shown_are_those_around_the_fullest_frame(tmp_path, capsys, monkeypatch):
    from utils import visualization

    shown = []
    monkeypatch.setattr(
        visualization, "plot_embeddings", lambda path, z, frames, *rest: shown.append(frames)
    )
    found = walkers(range(40), count=1)
    more = make_detections([(f, 9, 1, 0.9, (40, 30, 9, 9)) for f in range(33, 37)])
    both = make_detections(
        [(f, i, 1, 0.9, tuple(map(int, b))) for d in (found, more)
         for f, i, b in zip(d.frames, d.ids, d.boxes_xywh, strict=True)]
    )  # fmt: skip
    write_scored(tmp_path / "in" / "0001.txt", both)
    run(capsys, tmp_path, "--visualize", tracker=("--preset", "paper"))
    assert 33 in shown[0] and shown[0].min() > 10
