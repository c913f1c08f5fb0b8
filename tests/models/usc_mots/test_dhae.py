import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import JAX
from utils.cli import import_keras
from utils.data_sets import data_set

keras = import_keras()
from models.usc_mots.dhae import DHAE, load  # noqa: E402  (after Keras is muted)

ROOT = Path(__file__).resolve().parents[3]


def data(size, channels=1, n=12, seed=0):
    rng = np.random.default_rng(seed)
    patches = (rng.random((n, size, size, channels)) < 0.4).astype(np.uint8) * 255
    return patches, rng.random((n, 4)).astype(np.float32)


@pytest.mark.parametrize(
    ("dataset", "channels", "size", "latent"),
    [
        ("mnist", 1, 28, 64),
        ("sprites", 1, 28, 64),
        ("kitti", 1, 128, 128),
        ("kitti", 3, 128, 128),
    ],
)
def test_shapes_of_both_profiles(dataset, channels, size, latent):
    model = DHAE(**data_set(dataset).network_config(channels))
    patches, boxes = data(size, channels)
    out = model({"mask": patches, "box": boxes}, training=False)
    assert out["mask"].shape == patches.shape and out["box"].shape == boxes.shape
    z = model.encode(patches, boxes)
    assert z.shape == (12, latent) and z.dtype == np.float32 and (z >= 0).all()
    for name in ("mask", "box"):
        values = keras.ops.convert_to_numpy(out[name])
        assert 0 <= values.min() and values.max() <= 1


def test_feature_map_sides_are_the_papers():
    def sides(dataset):
        model = DHAE(**data_set(dataset).network_config())
        return [layer.output.shape[1] for layer in model.layers if layer.name.startswith("conv_")]

    assert sides("kitti") == [64, 32, 16, 8, 4]
    assert sides("mnist") == [14, 7, 3]


@pytest.mark.parametrize("dataset", ["sprites", "kitti"])
def test_save_and_load_is_bit_exact_in_safe_mode(dataset, tmp_path):
    model = DHAE(**data_set(dataset).network_config(), location_gain=3.0, latent_scale=0.5)
    patches, boxes = data(model.config["patch_size"])
    model.save(tmp_path / "m.keras")
    again = load(tmp_path / "m.keras")
    assert (again.encode(patches, boxes) == model.encode(patches, boxes)).all()
    assert again.get_config() == {**model.get_config(), "name": again.name}
    for mine, theirs in zip(model.get_weights(), again.get_weights(), strict=True):
        assert (mine == theirs).all()


def test_dropout_acts_in_training_only():
    model = DHAE(**data_set("sprites").network_config())
    patches, boxes = data(28)
    inputs = {"mask": patches, "box": boxes}
    still = [keras.ops.convert_to_numpy(model(inputs, training=False)["mask"]) for _ in range(2)]
    moving = [keras.ops.convert_to_numpy(model(inputs, training=True)["mask"]) for _ in range(2)]
    assert (still[0] == still[1]).all() and (moving[0] != moving[1]).any()


def test_fit_lowers_the_loss_and_logs_every_term():
    keras.utils.set_random_seed(0)
    model = DHAE(**data_set("sprites").network_config())
    model.compile(keras.optimizers.Adadelta(1.0))
    patches, boxes = data(28, n=64)
    history = model.fit({"mask": patches, "box": boxes}, epochs=6, batch_size=16, verbose=0).history
    assert set(history) == {"loss", "mask_mse", "box_mse", "sigma_mask", "sigma_box"}
    assert history["loss"][-1] < history["loss"][0]
    assert history["sigma_box"][-1] != history["sigma_box"][0]


def test_location_gain_and_latent_scale():
    model = DHAE(**data_set("kitti").network_config(), box_mean=(0.5,) * 4, box_std=(0.1,) * 4)
    patches, boxes = data(128, n=6)
    plain = model.encode(patches, boxes)
    model.config["latent_scale"] = 2.0
    assert np.allclose(model.encode(patches, boxes), 2 * plain)
    model.config |= {"latent_scale": 1.0, "location_gain": 50.0}
    spread = model.encode(patches, boxes)
    same_box = model.encode(patches, np.repeat(boxes[:1], 6, axis=0))
    # With a high gain, boxes make nearly all of the differences.
    assert spread.std(axis=0).sum() > 5 * same_box.std(axis=0).sum()


def test_empty_input_and_wrong_shapes():
    model = DHAE(**data_set("sprites").network_config())
    assert model.encode(np.zeros((0, 28, 28, 1), np.uint8), np.zeros((0, 4))).shape == (0, 64)
    with pytest.raises(ValueError, match=r"Received: patches.shape=\(2, 28, 28, 3\)"):
        model.encode(np.zeros((2, 28, 28, 3), np.uint8), np.zeros((2, 4)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(channels=2), "Received: channels=2"),
        (dict(patch_size=100), "Received: patch_size=100"),
        (dict(last_padding="half"), "Received: last_padding='half'"),
        (dict(filters=()), "Received: filters="),
        (dict(box_std=(1, 1, 0, 1)), "Received: box_mean="),
        (dict(reduction="median"), "Received: 'median'"),
    ],
)
def test_bad_arguments_name_what_they_got(arguments, message):
    with pytest.raises(ValueError, match=message):
        DHAE(**arguments)


def test_load_refuses_what_is_no_dhae(tmp_path):
    path = tmp_path / "x.keras"
    path.write_bytes(b"not weights")
    with pytest.raises(ValueError, match="must be a DHAE saved as"):
        load(path)
    keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]).save(path)
    with pytest.raises(ValueError, match="got Sequential"):
        load(path)


CODE = """
import sys, numpy as np, keras
from models.usc_mots.dhae import load
model = load(sys.argv[1])
data = np.load(sys.argv[2])
np.save(sys.argv[3], model.encode(data["p"], data["b"]))
model.compile(keras.optimizers.Adadelta(1.0))
losses = model.fit({"mask": data["p"], "box": data["b"]}, epochs=3, verbose=0).history["loss"]
assert losses[-1] < losses[0], losses
print(keras.backend.backend())
"""


def test_jax_backend_gives_the_same_embeddings_and_trains(tmp_path):
    if importlib.util.find_spec("jax") is None:
        pytest.skip("jax is not installed")
    model = DHAE(**data_set("sprites").network_config())
    patches, boxes = data(28)
    model.save(tmp_path / "m.keras")
    np.savez(tmp_path / "d.npz", p=patches, b=boxes)
    done = subprocess.run(
        [sys.executable, "-c", CODE, *(str(tmp_path / n) for n in ("m.keras", "d.npz", "z.npy"))],
        env={**os.environ, **JAX, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == "jax", done.stderr
    assert np.allclose(np.load(tmp_path / "z.npy"), model.encode(patches, boxes), atol=1e-5)


@pytest.mark.parametrize("branch", ["mask", "box"])
def test_a_branch_alone_sees_one_input_and_rebuilds_it(branch, tmp_path):
    model = DHAE(**data_set("mnist").network_config() | {"branch": branch})
    patches, boxes = data(28)
    other_patches, other_boxes = data(28, seed=1)
    z = model.encode(patches, boxes)
    changed_mask, changed_box = (
        not np.array_equal(z, model.encode(other_patches, boxes)),
        not np.array_equal(z, model.encode(patches, other_boxes)),
    )
    assert (changed_mask, changed_box) == (branch == "mask", branch == "box")
    assert list(model({"mask": patches, "box": boxes})) == [branch]
    assert model.weighting.loss == "equal"  # nothing to weigh
    model.compile(keras.optimizers.Adadelta(1.0))
    log = model.fit({"mask": patches, "box": boxes}, verbose=0).history
    assert {n for n in ("mask_mse", "box_mse") if log[n][0] > 0} == {f"{branch}_mse"}
    model.save(tmp_path / "m.keras")
    assert np.array_equal(
        load(tmp_path / "m.keras").encode(patches, boxes), model.encode(patches, boxes)
    )


def test_unknown_branch():
    with pytest.raises(ValueError, match="branch must be one of"):
        DHAE(branch="both halves")


def test_the_stored_centre_is_where_the_gain_changes_nothing():
    network = data_set("sprites").network_config()
    model = DHAE(**network, location_centre=[0.5] * 4, location_gain=5.0)
    features = np.random.default_rng(0).random((2, 64)).astype(np.float32)
    boxes = np.array([[0.5] * 4, [0.6, 0.4, 0.5, 0.5]], np.float32)
    gained, plain = model.fuse(features, boxes), model.fuse(features, boxes, location_gain=1.0)
    assert np.allclose(gained[0], plain[0], atol=1e-5) and not np.allclose(gained[1], plain[1])
    elsewhere = model.fuse(features, boxes, location_centre=[0.6, 0.4, 0.5, 0.5])
    assert np.allclose(elsewhere[1], plain[1], atol=1e-5)
    assert np.allclose(model.fuse(features, boxes, latent_scale=2.0), 2 * gained)
