"""Tables of tracks and frames of detections that the tests of `best` share."""

import numpy as np

from models.best.table import Rules, Seen, empty_table

RULES = Rules(4.0, 6.0, 0.5, 0.4, 0.25, 0.9, 30, 0.3, 0.6)


FULL = np.uint64(2**64 - 1)  # a mask that fills its box


def table(boxes, classes=None, last=0, velocity=(0.0, 0.0), probability=1.0):
    """Return a table of tracks with these boxes xyxy, each seen once."""
    boxes = np.asarray(boxes, float).reshape(-1, 4)
    m = len(boxes)
    tracks = empty_table(m + 50)
    tracks.centres[:m] = (boxes[:, :2] + boxes[:, 2:]) / 2
    tracks.sizes[:m] = boxes[:, 2:] - boxes[:, :2]
    tracks.velocities[:m], tracks.last[:m], tracks.ids[:m] = velocity, last, np.arange(1, m + 1)
    tracks.classes[:m] = 1 if classes is None else classes
    tracks.totals[:m], tracks.counts[:m], tracks.cells[:m] = probability, 1, FULL
    return tracks


def seen(boxes, classes=None, probability=1.0, number=1, area=900.0**2, first=False):
    boxes = np.asarray(boxes, float).reshape(-1, 4)
    n = len(boxes)
    of = np.ones(n, np.int64) if classes is None else np.asarray(classes, np.int64)
    p = np.broadcast_to(np.asarray(probability, float), n).copy()
    return Seen(boxes, of, p, np.full(n, FULL), number, area, first)
