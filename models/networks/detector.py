"""The two-stage detector with masks of Mask R-CNN (He et al., ICCV 2017), each part replaceable."""

from __future__ import annotations

import keras
from keras import ops

from models.networks import losses
from models.networks.backbone import build_backbone
from models.networks.boxes import HEAD_WEIGHTS, clip, decode, sides_at_least
from models.networks.detector_config import DetectorConfig
from models.networks.frame_network import FrameNetwork, between
from models.networks.heads import (
    build_box_head,
    build_box_predictor,
    build_mask_head,
    build_rpn,
)
from models.networks.nms import best_apart
from models.networks.roi_align import align
from models.networks.rpn import anchors_of, by_anchor, propose

LEAST_SIDE = 1e-2  # px, of a detection
LOSSES = ("rpn_score", "rpn_box", "class", "box", "mask")


def _whole(values):
    """Return values as float32, whatever precision the layers work in."""
    return ops.cast(values, "float32")


class Detector(FrameNetwork):
    """Finds the objects of pictures, their classes, boxes and masks.

    Inputs are a dict of `images` (B, H, W, 3) float32, normalised, resized and padded as
    `models.networks.transform` does it, and `sizes` (B, 2) float32, heights and widths before
    padding. In training `boxes` (B, G, 4), `labels` (B, G) int32 (0: none), `masks` (B, G, H, W)
    and, if wanted, `ignored` (B, H, W), 1 where nothing is annotated, come with them.

    Called for inference it returns a dict of (B, D, ...), best first: `boxes` px of the resized
    picture, `scores`, `labels` (from 1), `masks` (2 S, 2 S) in [0, 1] of each box, `real` bool;
    called for training, a dict of its losses.

    Args:
        config: DetectorConfig, or the dict of it that a file holds.

    Example:
        >>> config = DetectorConfig(classes=("cell",), depth=18, width=16, channels=32)
        >>> network = Detector(config)
        >>> found = network({"images": np.zeros((1, 64, 96, 3)), "sizes": np.array([[64., 96.]])})
        >>> found["boxes"].shape
        (1, 100, 4)
    """

    config_class = DetectorConfig
    by_class = {  # noqa: RUF012
        "class_logits": (1, True),
        "box_deltas": (4, True),
        "mask_logits": (1, True),
    }

    def __init__(self, config=None, **kwargs):
        super().__init__(config, **kwargs)
        given = self.config
        self.backbone = build_backbone(given)
        self.rpn = build_rpn(given)
        self.box_head = build_box_head(given)
        self.box_predictor = build_box_predictor(given, self.box_head.output_shape[-1])
        self.mask_head = build_mask_head(given)

    def loss_names(self):
        """Return the names of the losses, which are summed."""
        return LOSSES

    # A model's parts are told whether they train: not every backend hands it on by itself.

    def features(self, images, sizes, training=False):
        """Return the levels (B, h, w, C), finest first, that all heads work on.

        Args:
            images: (B, H, W, 3). sizes: (B, 2) before padding. training: whether layers train.
        """
        levels = self.backbone(images, training=training)
        return levels if isinstance(levels, list | tuple) else [levels]

    def proposals(self, levels, inputs, training):
        """Return proposals (B, P, 4), which are real (B, P), and what the RPN's losses need."""
        config = self.config
        outputs = [by_anchor(*map(_whole, self.rpn(level, training=training))) for level in levels]
        logits, deltas = [f[0] for f in outputs], [f[1] for f in outputs]
        padded = tuple(int(n) for n in inputs["images"].shape[1:3])
        anchors = anchors_of(levels, padded, config)
        before, after = config.proposals_before, config.proposals_after
        mode = 0 if training else 1
        sizes = inputs["sizes"]
        boxes, real = propose(
            logits, deltas, anchors, sizes, before[mode], after[mode], config.proposals_nms
        )
        return boxes, real, (logits, deltas, anchors)

    def box_outputs(self, levels, boxes, sizes, used=None, training=False):
        """Return logits (B, R, K + 1), deltas (B, R, 4 (K + 1)) and features (B, R, F) of boxes.

        Args:
            levels: (B, h, w, C) each. boxes: (B, R, 4). sizes: (B, 2).
            used: (B, R) bool, the boxes that a head's normalisation heeds; None takes all.
            training: whether the heads train.
        """
        features = self._of_boxes(self.box_head, levels, boxes, sizes, "box_size", used, training)
        outputs = self.box_predictor(ops.reshape(features, (-1, features.shape[-1])))
        room = ops.shape(boxes)[0], int(boxes.shape[1])
        logits, deltas = (ops.reshape(_whole(m), (*room, m.shape[-1])) for m in outputs)
        return logits, deltas, features

    def mask_outputs(self, levels, boxes, sizes, used=None, training=False):
        """Return logits (B, R, 2 S, 2 S, K + 1) of the masks in boxes; see `box_outputs`."""
        return _whole(
            self._of_boxes(self.mask_head, levels, boxes, sizes, "mask_size", used, training)
        )

    @property
    def pooled(self):
        """How many levels the heads see: not the pyramid's last."""
        return 4 if self.config.pyramid else 1

    def _of_boxes(self, head, levels, boxes, sizes, side, used, training):
        """Return what a head makes of the features in boxes, (B, R, ...)."""
        inside = align(levels[: self.pooled], boxes, sizes, getattr(self.config, side))
        flat = ops.reshape(inside, (-1, *inside.shape[2:]))
        if self.config.head_norm:
            used = ops.ones_like(boxes[..., 0], "bool") if used is None else used
            outputs = head([flat, ops.reshape(used, (-1,))], training=training)
        else:
            outputs = head(flat, training=training)
        return ops.reshape(outputs, (ops.shape(boxes)[0], int(boxes.shape[1]), *outputs.shape[1:]))

    def call(self, inputs, training=False, context=0):
        """Return detections, or in training losses; see the class and `FrameNetwork`."""
        inputs = {**inputs, "sizes": ops.cast(inputs["sizes"], "float32")}
        levels = self.features(inputs["images"], inputs["sizes"], training)
        levels = [between(level, context) for level in levels]
        inputs["sizes"] = between(inputs["sizes"], context)
        proposals, real, rpn = self.proposals(levels, inputs, training)
        if training:
            return self.losses_of(levels, proposals, real, rpn, inputs)
        return self.detect(levels, proposals, real, inputs["sizes"])

    def losses_of(self, levels, proposals, real, rpn, inputs):
        """Return the losses by name."""
        config, truth = self.config, ops.cast(inputs["boxes"], "float32")
        labels, ignored = ops.cast(inputs["labels"], "int32"), inputs.get("ignored")
        logits, deltas = (ops.concatenate(part, axis=1) for part in rpn[:2])
        anchors = ops.concatenate([ops.convert_to_tensor(a) for a in rpn[2]], axis=0)
        result = {}
        result["rpn_score"], result["rpn_box"] = losses.rpn_losses(
            logits, deltas, anchors, truth, labels > 0, ignored, self._chance(logits), config
        )
        every = ops.concatenate([proposals[..., 0], truth[..., 0]], axis=1)
        chance = self._chance(every)
        chosen = losses.choose_boxes(proposals, real, truth, labels, ignored, chance, config)
        sizes = inputs["sizes"]
        logits, deltas, features = self.box_outputs(
            levels, chosen["boxes"], sizes, chosen["used"], True
        )
        result["class"], result["box"] = losses.box_losses(logits, deltas, chosen, truth)
        most = max(
            1, min(int(config.box_samples * config.box_fraction), int(chosen["labels"].shape[1]))
        )
        objects = {name: value[:, :most] for name, value in chosen.items()}
        masks = self.mask_outputs(levels, objects["boxes"], sizes, objects["labels"] > 0, True)
        result["mask"] = losses.mask_loss(
            masks, objects["labels"], objects["truth"], objects["boxes"], inputs["masks"], sizes
        )
        return result | self.more_losses(levels, features[:, :most], objects, inputs)

    def more_losses(self, levels, features, objects, inputs):
        """Return further losses by name: what a network built on this one adds.

        Args:
            levels: (B, h, w, C) each. features: (B, S, F), the box head's, of the objects.
            objects: see `choose_boxes`; rows that are no object have label 0.
            inputs: the network's.
        """
        return {}

    def _chance(self, like):
        return keras.random.uniform(ops.shape(like), seed=self.seeds)

    def detect(self, levels, proposals, real, sizes):
        """Return the detections among proposals; see the class."""
        config, count = self.config, len(self.config.classes)
        logits, deltas, _ = self.box_outputs(levels, proposals, sizes)
        scores = ops.softmax(logits, axis=-1)[..., 1:]
        batch, rows = ops.shape(proposals)[0], int(proposals.shape[1])
        deltas = ops.reshape(deltas, (batch, rows, count + 1, 4))[:, :, 1:]
        # A proposal that is none has no sides; its boxes take no part.
        boxes = clip(decode(deltas, proposals[:, :, None], HEAD_WEIGHTS), sizes)
        good = ops.logical_and(scores > config.min_score, sides_at_least(boxes, LEAST_SIDE))
        good = ops.logical_and(good, real[..., None])
        flat_scores = ops.reshape(ops.where(good, scores, -1.0), (batch, rows * count))
        flat_boxes = ops.reshape(boxes, (batch, rows * count, 4))
        labels = ops.broadcast_to(ops.arange(1, count + 1), ops.shape(scores))
        labels = ops.reshape(ops.cast(labels, "int32"), (batch, rows * count))
        most = min(config.detections, rows * count)
        places, real_rows = best_apart(flat_boxes, flat_scores, labels, config.nms, most)
        boxes = ops.where(real_rows[..., None], losses.rows_of(flat_boxes, places), 0.0)
        labels = ops.where(real_rows, losses.rows_of(labels, places), 0)
        masks = ops.sigmoid(self.mask_outputs(levels, boxes, sizes))
        of_label = ops.one_hot(labels, count + 1)[:, :, None, None]
        result = {
            "boxes": boxes,
            "scores": ops.where(real_rows, losses.rows_of(flat_scores, places), 0.0),
            "labels": labels,
            "masks": ops.sum(masks * of_label, axis=-1),
            "real": real_rows,
        }
        return result | self.more_of(levels, result, sizes)

    def more_of(self, levels, detections, sizes):
        """Return further columns of detections (B, D, ...): what a network built on this adds.

        Args:
            levels: (B, h, w, C) each. detections: the columns so far. sizes: (B, 2).
        """
        return {}
