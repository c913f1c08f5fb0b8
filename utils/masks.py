"""Run-length encoded masks: checking, decoding runs, cropping patches, overlap."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco_mask

from utils.detections import Detections

Array = npt.NDArray[Any]
Images = Callable[[int], npt.NDArray[np.uint8]]  # frame -> (height, width, 3) RGB
Coco = dict[str, Any]  # a mask of pycocotools

CHUNK = 1 << 14  # masks that are decoded to runs at once


class RleError(ValueError):
    """A run-length encoding that must not be decoded; `row` is its index, `rule` says why."""

    def __init__(self, row: int, rule: str, value: object) -> None:
        super().__init__(f"mask {row}: {rule}, got {value}")
        self.row, self.rule, self.value = row, rule, value


def decode_runs(
    rles: Sequence[bytes] | Array, pixels: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Check COCO-compressed run lengths and return the runs, without decoding a pixel.

    The format is described at `utils.runs.decode`.

    Args:
        rles: sequence of n bytes objects.
        pixels: height * width, what the runs of each mask must add up to.

    Returns:
        runs: (r,) int64 run lengths of all masks in pixels, one after another.
        offsets: (n + 1,) int64, runs[offsets[i]:offsets[i + 1]] belong to mask i.

    Raises:
        RleError: the first mask that has a character outside the alphabet, ends inside a number,
            has a run outside [0, pixels], or does not add up to `pixels`.
    """
    if not len(rles):
        return np.zeros(0, np.int64), np.zeros(1, np.int64)
    from utils import runs as kernels  # Numba, for which --help need not wait

    text = np.frombuffer(bytearray(b"".join(rles)), np.uint8)
    runs, offsets, fault, row, value = kernels.decode(text, np.cumsum([0, *map(len, rles)]), pixels)
    if fault == kernels.SOUND:
        return runs, offsets
    rules: dict[int, tuple[str, object]] = {
        kernels.EMPTY: ("RLE must not be empty", "''"),
        kernels.FOREIGN: ("RLE character outside '0'..'o'", ascii(chr(value & 255))),
        kernels.UNENDED: ("RLE ends inside a number", ascii(rles[row][-8:].decode("latin-1"))),
        kernels.LONG: (f"RLE number longer than {kernels.MAX_DIGITS} characters", "more"),
        kernels.RUN: (f"RLE run outside 0..{pixels}", value),
        kernels.TOTAL: (f"RLE must add up to height * width = {pixels}", value),
    }
    raise RleError(row, *rules[fault])


def areas(runs: Array, offsets: Array) -> npt.NDArray[np.int64]:
    """Return the (n,) int64 foreground pixels of the masks that `decode_runs` returned.

    pycocotools' own function overflows beyond 255 masks with NumPy 2.
    """
    index = np.arange(len(runs)) - np.repeat(offsets[:-1], np.diff(offsets))
    return np.add.reduceat(runs * (index % 2), offsets[:-1]) if len(runs) else np.zeros(0, np.int64)


def _chunks(rles: Sequence[bytes] | Array) -> Iterator[tuple[int, Sequence[bytes] | Array]]:
    """Yield (first row, masks) of a long column a part at a time: runs take far more room."""
    for start in range(0, len(rles), CHUNK):
        yield start, rles[start : start + CHUNK]


def areas_of(rles: Sequence[bytes] | Array, pixels: int) -> npt.NDArray[np.int64]:
    """Return the (n,) int64 foreground pixels of masks; arguments and errors of `decode_runs`."""
    parts = [areas(*decode_runs(part, pixels)) for _, part in _chunks(rles)]
    return np.concatenate([np.zeros(0, np.int64), *parts])


def checked(rles: Sequence[bytes], height: int, width: int) -> npt.NDArray[np.object_]:
    """Return (n,) masks, each checked and made `canonical`.

    Args:
        rles: n COCO-compressed run lengths. height, width: of the frames in px.

    Raises:
        RleError: see `decode_runs`.
    """
    column = np.empty(len(rles), object)
    for start, part in _chunks(rles):
        try:
            runs, offsets = decode_runs(part, height * width)
        except RleError as error:
            raise RleError(start + error.row, error.rule, error.value) from None
        column[start : start + len(part)] = canonical(list(part), runs, offsets, height, width)
    return column


def tight_boxes_xywh(
    rles: Sequence[bytes] | Array, height: int, width: int
) -> npt.NDArray[np.float64]:
    """Return the (n, 4) float64 pixel boxes around the foreground; zeros for an empty mask."""
    from utils import runs as kernels

    boxes = np.zeros((len(rles), 4))
    for start, part in _chunks(rles):
        runs, offsets = decode_runs(part, height * width)
        boxes[start : start + len(part)] = kernels.tight_boxes(runs, offsets, height)
    return boxes


def encode_at(part: Array, left: int, top: int, height: int, width: int) -> bytes:
    """Return the run lengths of a mask of which only the part at (left, top) is given.

    Args:
        part: (h, w) of 0 and 1, within the frame. height, width: of the frame in px.
    """
    h, w = part.shape
    strip = np.zeros((height, w), bool)
    strip[top : top + h] = part > 0
    flat = strip.ravel(order="F")
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1 + left * height
    first = left * height if flat[0] else None
    ends = [*(() if first is None else (first,)), *edges.tolist()]
    if flat[-1]:
        ends.append((left + w) * height)
    runs = np.diff([0, *ends, height * width]).tolist()
    runs = runs[:-1] if not runs[-1] and len(runs) > 1 else runs
    return encode_runs(runs, height, width)


def crop(runs: Array, box_xywh: Sequence[int] | Array, height: int) -> npt.NDArray[np.uint8]:
    """Decode one mask within its tight box only; return (h, w) uint8, 0 or 255.

    Args:
        runs: (r,) int64 run lengths of the mask. box_xywh: four integers, px. height: of the frame.
    """
    from utils import runs as kernels

    part: npt.NDArray[np.uint8] = kernels.crop(runs, np.array(box_xywh, np.int64), height)
    return part


def fit_square(image: Array, size: int, binary: bool = True) -> npt.NDArray[np.uint8]:
    """Scale isotropically so that the longer side is `size`, centre, pad with zeros.

    Paper, section 3.2.2. Masks are thresholded at one half after scaling, so that they stay binary.

    Args:
        image: (h, w) or (h, w, 3) uint8.
        size: side M of the patch in pixels.
        binary: whether to threshold.

    Returns:
        (size, size) or (size, size, 3) uint8.
    """
    h, w = image.shape[:2]
    scale = size / max(h, w)
    new_w, new_h = max(1, round(w * scale)), max(1, round(h * scale))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    scaled = cv2.resize(np.ascontiguousarray(image), (new_w, new_h), interpolation=method)
    if binary:
        scaled = np.where(scaled > 127, np.uint8(255), np.uint8(0))
    patch = np.zeros((size, size, *image.shape[2:]), np.uint8)
    top, left = (size - new_h) // 2, (size - new_w) // 2
    patch[top : top + new_h, left : left + new_w] = scaled
    return patch


def crop_patches(
    detections: Detections, size: int, images: Images | None = None
) -> npt.NDArray[np.uint8]:
    """Cut every detection's mask out as the DHAE's input x_m (paper, sections 3.1 and 3.2.2).

    Args:
        detections: n Detections with valid, non-empty masks.
        size: side M of a patch in pixels.
        images: for the appearance model, a function frame -> (height, width, 3) uint8 RGB; the
            patch then holds the colours under the mask.

    Returns:
        (n, size, size, D) uint8, D = 1 (0 or 255) or 3 (RGB).
    """
    from utils import runs as kernels

    runs, offsets = decode_runs(detections.rles, detections.height * detections.width)
    boxes = kernels.tight_boxes(runs, offsets, detections.height)
    patches = np.empty((len(detections), size, size, 3 if images else 1), np.uint8)
    groups: Iterable[tuple[int, Iterable[int]]] = [(0, range(len(detections)))]
    if images:
        groups = detections.rows_by_frame()
    for frame, rows in groups:
        image = images(frame) if images else None
        for i in rows:
            x, y, w, h = boxes[i].tolist()
            mask = crop(runs[offsets[i] : offsets[i + 1]], boxes[i], detections.height)
            if image is None:
                patches[i, :, :, 0] = fit_square(mask, size)
            else:
                inside = fit_square(mask, size)[:, :, None] > 0
                colour = fit_square(image[y : y + h, x : x + w], size, binary=False)
                patches[i] = np.where(inside, colour, np.uint8(0))
    return patches


def canonical(
    rles: Sequence[bytes], runs: Array, offsets: Array, height: int, width: int
) -> list[bytes]:
    """Return the masks without runs of length zero but the first, which pycocotools needs.

    Such runs are legal, and pycocotools' merge, IoU and boxes all stumble over them.

    Args:
        rles: n bytes objects; runs, offsets: what `decode_runs` made of them.
        height: of the frame in pixels; width: likewise.

    Returns:
        list of n bytes objects; the very same objects where nothing was to be done.
    """
    result = list(rles)
    empty = runs == 0
    empty[offsets[:-1]] = False
    for row in np.unique(np.searchsorted(offsets, np.flatnonzero(empty), side="right") - 1):
        kept: list[int] = []
        for i, length in enumerate(runs[offsets[row] : offsets[row + 1]].tolist()):
            if i and not length:
                continue
            if len(kept) % 2 == i % 2:
                kept.append(length)
            else:
                kept[-1] += length
        result[row] = encode_runs(kept, height, width)
    return result


def encode_runs(runs: Sequence[int], height: int, width: int) -> bytes:
    """Return the COCO-compressed run lengths (bytes) of a list of runs, background first."""
    uncompressed = {"size": [height, width], "counts": runs}
    rle: bytes = coco_mask.frPyObjects(uncompressed, height, width)["counts"]
    return rle


def encode(mask: Array) -> bytes:
    """Return the COCO-compressed run lengths (bytes) of a (height, width) array of 0 and 1."""
    rle: bytes = coco_mask.encode(np.asfortranarray(mask, np.uint8))["counts"]
    return rle


def subtract(coco: Coco, others: Sequence[Coco]) -> bytes:
    """Return the mask `coco` without the pixels of the masks `others`, all on run lengths.

    Args:
        coco: dict of pycocotools.
        others: non-empty list of such dicts, of the same size.

    Returns:
        Compressed run lengths (bytes); a mask without a foreground pixel if nothing is left.
    """
    size = coco["size"]
    union = coco_mask.merge(others)["counts"]
    runs = decode_runs([union], size[0] * size[1])[0].tolist()
    complement = runs[1:] if runs[0] == 0 else [0, *runs]
    outside = {"size": size, "counts": encode_runs(complement, *size)}
    rle: bytes = coco_mask.merge([coco, outside], intersect=True)["counts"]
    return rle


def overlap(coco_a: Sequence[Coco], coco_b: Sequence[Coco]) -> npt.NDArray[np.bool_]:
    """Return (a, b) bool, what `touching` does, of dicts of pycocotools."""
    if not coco_a or not coco_b:
        return np.zeros((len(coco_a), len(coco_b)), bool)
    first, second = ([mask["counts"] for mask in masks] for masks in (coco_a, coco_b))
    return touching(first, second, tuple(coco_a[0]["size"]))


def touching(
    first: Sequence[bytes] | Array, second: Sequence[bytes] | Array, size: tuple[int, int]
) -> npt.NDArray[np.bool_]:
    """Return (a, b) bool: do masks share a pixel, that is, is their IoU above 0 (Eq. 6).

    Args:
        first: a masks; second: b masks. size: (height, width) of a frame in pixels.
    """
    from utils import runs as kernels

    if not len(first) or not len(second):
        return np.zeros((len(first), len(second)), bool)
    runs, offsets = decode_runs([*first, *second], size[0] * size[1])
    pairs: npt.NDArray[np.bool_] = kernels.touching(runs, offsets, len(first))
    return pairs
