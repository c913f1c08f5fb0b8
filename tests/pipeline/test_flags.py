"""Flags of the tracking scripts: one dataclass of them, gone ones and typing mistakes named."""

import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

import refine
import test_mots
import track_video
from pipeline.flags import FLAGS, SettingsFlags, class_numbers
from utils.data_sets import data_set

ROOT = Path(__file__).resolve().parents[2]
MOTS = ["--detections", "x", "--output", "y"]


def said(call, arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        call(arguments)
    assert caught.value.code == 2
    text = capsys.readouterr().err
    assert text.count("\n") == 1
    return text


def test_defaults_of_the_flags_are_those_of_the_settings():
    names = {f.name.replace("_", "-") for f in fields(SettingsFlags)}
    assert set(FLAGS) <= names
    parsed = SettingsFlags.of(test_mots.parse_args(MOTS))
    assert parsed == SettingsFlags(set=[])
    video = SettingsFlags.of(track_video.parse_args(["v.mp4", *MOTS]))
    assert video == SettingsFlags(set=[])
    tracks = ["--tracks", "x", "--images", "z", "--output", "y"]
    fixed = SettingsFlags.of(refine.parse_args(tracks), tracker="given", refine=True)
    assert (fixed.tracker, fixed.refine, fixed.boxes) == ("given", True, "mask")


@pytest.mark.parametrize(
    ("flag", "instead"),
    [("--matcher", "--tracker NAME"), ("--no-graph", "--set use_graph=no"),
     ("--calibrate", "--scores FILE, made by fit_scores.py")],
)  # fmt: skip
def test_what_is_gone_says_what_to_type(flag, instead, capsys):
    text = said(test_mots.parse_args, [*MOTS, flag, "given"], capsys)
    assert f"{flag} is gone: use {instead}" in text


def test_a_mistyped_flag_or_setting_is_answered_by_the_nearest(capsys):
    text = said(test_mots.parse_args, [*MOTS, "--trakcer", "best"], capsys)
    assert "no such argument: --trakcer, did you mean --tracker?" in text
    assert "did you mean" not in said(test_mots.parse_args, [*MOTS, "--zzz"], capsys)
    flags = SettingsFlags(set=["memoy=60"])
    with pytest.raises(ValueError, match=r"got memoy: did you mean memory\?"):
        flags.settings(flags.data_set())


def test_flags_become_settings(tmp_path):
    flags = SettingsFlags(
        "kitti", preset="paper", t_lag=5, min_score="car=0.3", min_area="99", min_length="4",
        set=["tau=2"], trusted="no", classes=["car"],
    )  # fmt: skip
    settings = flags.settings(flags.data_set())
    assert (settings.tracker.t_lag, settings.tracker.tau) == (5, 2)
    assert settings.tracker.min_track_length == {0: 4} and settings.rules.min_score == {1: 0.3}
    assert settings.rules.min_area == {0: 99} and settings.trust is False
    assert settings.classes == (1,)
    with pytest.raises(ValueError, match="--t-lag is a setting of paper and authors, got"):
        SettingsFlags(tracker="best", t_lag=5).settings(data_set("custom"))
    with pytest.raises(
        ValueError, match="--class-names is for --dataset custom, got --dataset kit"
    ):
        SettingsFlags("kitti", class_names="1=cell").data_set()
    (tmp_path / "names.txt").write_text("3=cell\n10=nucleus\n")
    named = SettingsFlags(class_names=str(tmp_path / "names.txt")).data_set()
    assert named.numbers == {"cell": 3, "nucleus": 10} and named.ignore is None


def test_classes_by_name_or_number():
    kitti = data_set("kitti")
    assert class_numbers(["pedestrian", "1"], kitti) == (1, 2)
    for name in ("cat", "ignore", "10", "0"):
        with pytest.raises(ValueError, match=f"--classes must be classes of kitti .* got '{name}'"):
            class_numbers([name], kitti)


def test_what_files_must_name_first_is_left_to_later():
    early, late = SettingsFlags(classes=["cat"], min_score="cat=0.4").early_and_late()
    assert early.classes is None and early.rules.min_score == {}
    with pytest.raises(ValueError, match="cat"):
        late(data_set("custom"))


def test_help_comes_in_groups_with_defaults(capsys):
    with pytest.raises(SystemExit):
        test_mots.parse_args(["--help"])
    text = capsys.readouterr().out
    order = [
        text.index(f"\n{name}:\n") for name in ("input", "method", "output", "scores", "speed")
    ]
    assert order == sorted(order)
    assert "(default: check)" in " ".join(text.split()) and "default: None" not in text
    assert Path("test_mots.py").name in text


def test_help_waits_for_no_solver_and_no_compiler():
    code = (
        "import sys, test_mots, track_video, refine\n"
        "try:\n    test_mots.parse_args(['--help'])\nexcept SystemExit:\n    pass\n"
        "print([n for n in ('scipy', 'numba', 'tensorflow', 'sklearn') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.endswith("[]\n"), done.stdout[-200:] + done.stderr
