"""Weights as files: torch's read without torch, fetched, checked, converted."""

import hashlib
import io
import os
import pickle
import sys
import types
import urllib.error
import urllib.request
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.frame_networks import load_network
from models.maskrcnn import download as files
from models.maskrcnn.published import PUBLISHED
from models.maskrcnn.torch_file import read_state
from models.maskrcnn.weights import network_of
from tests import parity
from utils.files import FormatError

HERE = Path(__file__).resolve().parents[2] / "fixtures"


@pytest.mark.parametrize("name", ["new.pth", "old.pth"])
def test_tensors_are_read_as_torch_saved_them(name):
    found = read_state(HERE / name)
    base = np.arange(12, dtype=np.float32).reshape(3, 4)
    assert list(found) == ["turned", "part", "parameter", "count", "half", "empty"]
    assert (found["turned"] == base.T).all() and (found["part"] == base[1:, 2:]).all()
    assert (found["parameter"] == base[0] / 8).all() and found["count"] == 7
    assert found["half"].tolist() == [0.5, -2.0] and found["empty"].shape == (0, 3)


class Harm:
    """Runs a command when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


def zipped(path, content):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model/data.pkl", content)
    return path


def test_what_a_weights_file_holds_is_never_run(tmp_path):
    harm = str(tmp_path / "harm")
    path = zipped(tmp_path / "bad.pth", pickle.dumps({"w": Harm(harm)}))
    with pytest.raises(
        FormatError, match=r"bad\.pth: must be weights .* tensors alone, got .*mkdir"
    ):
        read_state(path)
    old = tmp_path / "old.pth"
    old.write_bytes(pickle.dumps(Harm(harm)))
    with pytest.raises(FormatError, match="mkdir"):
        read_state(old)
    assert not os.path.exists(harm)


@pytest.mark.parametrize("name", ["new.pth", "old.pth"])
def test_damaged_files_are_refused_in_one_line(tmp_path, name):
    content = (HERE / name).read_bytes()
    path = tmp_path / "w.pth"
    for cut in (0, 10, len(content) // 2, len(content) - 30):
        path.write_bytes(content[:cut])
        with pytest.raises(FormatError, match=r"w\.pth: must be weights that torch saved"):
            read_state(path)
    with pytest.raises(FormatError, match=r"none\.pth: must be readable"):
        read_state(tmp_path / "none.pth")


def torch_zip(path, state):
    """Write a state dict as torch does, by hand: a pickle that names storages, and raw numbers."""
    fake = types.ModuleType("torch")
    utils = types.ModuleType("torch._utils")

    class FloatStorage:
        pass

    def _rebuild_tensor_v2(*args):
        raise AssertionError

    FloatStorage.__module__, FloatStorage.__qualname__ = "torch", "FloatStorage"
    _rebuild_tensor_v2.__module__, _rebuild_tensor_v2.__qualname__ = (
        "torch._utils",
        "_rebuild_tensor_v2",
    )
    fake.FloatStorage, utils._rebuild_tensor_v2 = FloatStorage, _rebuild_tensor_v2
    values = {}

    class Storage:
        def __init__(self, key, count):
            self.key, self.count = key, count

    class Tensor:
        def __init__(self, array):
            key = str(len(values))
            values[key] = np.ascontiguousarray(array, "<f4")
            steps = tuple(s // 4 for s in values[key].strides)
            self.made = (Storage(key, array.size), 0, array.shape, steps, False, None)

        def __reduce__(self):
            return utils._rebuild_tensor_v2, self.made

    class Pickler(pickle.Pickler):
        def persistent_id(self, item):
            if isinstance(item, Storage):
                return ("storage", FloatStorage, item.key, "cpu", item.count)
            return None

    sys.modules |= {"torch": fake, "torch._utils": utils}
    try:
        text = io.BytesIO()
        Pickler(text, 2).dump({k: Tensor(v) for k, v in state.items()})
    finally:
        del sys.modules["torch"], sys.modules["torch._utils"]
    zipped(path, text.getvalue())
    with zipfile.ZipFile(path, "a") as archive:
        for key, array in values.items():
            archive.writestr(f"model/data/{key}", array.tobytes())
    return path


@pytest.fixture(scope="module")
def state():
    return parity.part(parity.load("v1"), "state")


def test_torchvisions_weights_become_a_keras_file(tmp_path, state):
    source = torch_zip(tmp_path / "w.pth", state)
    made = files.convert(source, tmp_path / "w.keras", norm_eps=0.0)
    again = load_network(tmp_path / "w.keras")
    assert again.config == made.config and again.config.norm_eps == 0.0
    expected = files.fingerprint(network_of(state))
    assert files.fingerprint(made) == files.fingerprint(again) == expected
    lines = files.proof(again)
    assert lines == files.proof(made) and lines[0].endswith(expected)
    with pytest.raises(ValueError, match=r"w\.pth: the backbone must be a ResNet"):
        part = {k: v for k, v in state.items() if "layer2.1" not in k}
        files.convert(torch_zip(tmp_path / "w.pth", part), tmp_path / "x.keras")
    assert not (tmp_path / "x.keras").exists()
    with pytest.raises(ValueError, match="must be torchvision's Mask R-CNN"):
        files.convert(torch_zip(tmp_path / "w.pth", {"a": np.zeros(3)}), tmp_path / "x.keras")


def test_weights_of_ones_own_are_converted_once(tmp_path, state, monkeypatch, capsys):
    monkeypatch.setenv("USC_MOTS_CACHE", str(tmp_path / "cache"))
    source = torch_zip(tmp_path / "mine.pth", state)
    network = load_network(source)
    said = capsys.readouterr().out
    assert "converted to" in said and "epsilon of its normalisation is taken as 0" in said
    assert "in a generated picture" in said and network.config.norm_eps == 0.0
    (kept,) = (tmp_path / "cache").iterdir()
    assert kept.suffix == ".keras"
    assert files.fingerprint(load_network(source)) == files.fingerprint(network)
    assert capsys.readouterr().out == ""
    with pytest.raises(ValueError, match=r"none\.pth: must be a file of weights, got none"):
        load_network(tmp_path / "none.pth")


def test_names_that_torchvision_used_to_have_are_known(state):
    old = {}
    for name, value in state.items():
        name = name.replace("rpn.head.conv.0.0.", "rpn.head.conv.")
        for k in range(4):
            name = name.replace(f"blocks.{k}.0.", f"blocks.{k}.")
        for k in range(2):
            name = name.replace(f"mask_head.{k}.0.", f"mask_head.mask_fcn{k + 1}.")
        old[name] = value
    assert old.keys() != state.keys()
    assert files.fingerprint(network_of(old)) == files.fingerprint(network_of(state))


@pytest.fixture()
def published(tmp_path, state, monkeypatch):
    """Return the content of published weights; `coco` is them."""
    content = torch_zip(tmp_path / "source.pth", state).read_bytes()
    digits = hashlib.sha256(content).hexdigest()[:8]
    url = f"https://example.org/m/small-{digits}.pth"
    monkeypatch.setitem(files.PUBLISHED, "coco", replace(files.PUBLISHED["coco"], url=url))
    monkeypatch.setenv("USC_MOTS_CACHE", str(tmp_path / "cache"))
    return content


def test_published_weights_are_fetched_once_checked_and_converted(
    tmp_path, published, monkeypatch, capsys
):
    asked = []
    monkeypatch.setattr(
        urllib.request,
        "urlopen",
        lambda request, timeout: asked.append(request.full_url) or io.BytesIO(published),
    )
    first = load_network("coco")
    text = capsys.readouterr().out
    assert f"sha256 {files.fingerprint(first)}" in text and "BSD-3-Clause" in text
    assert "in a generated picture: " in text
    assert files.fingerprint(load_network("coco")) == files.fingerprint(first)
    assert len(asked) == 1


def test_without_a_network_it_says_what_to_fetch_and_where_to_put_it(
    tmp_path, published, monkeypatch
):
    def offline(request, timeout):
        raise urllib.error.URLError("no route")

    monkeypatch.setattr(urllib.request, "urlopen", offline)
    with pytest.raises(ValueError, match=r"https://.*small-.*no route.*put it at .*cache/small"):
        load_network("coco")
    assert not list((tmp_path / "cache").glob("*"))
    name = files.PUBLISHED["coco"].name
    (tmp_path / "cache").mkdir(exist_ok=True)
    (tmp_path / "cache" / name).write_bytes(published[:-1])
    with pytest.raises(FormatError, match="sha256 must begin with"):
        load_network("coco")
    (tmp_path / "cache" / name).write_bytes(published)
    assert load_network("coco").config.classes


def test_files_of_other_kinds_are_refused(tmp_path):
    with pytest.raises(FormatError, match=r"must be a network as \.keras, .*, got no such file"):
        load_network(str(tmp_path / "none.keras"))
    root = Path(__file__).resolve().parents[3]
    with pytest.raises(FormatError, match="got DHAE"):
        load_network(str(root / "pretrained" / "dhae_mnist_shape.keras"))
    assert PUBLISHED["coco"].digits == "73cbd019"
    assert PUBLISHED["coco-v1"].name == "maskrcnn_resnet50_fpn_coco-bf2d0c1e.pth"
    assert len(files.COCO_NAMES) == 90 and files.COCO_NAMES[2] == "car"
    assert files.COCO_NAMES[89] == "toothbrush" and files.COCO_NAMES.count("-") == 10
