"""Tracks and frames in, tracks of a whole video out: ReMOTS' steps one after another."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from models.remots.adaptation import adapt, standardised
from models.remots.clustering import refine
from models.remots.config import COLOURS, RESNET, RetrackingConfig
from models.remots.evidence import link
from utils.data_sets import CUSTOM, data_set
from utils.detections import Detections
from utils.masks import Images, crop_patches

Array = npt.NDArray[Any]


def retrack(
    detections: Detections,
    track_ids: Array,
    looks: Sequence[Array],
    images: Images,
    config: RetrackingConfig,
    step: int = 1,
) -> tuple[npt.NDArray[np.int32], Counter[str]]:
    """Return (n,) int32 ids for a video that is known as a whole, and what was counted.

    Args:
        detections: n Detections. track_ids: (n,) int, 0 for what takes no part.
        looks: list of (n, F) float arrays; a ResNet's take their place.
        images: function frame -> (H, W, 3) uint8 RGB.
        config: RetrackingConfig. step: between frame numbers.
    """
    taking = np.flatnonzero(track_ids)
    ids = np.array(track_ids, np.int32)
    report: Counter[str] = Counter()
    if not len(taking):
        return ids, report
    tracked, seen = detections.select(taking), [d[taking] for d in looks]
    # Frames that are numbered in steps are neighbours, too.
    tracked = replace(tracked, frames=(tracked.frames // step).astype(tracked.frames.dtype))

    def picture(frame: int) -> npt.NDArray[np.uint8]:
        return images(frame * step + int(detections.frames[taking[0]]) % step)

    parts = ids[taking]
    if config.encoder != COLOURS:
        seen = [_appearance(tracked, parts, picture, config)]
    if config.tracklets == "flow":
        parts, counted = _short_term(tracked, seen, picture, config)
        report.update(counted)
    merge = link if config.merge == "evidence" else refine
    ids[taking], counted = merge(tracked, parts, seen, config)
    return ids, report + counted


def _short_term(
    detections: Detections, looks: Sequence[Array], images: Images, config: RetrackingConfig
) -> tuple[Array, Counter[str]]:
    """Return tracklets by looks that are adapted within frames (sections 2.2 and 2.3)."""
    from models.remots.short_term import short_term

    within = replace(config, tracklet_steps=0)
    nobody = np.arange(1, len(detections) + 1)
    vectors = adapt(standardised(looks), detections.frames.astype(np.int64), nobody, within)
    ids, report = short_term(detections, images, vectors, deviations=config.deviations)
    return ids, Counter({f"short_term_{what}": n for what, n in report.items()})


def _appearance(
    detections: Detections, ids: Array, images: Images, config: RetrackingConfig
) -> Array:
    """Return (n, F) looks by a ResNet that is adapted to the video (sections 2.2 and 2.4)."""
    from models.frame_networks import load_network
    from models.networks.data import load_sequences
    from models.remots.encoder import Appearance
    from models.remots.encoder_config import EncoderConfig
    from models.remots.training import seen_in
    from models.remots.triplets import Seen

    given = None if config.encoder == RESNET else load_network(config.encoder)
    encoder_config = EncoderConfig(
        intra_frame_steps=config.encoder_steps, tracklet_steps=config.encoder_steps,
        seed=config.seed,
    )  # fmt: skip
    encoder = Appearance(encoder_config, given)
    side = encoder.config.side
    labelled = []
    if config.labelled:
        known = load_sequences(Path(config.labelled), data_set(CUSTOM))
        labelled = [seen_in(sequence, side) for sequence in known]
    patches = crop_patches(detections, side, images)
    seen = Seen(patches, detections.frames.astype(np.int64), np.asarray(ids, np.int64))
    encoder.learn_within_frames(seen, labelled)
    encoder.learn_between_tracklets(seen, labelled)
    return encoder.describe(patches)
