"""What segmenters return, by stand-ins that have what theirs have; nothing of them is installed."""

from types import SimpleNamespace

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from utils.formats.base import Classes
from utils.formats.objects import detections_of

MASKS = np.zeros((2, 20, 30), bool)
MASKS[0, 2:8, 3:9], MASKS[1, 10:18, 12:20] = True, True
BOXES = [[3, 2, 6, 6], [12, 10, 8, 8]]


class Tensor:
    """A tensor on a device, as torch has them."""

    def __init__(self, values):
        self._values = np.asarray(values)

    def detach(self):
        return self

    def cpu(self):
        return self

    def numpy(self):
        return self._values

    def __len__(self):
        return len(self._values)


class Boxes:
    """Ultralytics' boxes of two objects."""

    cls, conf, id = Tensor([0.0, 7.0]), Tensor([0.9, 0.8]), None

    def __len__(self):
        return 2


def outline(x, y, w, h):
    return np.array([[x, y], [x + w, y], [x + w, y + h], [x, y + h]])


def ultralytics(data=MASKS, boxes=True):
    outlines = [outline(*box) for box in BOXES]
    return SimpleNamespace(
        orig_shape=(20, 30),
        names={0: "person", 7: "cup"},
        masks=None if data is None else SimpleNamespace(data=Tensor(data), xy=outlines),
        boxes=Boxes() if boxes else [],
    )


def supervision(**changes):
    whole = {"xyxy": np.zeros((2, 4)), "mask": MASKS, "confidence": np.array([0.9, 0.8]),
             "class_id": np.array([0, 7]), "tracker_id": None,
             "data": {"class_name": np.array(["person", "cup"])}}  # fmt: skip
    return SimpleNamespace(**{**whole, **changes})


KINDS = {
    "supervision": (supervision(), {1: "person", 8: "cup"}),
    "ultralytics": (ultralytics(), {1: "person", 8: "cup"}),
    "ultralytics, small masks": (ultralytics(np.zeros((2, 10, 15))), {1: "person", 8: "cup"}),
    "torchvision": (
        {"masks": Tensor(MASKS[:, None] * 0.5 + 0.3), "scores": Tensor([0.9, 0.8]),
         "labels": Tensor([1, 8]), "boxes": Tensor(np.zeros((2, 4)))}, {}),
    "torchvision with names": (
        {"masks": Tensor(MASKS[:, None] * 0.5 + 0.3), "scores": Tensor([0.9, 0.8]),
         "labels": Tensor([1, 8]), "names": {1: "person", 8: "cup"}}, {1: "person", 8: "cup"}),
    "detectron2": (
        {"instances": SimpleNamespace(pred_masks=Tensor(MASKS), scores=Tensor([0.9, 0.8]),
                                      pred_classes=Tensor([0, 7]))}, {}),
    "mmdetection": (
        SimpleNamespace(pred_instances=SimpleNamespace(masks=Tensor(MASKS),
                        scores=Tensor([0.9, 0.8]), labels=Tensor([0, 7]))), {}),
    "arrays": ((MASKS, [0.9, 0.8], [1, 8]), {}),
}  # fmt: skip


@pytest.mark.parametrize("name", KINDS)
def test_what_segmenters_return_is_taken(name):
    source, names = KINDS[name]
    found = detections_of(source, 4, classes=Classes())
    assert found.size == (20, 30) and found.frames.tolist() == [4, 4]
    assert found.boxes_xywh.tolist() == BOXES
    assert found.classes.tolist() == [1, 8]
    assert found.scores == pytest.approx([0.9, 0.8]) and found.scored
    assert found.class_names == names


def test_masks_alone_label_images_and_sam():
    found = detections_of(MASKS, 0)
    assert found.classes.tolist() == [1, 1] and not found.scored
    labels = np.zeros((20, 30), np.int32)
    labels[MASKS[0]], labels[MASKS[1]] = 5, 900
    found = detections_of(labels, 0)
    assert found.ids.tolist() == [5, 900] and found.boxes_xywh.tolist() == BOXES
    found = detections_of([{"segmentation": m, "predicted_iou": 0.7} for m in MASKS], 0)
    assert found.boxes_xywh.tolist() == BOXES and found.scores == pytest.approx([0.7, 0.7])


def test_what_a_model_returns_for_a_batch_of_one_is_taken():
    for batch in ([ultralytics()], [KINDS["torchvision"][0]]):
        assert detections_of(batch, 0).boxes_xywh.tolist() == BOXES


def test_classes_by_name_and_labels_without_one():
    found = detections_of((MASKS, [0.9, 0.8], ["cup", "dog"]), 0)
    assert found.class_names == {1: "cup", 2: "dog"} and found.classes.tolist() == [1, 2]
    source = {**KINDS["torchvision with names"][0], "names": {1: "person"}}
    assert detections_of(source, 0).class_names == {1: "person", 8: "class 8"}


def test_scores_of_a_frame_are_never_rescaled():
    with pytest.raises(ValueError, match=r"frame 0 mask 0: score must be in \[0, 1\], got 95"):
        detections_of((MASKS, [95, 88], [1, 1]), 0)
    found = detections_of([{"segmentation": m, "predicted_iou": 1.02} for m in MASKS], 0)
    assert found.scores.tolist() == [1, 1]


def test_frames_without_objects_are_taken():
    torchvision = {"masks": np.zeros((0, 1, 20, 30)), "scores": np.zeros(0), "labels": np.zeros(0)}
    none = (None, [], (), np.zeros((0, 20, 30), bool), np.zeros((20, 30), int), torchvision)
    empty = (*none, supervision(mask=None, xyxy=[]), ultralytics(None, boxes=False))
    for source in empty:
        assert len(detections_of(source, 3, (20, 30))) == 0


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (supervision(mask=None), "frame 3: detections must have masks, got boxes alone"),
        (ultralytics(None), "frame 3: results must have masks"),
        (3.5, "must be supervision.Detections"),
        (np.zeros(4), "must be supervision.Detections"),
        ((MASKS, [0.5]), r"frame 3: scores must be one for each of 2 masks"),
        ((MASKS, [0.5, np.nan], [1, 1]), "frame 3 mask 1: score must be a finite number"),
        ((MASKS, None, [0, 1]), "frame 3 mask 0: class must be a whole number in 1.."),
        (np.zeros((2, 9, 30), bool), "frame size must be 20 30"),
        (np.full((20, 30), -1), "labels must be from 0, got -1"),
    ],
)
def test_what_is_not_known_is_refused_in_one_line(source, message):
    with pytest.raises(ValueError, match=message) as caught:
        detections_of(source, 3, (20, 30))
    assert "\n" not in str(caught.value)


def test_classes_keep_their_numbers_from_frame_to_frame():
    classes = Classes()
    first = detections_of(ultralytics(), 0, classes=classes)
    swapped = ultralytics()
    swapped.names = {0: "cup", 7: "person"}
    second = detections_of(swapped, 1, classes=classes)
    assert first.classes.tolist() == [1, 8] and second.classes.tolist() == [8, 1]


@pytest.mark.parametrize("kind", ["truth", "bytes", "rle"])
def test_a_list_of_one_object_is_one_object(kind):
    mask = np.zeros((20, 30), bool)
    mask[4:9, 5:12] = True
    one = {
        "truth": mask,
        "bytes": mask.astype(np.uint8) * 255,
        "rle": coco_mask.encode(np.asfortranarray(mask, np.uint8)),
    }[kind]
    for given in ([one], [one, one]):
        found = detections_of(given, 0)
        areas = [int(coco_mask.area(r)) for r in found.coco(np.arange(len(found)))]
        assert areas == [35] * len(given) and not found.ids.any()


def test_a_batch_of_one_label_image_is_all_its_objects():
    image = np.zeros((20, 30), np.int32)
    image[4:9, 5:12], image[12:15, 5:9] = 1, 2
    assert sorted(detections_of([image], 0).ids.tolist()) == [1, 2]


def test_an_objects_identity_does_not_depend_on_who_else_is_seen():
    mask = np.zeros((20, 30), bool)
    mask[4:9, 5:12] = True
    (alone,) = detections_of({1: mask}, 1).ids
    assert detections_of({0: mask, 1: mask}, 0).ids.tolist()[1] == alone != 0


def test_probabilities_of_an_object_are_no_logits():
    shares = np.full((20, 30), 0.05, np.float32)
    shares[4:9, 5:12] = 0.9
    logits = np.where(shares > 0.5, 3.0, -3.0).astype(np.float32)
    for given in (shares, logits):
        (found,) = detections_of({1: given}, 0).coco()
        assert coco_mask.area(found) == 35


def test_a_label_image_with_a_channel_and_classes_by_their_other_name():
    image = np.zeros((1, 20, 30), np.int32)
    image[0, 4:9, 5:12], image[0, 12:15, 5:9] = 1, 2
    assert sorted(detections_of(image, 0).ids.tolist()) == [1, 2]
    found = detections_of({"masks": MASKS, "scores": [0.5, 0.6], "classes": [2, 3]}, 0)
    assert found.classes.tolist() == [2, 3]
