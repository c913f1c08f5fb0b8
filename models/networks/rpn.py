"""Region proposals: from the RPN's logits and deltas to boxes (Faster R-CNN, section 3.1)."""

from __future__ import annotations

import numpy as np
from keras import ops

from models.networks.anchors import level_anchors
from models.networks.boxes import RPN_WEIGHTS, clip, decode, sides_at_least
from models.networks.nms import class_shift, suppress

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
        levels += [i] * int(best.shape[1])
    counts = np.cumsum([0] + [int(s.shape[1]) for s in scores])
    every = ops.concatenate(boxes, axis=1)
    valid = sides_at_least(every, LEAST_SIDE)
    shifted = every + class_shift(every, ops.convert_to_tensor(np.array(levels)), valid)
    keep = [
        suppress(shifted[:, a:b], valid[:, a:b], threshold)
        for a, b in zip(counts[:-1].tolist(), counts[1:].tolist(), strict=True)
    ]
    kept = ops.where(ops.concatenate(keep, axis=1), ops.concatenate(scores, axis=1), -1.0)
    best, where = ops.top_k(kept, min(after, int(counts[-1])))
    chosen = ops.take_along_axis(every, ops.expand_dims(ops.cast(where, "int32"), -1), axis=1)
    real = best >= 0
    chosen = ops.where(ops.expand_dims(real, -1), chosen, 0.0)
    return ops.stop_gradient(chosen), real
