import json
from typing import ClassVar

import numpy as np
import pytest

from models.usc_mots import embedding
from models.usc_mots.embedding import Embedder
from models.usc_mots.weights import choose_weights, read_card, read_network
from tests.conftest import make_detections
from utils.boxes import scaled_boxes
from utils.data_sets import data_set


def card(dataset, trained_on, held_back=()):
    return {
        "settings": {"dataset": dataset},
        "trained_on": list(trained_on),
        "held_back": list(held_back),
    }


@pytest.mark.parametrize(
    ("dataset", "sequence", "expected"),
    [
        ("kitti", "0001", "b"),  # b never saw it; a was trained on it
        ("kitti", "0002", "b"),  # a was chosen on it, b trained on it: training uses no identity
        ("kitti", "0004", "a"),  # the first of those that never saw it
        ("mots", "0002", "a"),  # the same number in another data set is another sequence
    ],
)
def test_choice_of_weights(dataset, sequence, expected):
    cards = {"a": card("kitti", ["0001"], ["0002"]), "b": card("kitti", ["0002"], ["0003"])}
    assert choose_weights(cards, dataset, sequence) == expected


def test_weights_without_a_card_saw_nothing_and_the_first_is_the_last_resort():
    assert choose_weights({"a": card("kitti", ["0001"]), "b": None}, "kitti", "0001") == "b"
    both = {"a": card("kitti", [], ["0001"]), "b": card("kitti", [], ["0001"])}
    assert choose_weights(both, "kitti", "0001") == "a"


@pytest.mark.parametrize("text", ["{", "[]", '{"held_back": []}', '{"held_back": 3}'])
def test_bad_cards(text, tmp_path):
    (tmp_path / "w.json").write_text(text)
    with pytest.raises(ValueError, match=r"w\.json: must be the card of w\.keras, got"):
        read_card(tmp_path / "w.keras")


def test_good_and_missing_cards(tmp_path):
    assert read_card(tmp_path / "w.keras") is None
    (tmp_path / "w.json").write_text(json.dumps(card("mots", ["0005"])))
    assert read_card(tmp_path / "w.keras")["trained_on"] == ["0005"]


class Recorder:
    """A model that returns the boxes, and remembers how it was called."""

    config: ClassVar = {"patch_size": 8, "channels": 1, "latent_dim": 4}

    def __init__(self):
        self.gains = []

    def encode(self, patches, boxes, location_gain=None):
        assert len(patches) == len(boxes)
        self.gains.append(location_gain)
        return boxes


def test_every_row_gets_its_own_box_in_chunks_and_those_left_out_none(monkeypatch):
    monkeypatch.setattr(embedding, "CHUNK", 2)
    model = Recorder()
    found = make_detections([(f, 1, 1, 1.0, (2 + 5 * f, 5, 8, 8)) for f in range(5)])
    assert (embedding.embed(model, found, None) == scaled_boxes(found, None)).all()
    monkeypatch.setattr(embedding, "load_model", lambda weights, runtime: model)
    keep = np.array([True, False, True, True, False])
    column = Embedder(data_set("kitti"), location_gain=3.0).embed(found, keep)
    assert (column[keep] == scaled_boxes(found, None)[keep]).all() and not column[~keep].any()
    assert model.gains[-1] == 3.0


def test_weights_are_checked_without_loading_them(tmp_path):
    with pytest.raises(ValueError, match=r"must be a weights file .* got no such file"):
        read_network(tmp_path / "none.keras")
    (tmp_path / "x.keras").write_bytes(b"PK")
    with pytest.raises(ValueError, match=r"must be a DHAE saved as \.keras"):
        read_network(tmp_path / "x.keras")
    own = Embedder(data_set("mots"))
    assert own.weights_of("0002").name == "dhae_kitti_shape.keras"
    assert not own.needs_images("0002") and len(own.digests()) == 2


def test_weights_without_a_card_are_told_by_their_patches(tmp_path):
    weights = tmp_path / "w.keras"
    weights.write_bytes((embedding.PRETRAINED / "dhae_mnist_shape.keras").read_bytes())
    with pytest.raises(ValueError, match="got weights for patches of 28 px"):
        Embedder(data_set("kitti"), [weights])
    assert Embedder(data_set("sprites"), [weights]).networks[weights]["patch_size"] == 28


def test_sequences_that_weights_saw_are_named():
    embedder = Embedder(data_set("kitti"))
    card = embedder.cards[embedder.files[0]]
    trained, chosen = card["trained_on"][0], card["held_back"][0]
    text = "\n".join(embedder.seen([trained, chosen, "0002"]))
    assert " was trained on " in text or " was chosen on " in text
    assert "0002" not in text and (trained in text or chosen in text)
    assert Embedder(data_set("mots")).seen(["0002", "MOTS20-05"]) == []  # of another data set
