import pytest

from models.best.config import BestConfig
from models.usc_mots.config import UscMotsConfig
from tests.conftest import make_detections, write_scored, write_tracks
from utils import cli
from utils.class_names import parse_class_names
from utils.config import limits_of, override, parse_value
from utils.data_sets import DATA_SETS
from utils.files import check_writable
from utils.inputs import Choice, read_inputs
from utils.report import dropped_lines, grouped, why_nothing
from utils.results import output_ids


def objects(name, classes=(1,), size=(40, 60)):
    rows = [(f, c, c, 0.9, (5, 5 * c, 8, 4)) for f in range(3) for c in classes]
    return make_detections(rows, *size, name)


def test_run_turns_errors_into_one_line(capsys):
    def fails(error):
        def main():
            raise error

        with pytest.raises(SystemExit) as stopped:
            cli.run(main)
        return stopped.value.code, capsys.readouterr().err

    assert fails(ValueError("a rule,\n  got 3")) == (2, "a rule, got 3\n")
    code, text = fails(FileNotFoundError(2, "No such file", "x.txt"))
    assert (code, text) == (2, "x.txt: No such file\n")
    assert fails(KeyboardInterrupt())[0] == 130
    with pytest.raises(KeyError):
        cli.run(lambda: {}["bug"])  # a bug of ours is no bad input


@pytest.mark.parametrize(("text", "value"), [("1", 1), ("999999999", 999999999)])
def test_positive_integers(text, value):
    assert cli.positive(text) == value
    import argparse

    for bad in ("0", "-1", "1.5", "x", "1000000000", ""):
        with pytest.raises(argparse.ArgumentTypeError, match="must be a positive integer"):
            cli.positive(bad)


def test_notes_and_warnings_are_one_line_each(capsys):
    cli.note("a\n  b")
    cli.warn("c\nd")
    assert capsys.readouterr() == ("note: a b\n", "warning: c d\n")


def test_inputs_are_merged_by_sequence_and_sorted(tmp_path):
    write_scored(tmp_path / "cars" / "0002.txt", objects("0002"))
    write_scored(tmp_path / "cars" / "0001.txt", objects("0001"))
    write_scored(tmp_path / "people" / "0001.txt", objects("0001", (2,)))
    read = read_inputs([tmp_path / "cars", tmp_path / "people"])
    assert [s.sequence for s in read.sequences] == ["0001", "0002"]
    assert read.sequences[0].classes.tolist() == [1, 1, 1, 2, 2, 2] and not read.truth
    only = read_inputs([tmp_path / "cars", tmp_path / "people"], choice=Choice(["0002"]))
    assert [s.sequence for s in only.sequences] == ["0002"]
    with pytest.raises(ValueError, match=r"of the input \(0001, 0002\), got 0003"):
        read_inputs([tmp_path / "cars"], choice=Choice(["0003"]))
    write_scored(tmp_path / "large" / "0001.txt", objects("0001", size=(41, 60)))
    with pytest.raises(ValueError, match="frame size must be 40 60 in every file"):
        read_inputs([tmp_path / "cars", tmp_path / "large"])
    found = objects("0001", (3,))
    write_tracks(tmp_path / "plain" / "0001.txt", found, found.ids)
    read = read_inputs([tmp_path / "cars", tmp_path / "plain"])
    assert read.notes == [
        "0001: scores in some of its files only: the others count as 1",
        f"0001: merged from 2 inputs ({tmp_path / 'cars'}, {tmp_path / 'plain'})",
    ]


def test_a_sequence_without_truth_is_refused(tmp_path):
    for name in ("0001", "0002"):
        write_scored(tmp_path / "in" / f"{name}.txt", objects(name))
    found = objects("0001")
    write_tracks(tmp_path / "gt" / "instances_txt" / "0001.txt", found, found.ids)
    with pytest.raises(ValueError, match="must hold sequence 0002, got 0001"):
        read_inputs([tmp_path / "in"], tmp_path / "gt")
    read = read_inputs([tmp_path / "in"], tmp_path / "gt", Choice(["0001"]))
    assert list(read.truth) == ["0001"] and len(read.truth["0001"]) == 3


def test_reports_name_what_dropped_most():
    counts = {"read": 10, "written": 0, "dropped_low_score": 3, "tracker_short": 7}
    summary = {"counts": counts}
    assert why_nothing(summary).startswith("nothing was written: of 10 detections 7 are in tracks")
    assert dropped_lines(summary)[0] == "detections: 0 of 10 written; dropped:"
    assert len(dropped_lines(summary)) == 3
    assert why_nothing({"counts": counts | {"written": 1}}) is None
    empty = "nothing was written: the input holds no mask"
    assert why_nothing({"counts": {"read": 0}}) == empty
    assert dropped_lines({"counts": {"read": 3, "written": 3}}) == []


def test_a_folder_that_can_be_written(tmp_path):
    check_writable(tmp_path / "a" / "b")
    assert list(tmp_path.iterdir()) == []  # checking leaves nothing
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="file/x: must be a folder that can be written"):
        check_writable(tmp_path / "file" / "x")


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("yes", bool, True), ("no", bool, False), ("3", int, 3), ("0.5", float, 0.5),
        ("inf", float, float("inf")), ("mean", str, "mean"), ("none", float | None, None),
        ("0.4", float | None, 0.4), ("0.4", dict[int, float], {0: 0.4}),
        ("car=0.4,7=2", dict[int, float], {1: 0.4, 7: 2.0}),
    ],
)  # fmt: skip
def test_settings_are_parsed_by_their_type(text, kind, value):
    assert parse_value("x", text, kind, {"car": 1}) == value


@pytest.mark.parametrize(
    ("text", "kind"),
    [("maybe", bool), ("1.5", int), ("x", float), ("bus=1", dict[int, float]),
     ("1=", dict[int, float]), ("-1", dict[int, float]), ("0=1", dict[int, float])],
)  # fmt: skip
def test_what_is_no_value_of_the_type_is_refused(text, kind):
    with pytest.raises(ValueError, match="x must be"):
        parse_value("x", text, kind, {"car": 1})


def test_overriding_checks_what_settings_mean():
    changed = override(UscMotsConfig(), {"tau": "2", "use_graph": "no"}, {})
    assert (changed.tau, changed.use_graph, changed.t_lag) == (2, False, 3)
    with pytest.raises(ValueError, match="memory must be at least 1 frame, got 0"):
        override(BestConfig(), {"memory": "0"}, {})


def test_limits_by_class_and_for_every_other():
    import numpy as np

    limits = limits_of(np.array([1, 2, 7, 1]), {0: 0.5, 7: 0.25})
    assert limits.tolist() == [0.5, 0.5, 0.25, 0.5]
    assert limits_of(np.array([1, 2]), {2: 0.5}).tolist() == [0, 0.5]


def test_class_names_from_text_and_lines():
    assert parse_class_names("1=cell, 2=cell nucleus") == {1: "cell", 2: "cell nucleus"}
    assert parse_class_names("1=a\n\n3=b\n") == {1: "a", 3: "b"}
    with pytest.raises(ValueError, match="got ''"):
        parse_class_names("")


def test_data_sets_are_whole():
    for name, of in DATA_SETS.items():
        assert of.name == name and of.default_tracker in of.presets
        assert name in of.weights_from or name == "custom"
        assert of.network_config(3)["channels"] == 3
    first = {name: of.first_frame for name, of in DATA_SETS.items()}
    assert first == {"mnist": 1, "sprites": 1, "kitti": 0, "mots": 1, "custom": None}
    assert (DATA_SETS["mnist"].margin, DATA_SETS["sprites"].margin) == (9, 10)
    assert DATA_SETS["mots"].tracked == (2,) and DATA_SETS["kitti"].ignore == 10
    assert DATA_SETS["custom"].name_of(7) == "class 7" and DATA_SETS["kitti"].name_of(1) == "car"


def test_ids_stay_below_ten_digits():
    import numpy as np

    ids = output_ids(np.arange(1, 40_001), np.full(40_000, 32_000))
    assert ids[0] == 1 and ids[-1] == 40_000 and len(set(ids.tolist())) == 40_000


def test_what_dropped_most_is_named_whatever_its_name():
    counts = {"read": 9, "written": 0, "dropped_empty_mask": 6, "tracker_weak": 3}
    assert "6 are masks without a pixel (rule empty_mask)" in why_nothing({"counts": counts})
    counts = {"read": 9, "written": 0, "dropped_empty_mask": 3, "tracker_weak": 6}
    assert "(rule weak): --set tracker.min_score changes that" in why_nothing({"counts": counts})


def test_a_named_sequence_without_detections_counts_even_beside_a_single_file(tmp_path):
    for name in ("0001", "0002"):
        found = objects(name)
        write_scored(tmp_path / "in" / f"{name}.txt", found)
        write_tracks(tmp_path / "gt" / f"{name}.txt", found, found.ids)
    file = [tmp_path / "in" / "0001.txt"]
    assert list(read_inputs(file, tmp_path / "gt").truth) == ["0001"]
    both = read_inputs(file, tmp_path / "gt", Choice(["0001", "0002"]))
    assert list(both.truth) == ["0001", "0002"] and len(both.sequences[1]) == 0
    assert both.sequences[1].size == (40, 60)


def test_the_backend_is_that_of_the_environment_then_of_keras_json(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    assert cli.check_backend() == "tensorflow"
    (tmp_path / "keras.json").write_text('{"backend": "none"}')
    with pytest.raises(ValueError, match=r"keras\.json: must name an installed backend"):
        cli.check_backend()
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    assert cli.check_backend() == "tensorflow"
    monkeypatch.setenv("KERAS_BACKEND", "nothing")
    with pytest.raises(ValueError, match="KERAS_BACKEND: must name an installed backend"):
        cli.check_backend()


def test_what_is_said_of_many_sequences_is_said_once():
    notes = [f"{n:04d}: no scores" for n in range(5)] + ["0003: moved", "0004: moved", "odd: a: b"]
    assert grouped([*notes, "masks of 3 frames: left out", "alone"]) == [
        "0000, 0001, 0002, ... (5 in all): no scores",
        "0003, 0004: moved",
        "odd: a: b",
        "masks of 3 frames: left out",
        "alone",
    ]
