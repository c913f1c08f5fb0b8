"""README, environment files and cards say what is true."""

import ast
import hashlib
import importlib
import json
import re
import shlex
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import correct
import fit_scores
import get_data
import mine_tracks
import refine
import reproduce_tables
import segment
import test_mots
import track_video
import train_dhae
import train_network
from pipeline.api import track
from tests import independent
from tests.conftest import random_scene
from utils import synthetic_cli
from utils.edits import KIND
from utils.formats.reading import read_detections
from utils.page.writing import read_held
from utils.video_writing import VideoWriter

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
README = "\n".join(page.read_text() for page in PAGES)
PACKAGES = ("models", "pipeline", "utils", "reproduction")
CARDS = sorted((ROOT / "pretrained").glob("*.json"))


def commands(text):
    """Return the shell commands of a Markdown text, one list of words each."""
    blocks = re.findall(r"```shell\n(.*?)```", text, re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def parse(words):
    """Parse one `python ...` command as its script would; return the parsed arguments."""
    script, arguments = words[1], words[2:]
    if script == "-m":
        module = importlib.import_module(arguments[0])
        assert (ROOT / (arguments[0].replace(".", "/") + ".py")).is_file()
        assert all(a in Path(module.__file__).read_text() for a in arguments if a[:2] == "--")
        return None
    if script == "gen_mnist.py" or script == "gen_sprite.py":
        kind = "mnist" if script == "gen_mnist.py" else "sprites"
        return synthetic_cli.parse_args(kind, arguments)
    if script == "-c":
        return compile(arguments[0], "README", "exec")
    scripts = {
        "train_dhae.py": train_dhae,
        "test_mots.py": test_mots,
        "track_video.py": track_video,
        "segment.py": segment,
        "train_network.py": train_network,
        "mine_tracks.py": mine_tracks,
        "reproduce_tables.py": reproduce_tables,
        "refine.py": refine,
        "correct.py": correct,
        "fit_scores.py": fit_scores,
        "get_data.py": get_data,
    }
    return scripts[script].parse_args(arguments)


def test_every_command_of_the_readme_parses():
    python = [words for words in commands(README) if words[0] == "python"]
    assert {words[1] for words in python} >= {
        "gen_mnist.py", "gen_sprite.py", "train_dhae.py", "test_mots.py", "-m",
    }  # fmt: skip
    for words in python:
        parse(words)


def test_make_targets_of_the_readme_exist():
    makefile = (ROOT / "Makefile").read_text()
    targets = {words[1] for words in commands(README) if words[0] == "make"}
    targets |= set(re.findall(r"`make (\w+)`", README))
    assert {"demo", "test"} <= targets
    for target in targets:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_files_the_readme_names_exist():
    for page in PAGES:
        for target in re.findall(r"\]\(((?!http)[^)]+)\)", page.read_text()):
            assert (page.parent / target).is_file(), (page, target)
    folders = "models|utils|reproduction|pretrained|benchmarks|docs|tests"
    for name in re.findall(rf"`((?:{folders})/[\w./]*)`", README):
        assert (ROOT / name).exists(), name
    assert "@@" not in README


def test_the_readme_is_short_and_leads_to_every_page():
    front = (ROOT / "README.md").read_text()
    assert len(front.splitlines()) < 130
    for page in PAGES[1:]:
        assert f"]({page.relative_to(ROOT).as_posix()})" in front, page


def test_the_shell_and_python_of_the_readme_run(tmp_path, monkeypatch, capsys):
    scene = random_scene(np.random.default_rng(2), frames=20)
    objects = independent.Scene.of(scene)
    independent.coco_results(objects, tmp_path).rename(tmp_path / "masks.json")
    independent.coco_results(objects, tmp_path / "my_masks")
    with VideoWriter(tmp_path / "street.mp4", scene.size, Fraction(25)) as video:
        for _ in range(20):
            video.write(np.full((*scene.size, 3), 90, np.uint8))
    with VideoWriter(tmp_path / "ants.mp4", (120, 160), Fraction(25)) as video:
        for frame in range(30):
            image = np.full((120, 160, 3), 90, np.uint8)
            image[40:60, 4 * frame : 4 * frame + 20] = 240
            video.write(image)
    monkeypatch.chdir(tmp_path)
    front = (ROOT / "README.md").read_text()
    part = front[front.index("## Your own masks") : front.index("## How good it is")]
    for words in commands(part):
        monkeypatch.setattr(sys, "argv", words[1:])
        if words[1] == "fit_scores.py" or "--scores" in words:
            continue  # which need annotated frames: tests/test_fit_scores.py runs them
        if words[1] == "correct.py":
            saved_edits(Path("results/ants/report.html"), Path("edits.json"))
        scripts = {"test_mots.py": test_mots, "track_video.py": track_video, "correct.py": correct}
        scripts[words[1]].main()
    corrected = read_detections("results/ants_corrected/data/ants.txt")
    assert set(corrected.ids[corrected.frames >= 15].tolist()) == {1002}
    assert read_detections("results/mine/data/masks.txt").ids.max() > 0
    assert Path("results/street/pictures/street.mp4").is_file()
    assert Path("results/street/report.html").is_file()
    assert "cell" in Path("results/cells/cvat/seq.xml").read_text()
    (snippet,) = re.findall(r"```python\n(.*?)```", front, re.DOTALL)
    mask = np.ones((1, 6, 8), bool)
    names = {"video": [np.zeros((6, 8, 3), np.uint8)] * 4, "model": lambda image: mask}
    exec(compile(snippet, "README", "exec"), names)
    assert (names["tracks"].ids == track("masks.json").ids).all()
    assert [*names["final"]] == [0, 1, 2, 3] and names["final"][3].tolist() == [1001]
    for name in ("results/mine/data/masks.txt", "results/mine/coco/masks.json"):
        assert read_detections(name).ids.max() > 0


def saved_edits(page, path):
    """Write what the page saves after a split of its one track."""
    (held,) = read_held(page)["sequences"]
    edit = {"sequence": "ants", "op": "split", "track": 1001, "frame": 15}
    file = {"kind": KIND, "runs": {"ants": held["digest"]}, "edits": [edit]}
    path.write_text(json.dumps(file))


def ranges(text):
    """Return {package: version range} of a requirements text."""
    found = re.findall(r"^\s*(?:- )?([A-Za-z][\w-]*)(\[[\w-]+\])?([<>=~!][^\s#]*)", text, re.M)
    return {name.lower(): spec for name, _, spec in found}


def test_conda_environment_is_in_step_with_requirements():
    listed = ranges((ROOT / "requirements.txt").read_text())
    conda = (ROOT / "requirements.yml").read_text()
    pip = conda[conda.index("- pip:") :]
    assert "- -r requirements.txt" in pip and "tensorflow[and-cuda]" in pip
    for name, spec in ranges(pip).items():  # whatever stands there, too, says the same
        assert listed[name] == spec, name
    named = "tensorflow keras numpy scipy scikit-learn pycocotools opencv-python matplotlib h5py"
    assert set(named.split()) <= set(listed)


def test_every_import_is_in_requirements():
    packages = {
        "cv2": "opencv-python", "sklearn": "scikit-learn", "keras": "keras", "h5py": "h5py",
        "numpy": "numpy", "scipy": "scipy", "pycocotools": "pycocotools", "tqdm": "tqdm",
        "matplotlib": "matplotlib", "trackeval": "trackeval", "motrics": "motrics",
        "tensorflow": "tensorflow", "PIL": "pillow", "av": "av", "tifffile": "tifffile",
        "jinja2": "jinja2", "joblib": "joblib", "numba": "numba", "llvmlite": "numba",
        "onnx": "onnx", "onnxruntime": "onnxruntime", "tf2onnx": "tf2onnx",
    }  # fmt: skip
    extras = {"dask": "cluster", "distributed": "cluster"}
    listed = ranges((ROOT / "requirements.txt").read_text())
    ours = {*PACKAGES, "test_mots", "train_dhae", "demo"}

    for path in [
        *ROOT.glob("*.py"),
        *(p for folder in PACKAGES for p in (ROOT / folder).rglob("*.py")),
    ]:
        for node in ast.walk(ast.parse(path.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) else []
            for top in {name.split(".")[0] for name in names}:
                if top in ("jax", "torch"):  # backends of Keras, imported where one is chosen
                    continue
                if top in extras:
                    extra = ranges((ROOT / f"requirements-{extras[top]}.txt").read_text())
                    assert top in extra or top == "dask", (path, top)  # distributed brings dask
                    continue
                if top not in sys.stdlib_module_names and top not in ours:
                    assert packages[top] in listed, (path, top)


def test_imports_go_one_way():
    order = (
        "utils",
        "models",
        "pipeline",
        "reproduction",
        "(test_mots|track_video|segment|train_dhae|train_network|mine_tracks|reproduce_tables|demo)",
    )
    for floor, folder in enumerate(order[:-1]):
        above = "|".join(order[floor + 1 :])
        for path in (ROOT / folder).rglob("*.py"):
            found = re.search(rf"^\s*(from|import) ({above})\b", path.read_text(), re.M)
            assert not found, (path, found)


def test_names_of_trackers_and_data_sets_are_compared_in_registries_only():
    names = "kitti|mots|mnist|sprites|custom|paper|best|trackrcnn|motsnet|given"
    for folder in (*PACKAGES, "."):
        for path in (ROOT / folder).glob("*.py" if folder == "." else "**/*.py"):
            text = path.read_text()
            assert not re.search(rf'[!=]= ("({names})"|CUSTOM)', text), path
            assert not re.search(r"isinstance\([^)]*(Tracker|Config)\)", text), path


def test_there_are_weights_for_every_data_set():
    names = {path.stem for path in CARDS}
    assert {"dhae_mnist_shape", "dhae_sprites_shape", "dhae_kitti_shape"} <= names


@pytest.mark.parametrize("card", CARDS, ids=lambda path: path.stem)
def test_cards_belong_to_their_weights(card):
    content = json.loads(card.read_text())
    weights = card.with_suffix(".keras")
    assert content["sha256"] == hashlib.sha256(weights.read_bytes()).hexdigest()
    for suffix in (".csv", ".png", ".md"):
        assert card.with_suffix(suffix).stat().st_size > 100
    words = shlex.split(content["command"])
    words[words.index("--output") + 1] = "elsewhere.keras"  # here the weights exist
    parse(words)
    text = card.with_suffix(".md").read_text()
    assert content["sha256"] in text and ("CC BY" in text or "MIT" in text)
    assert not set(content["held_back"]) & set(content["trained_on"])
