"""The committed networks do what their cards say, on a sequence made here."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.own_vectors import f1, identities, segmented
from models.motsnet.association import MotsNetConfig
from models.pixel_embeddings.association import PixelTrackerConfig
from models.streaming import track
from models.tracking import make_tracker
from models.trackrcnn.association import TrackRcnnConfig
from tests.conftest import make_detections
from utils import synthetic, synthetic_pictures
from utils.data_sets import data_set
from utils.detection_scores import average_precision

PRETRAINED = Path(__file__).parents[1] / "pretrained"
TRACKERS = {
    "trackrcnn": (TrackRcnnConfig(window=3, scale=1.0), 0.7),
    "motsnet": (MotsNetConfig(window=4, scale=0.5, overlap_weight=0, min_track_length={0: 1}), 0.7),
    "pixel_embeddings": (PixelTrackerConfig(window=2), 0.0),
}
LEAST_AP = {"trackrcnn": (90, 88), "motsnet": (90, 88), "pixel_embeddings": (65, 65)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("sprites")
    draw, _ = synthetic_pictures.source("sprites")
    synthetic.generate(made, "sprites", draw, 10, "test", 1, 40, 4, 77)
    return made


@pytest.mark.parametrize("name", TRACKERS)
def test_it_finds_generated_sprites_and_its_vectors_say_who_is_who(folder, name):
    weights = PRETRAINED / f"{name}_sprites.keras"
    (found,) = segmented(str(weights), folder, None, folder / "found", data_set("sprites"))
    scores = average_precision([found.truth], [found.detections], {2: "sprite"})
    box, mask = LEAST_AP[name]
    assert scores["box"]["mean"] > box and scores["mask"]["mean"] > mask
    marked = identities(found)
    config, least = TRACKERS[name]
    kept = marked.select(np.flatnonzero(marked.scores > least))

    def idf1(vectors):
        ids, _ = track(kept, make_tracker(name, config), {"vectors": vectors, "boxes": boxes})
        return 100 * f1([len(found.truth)], [(kept, ids)])

    boxes = kept.boxes_xywh
    shuffled = kept.vectors[np.random.default_rng(0).permutation(len(kept))]
    own = idf1(kept.vectors)
    assert own > 60 and own > idf1(shuffled) + 40


def test_idf1_counts_what_was_missed_and_what_is_nobody():
    detections = make_detections(
        [(f, i, 2, 1.0, (x, 2, 8, 8)) for f, i, x in ((1, 5, 2), (2, 5, 2), (3, 5, 2), (3, 0, 30))]
    )
    ids = np.array([1, 1, 2, 3])
    assert f1([4], [(detections, ids)]) == pytest.approx(2 * 2 / (4 + 4))
    alone = replace(detections, ids=np.zeros(4, np.int32))
    assert f1([4], [(alone, ids)]) == 0
