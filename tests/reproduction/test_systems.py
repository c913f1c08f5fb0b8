"""--table systems: the papers' systems beside each other on the same frames."""

import json
from functools import partial

import pytest

import reproduce_tables
from models.remots.config import RetrackingConfig
from reproduction import runs, systems
from utils import synthetic, synthetic_pictures
from utils.data_sets import data_set


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    made = tmp_path_factory.mktemp("data")
    draw, _ = synthetic_pictures.source("sprites")
    synthetic.generate(made / "sprites_mot" / "test", "sprites", draw, 10, "test", 1, 14, 3, 5)
    return made


def test_a_network_and_common_masks_stand_in_one_table(data, tmp_path, monkeypatch, capsys):
    absent = systems.System("absent", "trackrcnn", ())
    chosen = {"TrackR-CNN": systems.SYSTEMS["TrackR-CNN"], "absent": absent}
    monkeypatch.setattr(systems, "SYSTEMS", chosen)
    quick = partial(RetrackingConfig, intra_frame_steps=2, tracklet_steps=5, batch_size=16)
    monkeypatch.setattr(systems, "RetrackingConfig", quick)
    arguments = ["--table", "systems", "--data", str(data), "--output", str(tmp_path)]
    monkeypatch.setattr("sys.argv", ["reproduce_tables.py", *arguments])
    reproduce_tables.main()
    text = (tmp_path / "table_systems.md").read_text()
    assert text in capsys.readouterr().out
    ours = text.split("as published")[0].splitlines()
    lines = {line.split("  ")[0]: line.split()[-8:] for line in ours if "  " in line}
    own, best = lines["TrackR-CNN"], lines["best, common masks"]
    assert float(own[1]) > 60 and float(own[3]) > 50 and own[-1] == "1,215,226"
    assert 0 < float(best[3]) <= 100 and best[-1] == "-"
    assert {"TrackR-CNN + ReMOTS", "best + ReMOTS, common masks"} <= set(lines)
    assert "absent: not run on 0001" in text and "absent_sprites.keras missing" in text
    assert "MOTSChallenge: not run" in text and "Not comparable" in text
    assert f"python reproduce_tables.py --table systems --data {data}" in text


def test_a_sequence_that_a_network_was_trained_on_is_not_scored(data, tmp_path, monkeypatch):
    monkeypatch.setattr(runs, "PRETRAINED", tmp_path)
    (tmp_path / "trackrcnn_mots.keras").touch()
    card = {"trained_on": {"0001": 14}, "held_back": {}, "settings": {}}
    (tmp_path / "trackrcnn_mots.json").write_text(json.dumps(card))
    scene = systems.scenes_of(data, data_set("sprites"), None, False)[0]
    with pytest.raises(systems.Lacking, match=r"trackrcnn_mots\.keras was trained on 0001"):
        systems.segmented(systems.SYSTEMS["TrackR-CNN"], data_set("mots"), scene, tmp_path)
