"""Non-maximum suppression, block by block, so that it runs inside a compiled step."""

from __future__ import annotations

from keras import ops

from models.networks.boxes import iou

SHIFTED = 1000  # boxes up to which classes are kept apart by moving them, as torchvision does
BLOCK = 256  # boxes at once; of 64 to 1024 none is faster by half, for 1,000 to 91,000 boxes


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


def best_apart(boxes, scores, classes, threshold, most):
    """Choose the best boxes that no better one of their class suppresses.

    The loop goes through the boxes best first, one block at a time. It compares each block with
    itself and with the boxes chosen so far, so memory does not grow with the square of n. It ends
    once `most` boxes are chosen.

    Args:
        boxes: (B, n, 4), any order. scores: (B, n); a negative one takes no part.
        classes: (B, n) int32; a box suppresses only boxes of its own class.
        threshold: IoU above which a box is suppressed. most: boxes to choose.

    Returns:
        Places (B, most) int32, best first, and (B, most) bool: which of them are real.
    """
    count = int(boxes.shape[1])
    block = min(BLOCK, count)
    blocks = -(-count // block)
    boxes = ops.stop_gradient(boxes + class_shift(boxes, classes, scores >= 0))
    scores, order = ops.top_k(ops.stop_gradient(scores), count)
    order = ops.cast(order, "int32")
    boxes = ops.take_along_axis(boxes, order[..., None], axis=1)
    classes = ops.take_along_axis(classes, order, axis=1)
    extra = blocks * block - count
    scores = ops.pad(scores, ((0, 0), (0, extra)), constant_values=-1.0)
    boxes = ops.pad(boxes, ((0, 0), (0, extra), (0, 0)))
    classes = ops.pad(classes, ((0, 0), (0, extra)))
    batch = ops.shape(scores)[0]
    slots, within = ops.arange(most), ops.arange(block)
    earlier = within[None, :] < within[:, None]
    rows = ops.broadcast_to(ops.arange(batch, dtype="int32")[:, None], (batch, block))

    def wanted(i, chosen, found):
        more = ops.take(scores, ops.minimum(i, blocks - 1) * block, axis=1) >= 0
        return ops.logical_and(i < blocks, ops.any(ops.logical_and(found < most, more)))

    def judge(i, chosen, found):
        here = i * block + within
        mine, of_class = ops.take(boxes, here, axis=1), ops.take(classes, here, axis=1)
        before = chosen[:, :most]
        theirs = ops.take_along_axis(boxes, before[..., None], axis=1)
        same = of_class[..., None] == ops.take_along_axis(classes, before, axis=1)[:, None]
        real = ops.logical_and(same, (slots < found[:, None])[:, None])
        beaten = ops.any(ops.logical_and(iou(mine, theirs) > threshold, real), axis=-1)
        left = ops.logical_and(ops.take(scores, here, axis=1) >= 0, ops.logical_not(beaten))
        rivals = ops.logical_and(earlier, of_class[..., None] == of_class[:, None])
        kept = _kept(left, ops.logical_and(iou(mine, mine) > threshold, rivals))
        slot = found[:, None] + ops.cumsum(ops.cast(kept, "int32"), axis=1) - 1
        slot = ops.where(kept, ops.minimum(slot, most), most)  # the last one is thrown away
        where = ops.reshape(ops.stack([rows, slot], axis=-1), (-1, 2))
        places = ops.reshape(ops.broadcast_to(here, (batch, block)), (-1,))
        chosen = ops.scatter_update(chosen, where, places)
        return i + 1, chosen, ops.minimum(found + ops.sum(ops.cast(kept, "int32"), axis=1), most)

    start = (
        ops.convert_to_tensor(0),
        ops.zeros((batch, most + 1), "int32"),
        ops.zeros(batch, "int32"),
    )
    _, chosen, found = ops.while_loop(wanted, judge, start)
    real = slots < found[:, None]
    return ops.take_along_axis(order, chosen[:, :most], axis=1), real


def _kept(left, overlapped):
    """Return (B, n) bool: which of the boxes that are left (B, n), best first, are kept.

    A box is kept unless a kept one before it overlaps it (B, n, n). That rule has one solution,
    which repeated application reaches in as many passes as chains are long.
    """

    def unstable(keep, changed):
        return changed

    def apply(keep, changed):
        beaten = ops.any(ops.logical_and(overlapped, ops.expand_dims(keep, 1)), axis=-1)
        after = ops.logical_and(left, ops.logical_not(beaten))
        return after, ops.any(ops.not_equal(after, keep))

    return ops.while_loop(unstable, apply, (left, ops.convert_to_tensor(True)))[0]
