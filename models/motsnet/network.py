"""MOTSNet: Mask R-CNN with a tracking head that pools under masks (Porzi et al., CVPR 2020)."""

from __future__ import annotations

import keras
from keras import layers, ops

from models.motsnet.config import MotsNetNetworkConfig
from models.networks.backbone import MaskedNormalization
from models.networks.detector import Detector
from models.networks.heads import head_channels
from models.networks.roi_align import align, crop_masks
from models.networks.triplets import batch_hard, tracks_of

INSIDE = 0.5  # of a cell's share in the mask, from which phi is 1


def mask_pool(features, inside):
    """Return (..., C) means of features over the cells of a mask (section 4.1).

    A mask without a cell, for which the paper's quotient is none, pools the whole box.

    Args:
        features: (..., S, S, C). inside: (..., S, S) bool.
    """
    weights = ops.cast(inside, features.dtype)
    count = ops.sum(weights, axis=(-2, -1), keepdims=True)
    weights = ops.where(count > 0, weights, ops.ones_like(weights))
    total = ops.sum(weights, axis=(-2, -1))
    summed = ops.sum(features * weights[..., None], axis=(-3, -2))
    return summed / total[..., None]


def often(tracks):
    """Return (B, G) ids with 0 for tracks that are in half of the B frames or fewer (section 4.2).

    Args:
        tracks: (B, G) int32, 0 for none.
    """
    flat = ops.reshape(tracks, (-1,))
    seen = ops.sum(ops.cast(flat[:, None] == flat[None, :], "int32"), axis=1)
    enough = 2 * seen > ops.shape(tracks)[0]
    return ops.reshape(ops.where(enough, flat, 0), ops.shape(tracks))


@keras.saving.register_keras_serializable("usc_mots")
class MOTSNet(Detector):
    """Mask R-CNN whose detections have embeddings of their class on the unit sphere.

    Inputs are those of `Detector`; in training `tracks` (B, G) int32, the objects' ids, come with
    them, and the batch is one of adjacent frames. Detections have `vectors` (B, D, N_e). Batch
    normalisation stands where the paper has InPlace-ABN.

    Args:
        config: MotsNetNetworkConfig, or the dict of it that a file holds.
    """

    config_class = MotsNetNetworkConfig

    def __init__(self, config=None, **kwargs):
        super().__init__(config, **kwargs)
        if self.config.tracking_head:
            self.tracking_head = build_tracking_head(self.config)
            self.by_class = self.by_class | {"tracking_vectors": (self.config.vector_size, False)}

    def loss_names(self):
        """Return the names of the losses."""
        return (*super().loss_names(), *(["association"] if self.config.tracking_head else []))

    def embeddings(self, levels, boxes, sizes, inside, labels, used=None, training=False):
        """Return (B, S, N_e) unit vectors of boxes, each in the space of its class (Table 1).

        Without a tracking head they are the pooled features, of which there are C.

        Args:
            levels: (B, h, w, C) each. boxes: (B, S, 4). sizes: (B, 2).
            inside: (B, S, M, M) bool, cells of the masks. labels: (B, S), 0 for none.
            used: (B, S) bool, rows that the normalisation heeds; None takes all.
            training: whether the head trains.
        """
        config = self.config
        features = align(levels[: self.pooled], boxes, sizes, config.mask_size)
        if config.pooling == "box":
            inside = ops.ones_like(inside)
        vectors = ops.cast(mask_pool(features, inside), "float32")
        if config.tracking_head:
            vectors = self._of_class(vectors, labels, used, training)
        # The root of a sum of squares has no slope at 0.
        return vectors / ops.sqrt(ops.sum(vectors**2, axis=-1, keepdims=True) + 1e-12)

    def _of_class(self, pooled, labels, used, training):
        """Return (B, S, N_e) outputs of the tracking head, of each box those of its class."""
        config = self.config
        used = ops.ones_like(labels, "bool") if used is None else used
        flat = ops.reshape(pooled, (-1, pooled.shape[-1])), ops.reshape(used, (-1,))
        outputs = self.tracking_head(flat, training=training)
        room = (*ops.shape(labels), len(config.classes), config.vector_size)
        by_class = ops.reshape(ops.cast(outputs, "float32"), room)
        of_label = ops.one_hot(ops.maximum(labels - 1, 0), len(config.classes))
        return ops.sum(by_class * of_label[..., None], axis=2)

    def more_losses(self, levels, features, objects, inputs):
        """Return the tracking head's loss, under true masks (section 4.2)."""
        if not self.config.tracking_head:
            return {}
        if self.config.mined:
            inputs = {**inputs, "tracks": often(ops.cast(inputs["tracks"], "int32"))}
        tracks = ops.reshape(tracks_of(inputs, objects), (-1,))
        side, sizes = self.config.mask_size, inputs["sizes"]
        shares = crop_masks(inputs["masks"], objects["truth"], objects["boxes"], sizes, side)
        real = objects["labels"] > 0
        vectors = self.embeddings(
            levels, objects["boxes"], sizes, shares >= INSIDE, objects["labels"], real, True
        )
        vectors = ops.reshape(vectors, (-1, vectors.shape[-1]))
        labels = ops.reshape(objects["labels"], (-1,))
        return {"association": batch_hard(vectors, tracks, self.config.margin, labels)}

    def total(self, terms):
        """Return L_TH + lambda (L_RPH + L_RSH)."""
        detection = sum(terms[name] for name in Detector.loss_names(self))
        return terms.get("association", 0.0) + self.config.loss_factor * detection

    def more_of(self, levels, detections, sizes):
        """Return the embeddings of the detections, under their own masks."""
        masks, side = detections["masks"], self.config.mask_size
        rooms = (*masks.shape[:2], side, 2, side, 2)
        rooms = (ops.shape(masks)[0], *rooms[1:])
        inside = ops.mean(ops.reshape(masks, rooms), axis=(3, 5)) >= INSIDE
        return {
            "vectors": self.embeddings(
                levels, detections["boxes"], sizes, inside, detections["labels"]
            )
        }


def build_tracking_head(config):
    """Return a model of pooled features (N, C) and rows that count (N,) -> (N, classes * N_e)."""
    pooled = keras.Input((head_channels(config),), name="pooled")
    used = keras.Input((), dtype="bool", name="pooled_used")
    x = layers.Dense(config.tracking_units, use_bias=False, name="tracking_dense")(pooled)
    x = MaskedNormalization(momentum=0.9, name="tracking_bn")(x, mask=used)
    x = layers.LeakyReLU(0.01)(x)
    x = layers.Dense(len(config.classes) * config.vector_size, name="tracking_vectors")(x)
    return keras.Model([pooled, used], x, name="tracking_head")
