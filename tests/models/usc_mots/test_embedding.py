import json

import pytest

from models.usc_mots.embedding import choose_weights, read_card


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
