"""The appearance encoder: its loss, its triplets, trained by a command and used by another."""

import json
from dataclasses import replace

import numpy as np
import pytest

import segment
import train_network
from models.frame_networks import load_network
from models.networks.data import load_sequences
from models.networks.starting import start_with
from models.remots.encoder import vectors_of
from models.remots.encoder_config import EncoderConfig
from models.remots.network import EncoderNetwork
from models.remots.retracking import RetrackingConfig, _appearance
from models.remots.training import Triplets, recognised, seen_in
from models.remots.triplets import Seen
from tests.conftest import generate
from utils.data_sets import data_set

SMALL = EncoderConfig(width=4, vector_size=8, side=32, margin=0.4)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("sprites")
    generate(made, "sprites", "train", 2, 16, 4, 0)
    return made


def test_the_loss_is_that_of_cosine_distances():
    network = EncoderNetwork(SMALL)
    patches = np.random.default_rng(0).random((5, 3, 32, 32, 3), np.float32)
    found = float(network({"patches": patches}, training=True)["triplet"])
    flat = patches.reshape(-1, 32, 32, 3)
    a, p, n = np.moveaxis(np.asarray(network.body(flat, training=True)).reshape(5, 3, 8), 1, 0)
    apart = [max(0, (1 - x @ y) - (1 - x @ z) + 0.4) for x, y, z in zip(a, p, n, strict=True)]
    assert found == pytest.approx(np.mean(apart), abs=1e-5)


def test_half_of_the_triplets_are_of_tracks_and_none_is_of_one_object(folder):
    seen = seen_in(load_sequences(folder, data_set("sprites"))[0], 32)
    assert seen.patches.shape[1:] == (32, 32, 3) and len(seen.frames) == len(seen.tracklets)
    grey = [np.full((32, 32, 3), 20 * k, np.uint8) for k in (3, 9)]  # 1 is dark, 2 is light
    two = Seen(np.stack(grey * 4), np.repeat(np.arange(4), 2), np.tile([1, 2], 4))
    batches = Triplets([two], SMALL, 16, 3, 1)
    (batch,) = batches[0]
    patches = batch["patches"]
    assert patches.shape == (16, 3, 32, 32, 3) and len(batches) == 3
    light = patches.max(axis=(2, 3, 4)) > 0.45
    assert (light[:, 0] == light[:, 1]).all() and (light[:, 0] != light[:, 2]).all()
    assert (batches[0][0]["patches"] == patches).all()
    assert not (batches[1][0]["patches"] == patches).all()


def test_tracks_are_recognised_by_their_later_halves():
    looks = np.eye(3)[[0, 0, 0, 0, 1, 1, 1, 1, 2]]
    frames, ids = np.array([1, 2, 3, 4, 1, 2, 3, 4, 2]), np.repeat([5, 6, 7], (4, 4, 1))
    assert recognised(looks, frames, ids) == 100
    swapped = looks.copy()
    swapped[[2, 3, 6, 7]] = looks[[6, 7, 2, 3]]
    assert recognised(swapped, frames, ids) == 0
    assert np.isnan(recognised(looks, frames, np.repeat(5, 9)))


def test_an_encoder_is_trained_by_one_command_and_used_by_others(
    folder, tmp_path, monkeypatch, capsys
):
    output = tmp_path / "looks.keras"
    arguments = ["train_network.py", "--model", "remots", "--dataset", "sprites"]
    arguments += ["--data", str(folder), "--output", str(output), "--held-back", "0002"]
    for setting in ("width=4", "vector_size=8", "side=32", "steps=4", "batch=8", "epochs=2"):
        arguments += ["--set", setting]
    monkeypatch.setattr("sys.argv", arguments)
    train_network.main()
    card = json.loads(output.with_suffix(".json").read_text())
    assert card["settings"]["model"] == "remots" and 0 < card["kept"]["auc"] <= 100
    assert "the best area under the curve" in output.with_suffix(".md").read_text()
    assert output.with_suffix(".png").stat().st_size

    # Refining begins with it, beside labelled tracks or not.
    video = load_sequences(folder, data_set("sprites"))[1]
    found = video.detections.select(video.detections.classes != 10)
    seen = []

    def spied(network, given):
        seen.append(start_with(network, given))
        return seen[-1]

    monkeypatch.setattr("models.remots.encoder.start_with", spied)
    config = RetrackingConfig(encoder=str(output), encoder_steps=1, tracklet_steps=5)
    results = []
    for labelled in ("", str(folder)):
        own = replace(config, labelled=labelled)
        looks = _appearance(found, found.ids, video.images, own)
        assert looks.shape == (len(found), 8)
        results.append(looks)
    assert [taken.begun for taken in seen] == [(), ()]
    assert not np.allclose(results[0], results[1])

    # It finds no masks.
    arguments = ["segment.py", str(folder / "images" / "0002"), "--weights", str(output)]
    monkeypatch.setattr("sys.argv", [*arguments, "--output", str(tmp_path / "out")])
    with pytest.raises(ValueError, match="got an encoder of looks"):
        segment.main()
    assert not (tmp_path / "out").exists()


def test_labelled_tracks_need_an_encoder_that_can_learn_from_them():
    with pytest.raises(ValueError, match="labelled must be for encoder=resnet"):
        RetrackingConfig(labelled="data")


def test_a_file_gives_the_same_vectors_bit_by_bit(tmp_path):
    network = EncoderNetwork(SMALL)
    network.save(tmp_path / "looks.keras")
    loaded = load_network(tmp_path / "looks.keras")
    patches = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), np.uint8)
    assert (vectors_of(loaded, patches) == vectors_of(network, patches)).all()
    assert loaded.config == SMALL
