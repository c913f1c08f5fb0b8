"""Masks in Python: what segmenters return for a frame, told by what it has, nothing imported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from utils import masks
from utils.detections import Detections
from utils.formats.arrays import channels_last
from utils.formats.base import UNKNOWN, Classes
from utils.formats.json_values import mask_of
from utils.formats.labels import label_rles
from utils.formats.rows import Rows, Size, polygon_rle

Array = npt.NDArray[Any]

HALF = 0.5  # probability from which a pixel is the object's
KNOWN = (
    "supervision.Detections, Ultralytics results, Detectron2 or MMDetection instances, torchvision "
    "dicts, Hugging Face's {segmentation, segments_info}, SAM 2's {object: mask}, masks (n, H, W) "
    "or a list of them, COCO run lengths, (masks, scores, classes), or a label image (H, W)"
)


def detections_of(
    source: Any, frame: int, size: Size | None = None, classes: Classes | None = None
) -> Detections:
    """Return the Detections of one frame from what a segmenter returned for it.

    Taken are `supervision.Detections`, Ultralytics' `Results`, Detectron2's and MMDetection's
    instances, torchvision's and SAM's dicts, a tuple (masks, scores, classes), boolean masks
    (n, H, W), and a label image (H, W) of whole numbers. Nothing of these packages is imported.
    Class numbers that count from 0 in theirs count from 1 here.

    Args:
        source: for one frame. None, or an empty list, is a frame without objects.
        frame: its number.
        size: (height, width) of the frame in px, where the source does not say it.
        classes: numbers of classes by name, kept from frame to frame.

    Raises:
        ValueError: none of these, or values that break a rule.
    """
    classes = classes or Classes()
    rows = Rows(Path("frame"), str(frame), size)
    rows.rescale = False
    place = f"frame {frame}"
    if isinstance(source, Detections):
        return checked(source)
    if isinstance(source, list) and len(source) == 1 and not _is_one_object(source[0]):
        source = source[0]  # what a model returns for a batch of one
    if isinstance(source, Mapping) and "instances" in source:  # Detectron2's predictor
        source = source["instances"]
    if hasattr(source, "pred_instances"):  # MMDetection
        source = source.pred_instances
    names = _take(rows, place, frame, source, classes)
    return rows.finish({**names, **classes.names})


def checked(detections: Detections) -> Detections:
    """Return Detections made in Python, whose scores must be finite and from 0 to 1.

    Raises:
        ValueError: a score is not.
    """
    wrong = np.flatnonzero(~((detections.scores >= 0) & (detections.scores <= 1)))
    if len(wrong):
        frame, value = detections.frames[wrong[0]], detections.scores[wrong[0]]
        raise ValueError(f"frame {frame}: scores must be from 0 to 1, got {value:g}")
    return detections


def _take(rows: Rows, place: str, frame: int, source: Any, classes: Classes) -> dict[int, str]:
    """Take the objects of a frame into `rows`; return {class: name} of those without a name."""
    if source is None or (isinstance(source, list | tuple) and not len(source)):
        return {}
    if hasattr(source, "orig_shape"):
        return _ultralytics(rows, place, frame, source, classes)
    if hasattr(source, "xyxy") and hasattr(source, "mask"):
        return _supervision(rows, place, frame, source, classes)
    for names in (("pred_masks", "scores", "pred_classes"), ("masks", "scores", "labels")):
        if hasattr(source, names[0]) and hasattr(source, names[2]):
            return _add(rows, place, frame, _columns(source, *names), 1, classes)
    if isinstance(source, Mapping) and "segments_info" in source:
        return _panoptic(rows, place, frame, source, classes)
    if isinstance(source, Mapping) and source and all(_is_number(key) for key in source):
        return _by_object(rows, place, frame, source, classes)
    if _is_rles(source):
        for i, item in enumerate(source):
            where = f"{place} mask {i}"
            rle = mask_of(rows, where, {key: item[key] for key in ("size", "counts")}, None)
            cls = item.get("category_id", 1)
            cls = classes.number(str(item["category"]), cls) if "category" in item else cls
            rows.scored |= "score" in item
            rows.add(where, frame, cls, rle, item.get("score", 1.0))
        return {} if any("category" in item for item in source) else {1: UNKNOWN}
    table = _table(source, classes)
    if table is not None:
        return _add(rows, place, frame, table, 0, classes)
    return _image(rows, place, frame, source, classes)


def _table(source: Any, classes: Classes) -> tuple[Any, ...] | None:
    """Return (masks, scores, classes) of a dict, a list of SAM's dicts or a tuple; else None."""
    if isinstance(source, Mapping) and "masks" in source:
        stack, scores, labels = (source.get(key) for key in ("masks", "scores", "labels"))
        labels = source.get("classes") if labels is None else labels
        if labels is not None and (names := source.get("names")):
            numbers = _array(labels).astype(int).tolist()
            labels = [classes.number(str(names.get(c, f"class {c}")), c) for c in numbers]
        return stack, scores, labels
    if isinstance(source, Sequence) and all(_is_sam(item) for item in source):
        stack = np.stack([_array(item["segmentation"]) for item in source])
        return stack, [min(1.0, max(0.0, item.get("predicted_iou", 1.0))) for item in source], None
    if isinstance(source, list) and all(_is_plane(item) for item in source):
        return np.stack([_array(item) for item in source]), None, None
    if isinstance(source, tuple) and 1 < len(source) < 4:
        return (*source, None)[:3]
    return None


def _image(rows: Rows, place: str, frame: int, source: Any, classes: Classes) -> dict[int, str]:
    """Take a label image or a stack of masks."""
    if not (hasattr(source, "__array__") or hasattr(source, "detach")):
        raise rows.fail(None, f"must be {KNOWN}", type(source).__name__)
    values = _array(source)
    if values.dtype.kind in "iu" and values.ndim == 3 and values.shape[0] == 1:
        values = values if len(np.unique(values[values != 0])) < 2 else values[0]
    if values.ndim == 2 and values.dtype.kind in "iu":
        return _labels(rows, place, frame, values)
    if values.ndim in (3, 4):
        return _add(rows, place, frame, (values, None, None), 0, classes)
    raise rows.fail(None, f"must be {KNOWN}", f"an array of shape {values.shape}")


def _is_number(key: Any) -> bool:
    return isinstance(key, int | np.integer) and not isinstance(key, bool)


def _is_plane(item: Any) -> bool:
    """Return whether something is a mask (H, W) of its own, as an array or tensor."""
    has = hasattr(item, "__array__") or hasattr(item, "detach")
    return has and not isinstance(item, np.generic) and len(getattr(item, "shape", ())) == 2


def _is_one_object(item: Any) -> bool:
    """Return whether something is the mask of one object, and no label image of several."""
    if _is_plane(item):
        values = _array(item)
        return values.dtype.kind not in "iu" or len(np.unique(values[values != 0])) < 2
    return _is_sam(item) or _is_rles([item])


def _is_rles(source: Any) -> bool:
    """Return whether something is a list of COCO run lengths."""
    return isinstance(source, Sequence) and all(
        isinstance(item, Mapping) and {"counts", "size"} <= item.keys() for item in source
    )


def _panoptic(
    rows: Rows, place: str, frame: int, source: Mapping[str, Any], classes: Classes
) -> dict[int, str]:
    """Take Hugging Face's {segmentation (H, W), segments_info}: only what segments_info lists."""
    image, segments = source.get("segmentation"), source["segments_info"]
    if image is None or not segments:
        return {}
    values = _array(image)
    if values.ndim != 2:
        raise rows.fail(place, "segmentation must be (H, W)", f"shape {values.shape}")
    stack = np.array([values == segment["id"] for segment in segments])
    scores = [segment.get("score", 1.0) for segment in segments]
    labels = [int(segment.get("label_id", segment.get("category_id", 0))) for segment in segments]
    return _add(rows, place, frame, (stack, scores, labels), 1, classes)


def _by_object(
    rows: Rows, place: str, frame: int, source: Mapping[Any, Any], classes: Classes
) -> dict[int, str]:
    """Take SAM 2's {object: mask} of a frame: its numbers, from 0, are identities less 1."""
    planes = {int(key): np.squeeze(_array(mask)) for key, mask in source.items()}
    if min(planes) < 0 or any(plane.ndim != 2 for plane in planes.values()):
        got = min(planes)
        raise rows.fail(place, "{object: mask} must have numbers from 0 and masks (H, W)", got)
    ids = [key + 1 for key in planes]  # in every frame alike: object 0 may be in some only
    shares = all(plane.min() >= 0 and plane.max() <= 1 for plane in planes.values() if plane.size)
    edge = HALF if shares else 0  # of probabilities and truth values, or of logits
    stack = np.stack([plane > edge for plane in planes.values()])
    return _add(rows, place, frame, (stack, None, None), 0, classes, ids)


def _is_sam(item: Any) -> bool:
    return isinstance(item, Mapping) and "segmentation" in item


def _columns(source: Any, *names: str) -> tuple[Any, ...]:
    return tuple(getattr(source, name, None) for name in names)


def _array(values: Any) -> Array:
    """Return an array of what may be a tensor on any device, or a stack of bit masks."""
    if hasattr(values, "detach"):
        values = values.detach().cpu().numpy()
    elif hasattr(values, "to_ndarray"):  # MMDetection's BitmapMasks
        values = values.to_ndarray()
    elif hasattr(values, "tensor"):  # Detectron2's BitMasks
        return _array(values.tensor)
    return np.asarray(values)


def _labels(rows: Rows, place: str, frame: int, image: Array) -> dict[int, str]:
    """Take the objects of a label image."""
    rows.fix_size(place, *image.shape)
    if image.size and image.min() < 0:
        raise rows.fail(place, "labels must be from 0", int(image.min()))
    for label, rle in label_rles(image).items():
        rows.add(f"{place} label {label}", frame, 1, rle, identity=label)
    return {1: UNKNOWN}


def _add(
    rows: Rows,
    place: str,
    frame: int,
    table: tuple[Any, ...],
    shift: int,
    classes: Classes,
    ids: Any = None,
) -> dict[int, str]:
    """Take (masks, scores, classes) of a frame; classes are raised by `shift`."""
    stack = _stack(rows, place, _array(table[0]))
    n = len(stack)
    if not n:
        return {}
    rows.scored |= table[1] is not None
    scores = np.ones(n) if table[1] is None else _array(table[1])
    numbers = np.ones(n, int)
    if table[2] is not None:
        numbers = _class_numbers(rows, place, _array(table[2]), shift, classes)
    identities = np.zeros(n, int) if ids is None else _array(ids)
    for name, column in (("scores", scores), ("classes", numbers), ("ids", identities)):
        if column.shape != (n,):
            raise rows.fail(place, f"{name} must be one for each of {n} masks", column.shape)
    bits = stack > HALF if stack.dtype.kind == "f" else stack != 0
    columns = (numbers.tolist(), scores.tolist(), identities.tolist())
    for i, (cls, score, identity) in enumerate(zip(*columns, strict=True)):
        rle = masks.encode(bits[i])
        rows.add(f"{place} mask {i}", frame, cls, rle, score, max(0, int(identity or 0)))
    return {1: UNKNOWN} if table[2] is None else {}


def _stack(rows: Rows, place: str, stack: Array) -> Array:
    """Return masks as (n, H, W), of the frame's size."""
    if stack.ndim == 4 and stack.shape[1] == 1:  # torchvision's channel
        stack = stack[:, 0]
    if stack.ndim == 2 and not stack.size:
        stack = stack.reshape(0, 0, 0)
    if stack.ndim != 3:
        raise rows.fail(place, "masks must be (n, H, W)", f"shape {stack.shape}")
    if not len(stack):
        return stack
    known = rows.size
    sideways = channels_last(stack.shape) if known is None else stack.shape[:2] == known
    if sideways and stack.shape[1:] != known:
        rule = "masks must be (n, H, W), not (H, W, n)"
        raise rows.fail(place, rule, f"shape {stack.shape}")
    rows.fix_size(place, *stack.shape[1:])
    return stack


def _class_numbers(rows: Rows, place: str, given: Array, shift: int, classes: Classes) -> Array:
    """Return (n,) class numbers of names, or of numbers raised by `shift`."""
    if given.dtype.kind in "USO" and all(isinstance(v, str) for v in given.tolist()):
        known = list(dict.fromkeys(given.tolist()))
        return np.array([classes.number(v, known.index(v) + 1) for v in given.tolist()])
    if given.dtype.kind not in "iufb":
        raise rows.fail(place, "classes must be numbers or names", given.dtype)
    return given + shift


def _supervision(
    rows: Rows, place: str, frame: int, source: Any, classes: Classes
) -> dict[int, str]:
    """Take `supervision.Detections`."""
    if source.mask is None:
        if len(source.xyxy):
            raise rows.fail(place, "detections must have masks", "boxes alone")
        return {}
    numbers = source.class_id
    data = getattr(source, "data", None) or {}
    if numbers is not None and "class_name" in data:
        pairs = zip(data["class_name"], _array(numbers).tolist(), strict=True)
        numbers = np.array([classes.number(str(n), c + 1) - 1 for n, c in pairs], int)
    table = (source.mask, source.confidence, numbers)
    return _add(rows, place, frame, table, 1, classes, getattr(source, "tracker_id", None))


def _ultralytics(
    rows: Rows, place: str, frame: int, source: Any, classes: Classes
) -> dict[int, str]:
    """Take Ultralytics' `Results`; masks of another size than the frame by their polygons."""
    size = rows.fix_size(place, *source.orig_shape[:2])
    if source.masks is None:
        if source.boxes is not None and len(source.boxes):
            raise rows.fail(place, "results must have masks (a -seg model)", "boxes alone")
        return {}
    names = source.names if isinstance(source.names, Mapping) else dict(enumerate(source.names))
    wanted = _array(source.boxes.cls).astype(int).tolist()
    numbers = [classes.number(str(names[c]), c + 1) if c in names else c + 1 for c in wanted]
    scores, ids = _array(source.boxes.conf), getattr(source.boxes, "id", None)
    data = _array(source.masks.data)
    if data.shape[1:] == size:
        table = (data, scores, np.array(numbers, int))
        return _add(rows, place, frame, table, 0, classes, ids)
    identities = [0] * len(numbers) if ids is None else _array(ids).astype(int).tolist()
    rows.scored = True
    for i, outline in enumerate(source.masks.xy):
        where = f"{place} mask {i}"
        points = _array(outline).astype(float).ravel().tolist()
        if len(points) < 6:  # Ultralytics drops to nothing what is a pixel or two wide
            rle = masks.encode(np.zeros(size, np.uint8))
        else:
            rle = polygon_rle(rows, where, [points], size)
        rows.add(where, frame, numbers[i], rle, float(scores[i]), identities[i])
    return {}
