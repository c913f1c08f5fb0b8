"""fit_scores.py: curves from annotated frames, and what --scores does with them."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import fit_scores
import test_mots
from pipeline.api import Tracker, track
from tests.conftest import make_detections, write_scored, write_tracks

ROOT = Path(__file__).parents[1]


def detector(name, frames=240):
    """Return the truth of a walker, and detections: he scores 0.9, and false ones 0.55 or 0.58."""
    truth = [(f, 1, 2, 1.0, (2 + f // 8, 5, 8, 20)) for f in range(frames)]
    false = [(f, 2, 2, 0.55 + 0.03 * (f % 2), (45, 10, 9, 20)) for f in range(frames)]
    found = [(*o[:3], 0.9, o[4]) for o in truth] + false
    return make_detections(truth, name=name), make_detections(found, name=name)


@pytest.fixture
def data(tmp_path):
    for name in ("a", "b"):
        truth, found = detector(name)
        (tmp_path / "truth").mkdir(exist_ok=True)
        write_tracks(tmp_path / "truth" / f"{name}.txt", truth, truth.ids)
        write_scored(tmp_path / "found" / f"{name}.txt", found)
    return tmp_path


def arguments(data, *more):
    return ["--detections", str(data / "found"), "--ground-truth", str(data / "truth"),
            "--output", str(data / "scores.json"), *more]  # fmt: skip


def test_curves_say_what_a_detectors_scores_mean(data, capsys):
    fit_scores.fitted(fit_scores.parse_args(arguments(data, "--plot", str(data / "curve.png"))))
    said = capsys.readouterr().out
    assert "480 annotated frames of 2 sequences" in said
    assert "with each sequence left out of its own fit, below the" in said
    assert (data / "curve.png").read_bytes()[:4] == b"\x89PNG"
    held = json.loads((data / "scores.json").read_text())
    assert held["annotated_frames"] == {"a": 240, "b": 240}
    assert held["fit"]["class 2"]["detections"] == 960 and held["fit"]["class 2"]["objects"] == 480

    def tracks(*more):
        asked = ["--detections", str(data / "found"), "--output", str(data / "out"), *more]
        return test_mots.evaluate(test_mots.parse_args([*asked, "--no-report"]))

    plain, fitted = tracks(), tracks("--scores", str(data / "scores.json"))
    assert plain["counts"]["tracks"] == 4 and plain["score_curves"] is None
    assert fitted["score_curves"]["annotated_frames"] == {"a": 240, "b": 240}
    assert fitted["counts"]["tracks"] == 2 and fitted["counts"]["tracker_doubtful"] == 480
    assert not any("score curve" in note for note in fitted["notes"])
    other = tracks("--scores", str(data / "scores.json"), "--class-names", "2=cell")
    said = (
        "no score curve for cell (there are some for class 2): their scores are taken as they are"
    )
    assert said in other["notes"]


def test_python_takes_the_same_file(data):
    fit_scores.fitted(fit_scores.parse_args(arguments(data)))
    _, found = detector("a")
    whole = track(found, scores=data / "scores.json")
    assert set(whole.ids[found.scores < 0.8].tolist()) == {0}
    assert set(track(found).ids.tolist()) == {2001, 2002}
    masks = np.zeros((2, 40, 60), bool)
    masks[0, 5:25, 5:13], masks[1, 10:30, 45:54] = True, True
    live = Tracker(scores=data / "scores.json")
    for _ in range(4):
        ids = live.update((masks, [0.9, 0.55], [2, 2]))
    assert ids.tolist() == [2001, 0]


def test_one_sequence_says_that_its_error_is_unknown(data, capsys):
    fit_scores.fitted(fit_scores.parse_args(arguments(data, "--sequences", "a")))
    assert (
        "one sequence, so that the error on others cannot be estimated" in capsys.readouterr().out
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--output", "scores.txt"], "the file must end in .json, got scores.txt"),
        (["--plot", "curve.svg"], "the file must end in .png"),
        (["--ground-truth", "nowhere"], "nowhere: "),
        (["--detections", "TRUTH"], "detections must have scores, got none"),
    ],
)
def test_bad_input_is_one_line(data, change, message):
    change = [str(data / "truth") if c == "TRUTH" else c for c in change]
    command = [sys.executable, str(ROOT / "fit_scores.py"), *arguments(data), *change]
    done = subprocess.run(command, capture_output=True, text=True, cwd=data)
    assert done.returncode == 2 and message in done.stderr and done.stderr.count("\n") == 1
    assert not (data / "scores.json").exists()
