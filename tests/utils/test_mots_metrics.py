import numpy as np
import pytest

from models.usc_mots.config import UscMotsConfig
from tests.conftest import make_detections, random_scene, track_with, write_tracks
from utils import evaluation, mots_metrics
from utils.boxes import scaled_boxes
from utils.formats.reading import read_detections


def score(tmp_path, truth, results, ids, cls="car"):
    """Return (our columns, TrackEval's CLEAR on the files as they are) of results given ids."""
    from trackeval.datasets import KittiMOTS
    from trackeval.metrics import CLEAR

    files = tmp_path / "gt" / "seq.txt", tmp_path / "out" / "data" / "seq.txt"
    write_tracks(files[0], truth, truth.ids)
    write_tracks(files[1], results, np.array(ids))
    read = [read_detections(file) for file in files]
    counts = evaluation.mask_counts(*read, {{"car": 1, "pedestrian": 2}[cls]: cls})
    mine = evaluation.combine_masks([counts])[cls]
    dataset = KittiMOTS(
        {
            "GT_FOLDER": str(files[0].parent),
            "GT_LOC_FORMAT": "{gt_folder}/{seq}.txt",
            "TRACKERS_FOLDER": str(tmp_path / "out"),
            "TRACKERS_TO_EVAL": ["data"],
            "TRACKER_SUB_FOLDER": "",
            "CLASSES_TO_EVAL": [cls],
            "SEQ_INFO": {"seq": 1 + max(int(d.frames.max(initial=0)) for d in read)},
            "PRINT_CONFIG": False,
        }
    )
    data = dataset.get_preprocessed_seq_data(dataset.get_raw_seq_data("data", "seq"), cls)
    clear = CLEAR({"PRINT_CONFIG": False}).eval_sequence(data)
    clear["tie"] = any((iou == 0.5).any() for iou in data["similarity_scores"])
    return mine, clear


def two_objects(frames):
    """Return Detections of object 1 in the given frames, and of object 2 in frames 0 to 5."""
    objects = [(f, 1, 1, 1.0, (2, 2, 8, 8)) for f in frames]
    return make_detections(objects + [(f, 2, 1, 1.0, (30, 2, 8, 8)) for f in range(6)])


@pytest.mark.parametrize(
    ("frames", "ids", "frag", "theirs"),
    [
        # the identity changes: mots_tools counts it, TrackEval does not
        (range(6), [1, 1, 1, 3, 3, 3], 1, 0),
        # a gap and the same identity: both count it
        (range(6), [1, 1, 0, 1, 1, 1], 1, 1),
        # it returns for a single frame only: mots_tools does not count it, TrackEval does
        (range(6), [1, 1, 0, 1, 0, 0], 0, 1),
        # ... unless that is its last frame
        (range(6), [1, 1, 1, 1, 0, 1], 1, 1),
        # the object itself is absent in frame 2: TrackEval counts that as a gap
        ((0, 1, 3, 4, 5), [1, 1, 1, 1, 1], 0, 1),
        # tracked in the last frame only: mots_tools counts it
        (range(6), [0, 0, 0, 0, 0, 1], 1, 0),
        # tracked late is no fragment
        (range(6), [0, 0, 1, 1, 1, 1], 0, 0),
        # a gap and another identity: one fragment
        (range(6), [1, 1, 0, 3, 3, 3], 1, 1),
        # the identity changes at every frame: 5 changes
        (range(6), [1, 3, 4, 5, 6, 7], 5, 0),
    ],
)
def test_fragments_by_hand_where_the_tools_differ(tmp_path, frames, ids, frag, theirs):
    scene = two_objects(frames)
    mine, trackeval = score(tmp_path, scene, scene, [*ids, *[2] * 6])
    assert (mine["Frag"], trackeval["Frag"]) == (frag, theirs)


@pytest.mark.parametrize(
    ("tracked", "mt", "ml"),
    [(5, 1, 0), (4, 0, 0), (1, 0, 0), (0, 0, 1)],  # of 5 frames; 4 / 5 is not above 80%
)
def test_mostly_tracked_and_lost_in_percent(tmp_path, tracked, mt, ml):
    scene = two_objects(range(5))
    mine, _ = score(tmp_path, scene, scene, [1] * tracked + [0] * (5 - tracked) + [2] * 6)
    assert (mine["MT"], mine["ML"]) == (50 + 50 * mt, 50 * ml)


def test_an_iou_of_one_half_is_no_match(tmp_path):
    # 8 x 8 inside 8 x 16: IoU 0.5, which TrackEval matches.
    truth = make_detections([(0, 1, 1, 1.0, (2, 2, 8, 16)), (1, 1, 1, 1.0, (2, 2, 8, 16))])
    found = make_detections([(0, 1, 1, 1.0, (2, 2, 8, 8)), (1, 1, 1, 1.0, (2, 2, 8, 16))])
    mine, trackeval = score(tmp_path, truth, found, [1, 1])
    assert (mine["FN"], mine["FP"], mine["sMOTSA"]) == (1, 1, 0.0)
    assert trackeval["CLR_TP"] == 2


def test_results_in_ignore_regions_are_no_false_positives(tmp_path):
    # The region takes 5 of the 8 columns of one unmatched result (above half), 4 of the other.
    truth = [(0, 1, 1, 1.0, (2, 2, 8, 8)), (0, 2, 10, 1.0, (30, 0, 15, 30))]
    found = [
        (0, 1, 1, 1.0, (2, 2, 8, 8)),
        (0, 2, 1, 1.0, (27, 2, 8, 8)),
        (0, 3, 1, 1.0, (41, 2, 8, 8)),
    ]
    mine, _ = score(tmp_path, make_detections(truth), make_detections(found), [1, 2, 3])
    assert (mine["FP"], mine["sMOTSA"]) == (1, 0.0)


def test_equal_to_trackeval_on_random_scenes(tmp_path):
    rng = np.random.default_rng(5)
    compared = 0
    for _ in range(20):
        truth = random_scene(rng, frames=15, objects=6)
        moved = truth.boxes_xywh.astype(int) + rng.integers(-2, 3, (len(truth), 4)) * [1, 1, 0, 0]
        moved = np.clip(moved, 0, [60, 40, 99, 99])
        rows = zip(truth.frames, truth.ids, truth.classes, truth.scores, moved, strict=True)
        found = make_detections([(*r[:4], tuple(r[4].tolist())) for r in rows], 60, 80)
        ids, _ = track_with(
            UscMotsConfig(min_track_length={0: 1}), found, scaled_boxes(found, None)
        )
        for cls in ("car", "pedestrian"):
            mine, trackeval = score(tmp_path, truth, found, ids, cls)
            tie = trackeval["tie"]  # an IoU of exactly one half, see above
            if mine["objects"] and not tie:
                check_equal(mine, trackeval)
                compared += trackeval["CLR_TP"] > 0
    assert compared >= 10


def check_equal(mine, trackeval):
    for column, name in (("sMOTSA", "sMOTA"), ("MOTSA", "MOTA"), ("MOTSP", "MOTP")):
        assert mine[column] == pytest.approx(100 * trackeval[name], abs=1e-9)
    assert mine["IDS"] == trackeval["IDSW"]


def test_equal_to_trackeval_on_real_detections(real_data, tmp_path):
    folder = real_data / "kitti_mots"
    truth = read_detections(folder / "instances_txt" / "0012.txt")
    found = read_detections(folder / "detections_rrc" / "0012.txt")
    ids, _ = track_with(UscMotsConfig(), found, scaled_boxes(found, None))
    for cls in ("car", "pedestrian"):
        check_equal(*score(tmp_path, truth, found, ids, cls))


def returns(*tracks):
    """Return R of each object, P of each result and F from strings, one character per frame.

    Tracks are pairs (truth, result): "." is nothing, everything else an identity of one pixel.
    """
    pairs = [pair for truth, result in tracks for pair in zip(truth, result, strict=True)]
    names, hyps = (sorted({p[i] for p in pairs} - {"."}) for i in (0, 1))
    shared = np.array([[pairs.count((n, h)) for h in hyps] for n in names], float)
    true_size, got_size = (
        [sum(p[i] == n for p in pairs) for n in (names, hyps)[i]] for i in (0, 1)
    )
    recalls = mots_metrics.diminishing_returns(shared, true_size)
    precisions = mots_metrics.diminishing_returns(shared.T, got_size)
    f = mots_metrics.combine_returns(recalls, precisions)["F_DR"]
    return recalls.tolist(), precisions.tolist(), f / 100


@pytest.mark.parametrize(
    ("result", "recall"),
    [
        # Table 5.1: 1000 frames, switched half-way or missed once; 5 frames, 4 tracked, then all
        ("a" * 500 + "b" * 500, 3 / 4),
        ("a" * 999 + ".", 999 / 1000),
        ("aaaa.", 4 / 5),
        ("aaaab", 9 / 10),
        # Table 5.2: 12 frames
        ("aaaaaaaaaaaa", 1),
        ("aaaaaa......", 1 / 2),
        ("aaaaaabbbbbb", 3 / 4),
        ("aaaaaabbbccc", 17 / 24),
        ("aaaaabbbaaaa", 21 / 24),
        # Table 5.4: the failure case, one switch or nine
        ("aaaaabbbbb", 3 / 4),
        ("ababababab", 3 / 4),
    ],
)
def test_diminishing_returns_of_one_object(result, recall):
    recalls, precisions, _ = returns(("1" * len(result), result))
    assert recalls == [pytest.approx(recall)]
    assert precisions == [pytest.approx(1)] * len(precisions)


@pytest.mark.parametrize(
    ("tracks", "recalls", "precisions", "f"),
    [
        # Table 5.3, objects 1 (black) and 2 (gray), results b (blue) and g (green)
        ((("1" * 12, "g" * 6 + "b" * 6), ("2" * 6, "b" * 6)), (3 / 4, 1), (3 / 4, 1), 7 / 8),
        (
            (("1" * 12, "b" * 6 + "g" * 3 + "..."), ("2" * 6, "bbb...")),
            (15 / 24, 1 / 2),
            (15 / 18, 1),
            99 / 142,
        ),
        # Line 3; its R and P as printed. Eq. 5.5 makes 4/7 of them.
        (
            (("1" * 6, "ggg..."), ("2" * 6, "bbb..."), ("." * 6, "b" * 6)),
            (0.5, 0.5),
            (1 / 3, 1),
            4 / 7,
        ),
        (
            (("1" * 6, "ggg..."), ("2" * 6, "bbb..."), ("." * 6, "gggbbb")),
            (1 / 2, 1 / 2),
            (1 / 2, 1 / 2),
            1 / 2,
        ),
        ((("111", "..."), ("2" * 6, "gggbbb"), ("." * 6, "gggbbb")), (0, 3 / 4), (0.5, 0.5), 3 / 7),
        (
            (("1" * 6, "ggg..."), ("2" * 6, "b" * 6), ("." * 4, "gggb")),
            (1 / 2, 1),
            (6 / 7, 1 / 2),
            57 / 80,
        ),
    ],
)
def test_diminishing_returns_of_two_objects(tracks, recalls, precisions, f):
    got = returns(*tracks)
    assert got[0] == pytest.approx(recalls) and got[1] == pytest.approx(precisions)
    assert got[2] == pytest.approx(f)


def test_diminishing_returns_of_masks(tmp_path):
    # Object 1 (384 px over 6 frames) is half 1, half 3: R = 3/4; object 2 is whole. P are all 1.
    scene = two_objects(range(6))
    mine, _ = score(tmp_path, scene, scene, [1, 1, 1, 3, 3, 3, *[2] * 6])
    assert (mine["R_DR"], mine["P_DR"]) == (pytest.approx(87.5), pytest.approx(100))
