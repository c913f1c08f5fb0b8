"""Where tracks are to be expected: smoothed, damped constant velocity, and the camera's motion.

The paper names motion models as future work (section 5); this is what the preset `best` adds.
"""

import numpy as np

from utils.boxes import generalised_iou, xywh_to_xyxy

SHARED = 3  # tracks that must agree before their shift is taken for the camera's
STILL = 0.25  # px; a smaller shift is none


class Motion:
    """The motion of m tracks; row k is track k.

    The centre moves at constant velocity, smoothed over the track's frames and damped with the
    frames it was missed, because an old velocity says less; the size stays.

    Args:
        smoothing: share of the newest step in the velocity, once a track has 1 / smoothing steps;
            before, all its steps count alike. In (0, 1].
        damping: factor on the velocity for each further frame. In (0, 1].

    Attributes:
        centres: (m, 2) px; sizes: (m, 2) px, width and height; of the last detection.
        velocities: (m, 2) px per frame.
        frames: (m,) int, of the last detection; steps: (m,) int, how many there were.
    """

    def __init__(self, smoothing=0.3, damping=0.9):
        self.smoothing, self.damping = smoothing, damping
        self.centres, self.sizes, self.velocities = (np.zeros((0, 2)) for _ in range(3))
        self.frames, self.steps = np.zeros(0, np.int64), np.zeros(0, np.int64)

    def __len__(self):
        return len(self.frames)

    def add(self, boxes_xywh, frame):
        """Append tracks that start with these (k, 4) boxes, at rest."""
        boxes_xywh = np.asarray(boxes_xywh, np.float64)
        k = len(boxes_xywh)
        self.centres = np.concatenate([self.centres, boxes_xywh[:, :2] + boxes_xywh[:, 2:] / 2])
        self.sizes = np.concatenate([self.sizes, boxes_xywh[:, 2:]])
        self.velocities = np.concatenate([self.velocities, np.zeros((k, 2))])
        self.frames = np.concatenate([self.frames, np.full(k, frame, np.int64)])
        self.steps = np.concatenate([self.steps, np.zeros(k, np.int64)])

    def keep(self, rows):
        """Keep the given rows only (bool mask or indices)."""
        for name in ("centres", "sizes", "velocities", "frames", "steps"):
            setattr(self, name, getattr(self, name)[rows])

    def boxes(self, shift=0.0):
        """Return the (m, 4) xyxy boxes of the last detections, moved by (m, 2) px."""
        centres = self.centres + shift
        return np.concatenate([centres - self.sizes / 2, centres + self.sizes / 2], axis=1)

    def predict(self, frame):
        """Return the (m, 4) xyxy boxes expected at a frame after those of all tracks."""
        gaps, d = frame - self.frames, self.damping
        # 1 + d + d^2 + ... over the frames passed: a velocity that fades.
        travelled = gaps if d == 1 else (1 - d**gaps) / (1 - d)
        return self.boxes(self.velocities * travelled[:, None])

    def uncertainty(self, frame):
        """Return (m,) in [0, 1): the share of its velocity that has faded since a track was seen.

        0 for a track of the last frame: what was steady a frame ago is. It grows with the gap.
        """
        return 1 - self.damping ** (frame - self.frames - 1)

    def update(self, rows, boxes_xywh, frame):
        """Move tracks to the (k, 4) boxes of the detections they took."""
        boxes_xywh = np.asarray(boxes_xywh, np.float64)
        centres = boxes_xywh[:, :2] + boxes_xywh[:, 2:] / 2
        step = (centres - self.centres[rows]) / (frame - self.frames[rows])[:, None]
        self.steps[rows] += 1
        share = np.maximum(self.smoothing, 1 / self.steps[rows])[:, None]
        self.velocities[rows] += share * (step - self.velocities[rows])
        self.centres[rows], self.sizes[rows] = centres, boxes_xywh[:, 2:]
        self.frames[rows] = frame


def camera_shift(predicted, boxes_xyxy, pairs):
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
    return (ranked[(len(rows) - 1) // 2] + ranked[len(rows) // 2]) / 2


def expected_overlap(motion, frame, boxes_xywh, comparable, assign, recent=2):
    """Return the generalised IoU of expected boxes and detections, the camera's shift removed.

    Args:
        motion: Motion of m tracks; frame: number.
        boxes_xywh: (n, 4) px, of the detections.
        comparable: (m, n) bool, pairs of one class.
        assign: function (m, n) generalised IoU -> (rows, columns), pairs likely to belong together.
        recent: frames since its last detection after which a track says nothing of the camera.

    Returns:
        overlap: (m, n) float64, -1 where not comparable.
        expected: (m, 4) xyxy px, the boxes that were compared.
    """
    predicted, boxes = motion.predict(frame), xywh_to_xyxy(boxes_xywh)
    live = np.flatnonzero(frame - motion.frames <= recent)
    first = np.where(comparable, generalised_iou(predicted, boxes), -1)
    rows, columns = assign(first[live])
    shift = camera_shift(predicted, boxes, (live[rows], columns))
    if np.abs(shift).max() < STILL:
        return first, predicted
    predicted += np.tile(shift, 2)
    return np.where(comparable, generalised_iou(predicted, boxes), -1), predicted
