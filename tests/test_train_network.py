"""train_network.py: from frames and MOTS txt to weights with a card, resumed to the same end."""

import csv
import json
import shutil

import numpy as np
import pytest

import train_network
from models.networks.data import Clips, load_sequences, truth_of
from utils import synthetic, synthetic_pictures
from utils.data_sets import data_set

SMALL = (
    "width=4", "channels=8", "box_units=8", "mask_convs=1", "mask_channels=8", "min_size=64",
    "proposals_before=20,20", "proposals_after=10,10", "box_samples=8", "detections=4",
    "steps=2", "batch=2", "evaluate_every=1", "evaluate_frames=4",
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("sprites")
    draw, _ = synthetic_pictures.source("sprites")
    synthetic.generate(made, "sprites", draw, 10, "train", 2, 8, 3, 0)
    return made


PIXELS = (
    "width=4", "channels=8", "low_channels=4", "rates=1,2", "min_size=64", "samples=40",
    "steps=2", "batch=2", "evaluate_every=2", "evaluate_frames=2", "past=1",
)  # fmt: skip


def run(monkeypatch, folder, output, *more, model="trackrcnn", epochs=2, held_back=("0002",)):
    arguments = ["train_network.py", "--model", model, "--dataset", "sprites"]
    arguments += ["--data", str(folder), "--output", str(output), "--held-back", *held_back]
    chosen = PIXELS if model == "pixel_embeddings" else SMALL
    for setting in (*chosen, f"epochs={epochs}"):
        arguments += ["--set", setting]
    monkeypatch.setattr("sys.argv", [*arguments, *more])
    train_network.main()


def test_a_run_that_was_stopped_ends_like_one_that_was_not(folder, tmp_path, monkeypatch):
    from models.networks import training

    pixels = {"model": "pixel_embeddings"}
    plain, cut = training.NetworkTrainer._epoch, tmp_path / "cut"

    def copied(self, model, epoch, callbacks, verbose):
        if epoch == 2:  # what a run that is killed now leaves
            shutil.copytree(tmp_path, cut, ignore=shutil.ignore_patterns("cut"))
        plain(self, model, epoch, callbacks, verbose)

    with monkeypatch.context() as patch:
        patch.setattr(training.NetworkTrainer, "_epoch", copied)
        run(patch, folder, tmp_path / "whole.keras", **pixels)
    for suffix in (".keras", ".json", ".md", ".csv", ".png"):
        assert (tmp_path / "whole").with_suffix(suffix).stat().st_size
    card = json.loads((tmp_path / "whole.json").read_text())
    assert card["trained_on"] == {"0001": 8} and card["held_back"] == {"0002": 8}
    assert card["settings"]["network"]["classes"] == ["pedestrian"]
    assert card["settings"]["model"] == "pixel_embeddings" and np.isfinite(card["kept"]["loss"])
    assert {"embedding", "centre", "before"} <= set(card["kept"])
    assert (cut / "whole.state.json").is_file() and not (cut / "whole.json").exists()
    with pytest.raises(ValueError, match="resuming needs network = "):
        changed = ("--set", "loss_factor=2", "--resume")
        run(monkeypatch, folder, cut / "whole.keras", *changed, **pixels)
    run(monkeypatch, folder, cut / "whole.keras", "--resume", **pixels)
    losses = []
    for place in (tmp_path, cut):
        with (place / "whole.csv").open() as file:
            losses.append([{**row, "seconds": ""} for row in csv.DictReader(file)])
    assert losses[0] == losses[1] and len(losses[0]) == 2
    assert losses[0][1]["mask_ap50"] and losses[0][0]["loss"] != losses[0][1]["loss"]
    from models.frame_networks import load_network
    from models.networks.files import fingerprint

    first, second = (load_network(place / "whole.keras") for place in (tmp_path, cut))
    assert fingerprint(first) == fingerprint(second)
    assert type(first).__name__ == "PixelEmbeddings"


@pytest.fixture(scope="module")
def trained(folder, tmp_path_factory):
    """Return weights of a Mask R-CNN, a step away from its start in half precision, and types."""
    import keras

    from models.networks import training

    output, types = tmp_path_factory.mktemp("given") / "given.keras", set()
    plain = training.NetworkTrainer._epoch

    def watched(self, model, epoch, callbacks, verbose):
        types.update(layer.compute_dtype for layer in model.backbone.layers)
        plain(self, model, epoch, callbacks, verbose)

    more = ("--set", "steps=1", "--precision", "mixed_bfloat16")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training.NetworkTrainer, "_epoch", watched)
        try:
            run(patch, folder, output, *more, model="maskrcnn", epochs=1, held_back=())
        finally:
            keras.mixed_precision.set_dtype_policy("float32")
    return output, types


def test_layers_may_work_in_half_precision_and_weights_stay_whole(trained):
    from models.frame_networks import load_network

    output, types = trained
    assert types == {"bfloat16"}
    network = load_network(output)
    assert {w.dtype for w in network.trainable_weights} == {"float32"}
    assert {layer.compute_dtype for layer in network.backbone.layers} == {"float32"}
    row = dict(zip(*(r.split(",") for r in output.with_suffix(".csv").read_text().splitlines()),
                   strict=True))  # fmt: skip
    assert np.isfinite(float(row["loss"]))


def test_another_network_begins_with_given_weights(folder, trained, tmp_path, monkeypatch, capsys):
    output, given = tmp_path / "n.keras", trained[0]
    slow = ["--set", "learning_rate=1e-9", "--set", "steps=1", "--start", str(given)]
    run(monkeypatch, folder, output, *slow, model="motsnet", epochs=1, held_back=())
    said = capsys.readouterr().out
    assert "classes pedestrian; new: tracking_bn, tracking_dense, tracking_vectors" in said
    from models.frame_networks import load_network
    from models.networks.frame_network import variables_of

    first, second = (variables_of(load_network(path)) for path in (given, output))
    for name, variable in first.items():
        if "moving" not in name:
            assert abs(variable.numpy() - second[name].numpy()).max() < 1e-6, name
    card = json.loads((tmp_path / "n.json").read_text())
    assert card["settings"]["start"].startswith(f"{given} sha256 ")
    assert card["settings"]["network"]["width"] == 4


def test_heads_take_the_classes_that_have_the_same_name(trained):
    from dataclasses import replace

    from models.frame_networks import load_network
    from models.maskrcnn.network import MaskRCNN
    from models.networks.frame_network import variables_of
    from models.networks.starting import start_with

    given = load_network(trained[0])
    network = MaskRCNN(replace(given.config, classes=("dog", "Person"), numbers=()))
    before = {k: v.numpy() for k, v in variables_of(network).items()}
    taken = start_with(network, given)
    assert taken.classes == ("Person",) and taken.new == ("dog",) and not taken.begun
    after, theirs = variables_of(network), variables_of(given)
    for layer, values in (("class_logits", 1), ("box_deltas", 4), ("mask_logits", 1)):
        for value in ("kernel", "bias"):
            name = f"{layer}/{value}"
            new, old, was = after[name].numpy(), theirs[name].numpy(), before[name]
            ground, dog, person = (slice(k * values, (k + 1) * values) for k in range(3))
            assert (new[..., ground] == old[..., ground]).all()
            assert (new[..., person] == old[..., values:]).all()
            assert (new[..., dog] == was[..., dog]).all()


def test_given_weights_decide_the_layers(folder, trained, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="width must be 4, as in the weights to start"):
        run(
            monkeypatch,
            folder,
            tmp_path / "n.keras",
            "--start",
            str(trained[0]),
            "--set",
            "width=8",
        )
    with pytest.raises(ValueError, match=r"none\.keras: must be a network as \.keras"):
        run(monkeypatch, folder, tmp_path / "n.keras", "--start", str(tmp_path / "none.keras"))
    assert not list(tmp_path.glob("n.*"))


def test_clips_are_adjacent_frames_and_the_same_for_the_same_seed(folder):
    sequences = load_sequences(folder, data_set("sprites"))
    config, _ = train_network.settings_of("trackrcnn", "tiny", ["min_size=128"])
    config = train_network.with_classes(config, sequences, data_set("sprites"))
    clips = Clips(sequences, config, 3, True, 5, seed=1, epoch=2)
    for place in clips.places:
        numbers = [n for _, n in place]
        assert (
            numbers == list(range(numbers[0], numbers[0] + 3)) and len({i for i, _ in place}) == 1
        )
    again = Clips(sequences, config, 3, True, 5, seed=1, epoch=2)[4][0]
    assert all((v == again[k]).all() for k, v in clips[4][0].items())
    assert clips.places != Clips(sequences, config, 3, True, 5, seed=1, epoch=3).places
    every = Clips(sequences, config, 4, False, 4, seed=0)
    assert len({p for place in every.places for p in place}) == 16  # each frame before any again


def test_objects_and_boxes_turn_with_the_picture(folder):
    sequences = load_sequences(folder, data_set("sprites"))
    config, _ = train_network.settings_of("trackrcnn", "tiny", ["min_size=128"])
    config = train_network.with_classes(config, sequences, data_set("sprites"))
    for seed in range(4):
        batch = Clips(sequences, config, 2, True, 1, seed=seed, flip=True)[0][0]
        for image, boxes, masks, labels, tracks in zip(
            *(batch[k] for k in ("images", "boxes", "masks", "labels", "tracks")), strict=True
        ):
            assert (tracks[labels > 0] > 0).all()
            for box, mask in zip(boxes[labels > 0], masks[labels > 0], strict=True):
                x1, y1, x2, y2 = box.astype(int)
                assert mask[y1:y2, x1:x2].sum() == mask.sum() > 0
                assert mask[y1].any() and mask[y2 - 1].any() and mask[:, x1].any()
                assert image[mask > 0].max(axis=-1).min() > 0  # on the object, not on black ground


def test_ignore_regions_are_kept_out_and_classes_get_their_labels(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "d")
    path = tmp_path / "d" / "instances_txt" / "0001.txt"
    lines = path.read_text().splitlines()
    first = lines[0].split()
    marked = [first[0], "10000", "10", *first[3:]]
    path.write_text("\n".join([" ".join(marked), *lines[1:]]) + "\n")
    sequences = load_sequences(tmp_path / "d", data_set("sprites"))
    config, _ = train_network.settings_of("maskrcnn", "tiny", [])
    config = train_network.with_classes(config, sequences, data_set("sprites"))
    assert config.classes == ("pedestrian",) and config.numbers == (2,)
    number = int(first[0])
    found = truth_of(
        sequences[0], sequences[0].rows()[number], config, 3, sequences[0].detections.size
    )
    others = sum(line.split()[0] == first[0] for line in lines) - 1
    assert (found["labels"] > 0).sum() == others and found["ignored"].any()
    assert not (found["ignored"] & found["masks"].max(axis=0)).any()
    batch = Clips(sequences, config, 2, False, 1)[0][0]
    assert batch["ignored"].shape == batch["images"].shape[:3]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--set", "colour=1"], "--set must name one of"),
        (["--set", "steps=many"], "steps must be an integer, got 'many'"),
        (["--held-back", "0009"], "--held-back must name sequences of 0001, 0002, got 0009"),
        (["--set", "time_convs=wild"], "time_convs must be of identity, random, average"),
        (["--set", "batch=20"], "a sequence must have 20 frames for a clip, got 8 of 0001"),
    ],
)
def test_what_cannot_be_trained_is_refused_in_a_line(
    folder, tmp_path, monkeypatch, arguments, text
):
    with pytest.raises(ValueError, match=text):
        run(monkeypatch, folder, tmp_path / "n.keras", *arguments)
    assert not list(tmp_path.glob("n.*"))


def test_a_vote_for_a_frame_that_no_batch_has_is_refused(folder, tmp_path, monkeypatch):
    arguments = ["train_network.py", "--model", "pixel_embeddings", "--data", str(folder)]
    arguments += ["--output", str(tmp_path / "n.keras"), "--set", "past=4", "--set", "batch=4"]
    monkeypatch.setattr("sys.argv", arguments)
    with pytest.raises(ValueError, match=r"past must be below batch \(4 frames\), got 4"):
        train_network.main()


def test_objects_without_ids_teach_no_association(folder, tmp_path, monkeypatch):
    shutil.copytree(folder, tmp_path / "d")
    path = tmp_path / "d" / "instances_txt" / "0001.txt"
    shutil.copy(folder / "detections" / "0001.txt", path)
    with pytest.raises(ValueError, match=r"0001\.txt: objects must have ids for --model trackrcnn"):
        run(monkeypatch, tmp_path / "d", tmp_path / "n.keras")


def test_frames_must_be_there(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "d")
    (tmp_path / "d" / "images" / "0001" / "000003.png").unlink()
    with pytest.raises(ValueError, match=r"0001: must hold a picture of frame 3, got none"):
        load_sequences(tmp_path / "d", data_set("sprites"))
    shutil.rmtree(tmp_path / "d" / "images" / "0002")
    with pytest.raises(ValueError, match=r"0002: must hold the frames of 0002, got none"):
        load_sequences(tmp_path / "d", data_set("sprites"), ["0002"])


def test_a_sequence_without_objects_is_background(folder, tmp_path, monkeypatch, capsys):
    shutil.copytree(folder, tmp_path / "d")
    (tmp_path / "d" / "instances_txt" / "0002.txt").write_text("")
    sequences = load_sequences(tmp_path / "d", data_set("sprites"))
    assert "0002: no objects: its frames are trained on as background" in capsys.readouterr().out
    config, _ = train_network.settings_of("maskrcnn", "tiny", [])
    config = train_network.with_classes(config, sequences, data_set("sprites"))
    batches = Clips(sequences, config, 4, False, 4)
    labels = np.concatenate([batches[k][0]["labels"] for k in range(4)])
    assert sorted((labels > 0).any(axis=1)) == [False] * 8 + [True] * 8
    (tmp_path / "d" / "instances_txt" / "0001.txt").write_text("")
    with pytest.raises(ValueError, match="the sequences must have objects, got none"):
        run(monkeypatch, tmp_path / "d", tmp_path / "n.keras")


def test_accumulated_steps_are_one_update_with_their_mean_gradient(folder):
    from models.frame_networks import network_class
    from models.networks.training import NetworkTrainer

    sprites = data_set("sprites")
    sequences = load_sequences(folder, sprites)
    moved = {}
    for steps in (1, 2):
        changes = [*SMALL, f"accumulate={steps}", "warm_up=0", "epochs=4", "norm=frozen"]
        config, plan = train_network.settings_of("maskrcnn", "tiny", changes)
        config = train_network.with_classes(config, sequences, sprites)
        kind = (network_class("maskrcnn"), config)
        trainer = NetworkTrainer(folder / "n.keras", {}, sprites, "", kind, plan, sequences, [],
                                 False)  # fmt: skip
        model = trainer.new_model()
        batch, before = trainer.data(1)[0], [w.copy() for w in model.get_weights()]
        for k in range(steps):
            unchanged = all((a == b).all() for a, b in zip(before, model.get_weights(), strict=True)
                            if a.dtype == np.float32)  # fmt: skip
            assert unchanged, k
            trainer.seed(model, 1)  # the same samples
            model.train_on_batch(*batch)
        moved[steps] = [b - a for a, b in zip(before, model.get_weights(), strict=True)]
    for one, two in zip(*moved.values(), strict=True):
        if one.dtype == np.float32:
            assert np.allclose(one, two, atol=2e-4) and (one.any() or not two.any())


def test_settings_of_a_profile_are_listed_with_their_meanings(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["train_network.py", "--model", "trackrcnn", "--list"])
    train_network.main()
    text = capsys.readouterr().out
    assert "margin = 0.2: alpha of the batch-hard triplet loss" in text
    assert "learning_rate = " in text
    assert np.isfinite(float(text.split("learning_rate = ")[1].split(":")[0]))
