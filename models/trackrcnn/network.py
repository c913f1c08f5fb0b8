"""TrackR-CNN: Mask R-CNN with convolutions over time and an association head (CVPR 2019)."""

from __future__ import annotations

import keras
from keras import layers, ops

from models.networks import triplets
from models.networks.detector import Detector
from models.networks.temporal import SeparableConv3D, over_time
from models.networks.triplets import tracks_of
from models.trackrcnn.config import TrackRcnnNetworkConfig


@keras.saving.register_keras_serializable("usc_mots")
class TrackRCNN(Detector):
    """Mask R-CNN on adjacent frames of one video, which come as the batch.

    Inputs are those of `Detector`; in training `tracks` (B, G) int32, the objects' ids, come with
    them. Detections have `vectors` (B, D, F), too, whose Euclidean distances say who is who.

    Args:
        config: TrackRcnnNetworkConfig, or the dict of it that a file holds.
    """

    config_class = TrackRcnnNetworkConfig

    def __init__(self, config=None, **kwargs):
        super().__init__(config, **kwargs)
        settings = self.config
        self.time_convs = [
            SeparableConv3D(start, relu=not settings.pyramid, name=f"time_conv_{i}")
            for i, start in enumerate(settings.time_convs)
        ]
        for conv in self.time_convs:
            conv.build((None, None, None, self.rpn.input_shape[-1]))
        self.association = layers.Dense(settings.vector_size, name="association")
        self.association.build((None, self.box_head.output_shape[-1]))

    def loss_names(self):
        """Return the names of the losses."""
        return (*super().loss_names(), "association")

    def features(self, images, sizes, training=False):
        """Return the levels (T, h, w, C) of T adjacent frames, each with what its neighbours say.

        The pyramid's levels share the convolutions, as they share the RPN.
        """
        levels = super().features(images, sizes, training)
        return [over_time(self.time_convs, level, sizes) for level in levels]

    def more_losses(self, levels, features, objects, inputs):
        """Return the association loss of the objects of all frames."""
        tracks = tracks_of(inputs, objects)
        vectors = self.association(ops.reshape(features, (-1, features.shape[-1])))
        vectors = ops.cast(vectors, "float32")
        tracks, margin = ops.reshape(tracks, (-1,)), self.config.margin
        kind = self.config.association_loss
        if kind == "quantile":
            loss = triplets.quantile(vectors, tracks, margin, self.config.hardest)
        else:
            losses = {"batch_hard": triplets.batch_hard, "batch_all": triplets.batch_all,
                      "contrastive": triplets.contrastive_pairs}  # fmt: skip
            loss = losses[kind](vectors, tracks, margin)
        return {"association": loss}

    def total(self, terms):
        """Return the losses' sum, that of association times lambda (thesis, section 4.2)."""
        return super().total(terms) + (self.config.loss_factor - 1) * terms["association"]

    def more_of(self, levels, detections, sizes):
        """Return the association vectors of the detections."""
        boxes = detections["boxes"]
        features = self._of_boxes(self.box_head, levels, boxes, sizes, "box_size", None, False)
        return {"vectors": ops.cast(self.association(features), "float32")}
