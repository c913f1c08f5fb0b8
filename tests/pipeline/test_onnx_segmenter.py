"""ONNX segmenters: graphs of every layout, made here, whose right answer is worked out by hand."""

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from pycocotools import mask as coco_mask

import segment
import track_video
from pipeline.onnx_layouts import OnnxConfig, letterbox
from pipeline.onnx_segmenter import OnnxSegmenter, session_of
from pipeline.segmenters import find_segmenter, segmented
from pipeline.segmenting import SegmentRequest
from pipeline.segmenting import segment as run_segment
from utils.formats.base import Classes

FRAME = np.zeros((60, 120, 3), np.uint8)
ROOM = (64, 64)  # the frame is scaled by 64 / 120 to 32 x 64, 16 rows below the top


def graph(path, outputs, size=ROOM, kind=TensorProto.FLOAT, nodes=(), shape=None, names=None):
    """Write a graph that returns constants, {name: array}, and what further nodes make."""
    shape = shape or (1, 3, *size)
    given = [helper.make_tensor_value_info("images", kind, shape)]
    made, infos = list(nodes), []
    for name, value in outputs.items():
        if isinstance(value, str):  # the output of a node, of that many axes
            infos.append(helper.make_tensor_value_info(name, kind, [None] * int(value)))
            continue
        tensor = numpy_helper.from_array(np.asarray(value), f"{name}_value")
        made.append(helper.make_node("Constant", [], [name], value=tensor))
        infos.append(helper.make_tensor_value_info(name, tensor.data_type, value.shape))
    model = helper.make_model(helper.make_graph(made, "g", given, infos), ir_version=9,
                              opset_imports=[helper.make_opsetid("", 17)])  # fmt: skip
    if names:
        helper.set_model_props(model, {"names": str(names)})
    onnx.save(model, str(path))
    return OnnxSegmenter(str(path), session_of(str(path)), OnnxConfig())


def found(items):
    """Return [(class, score, box x y w h)] of run lengths."""
    return [(i["category_id"], round(i["score"], 2), coco_mask.toBbox(i).tolist()) for i in items]


# In the frame 30 15 30 30; in the input 16 24 16 16, so the middle is 24 32.
MIDDLE = (24, 32, 16, 16)
PROTOTYPES = np.ones((1, 2, 16, 16), np.float32)
COEFFICIENTS = (1, 0)


def rows(objects, objectness=False):
    """Return (n, 4 + 3 + 2) rows of cx cy w h, scores of three classes, coefficients."""
    table = []
    for box, cls, score in objects:
        scores = [0.01] * 3
        scores[cls] = score
        table.append([*box, *([1.0] if objectness else []), *scores, *COEFFICIENTS])
    return np.float32(table)


OBJECTS = [
    (MIDDLE, 1, 0.9),
    ((25, 32, 16, 16), 1, 0.8),  # the same object again: IoU 0.88
    (MIDDLE, 2, 0.7),  # another class is another object
    ((50, 32, 8, 8), 0, 0.2),  # too unsure
    *[((5, 20, 2, 2), 0, 0.0)] * 12,
]


def test_yolo_boxes_are_scaled_back_and_suppressed_by_class(tmp_path):
    outputs = {"output0": rows(OBJECTS).T[None], "output1": PROTOTYPES}
    segmenter = graph(tmp_path / "yolo.onnx", outputs, names={0: "person", 1: "car", 2: "dog"})
    items = segmenter(FRAME)
    assert found(items) == [(2, 0.9, [30, 15, 30, 30]), (3, 0.7, [30, 15, 30, 30])]
    assert [item["category"] for item in items] == ["car", "dog"]
    assert segmenter.notes == ["--segmenter yolo.onnx: Ultralytics, input 64 x 64"]


def test_yolov5_has_objectness_and_rows(tmp_path):
    outputs = {"output0": rows(OBJECTS, True)[None], "output1": PROTOTYPES}
    items = graph(tmp_path / "v5.onnx", outputs)(FRAME)
    assert found(items) == [(2, 0.9, [30, 15, 30, 30]), (3, 0.7, [30, 15, 30, 30])]


def test_nms_inside_the_graph_is_left_as_it_is(tmp_path):
    table = np.float32([[16, 24, 32, 40, 0.9, 1, 1, 0], [16, 24, 32, 40, 0.8, 1, 1, 0],
                        [0, 0, 0, 0, 0, 0, 0, 0]])  # fmt: skip
    outputs = {"output0": table[None], "output1": PROTOTYPES}
    items = graph(tmp_path / "end.onnx", outputs)(FRAME)
    assert found(items) == [(2, 0.9, [30, 15, 30, 30]), (2, 0.8, [30, 15, 30, 30])]


def test_a_mask_is_where_prototypes_say_within_the_box(tmp_path):
    prototypes = -np.ones((1, 2, 16, 16), np.float32)
    prototypes[0, 0, :, :6] = 1  # the left 24 px of the input, 45 of the frame
    outputs = {"output0": rows(OBJECTS[:1] + OBJECTS[4:]).T[None], "output1": prototypes}
    ((_, _, box),) = found(graph(tmp_path / "yolo.onnx", outputs)(FRAME))
    assert box[0] == 30 and abs(box[0] + box[2] - 45) <= 1 and box[1::2] == [15, 30]


@pytest.mark.parametrize("shape", [(1, 3, "height", "width"), ("batch", 3, 64, 64)])
def test_open_sizes_and_half_precision(tmp_path, shape):
    outputs = {"output0": np.float16(rows(OBJECTS).T[None]), "output1": np.float16(PROTOTYPES)}
    segmenter = graph(tmp_path / "h.onnx", outputs, kind=TensorProto.FLOAT16, shape=shape)
    if shape[0] == "batch":
        assert [item["category_id"] for item in segmenter(FRAME)] == [2, 3]
    else:  # 320 x 640, in which the box is elsewhere
        assert len(segmenter(FRAME)) == 2 and "of any size" in segmenter.notes[0]


def test_torchvisions_masks_are_probabilities_over_the_frame(tmp_path):
    masks = np.zeros((2, 1, 60, 120), np.float32)
    masks[0, 0, 10:20, 30:50], masks[1, 0, 30:40, 60:90] = 0.9, 0.6
    outputs = {"boxes": np.zeros((2, 4), np.float32), "labels": np.int64([18, 1]),
               "scores": np.float32([0.4, 0.8]), "masks": masks}  # fmt: skip
    items = graph(tmp_path / "t.onnx", outputs, shape=(3, "h", "w"))(FRAME)
    assert found(items) == [(1, 0.8, [60, 30, 30, 10]), (18, 0.4, [30, 10, 20, 10])]


def test_rf_detr_has_sigmoids_and_detr_a_class_for_nobody(tmp_path):
    logits = np.full((1, 3, 4), -9, np.float32)
    logits[0, 0, 2], logits[0, 1, 3], logits[0, 2, 0] = 2.0, 2.0, -2.0
    masks = -np.ones((1, 3, 16, 16), np.float32)
    masks[0, 0, 4:8, 4:8] = masks[0, 1, 8:12, 4:8] = 5
    one = graph(tmp_path / "rf.onnx", {"dets": np.zeros((1, 3, 4), np.float32),
                                       "labels": logits, "masks": masks})  # fmt: skip
    assert [item[:2] for item in found(one(FRAME))] == [(3, 0.88), (4, 0.88)]
    x, y, w, h = found(one(FRAME))[0][2]  # a quarter of each side from a quarter on
    assert abs(x - 30) < 5 and abs(y - 15) < 3 and abs(w - 30) < 8 and abs(h - 15) < 5
    boxes = np.zeros((1, 3, 4), np.float32)
    outputs = {"pred_logits": logits, "pred_masks": masks, "pred_boxes": boxes}
    items = found(graph(tmp_path / "detr.onnx", outputs)(FRAME))
    assert [item[0] for item in items] == [3]  # the second is nobody, the third has no pixel


def test_frames_go_in_as_red_green_blue_from_0_to_1(tmp_path):
    red = helper.make_node("Gather", ["images", "zero"], ["masks"], axis=1)
    zero = helper.make_node("Constant", [], ["zero"], value_int=0)
    outputs = {"scores": np.float32([0.9]), "labels": np.int64([4]), "masks": "3"}
    segmenter = graph(tmp_path / "p.onnx", outputs, nodes=[zero, red])
    image = FRAME.copy()
    image[20:40, 40:80] = (200, 0, 0)
    image[:10] = (0, 255, 255)
    ((cls, _, box),) = found(segmenter(image))
    assert cls == 4 and np.abs(np.array(box) - [40, 20, 40, 20]).max() <= 2


def test_the_letterbox_is_ultralytics(tmp_path):
    image = np.full((60, 120, 3), 200, np.uint8)
    padded, place = letterbox(image, ROOM)
    assert padded.shape == (64, 64, 3) and place.corner == (16, 0)
    assert (
        (padded[:16] == 114).all() and (padded[16:48] == 200).all() and (padded[48:] == 114).all()
    )
    odd, place = letterbox(np.zeros((61, 120, 3), np.uint8), ROOM)
    assert place.corner == (15, 0) and odd.shape == (64, 64, 3)  # 33 rows, 15 above and 16 below


def test_unknown_graphs_and_files_are_one_line(tmp_path):
    with pytest.raises(ValueError, match=r"outputs must be boxes .* got y \[1, 2\]"):
        graph(tmp_path / "u.onnx", {"y": np.zeros((1, 2), np.float32)})
    (tmp_path / "x.onnx").write_bytes(b"no graph")
    for name, message in (
        ("x.onnx", "must be an ONNX graph"),
        ("none.onnx", "must be a file, got none"),
        ("x.onnx:nms=2", "nms above 0, to 1"),
        ("x.onnx:conf=2", "has the options score, nms"),
    ):
        with pytest.raises(ValueError, match=message) as error:
            find_segmenter(str(tmp_path / name))
        assert "\n" not in str(error.value)


def test_options_and_names_go_through_the_run(tmp_path):
    outputs = {"output0": rows(OBJECTS).T[None], "output1": PROTOTYPES}
    graph(tmp_path / "yolo.onnx", outputs, names=["person", "car", "dog"])
    segmenter = find_segmenter(f"{tmp_path / 'yolo.onnx'}:score=0.1,nms=0.95")
    detections = segmented(segmenter, "yolo.onnx", FRAME, 7, Classes())
    assert sorted(detections.scores.tolist()) == pytest.approx([0.2, 0.7, 0.8, 0.9])
    assert detections.scored and set(detections.frames.tolist()) == {7}
    assert detections.class_names == {1: "person", 2: "car", 3: "dog"}


def red_graph(path, shape):
    """Write a graph that finds one object: what is red."""
    nodes = [
        helper.make_node("Constant", [], ["zero"], value_int=0),
        helper.make_node("Gather", ["images", "zero"], ["masks"], axis=1),
    ]
    outputs = {"scores": np.float32([0.9]), "labels": np.int64([4]), "masks": "3"}
    return graph(path, outputs, nodes=nodes, shape=shape)


@pytest.mark.parametrize("tiles", ["1x1", "2x2", "3x1"])
def test_an_object_across_tiles_is_one_and_small_ones_are_found_in_their_tile(tmp_path, tiles):
    red_graph(tmp_path / "red.onnx", (1, 3, "h", "w"))
    segmenter = find_segmenter(f"{tmp_path / 'red.onnx'}:tiles={tiles}")
    image = FRAME.copy()
    image[20:45, 40:100] = (255, 0, 0)  # over the middle of both sides
    ((cls, score, box),) = found(segmenter(image))
    assert (cls, score, box) == (4, 0.9, [40, 20, 60, 25])


def test_tiles_show_what_the_whole_frame_is_too_coarse_for(tmp_path):
    # 16 x 16 px for the frame of 60 x 120: row 52 is between those that are sampled.
    red_graph(tmp_path / "red.onnx", (1, 3, 16, 16))
    image = FRAME.copy()
    image[52:53, 107:110] = (255, 0, 0)
    assert find_segmenter(str(tmp_path / "red.onnx"))(image) == []
    ((_, _, box),) = found(find_segmenter(f"{tmp_path / 'red.onnx'}:tiles=4x8")(image))
    assert abs(box[0] - 107) <= 1 and abs(box[1] - 52) <= 1 and max(box[2:]) <= 5


@pytest.mark.parametrize("count", [1, 3, "batch"])
def test_the_tiles_of_a_frame_go_in_together_where_the_graph_takes_several(tmp_path, count):
    # Each picture's mean red is the score of an object of its own: outputs (count, 1), (count, 1).
    nodes = [
        helper.make_node("Constant", [], ["zero"], value_int=0),
        helper.make_node("Gather", ["images", "zero"], ["red"], axis=1),
        helper.make_node("Constant", [], ["one"], value_ints=[1]),
        helper.make_node("Unsqueeze", ["red", "one"], ["masks"]),
        helper.make_node("ReduceMax", ["red"], ["score"], axes=[1, 2], keepdims=0),
        helper.make_node("Unsqueeze", ["score", "one"], ["scores"]),
        helper.make_node("Cast", ["scores"], ["labels"], to=TensorProto.INT64),
    ]
    path = tmp_path / "red.onnx"
    infos = [helper.make_tensor_value_info(n, k, [count, *s]) for n, k, s in (
        ("scores", TensorProto.FLOAT, [1]), ("labels", TensorProto.INT64, [1]),
        ("masks", TensorProto.FLOAT, [1, 16, 16]))]  # fmt: skip
    given = [helper.make_tensor_value_info("images", TensorProto.FLOAT, (count, 3, 16, 16))]
    model = helper.make_model(helper.make_graph(nodes, "g", given, infos), ir_version=9,
                              opset_imports=[helper.make_opsetid("", 17)])  # fmt: skip
    onnx.save(model, str(path))
    segmenter = find_segmenter(f"{path}:tiles=2x2")
    sizes, run = [], segmenter._session.run
    segmenter._session = type("Counting", (), {
        "run": lambda self, names, fed: sizes.append(len(fed["images"])) or run(names, fed),
        "get_outputs": segmenter._session.get_outputs})()  # fmt: skip
    image = FRAME.copy()
    image[52:53, 107:111] = (255, 0, 0)  # between the rows that are sampled of the whole frame
    ((_, _, box),) = found(segmenter(image))
    assert sizes == {1: [1] * 5, 3: [3, 3], "batch": [5]}[count]
    assert abs(box[0] - 107) <= 4 and abs(box[1] - 52) <= 2 and max(box[2:]) <= 9


def test_neighbouring_tiles_share_a_fifth_of_their_side():
    whole, *parts = OnnxConfig(tiles="2x3").windows((90, 260))
    assert whole == (slice(0, 90), slice(0, 260))
    rows, columns = [slice(0, 50), slice(40, 90)], [slice(0, 100), slice(80, 180), slice(160, 260)]
    assert parts == [(r, c) for r in rows for c in columns]
    assert OnnxConfig().windows((90, 260)) == [whole]


def test_flags_are_options_of_an_onnx_file_and_of_nothing_else(capsys):
    words = ["v.mp4", "--output", "o", "--score", "0.4", "--tiles", "2x2"]
    assert segment.parse_args([*words, "--weights", "y.onnx"]).weights == (
        "y.onnx:score=0.4,tiles=2x2"
    )
    args = track_video.parse_args([*words, "--nms", "0.6", "--segmenter", "y.onnx:score=0.1"])
    assert args.segmenter == "y.onnx:score=0.1,score=0.4,nms=0.6,tiles=2x2"  # the last one counts
    for parse, given in ((segment.parse_args, ["--weights", "coco"]),
                         (track_video.parse_args, ["--segmenter", "motion"]),
                         (track_video.parse_args, ["--detections", "d"])):  # fmt: skip
        with pytest.raises(SystemExit):
            parse([*words, *given])
        assert "--score, --nms and --tiles" in capsys.readouterr().err
    with pytest.raises(ValueError, match=r"tiles must be ROWSxCOLUMNS, each 1 to 9, got 0x2"):
        OnnxConfig(tiles="0x2")


def test_only_the_classes_that_were_asked_for_are_written(tmp_path, capsys):
    outputs = {"output0": rows(OBJECTS).T[None], "output1": PROTOTYPES}
    graph(tmp_path / "yolo.onnx", outputs, names=["person", "car", "dog"])
    (tmp_path / "walk").mkdir()
    for number in (1, 2):
        cv2.imwrite(str(tmp_path / "walk" / f"{number:06d}.png"), FRAME)
    given = [str(tmp_path / "walk"), tmp_path / "out", str(tmp_path / "yolo.onnx")]
    request = SegmentRequest(*given, classes=("Car", "cow"))
    summary = run_segment(request)
    lines = (tmp_path / "out" / "detections" / "walk.txt").read_text().splitlines()
    assert [line.split()[:1] + line.split()[6:7] for line in lines] == [["1", "2"], ["2", "2"]]
    assert summary["counts"]["dropped_class"] == 2 and summary["counts"]["written"] == 2
    assert "--classes cow: no class of that name, found: car, dog" in capsys.readouterr().out
