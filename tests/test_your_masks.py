"""docs/your_masks.md: every snippet runs, with stand-ins that return what the tools return."""

import re
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from pipeline.api import track
from tests import independent
from tests.conftest import random_scene
from tests.utils.test_objects import Boxes, Tensor, outline
from utils.formats.reading import read_detections
from utils.formats.registry import FORMATS
from utils.formats.writing import WRITERS

PAGE = (Path(__file__).parents[1] / "docs" / "your_masks.md").read_text()
SNIPPETS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
FRAMES = 8


def masks_at(frame):
    """Return the masks of two objects that walk."""
    masks = np.zeros((2, 40, 60), bool)
    masks[0, 4:14, 3 + frame : 13 + frame], masks[1, 20:34, 40 - frame : 50 - frame] = True, True
    return masks


def yolo_results(*_, **options):
    assert options == {"stream": True, "retina_masks": True}
    for frame in range(FRAMES):
        masks = masks_at(frame)
        outlines = [outline(3 + frame, 4, 10, 10), outline(40 - frame, 20, 10, 14)]
        yield SimpleNamespace(
            orig_shape=(40, 60), names={0: "person", 7: "cup"}, boxes=Boxes(),
            masks=SimpleNamespace(data=Tensor(masks.astype(np.float32)), xy=outlines),
        )  # fmt: skip


class Cellpose:
    def eval(self, frame):
        masks = masks_at(frame)
        return masks[0] * 3 + masks[1] * 9, None, None


class Generator:
    @classmethod
    def from_pretrained(cls, name):
        return cls()

    def generate(self, frame):
        return [{"segmentation": m, "predicted_iou": 0.9, "area": m.sum()} for m in masks_at(frame)]


def instances(frame):
    return SimpleNamespace(pred_masks=Tensor(masks_at(frame)), scores=Tensor([0.9, 0.8]),
                           pred_classes=Tensor([0, 0]))  # fmt: skip


def sample(_, frame):
    found = SimpleNamespace(masks=Tensor(masks_at(frame)), scores=Tensor([0.9, 0.8]),
                            labels=Tensor([0, 0]))  # fmt: skip
    return SimpleNamespace(pred_instances=found)


STAND_INS = {
    "ultralytics": {"YOLO": lambda weights: yolo_results},
    "detectron2.engine": {"DefaultPredictor": lambda cfg: lambda f: {"instances": instances(f)}},
    "mmdet.apis": {"init_detector": lambda *a: None, "inference_detector": sample},
    "sam2.automatic_mask_generator": {"SAM2AutomaticMaskGenerator": Generator},
    "cellpose": {"models": SimpleNamespace(CellposeModel=Cellpose)},
}


def install(monkeypatch):
    for name, content in STAND_INS.items():
        parts = name.split(".")
        for i in range(len(parts)):
            module = ModuleType(".".join(parts[: i + 1]))
            monkeypatch.setitem(sys.modules, module.__name__, module)
        for key, value in content.items():
            setattr(sys.modules[name], key, value)


@pytest.mark.parametrize("snippet", SNIPPETS, ids=[s.split()[1] for s in SNIPPETS])
def test_every_snippet_is_five_lines_and_runs(snippet, tmp_path, monkeypatch, capsys):
    install(monkeypatch)
    scene = independent.Scene.of(random_scene(np.random.default_rng(1)))
    independent.cvat(scene, tmp_path).rename(tmp_path / "annotations.xml")
    monkeypatch.chdir(tmp_path)
    assert len([line for line in snippet.splitlines() if line.strip()]) <= 5
    names = {"frames": range(FRAMES), "cfg": None, "config": None, "checkpoint": None,
             "model": lambda frame: (masks_at(frame), [0.9, 0.8], [1, 1])}  # fmt: skip
    if "Tracker" in snippet:  # frames are pictures there
        names["frames"] = [np.full((40, 60, 3), f, np.uint8) for f in range(80)]
        names["model"] = lambda image: (masks_at(int(image[0, 0, 0]) % 8), [0.9, 0.8], [1, 1])
    exec(compile(snippet, "your_masks", "exec"), names)
    if "Tracker" in snippet:
        assert capsys.readouterr().out.startswith("0 [1001 1002]\n1 [1001 1002]\n")
        return
    tracks = names["tracks"]
    assert tracks.ids.max() > 1000 and list(Path("results").rglob("*.*"))
    if "annotations" not in snippet:
        assert sorted(set(tracks.ids.tolist())) in ([1001, 1002], [1001, 8001])
        assert all(len(tracks.of_frame(f)) == 2 for f in range(FRAMES))


def test_the_page_has_every_format_and_tool():
    for name in (*FORMATS, *(w for w in WRITERS if w != "mots")):
        assert f"`{name}`" in PAGE, name
    for tool in ("Ultralytics", "Detectron2", "MMDetection", "SAM 2", "Cellpose", "CVAT"):
        assert f"**{tool}" in PAGE


def test_ultralytics_files_are_read_as_the_page_says(tmp_path, monkeypatch):
    """`yolo segment predict save_txt save_conf` on a video writes labels/street_1.txt, ..."""
    labels = tmp_path / "runs" / "segment" / "predict" / "labels"
    labels.mkdir(parents=True)
    for frame in range(1, 7):
        corners = outline(3 + frame, 4, 10, 10) / (60, 40)
        shares = " ".join(f"{v:.6f}" for v in corners.ravel())
        (labels / f"street_{frame}.txt").write_text(f"0 {shares} 0.87\n")
    from tests.utils.formats.scenes import read

    found = read(tmp_path / "runs" / "segment" / "predict", size=(40, 60))
    assert found.frames.tolist() == [1, 2, 3, 4, 5, 6] and found.scored
    assert set(track(found).ids.tolist()) == {1001}
    assert read_detections(track(found).write(tmp_path / "o")[0]).ids.tolist() == [1001] * 6
