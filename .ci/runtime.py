"""Tracks a file, a video and a stack with what requirements-runtime.txt installs, and no more."""

import importlib.util
import json
import subprocess
import sys
import tempfile
from fractions import Fraction
from pathlib import Path

import numpy as np
import onnx
import tifffile
from onnx import TensorProto, helper, numpy_helper

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from utils.video_writing import VideoWriter  # noqa: E402

FRAMES = 8


def labels(frame: int) -> np.ndarray:
    """Return a label image with two objects that move apart."""
    image = np.zeros((48, 64), np.uint16)
    image[10:20, 20 - frame : 30 - frame], image[30:40, 30 + frame : 40 + frame] = 1, 2
    return image


def tracked(folder: Path, script: str, *arguments: object) -> int:
    """Run a script; return how many tracks it wrote."""
    command = [sys.executable, str(ROOT / script), *map(str, arguments), "--output", str(folder)]
    subprocess.run(command, check=True, cwd=ROOT)
    return int(json.loads((folder / "summary.json").read_text())["counts"]["tracks"])


def network(folder: Path) -> Path:
    """Write an ONNX graph whose one object is what is bright in a frame; return its path."""
    infos, nodes = [], [helper.make_node("Constant", [], ["green"], value_int=1)]
    for name, value in (("scores", np.float32([0.9])), ("labels", np.int64([1]))):
        tensor = numpy_helper.from_array(value)
        nodes.append(helper.make_node("Constant", [], [name], value=tensor))
        infos.append(helper.make_tensor_value_info(name, tensor.data_type, [1]))
    nodes.append(helper.make_node("Gather", ["images", "green"], ["green_plane"], axis=1))
    nodes.append(helper.make_node("Constant", [], ["two"], value_float=2.0))
    nodes.append(helper.make_node("Mul", ["green_plane", "two"], ["masks"]))
    infos.append(helper.make_tensor_value_info("masks", TensorProto.FLOAT, [1, "h", "w"]))
    images = helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, "h", "w"])
    graph = helper.make_graph(nodes, "bright", [images], infos)
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, ir_version=9, opset_imports=opset), folder / "bright.onnx")
    return folder / "bright.onnx"


def main() -> None:
    """Track five inputs by `best`."""
    for package in ("tensorflow", "keras"):
        assert importlib.util.find_spec(package) is None, f"{package} is installed here"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        stack = np.array([labels(frame) for frame in range(FRAMES)])
        tifffile.imwrite(folder / "walk.tif", stack, compression="zlib")
        np.save(folder / "walk.npy", stack)
        with VideoWriter(folder / "walk.mp4", (48, 64), Fraction(10)) as video:
            for image in stack:
                video.write(np.repeat((80 * image)[:, :, None], 3, 2).astype(np.uint8))
        counts = [
            tracked(folder / "a", "test_mots.py", "--detections", folder / "walk.npy"),
            tracked(folder / "b", "test_mots.py", "--detections", folder / "walk.tif"),
            tracked(folder / "c", "track_video.py", folder / "walk.mp4", "--detections",
                    folder / "walk.tif", "--tracker", "best"),
            tracked(folder / "d", "track_video.py", folder / "walk.mp4", "--segmenter",
                    "threshold:side=light,level=40"),
            tracked(folder / "e", "track_video.py", folder / "walk.mp4", "--segmenter",
                    f"{network(folder)}:score=0.5"),
        ]  # fmt: skip
    assert counts == [2, 2, 2, 2, 1], counts
    print("requirements-runtime.txt: a file, a stack and a video were tracked, one by an ONNX file")


if __name__ == "__main__":
    main()
