"""A training run of one weight: the best epoch is kept, a run goes on, a card says what it was."""

import json

import keras
import numpy as np
import pytest

from models.networks.trainer import Trainer, write_card
from utils.data_sets import data_set


class Line(Trainer):
    """Fits y = 2 x; epochs are scored by a list given in advance."""

    marks = (1.0, 3.0, 2.0)

    def new_model(self):
        model = self.bare_model()
        model.compile("sgd", "mse")
        return model

    def bare_model(self):
        model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
        model.set_weights([np.zeros((1, 1), np.float32)])
        return model

    def seed(self, model, epoch):
        self.seeded = epoch

    def data(self, epoch):
        class Points(keras.utils.PyDataset):
            def __len__(self):
                return 4

            def __getitem__(self, i):
                x = np.full((2, 1), 1 + i, np.float32)
                return x, 2 * x * (np.nan if epoch == 9 else 1)

        return Points()

    def score(self, model, epoch):
        assert self.seeded == epoch
        self.weights = [*getattr(self, "weights", []), float(model.get_weights()[0].item())]
        return {"mark": self.marks[epoch - 1]}

    def better(self, row):
        return self.best is None or row["mark"] > self.best["mark"]

    def finish(self, best):
        self.finished = float(best.get_weights()[0].item())

    def facts(self):
        return {"trained_on": ["a"], "held_back": [], "chosen_by": "mark", "kept": self.best}


def trainer(path):
    return Line(path / "line.keras", {"rate": 1}, data_set("kitti"), "python train.py")


def test_the_best_epoch_is_kept_and_a_run_goes_on_where_it_stopped(tmp_path):
    for name in ("whole", "parts"):
        (tmp_path / name).mkdir()
    whole = trainer(tmp_path / "whole")
    assert whole.run(3)["epoch"] == 2
    assert whole.finished == pytest.approx(whole.weights[1]) != pytest.approx(whole.weights[2])
    trainer(tmp_path / "parts").run(1)
    parts = trainer(tmp_path / "parts")
    parts.run(3, resume=True)
    assert len(parts.weights) == 2 and parts.weights == pytest.approx(whole.weights[1:])
    assert [row["epoch"] for row in parts.history] == [1, 2, 3]
    card = json.loads((tmp_path / "whole" / "line.json").read_text())
    assert card["epochs_trained"] == 3 and card["settings"] == {"rate": 1}
    text = (tmp_path / "whole" / "line.md").read_text()
    for words in (
        "`python train.py`",
        "Trained on a; held back: none.",
        "3, kept: 2, mark.",
        "mark 3",
    ):
        assert words in text, words


def test_a_loss_that_is_no_number_ends_the_run(tmp_path):
    run = trainer(tmp_path)
    run.marks = (1.0,) * 9
    run.history = [{"epoch": n} for n in range(1, 9)]
    with pytest.raises(ValueError, match="the loss must stay finite, got nan in epoch 9"):
        run.run(9)


def test_a_card_names_frames_measurements_and_calibration(tmp_path):
    card = {
        "kept": {"epoch": 4, "mark": 0.5, "seconds": 3}, "command": "c", "weights_count": 1234567,
        "trained_on": {"a": 12}, "held_back": {"b": 3}, "epochs_trained": 5, "chosen_by": "mark",
        "seconds": 150, "hardware": "2 cores", "sha256": "abc",
        "versions": {"keras": "3", "backend": "jax"}, "calibrated_on_all": {"gain": 2.0},
        "measured": [{"command": "python m.py", "scores": "5 of 6"}],
    }  # fmt: skip
    write_card(tmp_path / "n.json", card, data_set("kitti"))
    text = (tmp_path / "n.md").read_text()
    for words in (
        "1,234,567 weights",
        "Trained on a (12 frames); held back: b (3 frames)",
        "2 minutes on 2 cores",
        "mark 0.5.",
        "gain 2",
        "by `python m.py`: 5 of 6.",
    ):
        assert words in text, words
    assert "seconds" not in text and "epoch 4" not in text


def test_what_a_killed_run_left_of_an_earlier_epoch_goes_when_it_is_resumed(tmp_path):
    import keras

    from models.networks.checkpoints import Checkpoints

    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    checkpoints = Checkpoints(tmp_path / "w.keras", {"seed": 1})
    checkpoints.save(model, 1, {"history": []})
    first = (tmp_path / "w.epoch-1.state.keras").read_bytes()
    checkpoints.save(model, 2, {"history": []})
    # Killed before the state of the first epoch was removed.
    (tmp_path / "w.epoch-1.state.keras").write_bytes(first)
    loaded, content = checkpoints.load(("history",))
    assert content["state"] == "w.epoch-2.state.keras" and loaded.count_params() == 3
    assert [p.name for p in tmp_path.glob("*.state.keras")] == ["w.epoch-2.state.keras"]
