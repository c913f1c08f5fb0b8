"""Which sequences and frames a run takes: nothing merged, lost or paired wrongly in silence."""

import json

import cv2
import numpy as np
import pytest

from tests.conftest import make_detections, write_tracks
from utils.files import FormatError
from utils.formats.base import Options
from utils.formats.reading import read_all
from utils.inputs import read_inputs

TIMES = ("12-00-57", "12-00-58", "12-00-59", "12-01-00")


def label(path, x, value=1, size=(40, 60), dtype=np.uint8):
    """Write a label image of one square whose left edge is at `x`; None: a blank one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = np.zeros(size, dtype)
    if x is not None:
        image[10:20, x : x + 10] = value
    cv2.imwrite(str(path), image)


def coco(path, videos):
    """Write a COCO file of one mask in each of two frames of each video."""
    images = [
        {"id": 10 * v + f, "file_name": f"{name}/{f:04d}.png", "height": 40, "width": 60}
        for v, name in enumerate(videos)
        for f in range(2)
    ]
    masks = [
        {"id": k, "image_id": image["id"], "category_id": 1, "bbox": [5, 5, 9, 9],
         "segmentation": [[5, 5, 14, 5, 14, 14, 5, 14]], "area": 81, "iscrowd": 0}
        for k, image in enumerate(images, 1)
    ]  # fmt: skip
    path.parent.mkdir(parents=True)
    classes = [{"id": 1, "name": "car"}]
    path.write_text(json.dumps({"images": images, "annotations": masks, "categories": classes}))


def test_files_of_one_name_that_name_their_videos_keep_those_names(tmp_path):
    coco(tmp_path / "x" / "annotations.json", ("v1", "v2"))
    coco(tmp_path / "y" / "annotations.json", ("v3", "v4"))
    files = [tmp_path / name / "annotations.json" for name in ("x", "y")]
    inputs = read_inputs(files)
    assert [(s.sequence, len(s)) for s in inputs.sequences] == [(f"v{k}", 2) for k in range(1, 5)]
    assert not any("merged" in note for note in inputs.notes)


def test_truth_is_paired_with_the_pictures_and_not_with_their_order(tmp_path):
    for k, time in enumerate(TIMES):
        label(tmp_path / "det" / f"cam_{time}.png", 5 * k)
        if k != 1:
            label(tmp_path / "gt" / f"cam_{time}.png", 5 * k)
    inputs = read_inputs([tmp_path / "det"], tmp_path / "gt")
    (truth,) = inputs.truth.values()
    assert truth.frames.tolist() == [0, 2, 3]
    assert truth.rles.tolist() == [inputs.sequences[0].rles[k] for k in (0, 2, 3)]
    assert any("paired by file name" in note for note in inputs.notes)


def test_truth_with_a_picture_that_has_no_detections_file_is_refused(tmp_path):
    for k, time in enumerate(TIMES):
        label(tmp_path / "gt" / f"cam_{time}.png", 5 * k)
        if k != 1:
            label(tmp_path / "det" / f"cam_{time}.png", 5 * k)
    with pytest.raises(FormatError, match=r"must be among the detections.*got cam_12-00-58"):
        read_inputs([tmp_path / "det"], tmp_path / "gt")


def test_a_picture_without_a_number_is_no_frame(tmp_path):
    for k in range(1, 13):
        label(tmp_path / "s" / f"{k}.png", k)
    label(tmp_path / "s" / "legend.png", 0, 3)
    (found,) = read_all(tmp_path / "s", Options(ids=True))
    assert found.frames.tolist() == list(range(1, 13)) and set(found.ids.tolist()) == {1}
    assert any("1 files without a number are left out (legend.png)" in n for n in found.notes)


def test_names_without_numbers_are_in_natural_order(tmp_path):
    names = ("a2b1", "a10b1", "x1y")
    for k, name in enumerate(names):
        label(tmp_path / "s" / f"{name}.png", 5 * k)
    (found,) = read_all(tmp_path / "s", Options())
    assert found.pictures == dict(enumerate(names))


def test_folders_named_by_numbers_whose_images_hold_several_objects_are_videos(tmp_path):
    for name in ("0002", "0005"):
        label(tmp_path / name / "000000.png", None)
        label(tmp_path / name / "000001.png", 5, 1)
        label(tmp_path / name / "000002.png", 5, 2)
    found = read_all(tmp_path, Options(ids=True))
    assert [(d.sequence, d.ids.tolist()) for d in found] == [("0002", [1, 2]), ("0005", [1, 2])]


def test_blank_images_do_not_hide_what_the_others_are(tmp_path):
    for k in range(30):
        label(tmp_path / "0002" / f"{k:06d}.png", 5 if k > 25 else None, 2001, dtype=np.uint16)
    (found,) = read_all(tmp_path / "0002", Options(ids=True))
    assert set(found.classes.tolist()) == {2} and set(found.ids.tolist()) == {2001}


def test_folders_that_are_deeper_than_the_ones_read_are_said(tmp_path):
    label(tmp_path / "s1" / "0.png", 5)
    label(tmp_path / "more" / "s2" / "0.png", 5)
    (found,) = read_all(tmp_path, Options())
    assert found.sequence == "s1"
    assert any("not read, as their files are deeper: more" in note for note in found.notes)


def test_two_files_of_one_name_in_a_folder_are_both_named(tmp_path):
    found = make_detections([(0, 1001, 1, 1.0, (3, 4, 9, 9))])
    for kind in ("gt", "det"):
        (tmp_path / "v" / kind).mkdir(parents=True)
        write_tracks(tmp_path / "v" / kind / f"{kind}.txt", found, found.ids)
    with pytest.raises(FormatError, match=r"det\.txt and .*gt\.txt"):
        read_all(tmp_path / "v", Options())


def test_what_macos_leaves_beside_texts_and_a_readme_are_no_sequences(tmp_path):
    found = make_detections([(0, 1001, 1, 1.0, (3, 4, 9, 9))])
    write_tracks(tmp_path / "0002.txt", found, found.ids)
    (tmp_path / "._0002.txt").write_bytes(b"\0\5\26\7")
    (tmp_path / "README.dataset.txt").write_text("https://example.org\n")
    assert [d.sequence for d in read_all(tmp_path, Options())] == ["0002"]
