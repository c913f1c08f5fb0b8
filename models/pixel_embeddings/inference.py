"""Frames in, disjoint masks out: the network of pixel embeddings as a segmenter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from models.networks.inference import NetworkSegmenter, Seen
from models.pixel_embeddings.clusters import Cluster, clusters_of, enlarged
from models.pixel_embeddings.config import STRIDE
from utils import masks
from utils.detections import Detections


class PixelSegmenter(NetworkSegmenter):
    """A network of pixel embeddings that finds the objects of frames, disjoint by construction.

    A detection's vector holds its cluster's representatives one after another, then its votes;
    the tracker `pixel_embeddings` links them.
    """

    def _found(
        self, before: Sequence[Seen], here: Sequence[Seen], after: Sequence[Seen]
    ) -> list[dict[str, Any]]:
        """Return the clusters of each frame that is here."""
        config = self.network.config
        outputs, sizes = self._outputs(before, here, after)
        pictures = []
        for i, frame in enumerate(here):
            image = frame.image
            height, width = (int(n) for n in sizes[i])
            room = slice(0, -(-height // STRIDE)), slice(0, -(-width // STRIDE))
            cells = {name: values[i][room] for name, values in outputs.items()}
            scale = float(np.sqrt(height * width / (image.shape[0] * image.shape[1])))
            clusters = clusters_of(
                cells["classes"], cells["embeddings"], cells.get("votes"), config, scale
            )
            pictures.append({"clusters": clusters, "resized": (height, width)})
        return pictures

    def _detections(
        self, number: int, size: tuple[int, int], columns: dict[str, Any]
    ) -> Detections:
        """Return a frame's Detections; a cluster of which no pixel is left is empty."""
        config = self.network.config
        clusters: list[Cluster] = columns["clusters"]
        owner = enlarged(clusters, columns["resized"], size, config.upsampling)
        n = len(clusters)
        rles = np.empty(n, object)
        rles[:] = [masks.encode(owner == k) for k in range(n)]
        numbers = np.array(self.numbers, np.int16)
        vectors = np.zeros((n, config.vector_size), np.float32)
        for row, cluster in zip(vectors, clusters, strict=True):
            row[:] = np.concatenate([cluster.representatives.ravel(), cluster.votes])
        return Detections(
            "",
            *size,
            np.full(n, number, np.int32),
            numbers[[c.label for c in clusters]],
            np.array([c.score for c in clusters], np.float32),
            masks.tight_boxes_xywh(rles, *size),
            rles,
            np.zeros(n, np.int32),
            vectors,
        )
