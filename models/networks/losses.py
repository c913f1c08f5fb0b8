"""What is learned from which boxes: matching, sampling and the five losses of Mask R-CNN."""

from __future__ import annotations

from keras import ops

from models.networks.boxes import HEAD_WEIGHTS, RPN_WEIGHTS, covered, encode, iou
from models.networks.roi_align import crop_masks

BETA = 1 / 9  # where the smooth L1 loss turns from square to straight
OBJECT, BACKGROUND, NEITHER = 1, 0, -1


def match(boxes, truth, real, positive, negative, every_truth):
    """Match boxes to true boxes (Faster R-CNN, section 3.1.2).

    Args:
        boxes: (B, n, 4) or (n, 4). truth: (B, G, 4). real: (B, G) bool.
        positive: IoU from which a box is an object. negative: IoU below which it is background.
        every_truth: whether a true box's best boxes are objects, however low their IoU.

    Returns:
        Places (B, n) int32 of the best true box, and (B, n) int32 OBJECT, BACKGROUND or NEITHER.
    """
    if len(boxes.shape) == 2:
        boxes = ops.expand_dims(boxes, 0)
    overlap = ops.where(ops.expand_dims(real, 1), iou(boxes, truth), -1.0)  # (B, n, G)
    places = ops.cast(ops.argmax(overlap, axis=-1), "int32")
    best = ops.max(overlap, axis=-1)
    kind = ops.where(best < negative, BACKGROUND, NEITHER)
    kind = ops.where(best >= positive, OBJECT, kind)
    if every_truth:
        highest = ops.max(overlap, axis=1, keepdims=True)
        equal = ops.logical_and(overlap == highest, ops.expand_dims(real, 1))
        kind = ops.where(ops.any(equal, axis=-1), OBJECT, kind)
    return places, ops.cast(kind, "int32")


def sample(kind, chance, count, fraction):
    """Choose boxes for a loss, at most `fraction` of them objects, the rest background.

    Args:
        kind: (B, n) of `match`. chance: (B, n) numbers in [0, 1) that decide.
        count: boxes of a picture.

    Returns:
        Places (B, S) int32, objects first, S = min(count, n), and (B, S) bool: which are real.
    """
    size = min(count, int(kind.shape[1]))
    most = min(size, max(1, int(count * fraction)))
    objects, at = ops.top_k(ops.where(kind == OBJECT, chance, -1.0), most)
    used = ops.logical_and(objects >= 0, ops.arange(most) < int(count * fraction))
    backgrounds, behind = ops.top_k(ops.where(kind == BACKGROUND, chance, -1.0), size)
    filled = backgrounds >= 0
    # Objects first, then as much background as there is room for, then what is neither.
    rank = ops.concatenate([2 * ops.cast(used, "int32"), ops.cast(filled, "int32")], axis=1)
    rank, order = ops.top_k(rank, size)
    places = ops.concatenate([ops.cast(at, "int32"), ops.cast(behind, "int32")], axis=1)
    return ops.take_along_axis(places, ops.cast(order, "int32"), axis=1), rank > 0


def ignore(kind, boxes, ignored, limit):
    """Return `kind` (B, n) with NEITHER for background that lies where nothing is annotated.

    Args:
        kind: (B, n). boxes: (n, 4) or (B, n, 4). ignored: (B, H, W) of 0 and 1, or None.
        limit: share of a box above which it does.
    """
    if ignored is None:
        return kind
    if len(boxes.shape) == 2:
        boxes = ops.broadcast_to(boxes, (ops.shape(kind)[0], *boxes.shape))
    inside = ops.logical_and(covered(boxes, ignored) > limit, kind == BACKGROUND)
    return ops.where(inside, NEITHER, kind)


def smooth_l1(difference):
    """Return (...) the smooth L1 loss of each number."""
    size = ops.abs(difference)
    return ops.where(size < BETA, 0.5 * size**2 / BETA, size - 0.5 * BETA)


def binary_crossentropy(logits, targets):
    """Return (...) the cross-entropy of each number."""
    return ops.maximum(logits, 0.0) - logits * targets + ops.log1p(ops.exp(-ops.abs(logits)))


def mean_of(values, chosen):
    """Return the mean of the chosen values, 0 if none is."""
    return ops.sum(ops.where(chosen, values, 0.0)) / _count(chosen)


def _count(chosen):
    """Return how many are chosen, at least 1."""
    return ops.maximum(ops.sum(ops.cast(chosen, "float32")), 1.0)


def rows_of(values, places):
    """Return (B, S, ...) rows of (B, n, ...) at places (B, S)."""
    room = (*places.shape, *([1] * (len(values.shape) - 2)))
    room = (ops.shape(places)[0], *room[1:])
    return ops.take_along_axis(values, ops.reshape(places, room), axis=1)


def rpn_losses(logits, deltas, anchors, truth, real, ignored, chance, config):
    """Return the RPN's two losses: is there an object, and where.

    Args:
        logits: (B, n). deltas: (B, n, 4). anchors: (n, 4).
        truth: (B, G, 4). real: (B, G). ignored: see `ignore`.
        chance: (B, n), see `sample`.
    """
    places, kind = match(anchors, truth, real, config.anchor_positive, config.anchor_negative, True)
    kind = ignore(kind, anchors, ignored, config.ignored)
    chosen, used = sample(kind, chance, config.anchor_samples, config.anchor_fraction)
    kind = rows_of(kind, chosen)
    is_object = ops.logical_and(kind == OBJECT, used)
    targets = ops.cast(is_object, "float32")
    score = mean_of(binary_crossentropy(rows_of(logits, chosen), targets), used)
    references = ops.take(ops.convert_to_tensor(anchors), chosen, axis=0)
    boxes = rows_of(truth, rows_of(places, chosen))
    boxes = ops.where(ops.expand_dims(is_object, -1), boxes, references)
    errors = smooth_l1(rows_of(deltas, chosen) - encode(boxes, references, RPN_WEIGHTS))
    where = ops.sum(ops.where(ops.expand_dims(is_object, -1), errors, 0.0))
    return score, where / _count(used)


def choose_boxes(proposals, valid, truth, labels, ignored, chance, config):
    """Choose the proposals that the heads learn from; the true boxes are among them.

    Args:
        proposals: (B, P, 4). valid: (B, P). truth: (B, G, 4). labels: (B, G), 0 where there are
            fewer. ignored: see `ignore`. chance: (B, P + G), see `sample`.

    Returns:
        Dict of (B, S, ...): `boxes` (px), `labels` (0 background), `truth` places, `used` bool;
        objects come first.
    """
    real = labels > 0
    boxes = ops.concatenate([proposals, truth], axis=1)
    valid = ops.concatenate([valid, real], axis=1)
    places, kind = match(boxes, truth, real, config.box_positive, config.box_positive, False)
    kind = ignore(kind, boxes, ignored, config.ignored)
    kind = ops.where(valid, kind, NEITHER)
    chosen, used = sample(kind, chance, config.box_samples, config.box_fraction)
    places = rows_of(places, chosen)
    is_object = ops.logical_and(rows_of(kind, chosen) == OBJECT, used)
    return {
        "boxes": ops.stop_gradient(rows_of(boxes, chosen)),
        "labels": ops.where(is_object, rows_of(labels, places), 0),
        "truth": places,
        "used": used,
    }


def box_losses(logits, deltas, chosen, truth):
    """Return the box head's two losses: which class, and where.

    Args:
        logits: (B, S, K + 1). deltas: (B, S, 4 (K + 1)). chosen: of `choose_boxes`.
        truth: (B, G, 4).
    """
    labels, used = chosen["labels"], chosen["used"]
    count = int(logits.shape[-1])
    log_shares = ops.log_softmax(logits, axis=-1)
    of_label = ops.one_hot(labels, count)
    kind = mean_of(-ops.sum(log_shares * of_label, axis=-1), used)
    is_object = ops.expand_dims(labels > 0, -1)
    by_class = ops.reshape(deltas, (*ops.shape(deltas)[:2], count, 4))
    of_own_class = ops.sum(by_class * ops.expand_dims(of_label, -1), axis=2)
    # A box that is not used may be empty; what is no object is compared with itself.
    references = ops.where(is_object, chosen["boxes"], _unit_like(chosen["boxes"]))
    targets = ops.where(is_object, rows_of(truth, chosen["truth"]), references)
    errors = smooth_l1(of_own_class - encode(targets, references, HEAD_WEIGHTS))
    where = ops.sum(ops.where(is_object, errors, 0.0))
    return kind, where / _count(used)


def _unit_like(boxes):
    """Return boxes (..., 4) of side 1."""
    return ops.zeros_like(boxes) + ops.convert_to_tensor([0.0, 0.0, 1.0, 1.0])


def mask_loss(logits, labels, truth, boxes, masks, sizes):
    """Return the mask head's loss on objects: the label's channel alone counts.

    Args:
        logits: (B, S, m, m, K + 1). labels: (B, S), 0 where there is no object.
        truth: (B, S) places of true masks. boxes: (B, S, 4). masks: (B, G, H, W) 0 or 1.
        sizes: (B, 2) heights and widths before padding.
    """
    targets = ops.stop_gradient(crop_masks(masks, truth, boxes, sizes, int(logits.shape[2])))
    of_label = ops.one_hot(labels, int(logits.shape[-1]))[:, :, None, None]
    of_own_class = ops.sum(logits * of_label, axis=-1)
    errors = ops.mean(binary_crossentropy(of_own_class, targets), axis=(2, 3))
    return mean_of(errors, labels > 0)
