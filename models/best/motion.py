"""Where tracks are to be expected: smoothed, damped constant velocity, and the camera's motion.

The paper names motion models as future work (section 5); this is what the preset `best` adds.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from models.best.track_table import TrackTable
from models.candidates import Candidates, assign_pairs, near_pairs
from utils.boxes import xywh_to_xyxy
from utils.compiling import compiled, solid

SHARED = 3  # tracks that must agree before their shift is taken for the camera's
RECENT = 2  # frames since its last detection after which a track says nothing of the camera
STILL = 0.25  # px; a smaller shift is none
USUAL = (50, 0.15)  # links and their mean innovation, assumed before some were seen
GATES = (-0.2, 0.3)  # between which a measured limit on the generalised IoU lies

Array = npt.NDArray[Any]
Pairs = tuple[Array, Array]  # rows and columns


class Motion:
    """The motion of the tracks of a table, in columns of its own.

    The centre moves at constant velocity, smoothed over the track's frames and damped with the
    frames it was missed, because an old velocity says less; the size stays.

    Columns: `centres` (m, 2) px, `sizes` (m, 2) px, width and height, both of the last detection;
    `velocities` (m, 2) px per frame; `frames` (m,) int, of the last detection; `steps` (m,) int,
    how many there were.

    Args:
        smoothing: share of the newest step in the velocity, once a track has 1 / smoothing steps;
            before, all its steps count alike. In (0, 1].
        damping: factor on the velocity for each further frame. In (0, 1].
    """

    def __init__(self, smoothing: float = 0.3, damping: float = 0.9) -> None:
        self.smoothing, self.damping = smoothing, damping

    @staticmethod
    def columns() -> dict[str, Array]:
        """Return the empty columns of a table."""
        pairs = {name: np.zeros((0, 2)) for name in ("centres", "sizes", "velocities")}
        return pairs | {name: np.zeros(0, np.int64) for name in ("frames", "steps")}

    @staticmethod
    def start(boxes_xywh: Array, frame: int) -> dict[str, Array]:
        """Return the columns of tracks that start with these (k, 4) boxes, at rest."""
        boxes_xywh = np.asarray(boxes_xywh, np.float64)
        k = len(boxes_xywh)
        return {
            "centres": boxes_xywh[:, :2] + boxes_xywh[:, 2:] / 2,
            "sizes": boxes_xywh[:, 2:],
            "velocities": np.zeros((k, 2)),
            "frames": np.full(k, frame, np.int64),
            "steps": np.zeros(k, np.int64),
        }

    @staticmethod
    def boxes(tracks: TrackTable, shift: Array | float = 0.0) -> Array:
        """Return the (m, 4) xyxy boxes of the last detections, moved by (m, 2) px."""
        centres, half = tracks["centres"] + shift, tracks["sizes"] / 2
        return np.concatenate([centres - half, centres + half], axis=1)

    def predict(self, tracks: TrackTable, frame: int) -> Array:
        """Return the (m, 4) xyxy boxes expected at a frame after those of all tracks."""
        gaps, d = frame - tracks["frames"], self.damping
        # 1 + d + d^2 + ... over the frames passed: a velocity that fades.
        travelled = gaps if d == 1 else (1 - d**gaps) / (1 - d)
        return self.boxes(tracks, tracks["velocities"] * travelled[:, None])

    def uncertainty(self, tracks: TrackTable, frame: int) -> Array:
        """Return (m,) in [0, 1): the share of its velocity that has faded since a track was seen.

        0 for a track of the last frame: what was steady a frame ago is. It grows with the gap.
        """
        faded: Array = 1 - self.damping ** (frame - tracks["frames"] - 1)
        return faded

    def move(self, tracks: TrackTable, rows: Array, boxes_xywh: Array, frame: int) -> None:
        """Move tracks (rows) to the detections of (k, 4) boxes that they took."""
        boxes_xywh = np.asarray(boxes_xywh, np.float64)
        fast = compiled("models.best.compiled")
        if fast is not None:
            columns = (tracks[n] for n in ("centres", "sizes", "velocities", "frames", "steps"))
            fast.move(*columns, solid(rows, np.int64), solid(boxes_xywh), frame, self.smoothing)
            return
        centres = boxes_xywh[:, :2] + boxes_xywh[:, 2:] / 2
        step = (centres - tracks["centres"][rows]) / (frame - tracks["frames"][rows])[:, None]
        steps = tracks["steps"][rows] + 1
        share = np.maximum(self.smoothing, 1 / steps)[:, None]
        before = tracks["velocities"][rows]
        velocities = before + share * (step - before)
        places = {"centres": centres, "sizes": boxes_xywh[:, 2:], "velocities": velocities}
        tracks.update(rows, **places, frames=frame, steps=steps)


class Innovations:
    """How far the boxes of sure links lie from where they were expected, by class.

    A link is sure where a settled track of the last frame took a detection; its innovation is 1 -
    generalised IoU. The mean says what a frame changes here: at this frame rate, of these objects,
    with this camera and detector.
    """

    def __init__(self) -> None:
        self._numbers, self._sums = np.zeros(0), np.zeros(0)  # by class

    def _make_room(self, count: int) -> None:
        missing = count - len(self._sums)
        if missing > 0:
            self._numbers = np.append(self._numbers, np.full(missing, float(USUAL[0])))
            self._sums = np.append(self._sums, np.full(missing, USUAL[0] * USUAL[1]))

    def observe(self, classes: Array, overlap: Array) -> None:
        """Take the (k,) generalised IoUs of sure links, and their classes."""
        if len(classes):
            self._make_room(int(classes.max()) + 1)
            np.add.at(self._numbers, classes, 1)
            np.add.at(self._sums, classes, 1 - overlap)

    def least_overlap(self, count: int, times: float) -> Array:
        """Return (count,) float64: 1 - `times` the mean innovation of a class, within GATES."""
        self._make_room(count)
        least: Array = np.clip(1 - times * self._sums / self._numbers, *GATES)
        return least[:count]


def camera_shift(predicted: Array, boxes_xyxy: Array, pairs: Pairs) -> Array:
    """Return the (2,) px by which the tracks' predictions are off together: the camera turned.

    The median over pairs is robust to objects of their own will and to wrong pairs.

    Args:
        predicted: (m, 4) xyxy; boxes_xyxy: (n, 4) detections; pairs: (rows, columns) likely to
            belong together. Fewer than SHARED pairs shift nothing.
    """
    rows, columns = pairs
    if len(rows) < SHARED:
        return np.zeros(2)
    off = boxes_xyxy[columns] - predicted[rows]
    ranked = np.sort((off[:, :2] + off[:, 2:]) / 2, axis=0)
    # np.median, for which a few rows are not worth its preparations.
    middle: Array = (ranked[(len(rows) - 1) // 2] + ranked[len(rows) // 2]) / 2
    return middle


def expected_pairs(
    motion: Motion,
    tracks: TrackTable,
    frame: int,
    boxes_xywh: Array,
    classes: Array,
    floor: float,
    least: Array,
    recent: int = RECENT,
) -> tuple[Candidates, Array]:
    """Return the pairs of expected boxes and detections that are near, the camera's shift removed.

    Args:
        motion: Motion; tracks: m of them; frame: number.
        boxes_xywh: (n, 4) px, of the detections; classes: (n,) int, theirs.
        floor: generalised IoU above which pairs say something of the camera.
        least: (m,) generalised IoU, not above `floor`, above which a track's pairs are wanted.
        recent: see RECENT.

    Returns:
        pairs: Candidates of one class, every one above `least`.
        expected: (m, 4) xyxy px, the boxes that were compared.
    """
    predicted, boxes = motion.predict(tracks, frame), xywh_to_xyxy(boxes_xywh)
    first = near_pairs(predicted, boxes, tracks["classes"], classes, least)
    live = frame - tracks["frames"] <= recent
    gain = np.where(live[first.rows], first.overlap - floor, 0.0)
    made = assign_pairs(first.rows, first.columns, gain, first.shape)
    shift = camera_shift(predicted, boxes, (first.rows[made], first.columns[made]))
    if np.abs(shift).max() < STILL:
        return first, predicted
    predicted += np.tile(shift, 2)
    return near_pairs(predicted, boxes, tracks["classes"], classes, least), predicted
