"""torchvision's weights: fetched, checked, converted once and kept."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

from models.maskrcnn.published import PUBLISHED
from models.maskrcnn.torch_file import read_state
from models.maskrcnn.weights import network_of
from models.networks.files import fingerprint, load_file
from models.networks.transform import sample_picture
from utils.cli import note, say
from utils.download import check_digits, fetch
from utils.files import FormatError, atomic_path

# COCO's category numbers have gaps; torchvision's networks have a class for each number.
COCO_NAMES = (
    "person bicycle car motorcycle airplane bus train truck boat traffic_light fire_hydrant - "
    "stop_sign parking_meter bench bird cat dog horse sheep cow elephant bear zebra giraffe - "
    "backpack umbrella - - handbag tie suitcase frisbee skis snowboard sports_ball kite "
    "baseball_bat baseball_glove skateboard surfboard tennis_racket bottle - wine_glass cup fork "
    "knife spoon bowl banana apple sandwich orange broccoli carrot hot_dog pizza donut cake chair "
    "couch potted_plant bed - dining_table - - toilet - tv laptop mouse remote keyboard "
    "cell_phone microwave oven toaster sink refrigerator - book clock vase scissors teddy_bear "
    "hair_drier toothbrush"
).split()


def cache_folder() -> Path:
    """Return where downloads are kept: USC_MOTS_CACHE, else the user's cache folder."""
    folder = os.environ.get("USC_MOTS_CACHE")
    base = os.environ.get("XDG_CACHE_HOME")
    return Path(folder) if folder else (Path(base) if base else Path.home() / ".cache") / "usc-mots"


def published_network(name: str) -> Any:
    """Return the network of published weights, converted once and kept.

    Args:
        name: of PUBLISHED.

    Raises:
        ValueError: they cannot be had; the message says what to fetch and where to put it.
    """
    weights, folder = PUBLISHED[name], cache_folder()
    converted = folder / f"{Path(weights.name).stem}.keras"
    if converted.is_file():
        return load_file(converted)
    raw = folder / weights.name
    if not raw.is_file():
        fetch(weights.url, raw, weights.digits)
    check_digits(raw, weights.digits)
    network = convert(raw, converted, weights.norm_eps)
    say(f"{weights.name}: {weights.licence}")
    for line in proof(network):
        say(line)
    return network


def converted_network(source: Path) -> Any:
    """Return the network of a user's own torchvision weights, converted once and kept.

    Raises:
        ValueError: no such file, or no weights of torchvision's Mask R-CNN.
    """
    if not source.is_file():
        raise FormatError(source, None, "must be a file of weights", "none")
    digits = hashlib.sha256(source.read_bytes()).hexdigest()[:8]
    target = cache_folder() / f"{source.stem}-{digits}.keras"
    if target.is_file():
        return load_file(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    network = convert(source, target, None)
    eps = network.config.norm_eps
    note(f"{source}: converted to {target}; the epsilon of its normalisation is taken as {eps:g}")
    for line in proof(network):
        say(line)
    return network


def convert(source: Path, target: Path, norm_eps: float | None = 1e-5) -> Any:
    """Write torchvision's weights as .keras; return the network.

    Args:
        source: state dict of a Mask R-CNN, as torch saved it. target: *.keras to write.
        norm_eps: see `DetectorConfig`; None takes that of torchvision's own network of its kind.

    Raises:
        ValueError: no such weights.
    """
    state = read_state(source)
    if norm_eps is None:
        # torchvision's v1 begins from weights whose normalisation adds nothing; v2 adds 1e-5.
        norm_eps = 0.0 if any("box_head.fc6" in name for name in state) else 1e-5
    try:
        count = len(state["roi_heads.box_predictor.cls_score.bias"]) - 1
        names = tuple(COCO_NAMES) if count == len(COCO_NAMES) else None
        spoken = tuple(n.replace("_", " ") for n in names) if names else None
        network = network_of(state, norm_eps=norm_eps, **({"classes": spoken} if spoken else {}))
    except KeyError as error:
        rule = "must be torchvision's Mask R-CNN"
        raise FormatError(source, None, rule, f"no {error}") from None
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from None
    with atomic_path(target) as temporary:
        network.save(temporary)
    return network


def proof(network: Any) -> list[str]:
    """Return lines by which a user can tell that the weights are the right ones."""
    detections = network.segmenter(1)(sample_picture())
    names = dict(zip(network.config.class_numbers, network.config.classes, strict=True))
    lines = [
        f"weights: sha256 {fingerprint(network)}",
        f"in a generated picture: {len(detections)} found",
    ]
    for row in range(min(3, len(detections))):
        box = " ".join(f"{v:.0f}" for v in detections.boxes_xywh[row])
        lines.append(
            f"  {names[int(detections.classes[row])]} {detections.scores[row]:.4f} at {box}"
        )
    return lines
