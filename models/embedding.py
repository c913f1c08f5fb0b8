"""From detections to embeddings: each is cropped once and embedded once, in large batches."""

import json
from contextlib import nullcontext

import numpy as np

from utils.datasets import scaled_boxes
from utils.masks import crop_patches

CHUNK = 4096  # detections whose patches are in memory at once


def embed(model, detections, object_size, images=None, watch=None):
    """Return (n, F) float32 embeddings, row i that of detection i.

    Args:
        model: DHAE.
        detections: n Detections.
        object_size: see `utils.datasets.scaled_boxes`.
        images: function frame -> (height, width, 3) uint8 RGB; appearance models need it.
        watch: function stage -> context manager that times "crop" and "embed"; None times nothing.
    """
    watch = watch or (lambda stage: nullcontext())
    size, appearance = model.config["patch_size"], model.config["channels"] == 3
    boxes = scaled_boxes(detections, object_size)
    embeddings = [np.zeros((0, model.config["latent_dim"]), np.float32)]
    for start in range(0, len(detections), CHUNK):
        rows = slice(start, start + CHUNK)
        with watch("crop"):
            patches = crop_patches(detections.select(rows), size, images if appearance else None)
        with watch("embed"):
            embeddings.append(model.encode(patches, boxes[rows]))
    return np.concatenate(embeddings)


def read_card(weights):
    """Return the card (dict) beside a weights file, or None where there is none.

    Raises:
        ValueError: it is no card.
    """
    path = weights.with_suffix(".json")
    if not path.is_file():
        return None
    try:
        card = json.loads(path.read_text())
        for name in ("held_back", "trained_on"):
            card[name] = [str(sequence) for sequence in card[name]]
        card["settings"] = dict(card["settings"])
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: must be the card of {weights.name}, got {error!r}") from None
    return card


def choose_weights(cards, dataset, sequence):
    """Return the first weights that never saw a sequence, else the first not chosen on it.

    A sequence that is held back is not trained on, but its identities chose the checkpoint.

    Args:
        cards: {weights: card or None}, in order of preference.
        dataset: data set of the sequence; equal names in other data sets are other sequences.
        sequence: its name.
    """

    def names(card, *kinds):
        if card is None or card["settings"].get("dataset") != dataset:
            return []
        return [name for kind in kinds for name in card[kind]]

    unseen = [w for w, c in cards.items() if sequence not in names(c, "held_back", "trained_on")]
    unchosen = [w for w, c in cards.items() if sequence not in names(c, "held_back")]
    return (unseen or unchosen or list(cards))[0]
