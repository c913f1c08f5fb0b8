import json
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

import test_mots
from models.baselines.given import GivenConfig
from pipeline.flags import SettingsFlags
from tests.conftest import (
    box_mask,
    generate,
    make_detections,
    random_scene,
    track_with,
    write_tracks,
)
from utils import evaluation
from utils.cli import import_keras
from utils.data_sets import data_set
from utils.files import find_sequences
from utils.formats.reading import read_detections, read_sequences

keras = import_keras()
from models.usc_mots.dhae import DHAE  # noqa: E402  (after Keras is muted)

ROOT = Path(__file__).resolve().parents[1]
GIVEN = ("--tracker", "given")


@pytest.fixture(scope="module")
def sprites(tmp_path_factory):
    """A generated set with weights beside it: untrained, which is enough for the plumbing."""
    folder = tmp_path_factory.mktemp("sprites")
    generate(folder, "sprites", "test", 2, 40, 3, 1)
    keras.utils.set_random_seed(0)
    DHAE(**data_set("sprites").network_config(), location_gain=20.0).save(folder / "w.keras")
    return folder


@pytest.fixture(scope="module")
def kitti(tmp_path_factory):
    """Two small sequences of rectangles in MOTS txt, weights for 128 x 128, RGB frames."""
    folder = tmp_path_factory.mktemp("kitti")
    for seed, name in enumerate(("0001", "0002")):
        scene = random_scene(np.random.default_rng(seed + 3), frames=15, objects=14)
        write_tracks(folder / "gt" / f"{name}.txt", scene, scene.ids)
        (folder / "images" / name).mkdir(parents=True)
        for frame in range(15):
            image = np.full((60, 80, 3), 10 * frame, np.uint8)
            cv2.imwrite(str(folder / "images" / name / f"{frame:06d}.png"), image)
    for channels, name in ((1, "w.keras"), (3, "rgb.keras"), (1, "b.keras")):
        DHAE(**data_set("kitti").network_config(channels), location_gain=20.0).save(folder / name)
    card = {"settings": {"dataset": "kitti"}, "trained_on": [], "held_back": ["0002"]}
    (folder / "w.json").write_text(json.dumps(card))
    return folder


def call(*arguments):
    return subprocess.run(
        [sys.executable, "test_mots.py", *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )


def run_sprites(folder, output, *more):
    return call(
        "--dataset", "sprites", "--detections", folder / "detections", "--weights",
        folder / "w.keras", "--output", output, *more,
    )  # fmt: skip


def run_kitti(folder, output, *more, weights=("w.keras",)):
    return call(
        "--dataset", "kitti", "--detections", folder / "gt", "--output", output,
        "--weights", *(folder / name for name in weights), *more,
    )  # fmt: skip


def test_sprites_with_scores_and_pictures(sprites, tmp_path):
    done = run_sprites(
        sprites, tmp_path, "--ground-truth", sprites, "--visualize", "--images", sprites / "images"
    )
    assert done.returncode == 0 and done.stderr == "", done.stderr
    assert "sMOTSA" in done.stdout and "boxes, sprites" in done.stdout
    summary = json.loads((tmp_path / "summary.json").read_text())
    timed = {"read", "crop", "embed", "associate", "refine", "write", "score", "report"}
    assert set(summary["seconds"]) == timed
    assert set(summary["scores"]) == {"masks", "boxes"}
    counts = summary["counts"]
    detections = read_sequences(sprites / "detections")
    assert counts["read"] == sum(map(len, detections))
    written = [read_detections(tmp_path / "data" / f"{n}.txt") for n in ("0001", "0002")]
    assert counts["written"] == sum(map(len, written))
    assert len(summary["weights_sha256"]["w.keras"]) == 64 and "onnxruntime" in summary["versions"]
    pictures = tmp_path / "pictures"
    video = cv2.VideoCapture(str(pictures / "0001.mp4"))
    frames = detections[0].frames
    assert video.get(cv2.CAP_PROP_FRAME_COUNT) == frames.max() - frames.min() + 1
    ok, frame = video.read()
    assert ok and frame.shape == (384, 384, 3)
    assert (pictures / "0002_tsne.png").stat().st_size > 5000


def test_same_input_same_bytes(sprites, tmp_path):
    for name in "ab":
        assert run_sprites(sprites, tmp_path / name).returncode == 0
    for name in ("0001", "0002"):
        first, second = ((tmp_path / n / "data" / f"{name}.txt").read_bytes() for n in "ab")
        assert first == second and first


def test_options(sprites, tmp_path):
    done = run_sprites(
        sprites, tmp_path, "--sequences", "0002", "--set", "use_graph=no", "--t-lag", "5"
    )
    assert done.returncode == 0, done.stderr
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert (summary["tracker"]["use_graph"], summary["tracker"]["t_lag"]) == (False, 5)
    assert [p.name for p in (tmp_path / "data").iterdir()] == ["0002.txt"]


def test_kitti_classes_and_held_back_weights(kitti, tmp_path):
    done = run_kitti(
        kitti,
        tmp_path,
        "--classes",
        "car",
        "--ground-truth",
        kitti / "gt",
        weights=("w.keras", "b.keras"),
    )
    assert done.returncode == 0, done.stderr
    summary = json.loads((tmp_path / "summary.json").read_text())
    # w.keras was chosen on 0002, so that another file has to track it.
    assert summary["weights"] == {"0001": "w.keras", "0002": "b.keras"}
    assert list(summary["scores"]["masks"]) == ["car"]
    classes = read_detections(tmp_path / "data" / "0001.txt").classes
    assert set(classes.tolist()) == {1} and summary["counts"]["dropped_other_class"] > 0


def test_appearance_needs_frames(kitti, tmp_path):
    done = run_kitti(kitti, tmp_path / "a", weights=("rgb.keras",))
    assert done.returncode == 2 and "--images must name" in done.stderr
    assert not (tmp_path / "a").exists()
    done = run_kitti(kitti, tmp_path / "b", "--images", kitti / "images", weights=("rgb.keras",))
    assert done.returncode == 0, done.stderr


def test_two_folders_are_merged_by_sequence(kitti, tmp_path):
    scene = read_detections(kitti / "gt" / "0001.txt")
    for cls in (1, 2):
        part = scene.select(scene.classes == cls)
        write_tracks(tmp_path / str(cls) / "0001.txt", part, part.ids)
    args = ["--dataset", "kitti", "--weights", kitti / "w.keras"]
    done = call(*args, "--detections", tmp_path / "1", tmp_path / "2", "--output", tmp_path / "m")
    assert done.returncode == 0, done.stderr
    done = call(
        *args, "--detections", kitti / "gt", "--sequences", "0001", "--output", tmp_path / "w"
    )
    merged, whole = ((tmp_path / n / "data" / "0001.txt").read_bytes().splitlines() for n in "mw")
    rles = [sorted(line.split()[-1] for line in lines) for lines in (merged, whole)]
    assert rles[0] == rles[1]


def test_empty_sequence_gives_an_empty_result(sprites, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "0001.txt").write_bytes(b"")
    done = call(
        "--dataset",
        "sprites",
        "--detections",
        tmp_path / "in",
        "--weights",
        sprites / "w.keras",
        "--output",
        tmp_path / "out",
        "--visualize",
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "data" / "0001.txt").read_bytes() == b""


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--detections", "BAD"], "bad.txt:1: expected 6, 10 or 138 fields, got 3"),
        (["--detections", "nowhere"], "nowhere: must be a file or a folder of files"),
        (["--weights", "none.keras"], "none.keras: must be a weights file"),
        (["--ground-truth", "EMPTY"], "must hold SEQ.txt files or others of a known format"),
        (
            ["--sequences", "0009"],
            "--sequences must name sequences of the input (0001, 0002), got 0009",
        ),
        (["--t-lag", "1"], "--t-lag must be at least 2 frames, got 1"),
        (
            ["--classes", "tram"],
            "--classes must be classes of sprites (car, pedestrian), got 'tram'",
        ),
    ],
)
def test_bad_input_is_refused_at_once_in_one_line(sprites, tmp_path, change, message):
    (tmp_path / "bad.txt").write_text("1 2 3\n")
    (tmp_path / "empty").mkdir()
    names = {"BAD": tmp_path / "bad.txt", "EMPTY": tmp_path / "empty"}
    start = time.perf_counter()
    done = run_sprites(sprites, tmp_path / "out", *(names.get(word, word) for word in change))
    seconds = time.perf_counter() - start
    assert done.returncode == 2 and message in done.stderr, done.stderr
    assert done.stderr.count("\n") == 1 and done.stdout == ""
    assert not (tmp_path / "out").exists()
    print(f"refused in {seconds:.1f} s")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1 2001 2 64 64 {small}", "must have the detections' frame size 128 128, got 64 64"),
        ("1 0 0 9 9 0.5 2 128 128 {whole}", "ground truth must have 6 fields, got scores"),
        (
            "1 2001 2 128 128 {whole}\n1 2002 2 128 128 {whole}",
            "masks of a frame must be disjoint, got ids 2001 and 2002 in frame 1",
        ),
    ],
)
def test_bad_ground_truth_is_refused_before_tracking(sprites, tmp_path, line, message):
    small, whole = (box_mask(2, 2, 9, 9, side, side).decode() for side in (64, 128))
    (tmp_path / "gt").mkdir()
    (tmp_path / "gt" / "0001.txt").write_text(line.format(small=small, whole=whole) + "\n")
    done = run_sprites(
        sprites, tmp_path / "out", "--sequences", "0001", "--ground-truth", tmp_path / "gt"
    )
    assert done.returncode == 2 and message in done.stderr, done.stderr
    assert done.stderr.count("\n") == 1 and not (tmp_path / "out").exists()


def test_missing_frames_are_refused_before_tracking(kitti, tmp_path):
    done = run_kitti(kitti, tmp_path / "out", "--images", tmp_path, weights=("rgb.keras",))
    assert (
        done.returncode == 2 and "must hold the frames' pictures, got none of the 15" in done.stderr
    )
    assert not (tmp_path / "out").exists()


def test_a_bad_file_is_refused_before_tensorflow_is_imported(tmp_path):
    (tmp_path / "0001.txt").write_text("0 1 1 4 4 zz\n")
    code = (
        "import sys, test_mots\n"
        "sys.argv = ['test_mots.py', '--dataset', 'kitti', '--detections', sys.argv[1],"
        " '--output', sys.argv[1] + '/out']\n"
        "try:\n    test_mots.main()\n"
        "except ValueError as error:\n    print(error)\n"
        "print('tensorflow' in sys.modules, 'keras' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, capture_output=True, text=True
    )
    assert "RLE character outside" in done.stdout and done.stdout.endswith("False False\n"), done


def test_importing_the_tracker_does_not_load_tensorflow():
    code = "import sys, pipeline.stages, utils.evaluation; print('tensorflow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "False\n", done.stderr


def test_damaged_weights_are_one_line(sprites, tmp_path):
    (tmp_path / "w.keras").write_bytes(b"PK")
    done = run_sprites(sprites, tmp_path / "out", "--weights", tmp_path / "w.keras")
    assert done.returncode == 2 and "must be a DHAE saved as .keras" in done.stderr
    assert done.stderr.count("\n") == 1 and not (tmp_path / "out").exists()


def test_committed_weights_track_the_synthetic_set(sprites, tmp_path):
    done = call(
        "--dataset",
        "sprites",
        "--detections",
        sprites / "detections",
        "--ground-truth",
        sprites,
        "--output",
        tmp_path,
    )
    assert done.returncode == 0, done.stderr
    boxes = json.loads((tmp_path / "summary.json").read_text())["scores"]["boxes"]["sprites"]
    assert boxes["MOTA"] > 98 and boxes["IDF1"] > 97


def test_real_sequences(real_data, tmp_path):
    gt = real_data / "kitti_mots" / "instances_txt"
    names = ["0003", "0012", "0017"]
    done = call(
        "--dataset",
        "kitti",
        "--detections",
        gt,
        "--ground-truth",
        gt,
        "--sequences",
        *names,
        "--output",
        tmp_path / "a",
    )
    assert done.returncode == 0, done.stderr
    masks = json.loads((tmp_path / "a" / "summary.json").read_text())["scores"]["masks"]
    assert masks["car"]["sMOTSA"] > 97.5 and masks["pedestrian"]["sMOTSA"] > 93
    # A published tracker's masks, cars and pedestrians in two folders, one file of them empty.
    test = real_data / "kitti_mots_test"
    done = call(
        "--dataset",
        "kitti",
        "--detections",
        test / "pointtrack_car",
        test / "pointtrack_pedestrian",
        "--sequences",
        "0001",
        "0006",
        "--output",
        tmp_path / "b",
    )
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "b" / "summary.json").read_text())["counts"]["written"] > 100
    # TrackEval's reader accepts every file: scored against themselves, they are perfect.
    written = find_sequences(tmp_path / "b" / "data")
    read = [read_detections(file) for file in written.values()]
    counts = [evaluation.mask_counts(d, d, {1: "car"}) for d in read]
    assert evaluation.combine_masks(counts)["car"]["sMOTSA"] == pytest.approx(100)


def test_preset_best(kitti, tmp_path):
    done = run_kitti(kitti, tmp_path, "--preset", "best", "--ground-truth", kitti / "gt")
    assert done.returncode == 0, done.stderr
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["preset"] == "best" and summary["tracker"]["memory"] == 30
    assert summary["scores"]["masks"]["car"]["sMOTSA"] > 80
    refused = run_kitti(kitti, tmp_path / "b", "--preset", "best", "--no-graph")
    assert (
        refused.returncode == 2 and "--no-graph is gone: use --set use_graph=no" in refused.stderr
    )


def test_matchers_and_refinement_are_flags(kitti, tmp_path):
    done = run_kitti(kitti, tmp_path / "a", "--tracker", "mask_iou", "--ground-truth", kitti / "gt")
    assert done.returncode == 0, done.stderr
    summary = json.loads((tmp_path / "a" / "summary.json").read_text())
    assert summary["tracker_name"] == "mask_iou" and not summary["refined"]
    # What has ids keeps them: the truth itself is perfect, refined or not.
    more = ("--tracker", "given", "--refine", "--images", kitti / "images")
    done = run_kitti(kitti, tmp_path / "b", *more, "--ground-truth", kitti / "gt")
    assert done.returncode == 0, done.stderr
    summary = json.loads((tmp_path / "b" / "summary.json").read_text())
    assert summary["scores"]["masks"]["car"]["IDF1"] == pytest.approx(100)
    assert summary["tracker_name"] == "given" and summary["refined"]
    assert summary["counts"]["tracker_unclear"] > 0


def test_what_matchers_refuse(kitti, sprites, tmp_path):
    refused = run_kitti(kitti, tmp_path / "a", "--tracker", "motsnet", "--t-lag", "5")
    message = "--t-lag is a setting of paper and authors, got tracker motsnet"
    assert refused.returncode == 2 and message in refused.stderr
    refused = run_sprites(sprites, tmp_path / "b", "--tracker", "given")
    assert refused.returncode == 2 and refused.stderr.count("\n") == 1
    assert "tracker given needs MOTS txt with ids" in refused.stderr and "in 0001" in refused.stderr


def test_given_ids_are_a_class_s_own_and_may_not_collide(kitti, tmp_path):
    found = make_detections([(f, 1, c, 1.0, (20 * c, 5, 8, 8)) for f in (0, 1) for c in (1, 2)])
    ids, report = track_with(GivenConfig(), found, None)
    assert ids[0] == ids[2] != ids[1] == ids[3] and report["tracks"] == 2
    # The same folder twice: every id is there twice.
    done = run_kitti(kitti, tmp_path, "--detections", kitti / "gt", kitti / "gt", *GIVEN)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert " must be given once in frame 0 by all --detections" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_defaults_of_the_command_line():
    args = test_mots.parse_args(["--detections", "a", "--output", "b"])
    assert (args.dataset, args.boxes, args.score_frames, args.seed) == ("custom", "check", "all", 0)
    settings = SettingsFlags.of(args).early_and_late()[0]
    assert (settings.name, settings.trust, settings.frame_step) == ("best", None, None)
    assert (settings.refine, settings.boxes, settings.classes) == (False, "check", None)
    kitti = test_mots.parse_args(["--detections", "a", "--output", "b", "--dataset", "kitti"])
    settings = SettingsFlags.of(kitti).early_and_late()[0]
    assert (settings.name, settings.classes) == ("paper", (1, 2))
