import csv
import hashlib
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import train_dhae
from models.networks.checkpoints import split
from tests.conftest import generate
from utils.cli import import_keras
from utils.data_sets import data_set

keras = import_keras()
from models.usc_mots.dhae import load  # noqa: E402  (after Keras is muted)

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sprites")
    generate(folder, "sprites", "train", 3, 40, 3, 0)
    return folder


def arguments(data, output, epochs, *more):
    return [
        sys.executable, "train_dhae.py", "--dataset", "sprites", "--data", str(data),
        "--output", str(output), "--epochs", str(epochs), "--batch-size", "64",
        "--held-back", "0002", "--cache", str(data / "cache"), *more,
    ]  # fmt: skip


def train(*args, **options):
    done = subprocess.run(arguments(*args), cwd=ROOT, capture_output=True, text=True, **options)
    return done


def weights(path):
    return [w.tobytes() for w in load(path).get_weights()]


def history(path):
    with open(path.with_suffix(".csv")) as file:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]


@pytest.fixture(scope="module")
def uninterrupted(data, tmp_path_factory):
    output = tmp_path_factory.mktemp("whole") / "w.keras"
    done = train(data, output, 3)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""  # no chatter
    return output


def test_card_history_picture_and_best_checkpoint(uninterrupted):
    card = json.loads(uninterrupted.with_suffix(".json").read_text())
    rows = history(uninterrupted)
    assert card["sha256"] == hashlib.sha256(uninterrupted.read_bytes()).hexdigest()
    assert card["held_back"] == ["0002"] and card["trained_on"] == ["0001", "0003"]
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    columns = {"loss", "mask_mse", "box_mse", "sigma_mask", "sigma_box", "val_loss", "association"}
    assert columns <= set(rows[0])
    best = max(rows, key=lambda r: (float(r["association"]), -float(r["val_loss"])))
    assert card["best_epoch"] == int(best["epoch"])
    assert card["sha256"] in uninterrupted.with_suffix(".md").read_text()
    assert uninterrupted.with_suffix(".png").read_bytes()[:4] == b"\x89PNG"
    assert float(rows[-1]["loss"]) < float(rows[0]["loss"])


def test_half_precision_trains_as_well(data, uninterrupted, tmp_path):
    output = tmp_path / "w.keras"
    done = train(data, output, 1, "--precision", "mixed_bfloat16", "--jit", "no")
    assert done.returncode == 0, done.stderr
    card = json.loads(output.with_suffix(".json").read_text())
    assert card["settings"]["precision"] == "mixed_bfloat16"
    plain, half = (float(history(path)[0]["loss"]) for path in (uninterrupted, output))
    assert half == pytest.approx(plain, rel=0.1) and half != plain
    # What tracking loads computes in float32.
    assert {w.dtype.name for w in load(output).get_weights()} == {"float32"}
    assert load(output).compute_dtype == "float32"


def test_killed_and_resumed_ends_where_an_uninterrupted_run_ends(data, uninterrupted, tmp_path):
    output = tmp_path / "w.keras"
    running = subprocess.Popen(
        arguments(data, output, 3), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        text=True,
    )  # fmt: skip
    for line in running.stdout:  # killed while the second epoch runs
        if line.startswith("epoch 1"):
            time.sleep(0.3)
            running.send_signal(signal.SIGKILL)
            break
    running.wait()
    state = json.loads(output.with_suffix(".state.json").read_text())
    assert len(state["history"]) >= 1
    done = train(data, output, 3, "--resume")
    assert done.returncode == 0, done.stderr
    assert history(output) == history(uninterrupted)
    assert weights(output) == weights(uninterrupted)


def test_resume_refuses_other_settings_and_overwriting(data, uninterrupted):
    before = uninterrupted.read_bytes()
    done = train(data, uninterrupted, 3, "--resume", "--seed", "5")
    assert done.returncode == 2 and "resuming needs seed = 0, got 5" in done.stderr
    assert done.stderr.count("\n") == 1
    done = train(data, uninterrupted, 3)
    assert done.returncode == 2 and "exists" in done.stderr
    assert uninterrupted.read_bytes() == before


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--held-back", "0009"], "--held-back must name sequences of 0001, 0002, 0003, got 0009"),
        (["--held-back", "0001", "0002", "0003"], "at least one sequence"),
        (["--dropout", "1"], "--dropout must be in [0, 1), got 1.0"),
        (["--input", "appearance"], "must be an image of size"),
        (["--epochs", "0"], "must be a positive integer, got '0'"),
    ],
)
def test_bad_arguments_are_one_line_and_leave_nothing(data, tmp_path, more, message):
    if "appearance" in more:  # frames are missing here
        more = [*more, "--data", str(tmp_path / "no_images")]
        folder = tmp_path / "no_images"
        for name in ("detections", "gt"):
            folder.mkdir(exist_ok=True)
            (folder / name).symlink_to(data / name)
        message = "must hold a picture of frame 1, got none"
    done = train(data, tmp_path / "w.keras", 1, *more)
    assert done.returncode == 2 and message in done.stderr, done.stderr
    assert done.stderr.count("\n") == 1 and not list(tmp_path.glob("w*"))


def test_appearance_and_equal_weights_train(data, tmp_path):
    output = tmp_path / "rgb.keras"
    done = train(data, output, 1, "--input", "appearance", "--loss", "equal")
    assert done.returncode == 0, done.stderr
    model = load(output)
    assert model.config["channels"] == 3 and model.config["loss"] == "equal"
    assert float(history(output)[0]["sigma_mask"]) == 1


def test_batches_depend_on_seed_and_epoch_alone(data):
    from models.usc_mots.training import Batches
    from models.usc_mots.training_data import load_training_sequences

    sequences = load_training_sequences(data, data_set("sprites"), 28, 1)
    orders = [
        Batches(sequences, 16, seed, epoch).index
        for seed, epoch in ((0, 1), (0, 1), (0, 2), (1, 1))
    ]
    assert (orders[0] == orders[1]).all()
    assert (orders[0] != orders[2]).any() and (orders[0] != orders[3]).any()
    batches = Batches(sequences, 16, 0, 1)
    total = sum(len(batches[i][0]["box"]) for i in range(len(batches)))
    assert total == sum(len(s.boxes) for s in sequences)
    # Mask and box of a row belong together.
    first = batches[0][0]
    known = {
        s.boxes[i].tobytes(): s.patches[i : i + 1].tobytes()
        for s in sequences
        for i in range(len(s.boxes))
    }
    for mask, box in zip(first["mask"], first["box"], strict=True):
        assert known[box.tobytes()] == mask[None].tobytes()


def test_least_loss_chooses_and_a_given_gain_is_kept(data, uninterrupted, tmp_path):
    output = tmp_path / "w.keras"
    done = train(data, output, 3, "--choose", "loss", "--location-gain", "2.5", "--loss", "equal")
    assert done.returncode == 0, done.stderr
    rows = history(output)
    best = min(rows, key=lambda row: float(row["val_loss"]))
    card = json.loads(output.with_suffix(".json").read_text())
    assert card["best_epoch"] == int(best["epoch"]) and card["chosen_by"].startswith("least loss")
    assert {row["location_gain"] for row in rows} == {"2.5"}
    assert load(output).config["location_gain"] == 2.5
    assert {row["sigma_mask"] for row in rows} == {"1.0"}
    refused = train(data, output, 4, "--resume", "--choose", "association", "--loss", "equal")
    assert refused.returncode == 2 and "resuming needs" in refused.stderr


def test_half_of_the_network_trains_and_leaves_its_card(data, tmp_path):
    output = tmp_path / "w.keras"
    done = train(data, output, 1, "--branch", "box")
    assert done.returncode == 0 and done.stderr == "", done.stderr
    card = json.loads(output.with_suffix(".json").read_text())
    assert card["settings"]["branch"] == "box" and history(output)[0]["mask_mse"] == "0.0"
    assert output.with_suffix(".png").read_bytes()[:4] == b"\x89PNG"


def test_refused_combinations(data, tmp_path):
    for more, message in (
        (("--choose", "loss", "--held-back"), "--choose loss needs held-back sequences"),
        (("--branch", "box", "--location-gain", "2"), "weighs two branches, got --branch box"),
    ):
        done = train(data, tmp_path / "w.keras", 1, *more)
        assert done.returncode == 2 and message in done.stderr
    (tmp_path / "w.state.json").write_text("{}")
    done = train(data, tmp_path / "w.keras", 1, "--resume")
    assert done.returncode == 2 and "must be the state of a run, got KeyError" in done.stderr


def test_without_held_back_sequences_the_last_epoch_is_calibrated(data, tmp_path):
    output = tmp_path / "w.keras"
    done = train(data, output, 1, "--held-back")
    assert done.returncode == 0, done.stderr
    card = json.loads(output.with_suffix(".json").read_text())
    assert (card["held_back"], card["chosen_by"]) == ([], "last epoch")
    assert 0 < card["calibrated_on_all"]["association"] <= 1


def test_every_fourth_sequence_is_held_back_unless_named():
    names = [str(i) for i in range(8)]
    training, held = split(names, names, None)
    assert (training, held) == (["0", "1", "2", "4", "5", "6"], ["3", "7"])
    assert split(names, names, []) == (names, [])
    assert split("ab", ["0001", "0002"], ["0002"]) == (["a"], ["b"])


def test_boxes_are_standardised_by_mean_and_deviation():
    boxes = np.array([[0.0, 1, 1, 1], [4.0, 1, 3, 1]])
    found = train_dhae.box_statistics(boxes)
    assert found["box_mean"] == (2, 1, 2, 1)
    assert found["box_std"] == (2, 0.001, 1, 0.001)


def test_weights_of_ones_own_data_see_colours_and_track_it(data, tmp_path):
    # The sprites as a user's own set: MOTS txt with ids, and frames.
    run = [sys.executable, "train_dhae.py", "--dataset", "custom", "--data", str(data)]
    run += ["--input", "appearance", "--epochs", "1", "--batch-size", "64", "--stride", "9"]
    run += [
        "--held-back",
        "--cache",
        str(tmp_path / "cache"),
        "--output",
        str(tmp_path / "w.keras"),
    ]
    done = subprocess.run(run, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    card = (tmp_path / "w.md").read_text()
    assert "data of the user" in card and load(tmp_path / "w.keras").config["channels"] == 3
    run = [
        sys.executable,
        "test_mots.py",
        "--preset",
        "paper",
        "--weights",
        str(tmp_path / "w.keras"),
    ]
    run += ["--detections", str(data / "instances_txt"), "--output", str(tmp_path / "out")]
    refused = subprocess.run(run, cwd=ROOT, capture_output=True, text=True)
    assert refused.returncode == 2 and "--images must name the frames" in refused.stderr
    run += ["--images", str(data / "images"), "--sequences", "0002"]
    done = subprocess.run(run, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0 and (tmp_path / "out" / "data" / "0002.txt").stat().st_size
