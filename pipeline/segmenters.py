"""Where masks come from when a file has none: a segmenter by name, from frames."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from models.maskrcnn.published import PUBLISHED
from utils.cli import import_keras
from utils.detections import Detections
from utils.formats.base import Classes
from utils.formats.objects import detections_of
from utils.video import Frames

Image = npt.NDArray[np.uint8]
Segmenter = Callable[[Image], Any]  # (height, width, 3) RGB -> masks of a frame, of any known kind

KINDS = (
    f"motion, threshold, {', '.join(PUBLISHED)}, FILE.onnx, FILE.keras, FILE.pth, "
    "ultralytics:WEIGHTS, torchvision:NAME or module:function"
)
BATCH = 4  # frames that go through a network of this repository at once
LEAST_SCORE = 0.05  # of torchvision's detections; what they mean is measured on the video


@runtime_checkable
class BatchSegmenter(Protocol):
    """A segmenter that takes frames in batches, each with its neighbours."""

    def use(self, classes: Classes) -> None:
        """Number the classes as a run does."""

    def stream(
        self,
        frames: Iterable[tuple[int, Image]],
        known: Callable[[int], Detections | None] = ...,
    ) -> Iterator[tuple[int, Image, Detections]]:
        """Yield (number, image, Detections) of each frame, in order."""


def find_segmenter(name: str, batch: int = BATCH) -> Segmenter | BatchSegmenter:
    """Return the segmenter of a name.

    Args:
        name: `motion` or `threshold`, alone or with options behind a colon (no network, see
            `pipeline.pixel_segmenters`), FILE.onnx (see `pipeline.onnx_segmenter`), `coco`
            (torchvision's Mask R-CNN in this repository's network), FILE.pth (such weights of your
            own), FILE.keras (a network of train_network.py), `ultralytics:WEIGHTS`,
            `torchvision:NAME` of a detection model, or `module:function`, a function from a frame
            to what `detections_of` takes; the working folder is searched.
        batch: frames at once of this repository's networks.

    Raises:
        ValueError: no such segmenter, or its package is not installed.
    """
    converted = name.endswith((".pth", ".pt")) and ":" not in name
    if name.endswith(".keras") or converted or name in PUBLISHED:
        return _own(name, batch)
    if ".onnx" in name:
        return _onnx(name, batch)
    package, colon, what = name.partition(":")
    if package in ("motion", "threshold"):
        return _of_pixels(package, what)
    if not (package and colon and what):
        raise ValueError(f"--segmenter must be {KINDS}, got {name!r}")
    if package == "ultralytics":
        return _ultralytics(what)
    if package == "torchvision":
        return _torchvision(what)
    return _function(package, what)


def _own(name: str, batch: int) -> BatchSegmenter:
    """Return a network of this repository."""
    import_keras()
    from models.frame_networks import load_network

    segmenter: BatchSegmenter = load_network(name).segmenter(batch)
    return segmenter


def _onnx(name: str, batch: int) -> Segmenter | BatchSegmenter:
    """Return the network of an ONNX file, `FILE.onnx` or `FILE.onnx:score=0.4,nms=0.6`."""
    from models.networks.exported import KEY, ExportedNetwork
    from pipeline.onnx_layouts import OnnxConfig
    from pipeline.onnx_segmenter import OnnxSegmenter, session_of
    from pipeline.pixel_segmenters import options_of

    file, _, rest = name.partition(".onnx")
    path, config = f"{file}.onnx", options_of("FILE.onnx", rest.removeprefix(":"), OnnxConfig())
    session = session_of(path)
    facts = session.get_modelmeta().custom_metadata_map
    if KEY in facts:
        if rest:
            text = "a file of export.py takes no options (use --min-score)"
            raise ValueError(f"--segmenter {path}: {text}, got {rest[1:]}")
        segmenter: BatchSegmenter = ExportedNetwork(session, facts[KEY]).segmenter(batch)
        return segmenter
    return OnnxSegmenter(path, session, config)


def _of_pixels(kind: str, options: str) -> Segmenter:
    """Return a segmenter without a network."""
    from pipeline import pixel_segmenters as pixels

    if kind == "motion":
        return pixels.MotionSegmenter(pixels.options_of(kind, options, pixels.MotionConfig()))
    return pixels.ThresholdSegmenter(pixels.options_of(kind, options, pixels.ThresholdConfig()))


def learn(segmenter: Segmenter | BatchSegmenter | None, frames: Frames) -> None:
    """Show a segmenter that wants it the whole video first; `frames` themselves stay unread."""
    if segmenter is not None and hasattr(segmenter, "learn") and not frames.live:
        segmenter.learn(image for _, image in Frames(frames.source))


def _imported(module: str, name: str) -> Any:
    """Return a module that a segmenter needs."""
    try:
        return import_module(module)
    except Exception as error:  # a module of the user's may fail in any way
        text = f"--segmenter {name}: {module} cannot be imported ({type(error).__name__}: {error})"
        raise ValueError(text) from None


def _function(module: str, function: str) -> Segmenter:
    """Return a user's own function."""
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    function_found = getattr(_imported(module, f"{module}:{function}"), function, None)
    if not callable(function_found):
        have = "nothing of that name" if function_found is None else type(function_found).__name__
        raise ValueError(f"--segmenter {module}:{function}: must be a function, got {have}")
    segmenter: Segmenter = function_found
    return segmenter


def _ultralytics(weights: str) -> Segmenter:
    """Return a model of the package ultralytics, if the user has it."""
    package = _imported("ultralytics", f"ultralytics:{weights}")
    if not Path(weights).is_file() and Path(weights).suffix not in ("", ".pt"):
        raise ValueError(f"--segmenter ultralytics:{weights}: must be a file, got none")
    try:
        model = package.YOLO(weights)
    except Exception as error:  # whatever it raises on weights that are none
        text = f"--segmenter ultralytics:{weights}: must load, got {type(error).__name__}: {error}"
        raise ValueError(text) from None

    def segment(image: Image) -> Any:
        # It takes blue, green, red; masks at the frame's size.
        return model(image[:, :, ::-1], verbose=False, retina_masks=True)[0]

    return segment


def _torchvision(name: str) -> Segmenter:
    """Return a detection model of torchvision with its own weights."""
    torch = _imported("torch", f"torchvision:{name}")
    detection = _imported("torchvision.models", f"torchvision:{name}")
    try:
        weights = detection.get_model_weights(name).DEFAULT
        model = detection.get_model(name, weights=weights).eval()
        names = dict(enumerate(weights.meta["categories"]))
    except Exception as error:  # no such model, none that detects, or weights that cannot be had
        text = f"{type(error).__name__}: {error}"
        raise ValueError(f"--segmenter torchvision:{name}: must load, got {text}") from None
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model.to(device)

    def segment(image: Image) -> Any:
        pixels = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1).to(device) / 255
        with torch.no_grad():
            output = model([pixels])[0]
        chosen = output["scores"] >= LEAST_SCORE
        return {key: output[key][chosen] for key in ("masks", "scores", "labels")} | {
            "names": names
        }

    return segment


def segmented(
    segmenter: Segmenter, name: str, image: Image, frame: int, classes: Classes
) -> Detections:
    """Return the Detections that a segmenter finds in a frame.

    Raises:
        ValueError: it fails, or returns what is not known; the message names it and the frame.
    """
    try:
        output = segmenter(image)
    except Exception as error:
        # Whatever a foreign function raises, the user gets a line, and what was done stays.
        text = f"--segmenter {name}: frame {frame}: {type(error).__name__}: {error}"
        raise ValueError(text) from error
    size = (image.shape[0], image.shape[1])
    try:
        return detections_of(output, frame, size, classes)
    except Exception as error:  # of what it returned, anything may be missing or of another kind
        text = str(error).removeprefix("frame: ").removeprefix(f"frame {frame}: ")
        kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
        raise ValueError(f"--segmenter {name}: frame {frame}: {kind}{text}") from None
