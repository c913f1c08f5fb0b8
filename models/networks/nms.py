"""Non-maximum suppression with fixed shapes, so that it runs inside a compiled step."""

from __future__ import annotations

from keras import ops

from models.networks.boxes import iou

SHIFTED = 1000  # boxes up to which classes are kept apart by moving them, as torchvision does


def class_shift(boxes, classes, valid):
    """Return (B, n, 1): what moves the boxes of different classes apart, 0 in large sets.

    Moved coordinates round differently, so that a suppression in doubt falls as torchvision's.

    Args:
        boxes: (B, n, 4). classes: (B, n) or (n,) numbers. valid: (B, n) bool.
    """
    largest = ops.max(ops.where(valid, ops.max(boxes, axis=-1), 0.0), axis=-1)
    few = ops.sum(ops.cast(valid, "int32"), axis=-1) <= SHIFTED
    step = ops.where(few, largest + 1.0, 0.0)
    return ops.expand_dims(ops.cast(classes, "float32") * ops.expand_dims(step, -1), -1)


def suppress(boxes, valid, threshold):
    """Return (B, n) bool: which of the boxes (B, n, 4), best first, are kept.

    A box is kept unless a kept one before it overlaps it by more than the threshold. That rule has
    one solution, which repeated application reaches in as many passes as chains are long.
    """
    n = boxes.shape[1]
    earlier = ops.expand_dims(ops.arange(n), 0) < ops.expand_dims(ops.arange(n), 1)
    overlapped = ops.logical_and(iou(boxes, boxes) > threshold, earlier)

    def unstable(keep, changed):
        return changed

    def apply(keep, changed):
        beaten = ops.any(ops.logical_and(overlapped, ops.expand_dims(keep, 1)), axis=-1)
        after = ops.logical_and(valid, ops.logical_not(beaten))
        return after, ops.any(ops.not_equal(after, keep))

    return ops.while_loop(unstable, apply, (valid, ops.convert_to_tensor(True)))[0]


def best_apart(boxes, scores, classes, threshold, most):
    """Choose the best boxes that no better one of their class suppresses.

    Args:
        boxes: (B, n, 4), any order. scores: (B, n); 0 or less takes no part. classes: (B, n).
        threshold: IoU above which a box is suppressed. most: boxes to choose.

    Returns:
        Places (B, most) int32, best first, and (B, most) bool: which of them are real.
    """
    boxes = boxes + class_shift(boxes, classes, scores > 0)
    places = ops.expand_dims(ops.arange(boxes.shape[1]), 0)
    slots = ops.expand_dims(ops.arange(most), 0)

    def choose(i, state):
        left, chosen, real = state
        best = ops.expand_dims(ops.cast(ops.argmax(left, axis=-1), "int32"), -1)
        real_ones = ops.take_along_axis(left, best, axis=1) > 0
        box = ops.take_along_axis(boxes, ops.expand_dims(best, -1), axis=1)
        same = classes == ops.take_along_axis(classes, best, axis=1)
        gone = ops.logical_and(iou(box, boxes)[:, 0] > threshold, same)
        gone = ops.logical_or(gone, places == best)
        here = slots == i
        chosen = ops.where(here, best, chosen)
        real = ops.where(here, real_ones, real)
        return ops.where(gone, -1.0, left), chosen, real

    batch = ops.shape(scores)[0]
    start = (
        scores,
        ops.zeros((batch, most), "int32"),
        ops.zeros((batch, most), "bool"),
    )
    _, chosen, real = ops.fori_loop(0, most, choose, start)
    return chosen, real
