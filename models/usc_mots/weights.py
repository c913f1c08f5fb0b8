"""The files of weights and the cards beside them: what they hold, and which may track what."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from utils.data_sets import DataSet
from utils.files import LFS

PRETRAINED = Path(__file__).resolve().parents[2] / "pretrained"

Card = dict[str, Any]


def read_card(weights: Path) -> Card | None:
    """Return the card (dict) beside a weights file, or None where there is none.

    Raises:
        ValueError: it is no card.
    """
    path = weights.with_suffix(".json")
    if not path.is_file():
        return None
    try:
        card: Card = json.loads(path.read_text())
        for name in ("held_back", "trained_on"):
            card[name] = [str(sequence) for sequence in card[name]]
        card["settings"] = dict(card["settings"])
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: must be the card of {weights.name}, got {error!r}") from None
    return card


def read_network(weights: Path) -> dict[str, Any]:
    """Return the network's arguments that a weights file holds, without loading Keras.

    Raises:
        ValueError: no such file, a Git LFS pointer, or no DHAE.
    """
    if not weights.is_file():
        raise ValueError(f"{weights}: must be a weights file (*.keras), got no such file")
    with open(weights, "rb") as file:
        if file.read(len(LFS)) == LFS:
            rule = "must be the weights themselves (git lfs pull)"
            raise ValueError(f"{weights}: {rule}, got a Git LFS pointer")
    try:
        with zipfile.ZipFile(weights) as archive:
            content = json.loads(archive.read("config.json"))
        if content["class_name"] != "DHAE":
            raise ValueError(content["class_name"])
        network: dict[str, Any] = content["config"]
        return {"patch_size": network["patch_size"], "channels": network["channels"], **network}
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        reason = str(error) or type(error).__name__
        raise ValueError(f"{weights}: must be a DHAE saved as .keras, got {reason}") from None


def check_weights(weights: Path, card: Card | None, data_set: DataSet) -> dict[str, Any]:
    """Return the network's arguments of weights that may track a data set.

    Raises:
        ValueError: see `read_network`; or weights of another data set, whose patches and boxes are
            made otherwise.
    """
    network = read_network(weights)
    trained_for = card["settings"].get("dataset") if card else None
    expected = data_set.network["patch_size"]
    if (trained_for and trained_for not in data_set.weights_from) or network[
        "patch_size"
    ] != expected:
        which = f"of {trained_for}" if trained_for else f"for patches of {network['patch_size']} px"
        good = " or ".join(data_set.weights_from)
        rule = f"must be weights of {good} to track {data_set.name} ({expected} px patches)"
        raise ValueError(f"{weights}: {rule}, got weights {which}")
    return network


def choose_weights(cards: Mapping[Path, Card | None], dataset: str, sequence: str) -> Path:
    """Return the first weights that never saw a sequence, else the first not chosen on it.

    A sequence that is held back is not trained on, but its identities chose the checkpoint.

    Args:
        cards: {weights: card or None}, in order of preference.
        dataset: data set of the sequence; equal names in other data sets are other sequences.
        sequence: its name.
    """
    both = ("held_back", "trained_on")
    unseen = [w for w, c in cards.items() if sequence not in _names(c, dataset, *both)]
    unchosen = [w for w, c in cards.items() if sequence not in _names(c, dataset, "held_back")]
    return (unseen or unchosen or list(cards))[0]


def _names(card: Card | None, dataset: str, *kinds: str) -> list[str]:
    """Return the sequences of a data set that a card lists."""
    if card is None or card["settings"].get("dataset") != dataset:
        return []
    return [name for kind in kinds for name in card[kind]]


def seen_lines(weights: Mapping[str, Path], data_set: DataSet) -> list[str]:
    """Return a line for each file of weights that saw sequences which it tracks.

    Args:
        weights: {sequence: file that tracks it}. data_set: of the sequences.
    """
    lines: list[str] = []
    if data_set.margin is not None:  # every generated folder has the same names
        return lines
    for file in dict.fromkeys(weights.values()):
        card, mine = read_card(file), [name for name, own in weights.items() if own == file]
        for kind, what in (("trained_on", "trained"), ("held_back", "chosen")):
            listed = _names(card, data_set.name, kind)
            seen = [name for name in mine if data_set.canonical(name) in listed]
            if seen:
                lines.append(f"{file.name} was {what} on {', '.join(seen)}")
    return lines
