"""MNIST-MOT and Sprites-MOT sequences (paper, section 4.1; generator of He et al., CVPR 2019)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from utils import masks
from utils.detections import PEDESTRIAN, Detections
from utils.files import atomic_path
from utils.formats import mots_txt
from utils.results import finished
from utils.synthetic_pictures import SPLITS, Draw

Array = npt.NDArray[Any]

FRAME = 128  # px, side of a frame
SPEED = 5.3  # px per frame
WAIT = 5  # frames an empty slot rests before a birth is possible
BIRTH = 0.5  # probability of a birth per frame in a rested slot


@dataclass
class _Moving:
    """One object on its way: its picture, where its centre is and how it moves (px, px/frame)."""

    identity: int
    image: Array
    centre: Array
    velocity: Array


def _births(rng: np.random.Generator, draw: Draw, margin: int, identity: int) -> _Moving:
    """Return a new object that crosses the frame from one border to the opposite one."""
    low, high = margin, FRAME - margin
    side = rng.integers(4)
    start, end = rng.uniform(low, high, 2), rng.uniform(low, high, 2)
    axis = side % 2
    start[axis], end[axis] = (low, high) if side < 2 else (high, low)
    direction = (end - start) / np.linalg.norm(end - start)
    return _Moving(identity, draw(rng), start, SPEED * direction)


def _visible(thing: _Moving) -> tuple[int, int, Array]:
    """Return the part of an object inside the frame: (top, left, picture)."""
    h, w = thing.image.shape[:2]
    left, top = np.round(thing.centre - np.array([w, h]) / 2).astype(int)
    inside = thing.image[max(0, -top) : FRAME - top, max(0, -left) : FRAME - left]
    return max(0, top), max(0, left), inside


def generate_sequence(
    name: str, draw: Draw, margin: int, frames: int, objects: int, rng: np.random.Generator
) -> tuple[npt.NDArray[np.uint8], Detections]:
    """Simulate one sequence.

    Args:
        name: its name.
        draw: function rng -> (h, w, 3) uint8, the picture of a new object.
        margin: px between the border and where objects are born and vanish.
        frames: length in frames, numbered from 1.
        objects: how many there are at most at once.
        rng: np.random.Generator.

    Returns:
        images: (frames, 128, 128, 3) uint8 RGB; overlapping objects add up, clamped at 255.
        detections: Detections with whole-object masks, tight boxes, score 1 and the true ids.
    """
    images = np.zeros((frames, FRAME, FRAME, 3), np.uint8)
    slots: list[_Moving | None] = [None] * objects
    waited, born = [WAIT] * objects, 0
    shown: list[tuple[int, int, bytes]] = []  # frame, identity, mask
    for frame in range(1, frames + 1):
        canvas = np.zeros((FRAME, FRAME, 3), np.int32)
        for i, thing in enumerate(slots):
            if thing is None:
                waited[i] += 1
                if waited[i] <= WAIT or rng.random() >= BIRTH:
                    continue
                born += 1
                slots[i] = thing = _births(rng, draw, margin, born)
            mask = _drawn(canvas, thing)
            if mask.any():
                shown.append((frame, thing.identity, masks.encode(mask)))
            thing.centre = thing.centre + thing.velocity
            # Rounding must not kill an object at birth, which starts exactly on the margin.
            beyond = (thing.centre < margin - 1e-6) | (thing.centre > FRAME - margin + 1e-6)
            if beyond.any():
                slots[i], waited[i] = None, 0
        images[frame - 1] = np.minimum(canvas, 255)
    return images, _detections(name, shown)


def _drawn(canvas: Array, thing: _Moving) -> npt.NDArray[np.uint8]:
    """Add an object to a canvas, in place; return its mask."""
    top, left, inside = _visible(thing)
    h, w = inside.shape[:2]
    canvas[top : top + h, left : left + w] += inside
    mask = np.zeros((FRAME, FRAME), np.uint8)
    mask[top : top + h, left : left + w] = inside.max(axis=2) > 127
    return mask


def _detections(name: str, shown: list[tuple[int, int, bytes]]) -> Detections:
    """Return the simulated objects as Detections."""
    numbers, ids, rles = zip(*shown, strict=True) if shown else ((), (), ())
    n = len(rles)
    column = np.empty(n, object)
    column[:] = rles
    return Detections(
        name,
        FRAME,
        FRAME,
        np.array(numbers, np.int32),
        np.full(n, PEDESTRIAN, np.int16),
        np.ones(n, np.float32),
        masks.tight_boxes_xywh(rles, FRAME, FRAME),
        column,
        np.array(ids, np.int32),
    )


def write_sequence(folder: Path, images: Array, detections: Detections) -> None:
    """Write one sequence below `folder`.

    `images/SEQ/000001.png`; `detections/SEQ.txt`, 10 fields with whole-object masks;
    `instances_txt/SEQ.txt`, MOTS ground truth with disjoint masks; `gt/SEQ/gt.txt` and
    `gt/SEQ/seqinfo.ini`, MOT ground truth with whole-object boxes.
    """
    folder, name = Path(folder), detections.sequence
    (folder / "images" / name).mkdir(parents=True, exist_ok=True)
    for number, image in enumerate(images, 1):
        cv2.imwrite(str(folder / "images" / name / f"{number:06d}.png"), image[:, :, ::-1])
    lines, truth = [], []
    columns = (detections.frames, detections.ids, detections.boxes_xywh, detections.rles)
    for frame, identity, (x, y, w, h), rle in zip(*columns, strict=True):
        box = f"{x:.0f} {y:.0f} {w:.0f} {h:.0f}"
        lines.append(f"{frame} {box} 1 {PEDESTRIAN} {FRAME} {FRAME} {rle.decode()}\n")
        truth.append(f"{frame},{identity},{box.replace(' ', ',')},1,-1,-1,-1\n")
    disjoint, _ = finished(detections, detections.ids, in_front=False)
    mots_txt.write(folder / "instances_txt" / f"{name}.txt", disjoint)
    info = (
        f"[Sequence]\nname={name}\nimDir=../../images/{name}\nframeRate=10\n"
        f"seqLength={len(images)}\nimWidth={FRAME}\nimHeight={FRAME}\nimExt=.png\n"
    )
    for path, text in (
        (folder / "detections" / f"{name}.txt", "".join(lines)),
        (folder / "gt" / name / "gt.txt", "".join(truth)),
        (folder / "gt" / name / "seqinfo.ini", info),
    ):
        with atomic_path(path) as temporary:
            temporary.write_text(text)


def generate(
    folder: Path,
    kind: str,
    draw: Draw,
    margin: int,
    split: str,
    sequences: int,
    frames: int,
    objects: int,
    seed: int,
) -> tuple[int, int]:
    """Write `sequences` sequences, 0001 and up; same arguments, same bytes.

    Args:
        folder: where to; see `write_sequence`.
        kind: shown with the progress.
        draw, margin: see `generate_sequence`.
        split: "train" or "test"; gives different sequences for one seed.
        sequences: how many; frames: frames in each; objects: at most at once; seed: int.

    Returns:
        (detections, tracks) written in all.
    """
    detections = tracks = 0
    for number in tqdm(range(1, sequences + 1), desc=f"{kind} {split}", unit="seq", disable=None):
        rng = np.random.default_rng([seed, SPLITS.index(split), number])
        images, scene = generate_sequence(f"{number:04d}", draw, margin, frames, objects, rng)
        write_sequence(folder, images, scene)
        detections += len(scene)
        tracks += len(np.unique(scene.ids))
    return detections, tracks
