"""Region proposals: from the RPN's logits and deltas to boxes (Faster R-CNN, section 3.1)."""

from __future__ import annotations

from keras import ops

from models.networks.anchors import level_anchors
from models.networks.boxes import RPN_WEIGHTS, clip, decode, sides_at_least
from models.networks.losses import rows_of
from models.networks.nms import best_apart

LEAST_SIDE = 1e-3  # px


def anchors_of(levels, padded, config):
    """Return the anchors (n, 4) of each level, see `level_anchors`."""
    return [
        level_anchors((f.shape[1], f.shape[2]), padded, sizes, config.anchor_ratios)
        for f, sizes in zip(levels, config.anchor_sizes, strict=True)
    ]


def by_anchor(logits, deltas):
    """Return a level's logits (B, n) and deltas (B, n, 4), in the order of its anchors."""
    batch = ops.shape(logits)[0]
    return ops.reshape(logits, (batch, -1)), ops.reshape(deltas, (batch, -1, 4))


def propose(logits, deltas, anchors, sizes, before, after, threshold):
    """Turn what the RPN says of anchors into proposals.

    Args:
        logits: of each level (B, n). deltas: (B, n, 4). anchors: (n, 4).
        sizes: (B, 2) heights and widths of the pictures, px.
        before: boxes of each level that take part, the best. after: proposals of a picture.
        threshold: IoU above which a worse box of the same level is suppressed.

    Returns:
        Proposals (B, P, 4), best first, 0 where there are fewer, and (B, P) bool: which are real.
    """
    scores, boxes, levels = [], [], []
    for i, (logit, delta, anchor) in enumerate(zip(logits, deltas, anchors, strict=True)):
        best, where = ops.top_k(logit, min(before, len(anchor)))
        where = ops.cast(where, "int32")
        delta = ops.take_along_axis(delta, ops.expand_dims(where, -1), axis=1)
        box = decode(delta, ops.take(ops.convert_to_tensor(anchor), where, axis=0), RPN_WEIGHTS)
        scores.append(ops.sigmoid(best))
        boxes.append(clip(box, sizes))
        levels.append(ops.full_like(where, i))
    every = ops.concatenate(boxes, axis=1)
    score = ops.concatenate(scores, axis=1)
    score = ops.where(sides_at_least(every, LEAST_SIDE), score, -1.0)
    most = min(after, int(every.shape[1]))
    places, real = best_apart(every, score, ops.concatenate(levels, axis=1), threshold, most)
    chosen = ops.where(ops.expand_dims(real, -1), rows_of(every, places), 0.0)
    return ops.stop_gradient(chosen), real
