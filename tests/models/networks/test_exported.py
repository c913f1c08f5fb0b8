"""Networks as ONNX files find what Keras finds, with their neighbours, without Keras."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

import export
from models.frame_networks import network_class
from models.networks.exported import ExportedNetwork
from pipeline.segmenters import find_segmenter
from tests.models.pixel_embeddings.test_pixels import SMALL as PIXELS
from tests.models.trackrcnn.test_network import SMALL as TRACKRCNN
from utils.cli import run
from utils.formats.base import Classes

ROOT = Path(__file__).resolve().parents[3]
CONFIGS = {"trackrcnn": replace(TRACKRCNN, classes=("cat",), numbers=(7,)),
           "pixel_embeddings": PIXELS}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder with NAME.keras and NAME.onnx, for frames of 48 x 64 px."""
    path = tmp_path_factory.mktemp("exported")
    for name, config in CONFIGS.items():
        keras.utils.set_random_seed(3)
        network_class(name)(config).save(path / f"{name}.keras")
        with pytest.MonkeyPatch.context() as patch:
            words = [str(path / f"{name}.keras"), str(path / f"{name}.onnx"), "--size", "48x64"]
            patch.setattr(sys, "argv", ["export.py", *words])
            export.main()
    return path


def frames(count, size=(48, 64)):
    rng = np.random.default_rng(0)
    return [(n, rng.integers(0, 256, (*size, 3)).astype(np.uint8)) for n in range(count)]


@pytest.mark.parametrize("name", CONFIGS)
def test_a_file_finds_what_keras_finds(folder, name):
    # Seven frames in batches of two: context before, after, and absent beyond both ends.
    found = {}
    for kind in ("keras", "onnx"):
        segmenter = find_segmenter(str(folder / f"{name}.{kind}"), 2)
        segmenter.use(Classes())
        found[kind] = [d for _, _, d in segmenter.stream(frames(7))]
    assert sum(map(len, found["keras"])) > 7
    for theirs, ours in zip(found["keras"], found["onnx"], strict=True):
        assert ours.classes.tolist() == theirs.classes.tolist()
        assert np.allclose(ours.scores, theirs.scores, atol=1e-4)
        assert np.allclose(ours.vectors, theirs.vectors, atol=1e-3)
        assert np.abs(ours.boxes_xywh - theirs.boxes_xywh).max(initial=0) <= 1


def test_it_needs_no_keras_and_says_what_it_cannot_take(folder):
    path = folder / "trackrcnn.onnx"
    code = (
        "import sys; sys.modules['keras'] = sys.modules['tensorflow'] = None\n"
        "import numpy as np\n"
        "from pipeline.segmenters import find_segmenter\n"
        f"segmenter = find_segmenter({str(path)!r}, 2)\n"
        "found = list(segmenter.stream([(5, np.zeros((48, 64, 3), np.uint8))]))\n"
        "print([n for n, _, _ in found], segmenter.network.config.classes)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "[5] ('cat',)", done.stderr
    segmenter = find_segmenter(str(path), 2)
    assert isinstance(segmenter.network, ExportedNetwork)
    with pytest.raises(ValueError, match=r"frame 0: .* 64x96, got 85x64 \(export.py --size 64x48"):
        list(segmenter.stream(frames(1, (64, 48))))
    with pytest.raises(ValueError, match="takes no options"):
        find_segmenter(f"{path}:score=0.4")


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["n.keras", "n.txt"], "FILE.onnx must end in .onnx, got n.txt"),
        (["n.keras", "there.onnx"], "there.onnx exists: remove it"),
        (["n.keras", "n.onnx", "--size", "480"], "must be HEIGHTxWIDTH in pixels, got '480'"),
        (["n.keras", "n.onnx"], "n.keras: must be a network as .keras"),
        (["looks.keras", "n.onnx"], "a network must find masks in frames, got an encoder"),
    ],
)
def test_what_cannot_be_exported_is_refused_in_a_line(tmp_path, monkeypatch, capsys, words, text):
    from models.remots.network import EncoderNetwork
    from tests.models.remots.test_training import SMALL as ENCODER

    monkeypatch.chdir(tmp_path)
    (tmp_path / "there.onnx").touch()
    if words[0].startswith("looks"):
        EncoderNetwork(ENCODER).save(tmp_path / "looks.keras")
    monkeypatch.setattr(sys, "argv", ["export.py", *words])
    with pytest.raises(SystemExit) as ended:
        run(export.main)
    said = capsys.readouterr().err
    assert ended.value.code == 2 and text in said and "Traceback" not in said
    assert not (tmp_path / "n.onnx").exists()
