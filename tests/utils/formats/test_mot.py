"""MOTChallenge boxes."""

import numpy as np
from pycocotools import mask as coco_mask

from tests.utils.formats.scenes import output_of, scene_of
from utils.formats.mot import read_mot
from utils.formats.writing import WRITERS


def test_mot_is_read_by_trackeval_s_rules(tmp_path):
    scene = scene_of(8)
    WRITERS["mot"].write(tmp_path / "a.txt", output_of(scene))
    table = np.loadtxt(tmp_path / "a.txt", delimiter=",")
    assert table.shape == (len(scene), 10)  # TrackEval: frame, id, x, y, w, h, score and three more
    frames, ids, boxes = read_mot(tmp_path / "a.txt")
    rows = np.lexsort((np.arange(len(scene)), scene.frames))
    assert (
        frames.tolist() == scene.frames[rows].tolist() and ids.tolist() == scene.ids[rows].tolist()
    )
    for box, mask in zip(boxes, scene.coco(rows), strict=True):
        ys, xs = np.nonzero(coco_mask.decode(mask))
        assert box.tolist() == [xs.min(), ys.min(), np.ptp(xs) + 1, np.ptp(ys) + 1]
