import csv
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

import reproduce_tables
from reproduction import experiments, paper, runs, sources, tables
from tests.conftest import make_detections, write_tracks
from utils.cli import import_keras
from utils.data_sets import data_set
from utils.formats.reading import read_detections

keras = import_keras()
from models.usc_mots.dhae import DHAE  # noqa: E402  (after Keras is muted)

ROOT = Path(__file__).resolve().parents[2]
KITTI = data_set("kitti")
SUMS = [17026.0, 942.8, 1015.9, 47744.5]  # of the figures of Tables 1 to 4, as read off the paper
SIZE = dict(height=40, width=60)


def scene(name, first=0):
    """Return a car, a pedestrian and another one for ten frames, with a car in the last two."""
    objects = []
    for f in range(first, first + 10):
        objects += [
            (f, 1, 1, 0.9, (2 + f - first, 3, 14, 12)),
            (f, 2, 2, 0.9, (30, 20, 10, 12)),
            (f, 3, 2, 0.75, (44, 20, 10, 12)),
        ]
    objects += [(first + f, 4, 1, 0.9, (45, 2, 14, 12)) for f in (8, 9)]
    return make_detections(objects, **SIZE, name=name)


def write_detections(path, found):
    """Write the 10-field format."""
    rows = zip(found.frames, found.boxes_xywh, found.scores, found.classes, found.rles, strict=True)
    lines = [
        f"{f} {' '.join(map(str, box))} {score} {cls} 40 60 {rle.decode()}"
        for f, box, score, cls, rle in rows
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")


@pytest.fixture
def data(tmp_path, monkeypatch):
    """Return a folder of both real data sets in small, with small weights in place."""
    for folder, first in (("kitti_mots", 0), ("mots_challenge", 1)):
        for name in ("0001", "0002"):
            found = scene(name, first)
            truth = tmp_path / "data" / folder / "instances_txt" / f"{name}.txt"
            write_tracks(truth, found, found.ids)
            write_detections(tmp_path / "data" / folder / "detections_x" / f"{name}.txt", found)
            for frame in np.unique(found.frames):
                image = tmp_path / "data" / "mots_challenge" / "images" / name / f"{frame:06d}.png"
                image.parent.mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(image), np.full((40, 60, 3), 90, np.uint8))
    weights = tmp_path / "pretrained"
    weights.mkdir()
    for number, name in enumerate(
        (
            *KITTI.weights,
            *KITTI.mtl_weights,
            *KITTI.equal_weights,
            *KITTI.appearance_weights,
        )
    ):
        keras.utils.set_random_seed(number)
        channels = 3 if "appearance" in name else 1
        network = {**KITTI.network_config(channels), "filters": (4,) * 5, "latent_dim": 8}
        DHAE(**network).save(weights / name)
        card = {"settings": {"dataset": "kitti"}, "held_back": [], "trained_on": ["0001"]}
        card["scores_of_best_epoch"] = {"location_gain": 4.0}
        (weights / name).with_suffix(".json").write_text(json.dumps(card))
    monkeypatch.setattr(runs, "PRETRAINED", weights)
    return tmp_path / "data"


def make(monkeypatch, *arguments):
    which = [] if "--sequences" in arguments else ["--split", "all"]
    words = ["reproduce_tables.py", *map(str, arguments), *which, "--jobs", "1"]
    monkeypatch.setattr(sys, "argv", words)
    reproduce_tables.main()


def rows_of(path):
    with open(path) as file:
        return list(csv.DictReader(file))


def test_table_4_is_made_compared_and_cached(data, tmp_path, monkeypatch, capsys):
    out = tmp_path / "out"
    make(monkeypatch, "--table", 4, "--data", data, "--output", out)
    assert "30 runs made" in capsys.readouterr().out
    rows = rows_of(out / "table_4.csv")
    assert len(rows) == 15 * 3 * 5
    assert list(rows[0]) == ["table", "row", "column", "ours", "paper", "difference"]
    for row in rows:
        if row["column"].endswith("F_DR"):  # the paper has no such column
            assert (row["paper"], row["difference"]) == ("", "")
        else:
            ours, theirs = float(row["ours"]), float(row["paper"])
            assert float(row["difference"]) == pytest.approx(ours - theirs, abs=1e-3)
    # The objects stand still or move by a pixel: with G every mask keeps its identity.
    with_graph = [r for r in rows if ", G, MTL, |K| estimated" in r["row"]]
    assert {r["ours"] for r in with_graph if "sMOTSA" in r["column"]} == {"100.0"}
    text = (out / "table_4.md").read_text()
    assert "| t_lag 3, G, MTL, \\|K\\| estimated | 100.0 (97.8, +2.2) |" in text
    assert "kitti: the ground-truth masks of 2 sequences (0001, 0002)" in text

    make(monkeypatch, "--table", 4, "--data", data, "--output", out)
    assert "0 runs made" in capsys.readouterr().out
    assert rows_of(out / "table_4.csv") == rows
    # A changed ground truth of one data set makes that data set's runs anew, and only those.
    found = scene("0002", 1)
    kept = found.select(found.frames < 9)
    write_tracks(data / "mots_challenge" / "instances_txt" / "0002.txt", kept, kept.ids)
    make(monkeypatch, "--table", 4, "--data", data, "--output", out)
    assert "15 runs made" in capsys.readouterr().out


def test_what_is_missing_is_said_and_left_empty(data, tmp_path, monkeypatch, capsys):
    out = tmp_path / "out"
    make(monkeypatch, "--table", 2, "--data", data, "--output", out)
    text = capsys.readouterr().out
    assert "not run (80.8)" in text and "kitti_mots/images missing" in text
    for row in rows_of(out / "table_2.csv"):
        assert (row["ours"] == "") == ("app" in row["row"])
    make(monkeypatch, "--table", 1, "--data", data, "--output", out)
    assert "made by `python gen_mnist.py --split test`" in capsys.readouterr().out
    assert {row["ours"] for row in rows_of(out / "table_1.csv")} == {""}


def test_tables_and_figures_of_small_data(data, tmp_path, monkeypatch, capsys):
    out = tmp_path / "out"
    make(monkeypatch, "--table", 3, "--data", data, "--output", out, "--sequences", "0002")
    assert all(row["ours"] for row in rows_of(out / "table_3.csv"))
    assert "mots: detections_x of 1 sequences (0002)" in capsys.readouterr().out
    make(monkeypatch, "--figure", 5, "--data", data, "--output", out)
    rows = {(r["row"], r["column"]): r["ours"] for r in rows_of(out / "figure_5.csv")}
    # One pedestrian has score 0.75, the others 0.9: half of them are missed from 0.8 on.
    assert rows["0.70", "KITTI pedestrian sMOTSA"] == "100.0"
    assert rows["0.80", "KITTI pedestrian sMOTSA"] == "50.0"
    assert rows["0.95", "KITTI car sMOTSA"] == "0.0"
    make(monkeypatch, "--figure", 4, "--data", data, "--output", out)
    for name in ("figure_4.png", "figure_5.png"):
        image = cv2.imread(str(out / name))
        assert image is not None and image.std() > 5


def test_quick_takes_the_first_frames(data, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sources, "QUICK_FRAMES", 4)
    out = tmp_path / "out"
    make(monkeypatch, "--table", 2, "--data", data, "--output", out, "--quick")
    assert "These are not the figures" in capsys.readouterr().out
    assert (out / "table_2_quick.csv").is_file() and not (out / "table_2.csv").exists()
    file = next((out / "cache" / "quick").glob("*/detections_x/0001.txt"))
    assert set(read_detections(file).frames.tolist()) == {0, 1, 2, 3}


def test_a_class_without_ground_truth_is_not_scored(data, tmp_path, monkeypatch, capsys):
    for name in ("0001", "0002"):
        found = scene(name)
        found = found.select(found.classes == 1)
        write_tracks(data / "kitti_mots" / "instances_txt" / f"{name}.txt", found, found.ids)
    make(monkeypatch, "--table", 2, "--data", data, "--output", tmp_path / "out")
    assert "no pedestrian in the ground truth" in capsys.readouterr().out
    rows = rows_of(tmp_path / "out" / "table_2.csv")
    assert not any(row["ours"] for row in rows if row["column"].startswith("pedestrian"))


def test_bad_input_is_one_line_and_leaves_no_table(data, tmp_path):
    file = data / "kitti_mots" / "instances_txt" / "0001.txt"
    file.write_text(file.read_text() + "0 1 1\n")
    command = [sys.executable, "reproduce_tables.py", "--table", "4", "--split", "all"]
    done = subprocess.run(
        [*command, "--data", str(data), "--output", str(tmp_path / "out")],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2 and len(done.stderr.strip().splitlines()) == 1
    assert "0001.txt:33: expected 6, 10 or 138 fields" in done.stderr
    assert not list((tmp_path / "out").glob("table*"))


def test_a_damaged_cache_is_made_anew(data, tmp_path, monkeypatch, capsys):
    arguments = ("--table", 2, "--data", data, "--output", tmp_path / "out")
    make(monkeypatch, *arguments)
    rows = rows_of(tmp_path / "out" / "table_2.csv")
    for text in ("{}", '{"scores": {"car": {}}}', '{"scores'):
        for file in (tmp_path / "out" / "cache").glob("*.json"):
            file.write_text(text)
        for file in (tmp_path / "out" / "cache" / "embeddings").glob("*.npy"):
            file.write_bytes(file.read_bytes()[:100])
        capsys.readouterr()
        make(monkeypatch, *arguments)
        assert "1 runs made" in capsys.readouterr().out
        assert rows_of(tmp_path / "out" / "table_2.csv") == rows


def test_what_nothing_could_be_run_for_is_not_overwritten(data, tmp_path, monkeypatch, capsys):
    arguments = ("--table", 2, "--data", data, "--output", tmp_path / "out")
    make(monkeypatch, *arguments)
    rows = rows_of(tmp_path / "out" / "table_2.csv")
    (data / "kitti_mots" / "detections_x").rename(data / "kitti_mots" / "other")
    make(monkeypatch, *arguments)
    assert "left as it was" in capsys.readouterr().out
    assert rows_of(tmp_path / "out" / "table_2.csv") == rows


def test_unknown_and_left_out_sequences_are_named(data, tmp_path, monkeypatch, capsys):
    arguments = ("--table", 2, "--data", data, "--output", tmp_path / "out")
    with pytest.raises(ValueError, match=r"got 0009; of 0001"):
        make(monkeypatch, *arguments, "--sequences", "0001", "0009")
    (data / "kitti_mots" / "detections_x" / "0002.txt").unlink()
    make(monkeypatch, *arguments)
    assert (
        "no detections of 0002, which have ground truth: their objects count as missed"
        in capsys.readouterr().out
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--table", "1", "--detections", "/a/b"], "must be a folder's name, got /a/b"),
        (["--table", "5"], "--tables must be among 1, 2, 3, 4, systems, or all, got 5"),
        (["--table", "1", "--preset", "best"], "invalid choice: 'best'"),
        (["--figure", "4", "--preset", "authors"], "--preset is for tables and Figure 5, got"),
        (["--table", "1", "--figure", "5"], "not allowed with"),
        (["--table", "1", "--jobs", "0"], "must be a positive integer"),
    ],
)
def test_bad_arguments(arguments, message, capsys, tmp_path):
    with pytest.raises(SystemExit) as stopped:
        reproduce_tables.parse_args([*arguments, "--data", str(tmp_path)])
    assert stopped.value.code == 2 and message in capsys.readouterr().err


def test_several_folders_of_detections_need_a_choice(data, tmp_path, monkeypatch, capsys):
    source = data / "kitti_mots" / "detections_x"
    (data / "kitti_mots" / "detections_y").mkdir()
    for file in source.iterdir():
        (data / "kitti_mots" / "detections_y" / file.name).write_bytes(file.read_bytes())
    make(monkeypatch, "--table", 2, "--data", data, "--output", tmp_path / "a")
    assert "--detections must name one of detections_x, detections_y" in capsys.readouterr().out
    arguments = ("--table", 2, "--data", data, "--output", tmp_path / "b")
    make(monkeypatch, *arguments, "--detections", "detections_y")
    assert "kitti: detections_y of 2 sequences" in capsys.readouterr().out


def test_the_papers_figures_are_whole():
    assert all(len(v) == 7 for row in paper.TABLE_1.values() for v in row.values())
    assert set(paper.TABLE_4) == {
        (t_lag, *rest)
        for t_lag in (3, 5, 8)
        for rest in (
            (False, False, True),
            (False, True, True),
            (False, True, False),
            (True, True, False),
            (True, True, True),
        )
    }
    # What section 4.3 says of the table: t_lag 3 is best, G gains at every t_lag.
    for i in range(3):
        best = [paper.TABLE_4[t, True, True, True][i][0] for t in (3, 5, 8)]
        assert best == sorted(best, reverse=True)


def runs_of(cells):
    return {(c.row, c.column.split(" ")[0]): c.run for c in cells}


def test_table_1_uses_the_branch_and_the_graph_that_a_row_names():
    for (row, column), run in runs_of(tables.table_1()).items():
        of = {"MNIST-MOT": "mnist", "Sprites-MOT": "sprites"}[column]
        branch = {"shape embed": "mask_only", "loc embed": "location_only"}
        branch = branch.get(row.removesuffix(" + G"), "shape")
        branch = "location_only" if row == "loc + G" else branch
        assert (run.dataset, run.weights) == (of, (f"dhae_{of}_{branch}.keras",))
        assert run.settings().tracker.use_graph == row.endswith("G"), row
        assert run.source == "detections" and run.settings().tracker.t_lag == 3


def test_tables_2_and_3_use_the_network_and_the_graph_that_a_row_names():
    for cell in [*tables.table_2(), *tables.table_3()]:
        appearance = "app" in cell.row
        assert cell.run.images == appearance and cell.run.source == "detections"
        assert cell.run.weights[0].startswith("dhae_mots" if appearance else "dhae_kitti_shape")
        assert cell.run.settings().tracker.use_graph == cell.row.endswith("G")
    assert {c.run.dataset for c in tables.table_2()} == {"kitti"}
    assert {c.run.dataset for c in tables.table_3()} == {"mots"}


def test_table_4_runs_what_its_rows_say():
    for cell in tables.table_4():
        tracker = cell.run.settings().tracker
        assert cell.row.startswith(f"t_lag {tracker.t_lag}, ")
        assert tracker.use_graph == (", G, " in cell.row)
        assert tracker.known_clusters == cell.row.endswith("known")
        assert ("equal" in cell.run.weights[0]) == (", equal, " in cell.row)
        assert cell.run.dataset == ("mots" if cell.column.startswith("MOTS") else "kitti")
        assert cell.column.startswith(("MOTSChallenge ", f"KITTI {cell.name} "))
        assert (cell.run.source, cell.run.location_gain) == ("truth", 4.0)
        assert tracker.min_track_length == {0: 1}
    first = tables.table_4()[0]
    assert (first.metric, first.paper) == ("sMOTSA", 74.0)


def test_figure_5_replaces_the_score_rule_alone():
    for cell in tables.figure_5():
        rules = cell.run.settings().rules
        assert set(rules.min_score.values()) == {float(cell.row)}
        assert rules.min_area == {1: 150, 2: 100}
    assert {c.row for c in tables.figure_5()} >= {"0.50", "0.95"}


def test_what_makes_a_run_is_what_it_says(data, tmp_path, monkeypatch):
    made = experiments.Experiments(sources.Sources(data, tmp_path / "out"), 1)
    run = runs.Run("kitti", KITTI.weights, "truth")
    heavy = replace(run, location_gain=5.0)
    stored = [[np.load(f[3]) for f in made.embed(r)] for r in (run, heavy)]
    assert all((a != b).any() for a, b in zip(*stored, strict=True))
    strict = runs.Run("kitti", (), "detections", min_score=0.5).settings().rules
    assert strict.min_area == {1: 150, 2: 100} and strict.min_score == {1: 0.5, 2: 0.5}
    # A changed card, or changed code, is another run.
    before = experiments.key_of(made.settings(run))
    monkeypatch.setattr(experiments, "code_digest", lambda: "other")
    assert experiments.key_of(made.settings(run)) != before


def test_a_changed_card_makes_a_run_anew(data, tmp_path):
    run = runs.Run("kitti", KITTI.weights, "truth")
    keys = []
    for names in (["0001"], ["0002"]):
        card = (runs.PRETRAINED / KITTI.weights[0]).with_suffix(".json")
        content = {"settings": {"dataset": "kitti"}, "held_back": [], "trained_on": names}
        card.write_text(json.dumps(content))
        made = experiments.Experiments(sources.Sources(data, tmp_path / "out"), 1)
        keys.append(experiments.key_of(made.settings(run)))
    assert keys[0] != keys[1]


def test_quick_takes_the_largest_files(data, tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "QUICK_SEQUENCES", 1)
    found = scene("0002")
    small = found.select(found.frames < 3)
    write_tracks(data / "kitti_mots" / "instances_txt" / "0002.txt", small, small.ids)
    made = experiments.Experiments(
        sources.Sources(data, tmp_path / "out", quick=True, split="all"), 1
    )
    run = runs.Run("kitti", KITTI.weights, "truth")
    assert [name for name, *_ in made.sources.inputs(run)] == ["0001"]


def test_the_papers_figures_add_up():
    def total(table):
        if isinstance(table, dict):
            return sum(map(total, table.values()))
        return sum(map(total, table)) if isinstance(table, tuple) else table

    sums = [total(t) for t in (paper.TABLE_1, paper.TABLE_2, paper.TABLE_3, paper.TABLE_4)]
    assert sums == pytest.approx(SUMS)
    assert paper.TABLE_2["loc + shape + G"]["car"] == (80.4, 89.5, 90.3)
    assert paper.TABLE_3["loc + app + G"] == (65.5, 76.5, 86.3, 53.1)
    assert paper.TABLE_4[3, True, True, True][0] == (97.8, 99.6, 548, 548)
    assert paper.TABLE_4[8, False, False, True][2] == (46.0, 38.2, 141, 227)


def test_both_presets_stand_side_by_side(data, tmp_path, monkeypatch, capsys):
    # A car whose newest detection has an identity: the second of the other frame differs.
    for name in ("0001", "0002"):
        found = scene(name)
        jump = found.boxes_xywh.copy()
        cars = (found.ids == 1) & (found.frames >= 5)
        jump[cars, 0] += 25
        moved = make_detections(
            [
                (int(f), int(i), int(c), 1.0, tuple(int(v) for v in box))
                for f, i, c, box in zip(found.frames, found.ids, found.classes, jump, strict=True)
            ],
            **SIZE,
            name=name,
        )
        write_tracks(data / "kitti_mots" / "instances_txt" / f"{name}.txt", moved, moved.ids)
    out = tmp_path / "out"
    make(monkeypatch, "--table", 4, "--data", data, "--output", out, "--preset", "authors", "paper")
    text = capsys.readouterr().out
    assert "60 runs made" in text and "authors / paper (the paper's)" in text
    assert "Location gain 4 in every row" in text
    paper_rows, authors_rows = (
        rows_of(out / f"{stem}.csv") for stem in ("table_4", "table_4_authors")
    )
    assert len(paper_rows) == len(authors_rows) == 15 * 3 * 5
    shown = (out / "table_4_presets.md").read_text()
    row = next(
        r for r in shown.splitlines() if r.startswith("| t_lag 3, G, MTL, \\|K\\| estimated")
    )
    own = [
        next(
            r["ours"]
            for r in rows
            if r["row"] == "t_lag 3, G, MTL, |K| estimated" and r["column"] == "KITTI car IDS"
        )
        for rows in (authors_rows, paper_rows)
    ]
    assert f"{float(own[0]):.0f} / {float(own[1]):.0f} (119)" in row
    assert "preset authors" in (out / "table_4_authors.md").read_text()
    assert "preset paper" in (out / "table_4.md").read_text()


def test_a_presets_rules_make_its_cells():
    cells = tables.table_4()
    for preset, rule in (("paper", "mean"), ("authors", "nearest")):
        for cell in tables.by_preset(cells, preset):
            assert cell.run.settings().tracker.centre_rule == rule
    rules = [
        tables.by_preset(tables.table_2(), p)[0].run.settings().rules for p in ("paper", "authors")
    ]
    assert rules[0].min_area == rules[1].min_area
    # Section 4.2 has 0.70 for all; the authors' code 0.6 for cars.
    assert [r.min_score for r in rules] == [{1: 0.7, 2: 0.7}, {1: 0.6, 2: 0.7}]


def test_all_tables_in_one_command(data, tmp_path, monkeypatch, capsys):
    out = tmp_path / "out"
    make(monkeypatch, "--tables", "all", "--data", data, "--output", out, "--quick")
    text = capsys.readouterr().out
    for number in (1, 2, 3, 4):
        assert f"# Table {number}: " in text and (out / f"table_{number}_quick.md").is_file()
    args = reproduce_tables.parse_args(["--tables", "4", "2", "4", "--data", str(tmp_path)])
    assert (args.tables, args.preset) == ([4, 2], ["paper"])


def test_equal_and_mtl_rows_differ_in_the_weights_loss_alone():
    cards = [
        json.loads((ROOT / "pretrained" / name).with_suffix(".json").read_text())
        for name in (*KITTI.mtl_weights, *KITTI.equal_weights)
    ]
    same = ("seed", "batch_size", "learning_rate", "stride", "dropout", "reduction")
    same += ("trained_on", "held_back")
    for mtl, equal in zip(cards[:2], cards[2:], strict=True):
        assert (mtl["settings"]["loss"], equal["settings"]["loss"]) == ("uncertainty", "equal")
        assert all(mtl["settings"][name] == equal["settings"][name] for name in same)
        assert mtl["epochs_trained"] == equal["epochs_trained"] == 20
        assert mtl["chosen_by"] == equal["chosen_by"] == "least loss on the held-back sequences"
    by_row = {(c.row, c.column): c.run for c in tables.table_4()}
    for (row, column), made in by_row.items():
        if ", equal, " in row:
            mtl_run = by_row[row.replace(", equal, ", ", MTL, "), column]
            assert replace(made, weights=mtl_run.weights) == mtl_run


def test_cards_that_do_not_agree_on_the_gain_are_refused(data):
    card = runs.PRETRAINED / KITTI.weights[1].replace(".keras", ".json")
    content = json.loads(card.read_text())
    content["scores_of_best_epoch"]["location_gain"] = 16.0
    card.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"must agree, got gains"):
        runs.chosen_gain(KITTI.weights)
    card.unlink()
    assert runs.chosen_gain(KITTI.weights) == 4.0
    assert runs.chosen_gain(("none.keras",)) is None


def test_appearance_weights_of_the_users_own_go_first(data):
    assert runs.appearance_weights(KITTI) == KITTI.appearance_weights
    own = runs.PRETRAINED / "dhae_kitti_appearance_b.keras"
    own.write_bytes(b"")
    assert runs.appearance_weights(KITTI) == (own.name,)
    rows = {c.row: c.run.weights for c in tables.table_2()}
    assert rows["loc + app + G"] == (own.name,) and rows["loc + shape + G"] == KITTI.weights
    assert runs.appearance_weights(data_set("mots")) == KITTI.appearance_weights


def test_weights_from_elsewhere_score_as_those_of_the_folder(data, tmp_path):
    named = runs.Run("kitti", KITTI.weights[:1], "truth")
    elsewhere = tmp_path / "mine" / "a.keras"
    elsewhere.parent.mkdir()
    for suffix in (".keras", ".json"):
        source = (runs.PRETRAINED / KITTI.weights[0]).with_suffix(suffix)
        elsewhere.with_suffix(suffix).write_bytes(source.read_bytes())
    own = replace(named, weights=(str(elsewhere),))
    scores = experiments.Experiments(sources.Sources(data, tmp_path / "out"), 1).scores(
        [named, own]
    )
    assert scores[named] == scores[own] and "sMOTSA" in scores[own]["car"]


def test_sequences_that_one_of_the_tables_has_are_known(data, tmp_path, monkeypatch, capsys):
    for folder in ("instances_txt", "detections_x"):
        (data / "mots_challenge" / folder / "0001.txt").unlink()
    out = tmp_path / "out"
    arguments = ("--tables", 3, 2, "--data", data, "--output", out, "--preset", "authors")
    make(monkeypatch, *arguments, "--sequences", "0001")
    assert "holds none of the sequences" in capsys.readouterr().out
    assert any(row["ours"] for row in rows_of(out / "table_2_authors.csv"))
    with pytest.raises(ValueError, match="got 0009; of 0001"):
        make(monkeypatch, *arguments, "--sequences", "0001", "0009")


def test_both_presets_leave_what_nothing_could_be_run_for(data, tmp_path, monkeypatch, capsys):
    out = tmp_path / "out"
    arguments = ("--table", 2, "--data", data, "--output", out, "--preset", "paper", "authors")
    make(monkeypatch, *arguments)
    before = (out / "table_2_presets.md").read_text()
    assert "not run / not run (80.8)" in before
    (data / "kitti_mots" / "detections_x").rename(data / "kitti_mots" / "other")
    make(monkeypatch, *arguments)
    assert (out / "table_2_presets.md").read_text() == before
