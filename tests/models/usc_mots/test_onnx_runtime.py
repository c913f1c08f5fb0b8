"""Embeddings without TensorFlow: the same values, the same ids."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from models.usc_mots import embedding
from models.usc_mots.dhae import DHAE
from tests.conftest import generate

pytest.importorskip("onnxruntime")
from models.usc_mots.onnx_runtime import BATCH, OnnxEncoder

ROOT = Path(__file__).resolve().parents[3]
SMALL = {"patch_size": 16, "channels": 1, "filters": (4, 6, 8), "latent_dim": 12}
NETWORKS = {
    "both": {"batch_norm_after": (0, 1), "location_gain": 3.0, "latent_scale": 0.5},
    "colours": {"channels": 3, "last_padding": "valid", "batch_norm_after": (2,)},
    "mask alone": {"branch": "mask"},
    "box alone": {"branch": "box", "location_centre": (0.5, 0.5, 0.1, 0.1), "location_gain": 2.0},
}


@pytest.mark.parametrize("name", NETWORKS)
def test_values_are_those_of_keras(name, tmp_path):
    settings = {"box_mean": (0.5, 0.4, 0.1, 0.2), "box_std": (0.2, 0.3, 0.1, 0.1), **SMALL}
    model = DHAE(**settings | NETWORKS[name])
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if "norm" in layer.name:  # as it is after training: of some size, none the same
            layer.set_weights([rng.uniform(0.5, 2, w.shape) for w in layer.get_weights()])
    model.save(tmp_path / "w.keras")
    count, channels = 9 * BATCH + 1, model.config["channels"]
    patches = rng.integers(0, 256, (count, 16, 16, channels), np.uint8)
    boxes = rng.random((count, 4)).astype(np.float32)
    encoder = OnnxEncoder(tmp_path / "w.keras")
    for gain in (None, 5.0):
        expected = model.encode(patches, boxes, location_gain=gain)
        found = encoder.encode(patches, boxes, location_gain=gain)
        assert np.abs(expected).max() > 0.05
        assert found == pytest.approx(expected, abs=1e-5)
    assert encoder.encode(patches[:0], boxes[:0]).shape == (0, 12)
    with pytest.raises(ValueError, match="patches and boxes must have shapes"):
        encoder.encode(patches, boxes[:3])


def test_a_damaged_file_is_refused_in_one_line(tmp_path):
    DHAE(**SMALL).save(tmp_path / "w.keras")
    with zipfile.ZipFile(tmp_path / "w.keras") as whole:
        config = whole.read("config.json")
    with zipfile.ZipFile(tmp_path / "part.keras", "w") as part:
        part.writestr("config.json", config)
    with pytest.raises(ValueError, match=r"part.keras: must be a DHAE saved as .keras") as refused:
        OnnxEncoder(tmp_path / "part.keras")
    assert "\n" not in str(refused.value)


def test_onnx_is_taken_unless_a_backend_of_keras_is_asked_for(monkeypatch):
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    assert embedding.runtime_of("auto") == "onnx" and embedding.runtime_of("keras") == "keras"
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    assert embedding.runtime_of("auto") == "keras" and embedding.runtime_of("onnx") == "onnx"
    monkeypatch.delenv("KERAS_BACKEND")
    there = embedding.importlib.util.find_spec
    for lacking in ("onnx", "onnxruntime"):
        with monkeypatch.context() as without:
            without.setattr(
                embedding.importlib.util,
                "find_spec",
                lambda n, lacking=lacking: None if n == lacking else there(n),
            )
            assert embedding.runtime_of("auto") == "keras"


BARE = """
import runpy, sys
for name in ("tensorflow", "keras", "jax", "torch"):
    sys.modules[name] = None
sys.argv = ["test_mots.py", *sys.argv[1:]]
runpy.run_path("test_mots.py", run_name="__main__")
"""


def test_a_run_needs_no_tensorflow_and_has_the_same_ids(tmp_path):
    generate(tmp_path / "in", "sprites", "test", 1, 20, 4, 3)
    files = ["--dataset", "sprites", "--preset", "paper", "--no-report", "--detections"]
    files += [tmp_path / "in" / "detections", "--output"]
    for name, command in {
        "bare": [sys.executable, "-c", BARE, *files, tmp_path / "bare"],
        "whole": [sys.executable, "test_mots.py", *files, tmp_path / "whole", "--runtime", "keras"],
    }.items():
        done = subprocess.run(
            list(map(str, command)), cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, (name, done.stderr)
    found = [(tmp_path / way / "data" / "0001.txt").read_text() for way in ("bare", "whole")]
    assert found[0] == found[1] and found[0].strip()
    assert '"runtime": "onnx"' in (tmp_path / "bare" / "summary.json").read_text()


@pytest.mark.parametrize(
    ("field", "value"),
    [("latent_dim", 32), ("filters", [16, 24, 32]), ("patch_size", 40), ("channels", 3),
     ("last_padding", "same"), ("box_std", [1.0, 1.0]), ("branch", "mask"),
     ("batch_norm_after", [0])],
)  # fmt: skip
def test_settings_that_are_not_those_of_the_layers_are_refused(tmp_path, field, value):
    source = ROOT / "pretrained" / "dhae_mnist_shape.keras"
    path = tmp_path / "altered.keras"
    with zipfile.ZipFile(source) as whole, zipfile.ZipFile(path, "w") as altered:
        for name in whole.namelist():
            data = whole.read(name)
            if name == "config.json":
                config = json.loads(data)
                assert config["config"].get(field) != value
                config["config"][field] = value
                data = json.dumps(config).encode()
            altered.writestr(name, data)
    OnnxEncoder(source)
    with pytest.raises(ValueError, match=r"altered\.keras: must hold the layers of its network"):
        OnnxEncoder(path)
