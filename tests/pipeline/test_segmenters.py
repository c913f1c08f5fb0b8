"""Segmenters by name: found, or refused in one line."""

import sys
import types

import numpy as np
import pytest

from pipeline.segmenters import BatchSegmenter, find_segmenter, segmented
from utils.formats.base import Classes

IMAGE = np.zeros((10, 12, 3), np.uint8)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "nothing",
            r"--segmenter must be motion, threshold, coco, .*FILE.keras, .*, got 'nothing'",
        ),
        (":f", "--segmenter must be"),
        ("json:", "--segmenter must be"),
        ("no_such_module_1:f", "no_such_module_1 cannot be imported .ModuleNotFoundError"),
        ("json:nothing", "--segmenter json:nothing: must be a function, got nothing of that name"),
        ("json:__name__", "--segmenter json:__name__: must be a function, got str"),
        ("none.keras", r"none\.keras: must be a network"),
    ],
)
def test_what_is_no_segmenter_is_refused(name, message):
    with pytest.raises(ValueError, match=message):
        find_segmenter(name)


def test_a_function_in_the_working_folder(tmp_path, monkeypatch):
    (tmp_path / "mine_here.py").write_text("def boxes(image):\n    return None\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p != str(tmp_path)])
    assert find_segmenter("mine_here:boxes")(IMAGE) is None
    assert not isinstance(find_segmenter("mine_here:boxes"), BatchSegmenter)


def test_ultralytics_gets_blue_green_red_and_masks_of_the_frames_size(tmp_path, monkeypatch):
    asked = []

    class YOLO:
        def __init__(self, weights):
            asked.append(weights)

        def __call__(self, image, **how):
            asked.append((image[0, 0].tolist(), how))
            return ["first"]

    monkeypatch.setitem(sys.modules, "ultralytics", types.SimpleNamespace(YOLO=YOLO))
    segment = find_segmenter("ultralytics:yolo11n-seg.pt")
    image = IMAGE.copy()
    image[0, 0] = 1, 2, 3
    assert segment(image) == "first"
    assert asked == ["yolo11n-seg.pt", ([3, 2, 1], {"verbose": False, "retina_masks": True})]
    with pytest.raises(ValueError, match=r"ultralytics:a\.engine: must be a file, got none"):
        find_segmenter("ultralytics:a.engine")


def test_what_a_function_returns_becomes_detections():
    masks = np.zeros((2, 10, 12), bool)
    masks[0, 2:4, 3:6] = masks[1, 5:, 5:] = True
    classes = Classes()
    got = segmented(lambda image: (masks, [0.5, 0.75], [2, 2]), "m:f", IMAGE, 7, classes)
    assert got.frames.tolist() == [7, 7] and got.scores.tolist() == [0.5, 0.75]
    assert got.boxes_xywh.tolist() == [[3, 2, 3, 2], [5, 5, 7, 5]]
    assert len(segmented(lambda image: None, "m:f", IMAGE, 7, classes)) == 0

    def broken(image):
        raise RuntimeError("out of memory")

    with pytest.raises(ValueError, match="--segmenter m:f: frame 7: RuntimeError: out of memory"):
        segmented(broken, "m:f", IMAGE, 7, classes)
    with pytest.raises(ValueError, match=r"^--segmenter m:f: frame 7: frame size must be 10 12"):
        segmented(lambda image: (masks[:, :5], [1, 1], [1, 1]), "m:f", IMAGE, 7, classes)
