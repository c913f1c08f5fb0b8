"""Losses of the network of pixel embeddings (thesis, sections 2.4.2, 6.2 and 6.3)."""

from __future__ import annotations

from keras import ops

from models.networks.losses import mean_of
from models.pixel_embeddings.config import STRIDE


def cells_of(inputs):
    """Return what lies at the middle of each cell of 4 x 4 pixels.

    Args:
        inputs: of a network in training: `masks` (B, G, H, W), `labels` (B, G), `tracks` (B, G),
            `sizes` (B, 2), and `ignored` (B, H, W) where there is some.

    Returns:
        Dict of (B, h, w): `place` int32 of the object, G where there is none; `label` and `track`
        int32, 0 for background; `valid` bool, false in padding and ignore regions.
    """
    labels = ops.cast(inputs["labels"], "int32")
    count = labels.shape[1]
    middle = STRIDE // 2
    inside = ops.cast(inputs["masks"][:, :, middle::STRIDE, middle::STRIDE], "bool")
    inside = ops.logical_and(inside, (labels > 0)[:, :, None, None])
    place = ops.where(ops.any(inside, axis=1), ops.argmax(ops.cast(inside, "int32"), axis=1), count)
    place = ops.cast(place, "int32")
    rooms = place.shape[1:]
    flat = ops.reshape(place, (-1, rooms[0] * rooms[1]))
    none = ops.zeros_like(labels[:, :1])

    def of_place(values):
        values = ops.concatenate([ops.cast(values, "int32"), none], axis=1)
        return ops.reshape(ops.take_along_axis(values, flat, axis=1), (-1, *rooms))

    rows = ops.arange(rooms[0], dtype="float32") * STRIDE + middle
    columns = ops.arange(rooms[1], dtype="float32") * STRIDE + middle
    sizes = ops.cast(inputs["sizes"], "float32")
    valid = ops.logical_and(
        rows[None, :, None] < sizes[:, 0, None, None],
        columns[None, None, :] < sizes[:, 1, None, None],
    )
    if "ignored" in inputs:
        ignored = ops.cast(inputs["ignored"][:, middle::STRIDE, middle::STRIDE], "bool")
        valid = ops.logical_and(valid, ops.logical_not(ignored))
    return {"place": place, "label": of_place(labels), "track": of_place(inputs["tracks"]),
            "valid": valid}  # fmt: skip


def class_loss(logits, cells):
    """Return the cross-entropy of the classes (B, h, w, K + 1) over valid cells."""
    of_label = ops.one_hot(cells["label"], int(logits.shape[-1]))
    each = -ops.sum(ops.log_softmax(logits, axis=-1) * of_label, axis=-1)
    return mean_of(each, cells["valid"])


def sampled(tracks, labels, valid, chance, how, classes):
    """Return (S,) places of cells to compare, drawn evenly from where they stand by instance.

    Args:
        tracks: (N,) int32, 0 for background, which is one instance. labels: (N,) int32.
        valid: (N,) bool, cells that may be drawn.
        chance: (S,) in [0, 1), where in its stretch each is drawn.
        how: "instance" gives each instance as many cells, "balanced" each class as many and each
            of its instances as many, "random" takes cells as they come.
        classes: K + 1.
    """
    key = ops.where(valid, tracks, -1)
    order = ops.argsort(key)
    key, labels = ops.take(key, order), ops.take(labels, order)
    real = ops.cast(key >= 0, "float32")
    begins = ops.concatenate([key[:1] >= 0, ops.logical_and(key[1:] != key[:-1], key[1:] >= 0)], 0)
    begins = ops.cast(begins, "int32")
    rank = ops.maximum(ops.cumsum(begins) - 1, 0)
    room = key.shape[0] or ops.shape(key)[0]  # known while a step is compiled, or not
    counts = ops.take(ops.segment_sum(real, rank, num_segments=room), rank)
    weights = real
    if how != "random":
        weights = real / ops.maximum(counts, 1.0)
    if how == "balanced":
        per_class = ops.segment_sum(ops.cast(begins, "float32"), labels, num_segments=classes)
        weights = weights / ops.maximum(ops.take(per_class, labels), 1.0)
    reached = ops.cumsum(weights)
    count = int(chance.shape[0])
    at = (ops.arange(count, dtype="float32") + chance) / count * reached[-1]
    chosen = ops.cast(ops.searchsorted(reached, at, side="right"), "int32")
    return ops.take(order, ops.clip(chosen, 0, room - 1))


def contrastive(embeddings, tracks, margin):
    """Return the sum over pairs of d^2 within an instance, else of max(alpha - d, 0)^2 (Eq. 2.5).

    The sum is divided by |E|, the number of embeddings, not of pairs: it grows with their number.

    Args:
        embeddings: (S, F). tracks: (S,) int32. margin: alpha.
    """
    # |a - b|^2 by a product: S x S x F values would not fit.
    norms = ops.sum(embeddings**2, axis=1)
    square = norms[:, None] + norms[None] - 2 * ops.matmul(embeddings, ops.transpose(embeddings))
    same = tracks[:, None] == tracks[None, :]
    square = ops.maximum(square, 0.0)
    # A root has no slope at 0.
    apart = ops.sqrt(ops.where(square > 1e-6, square, 1e-6))
    pushed = ops.maximum(margin - apart, 0.0) ** 2
    return ops.sum(ops.where(same, square, pushed)) / embeddings.shape[0]


def centres_of(inputs):
    """Return (B, G, 2) centres of mass of the objects, y and x in px; 0 where there is none."""
    masks = ops.cast(inputs["masks"], "float32")
    area = ops.maximum(ops.sum(masks, axis=(2, 3)), 1.0)
    centres = []
    for axis in (2, 3):
        place = ops.arange(masks.shape[axis], dtype="float32") + 0.5
        along = ops.sum(masks, axis=5 - axis)
        centres.append(ops.sum(along * place, axis=2) / area)
    return ops.stack(centres, axis=-1)


def before(inputs, centres, frames):
    """Return where each object was `frames` frames ago: (B, G, 2) px, and (B, G) bool whether.

    Args:
        inputs: see `cells_of`; the batch is one of adjacent frames. centres: see `centres_of`.
        frames: how many.
    """
    tracks = ops.where(ops.cast(inputs["labels"], "int32") > 0, inputs["tracks"], 0)
    tracks = ops.cast(tracks, "int32")
    earlier = ops.concatenate([ops.zeros_like(tracks[:frames]), tracks[:-frames]], axis=0)
    where = ops.concatenate([ops.zeros_like(centres[:frames]), centres[:-frames]], axis=0)
    same = ops.logical_and(tracks[:, :, None] == earlier[:, None, :], tracks[:, :, None] > 0)
    places_before = ops.sum(ops.cast(same, "float32")[..., None] * where[:, None], axis=2)
    return places_before, ops.any(same, axis=2)


def regression_loss(difference, kind):
    """Return (..., 1) values' loss of differences in px (thesis, Figure 6.30).

    Args:
        difference: (..., 2). kind: "l1", "l2" (squares), or "huber" (l2 up to a pixel, then l1).
    """
    size = ops.abs(difference)
    if kind == "l2":
        each = size**2
    elif kind == "huber":
        each = ops.where(size < 1, 0.5 * size**2, size - 0.5)
    else:
        each = size
    return ops.sum(each, axis=-1)


def vote_losses(votes, cells, inputs, past, kind="l1"):
    """Return the loss of the centres in px, and the loss of whether objects were there before.

    Args:
        votes: (B, h, w, 2 + 3 past): the way to the centre, y and x in px, then for each frame
            before the way to the centre there and the logit of whether it was there.
        cells: see `cells_of`. inputs: the network's. past: frames. kind: see `regression_loss`.
    """
    centres = centres_of(inputs)
    rooms = cells["place"].shape[1:]
    flat = ops.reshape(cells["place"], (-1, rooms[0] * rooms[1]))
    rows = ops.arange(rooms[0], dtype="float32") * STRIDE + STRIDE / 2
    columns = ops.arange(rooms[1], dtype="float32") * STRIDE + STRIDE / 2
    here = ops.stack(ops.meshgrid(rows, columns, indexing="ij"), axis=-1)
    is_object = ops.logical_and(cells["label"] > 0, cells["valid"])

    def of_cells(values):
        values = ops.concatenate([values, ops.zeros_like(values[:, :1])], axis=1)
        places = ops.broadcast_to(flat[..., None], (*ops.shape(flat), values.shape[-1]))
        return ops.reshape(
            ops.take_along_axis(values, places, axis=1), (-1, *rooms, values.shape[-1])
        )

    def regression(predicted, target, chosen):
        return mean_of(regression_loss(predicted - (of_cells(target) - here), kind), chosen)

    way, there = regression(votes[..., :2], centres, is_object), ops.zeros(())
    batch = ops.shape(votes)[0]
    for frames in range(1, past + 1):
        where, was = before(inputs, centres, frames)
        first = 2 + 3 * (frames - 1)
        known = of_cells(ops.cast(was, "float32")[..., None])[..., 0]
        # Of the batch's first frames nothing is known.
        asked = ops.logical_and(is_object, (ops.arange(batch) >= frames)[:, None, None])
        moved = ops.logical_and(asked, known > 0)
        way = way + regression(votes[..., first : first + 2], where, moved)
        logit = votes[..., first + 2]
        each = ops.maximum(logit, 0.0) - logit * known + ops.log1p(ops.exp(-ops.abs(logit)))
        there = there + mean_of(each, asked)
    return way, there
