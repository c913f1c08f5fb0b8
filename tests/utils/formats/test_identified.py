"""Detections that come back with identities, as the tools they are of expect them."""

from types import SimpleNamespace

import numpy as np
import pytest

from pipeline.api import Tracker
from utils.formats.identified import identified

MASKS = np.zeros((2, 20, 30), bool)
MASKS[0, 2:9, 3:9], MASKS[1, 10:18, 15:25] = True, True


class Results:
    """Ultralytics' results of two objects, as far as the project touches them."""

    def __init__(self, columns=6):
        data = np.arange(2 * columns, dtype=np.float32).reshape(2, columns)
        data[:, -2:] = [[0.9, 0], [0.8, 7]]
        self.orig_shape, self.names = (20, 30), {0: "person", 7: "cup"}
        cls, conf = np.array([0.0, 7.0]), np.array([0.9, 0.8])
        self.boxes = SimpleNamespace(data=data, cls=cls, conf=conf, id=None)
        self.masks = SimpleNamespace(data=MASKS, xy=[])

    def update(self, boxes):
        columns = {"id": boxes[:, -3], "conf": boxes[:, -2], "cls": boxes[:, -1]}
        self.boxes = SimpleNamespace(data=boxes, **columns)


def supervision():
    names = {"class_name": np.array(["person", "cup"])}
    return SimpleNamespace(xyxy=np.zeros((2, 4)), mask=MASKS, confidence=np.array([0.9, 0.8]),
                           class_id=np.array([0, 7]), tracker_id=None, data=names)  # fmt: skip


@pytest.mark.parametrize("columns", [6, 7])
def test_ultralytics_results_get_ids_before_the_score(columns):
    results = Results(columns)
    before = results.boxes.data
    assert identified([results], np.array([4, 0], np.int32)) is results
    assert results.boxes.id.tolist() == [4, 0] and results.boxes.data.shape == (2, 7)
    assert results.boxes.data[:, :4].tolist() == before[:, :4].tolist()
    assert results.boxes.data[:, -2:].tolist() == before[:, -2:].tolist()


def test_a_tracker_returns_what_it_took_with_its_identities():
    for source in (supervision(), Results(), {"masks": MASKS, "scores": [0.9, 0.8]}, MASKS):
        tracker = Tracker("mask_iou", min_score=0.5)
        tracker.update(source)
        found = tracker.update(source)
        if isinstance(source, dict):
            ids = found["ids"]
            assert "ids" not in source
        elif isinstance(source, Results):
            ids = found.boxes.id
        elif isinstance(source, np.ndarray):
            ids = found
        else:
            ids = found.tracker_id
            assert source.tracker_id is None
        assert len(set(ids.tolist())) == 2 and min(ids) > 0


def test_supervision_says_minus_1_for_nobody():
    assert identified(supervision(), np.array([3, 0], np.int32)).tracker_id.tolist() == [3, -1]
