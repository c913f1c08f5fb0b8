"""The committed networks do what their cards say, on a sequence made here."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.own_vectors import f1, identities, segmented
from models.tracking import make_tracker, track
from models.trackrcnn.association import TrackRcnnConfig
from tests.conftest import make_detections
from utils import synthetic
from utils.data_sets import data_set
from utils.detection_scores import average_precision

WEIGHTS = Path(__file__).parents[1] / "pretrained" / "trackrcnn_sprites.keras"


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    made = tmp_path_factory.mktemp("sprites")
    draw, _ = synthetic.source("sprites")
    synthetic.generate(made, "sprites", draw, 10, "test", 1, 40, 4, 77)
    (one,) = segmented(str(WEIGHTS), made, None, made / "found", data_set("sprites"))
    return one


def test_it_finds_generated_sprites(found):
    scores = average_precision([found.truth], [found.detections], {2: "sprite"})
    assert scores["box"]["mean"] > 90 and scores["mask"]["mean"] > 88


def test_its_vectors_say_who_is_who(found):
    marked = identities(found)
    kept = marked.select(np.flatnonzero(marked.scores > 0.7))
    config = TrackRcnnConfig(window=3, scale=1.0)

    def idf1(vectors):
        ids, _ = track(kept, make_tracker("trackrcnn", config), {"vectors": vectors})
        return 100 * f1([len(found.truth)], [(kept, ids)])

    shuffled = kept.vectors[np.random.default_rng(0).permutation(len(kept))]
    own = idf1(kept.vectors)
    assert own > 75 and own > idf1(shuffled) + 40


def test_idf1_counts_what_was_missed_and_what_is_nobody():
    detections = make_detections(
        [(f, i, 2, 1.0, (x, 2, 8, 8)) for f, i, x in ((1, 5, 2), (2, 5, 2), (3, 5, 2), (3, 0, 30))]
    )
    ids = np.array([1, 1, 2, 3])
    assert f1([4], [(detections, ids)]) == pytest.approx(2 * 2 / (4 + 4))
    alone = replace(detections, ids=np.zeros(4, np.int32))
    assert f1([4], [(alone, ids)]) == 0
