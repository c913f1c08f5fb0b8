"""Which sequences and frames a run takes: nothing merged, lost or paired wrongly in silence."""

import json
import zipfile

import cv2
import numpy as np
import pytest
import tifffile

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


def test_videos_of_one_folder_are_told_apart_by_their_ids(tmp_path):
    images = [
        {"id": 10 * v + f, "file_name": f"{10 * v + f:06d}.jpg", "height": 40, "width": 60,
         "video_id": v, "frame_id": f}
        for v in (1, 2) for f in range(3)
    ]  # fmt: skip
    masks = [
        {"id": k, "image_id": image["id"], "category_id": 1, "bbox": [5, 5, 9, 9], "iscrowd": 0,
         "segmentation": [[5, 5, 14, 5, 14, 14, 5, 14]], "area": 81}
        for k, image in enumerate(images, 1)
    ]  # fmt: skip
    data = {"images": images, "annotations": masks, "categories": [{"id": 1, "name": "car"}]}
    path = tmp_path / "s.json"
    for videos in ([], [{"id": v, "name": "walk"} for v in (1, 2)]):
        path.write_text(json.dumps({**data, "videos": videos}))
        found = read_all(path, Options())
        assert [d.frames.tolist() for d in found] == [[0, 1, 2]] * 2
    path.write_text(json.dumps({**data, "videos": [{"id": 1, "name": "a"}] * 2}))
    with pytest.raises(FormatError, match="a video must be listed once"):
        read_all(path, Options())
    masks[0]["score"] = 0.5
    path.write_text(json.dumps(data))
    notes = [note for d in read_all(path, Options()) for note in d.notes]
    assert any("5 annotations have no score: they count as 1" in note for note in notes)


@pytest.mark.parametrize("key", ["score", "image_id"])
def test_true_is_no_number(tmp_path, key):
    coco(tmp_path / "x" / "s.json", ("v1",))
    data = json.loads((tmp_path / "x" / "s.json").read_text())
    data["annotations"][0][key] = True
    (tmp_path / "x" / "s.json").write_text(json.dumps(data))
    with pytest.raises(FormatError):
        read_all(tmp_path / "x" / "s.json", Options())


def test_images_of_several_folders_are_said_to_be_one_sequence(tmp_path):
    polygon = '<polygon label="car" points="5,5;14,5;14,14;5,14"/>'
    text = "".join(
        f'<image id="{k}" name="{folder}/{k:04d}.png" width="60" height="40">{polygon}</image>'
        for k, folder in enumerate(("a", "a", "b"))
    )
    (tmp_path / "s.xml").write_text(f"<annotations>{text}</annotations>")
    (found,) = read_all(tmp_path / "s.xml", Options())
    assert any("images of 2 folders are one sequence (a, b)" in note for note in found.notes)
    with zipfile.ZipFile(tmp_path / "s.zip", "w") as archive:
        archive.writestr("__MACOSX/._annotations.xml", b"\0\5\26\7")
        archive.write(tmp_path / "s.xml", "annotations.xml")
    assert len(read_all(tmp_path / "s.zip", Options())[0]) == 3
    with zipfile.ZipFile(tmp_path / "s.zip", "a") as archive:
        archive.write(tmp_path / "s.xml", "task_2/annotations.xml")
    with pytest.raises(FormatError, match=r"must be of one task .*task_2/annotations\.xml"):
        read_all(tmp_path / "s.zip", Options())


@pytest.mark.parametrize("axes", [None, "TZYX"])
def test_a_stack_of_slices_at_several_times_is_refused(tmp_path, axes):
    cells = np.zeros((4, 5, 20, 30), np.uint8)
    cells[..., 3:9, 4:12] = 1
    tifffile.imwrite(tmp_path / "s.tif", cells, metadata={"axes": axes} if axes else {})
    with pytest.raises(FormatError, match="keep one slice and one channel"):
        read_all(tmp_path / "s.tif", Options())
    tifffile.imwrite(tmp_path / "t.tif", cells[0])
    (found,) = read_all(tmp_path / "t.tif", Options())
    assert len(found) == 5 and not found.notes


def test_cells_in_space_are_no_sequences(tmp_path):
    cells = np.zeros((5, 20, 30), np.uint8)
    cells[:, 3:9, 4:12] = 1
    (tmp_path / "01_GT" / "TRA").mkdir(parents=True)
    for k in range(3):
        tifffile.imwrite(tmp_path / "01_GT" / "TRA" / f"man_track{k:03d}.tif", cells)
    with pytest.raises(FormatError, match="a file a frame must hold one image each"):
        read_all(tmp_path / "01_GT", Options())


def test_a_stack_with_fewer_pages_than_it_declares_is_refused(tmp_path):
    cells = np.zeros((4, 20, 30), np.uint8)
    cells[:, 3:9, 4:12] = 1
    tifffile.imwrite(
        tmp_path / "s.tif", cells, imagej=True, truncate=True, metadata={"axes": "TYX"}
    )
    with pytest.raises(FormatError, match="a page for each of the 4 images"):
        read_all(tmp_path / "s.tif", Options())


def test_arrays_that_are_not_known_or_lie_sideways_are_said(tmp_path):
    masks = np.zeros((2, 40, 60), bool)
    masks[:, 3:9, 4:12] = True
    np.savez(tmp_path / "s.npz", masks=masks, frames=[0, 1], score=[0.5, 0.5])
    (found,) = read_all(tmp_path / "s.npz", Options())
    assert any("arrays left out: score" in note for note in found.notes)
    np.save(tmp_path / "t.npy", np.zeros((40, 60, 30), np.uint8))
    with pytest.raises(FormatError, match="frames or objects first"):
        read_all(tmp_path / "t.npy", Options((40, 60)))


def test_a_link_that_leads_nowhere_is_no_missing_frame(tmp_path):
    label(tmp_path / "s" / "0.png", 5)
    (tmp_path / "s" / "1.png").symlink_to(tmp_path / "gone.png")
    with pytest.raises(FormatError, match=r"1\.png: .*a link that leads nowhere"):
        read_all(tmp_path / "s", Options())


def test_objects_of_folders_from_0_have_identities_from_1(tmp_path):
    for k in range(2):
        label(tmp_path / "street" / str(k) / "0.png", 20 * k, 255)
    (found,) = read_all(tmp_path / "street", Options(ids=True))
    assert sorted(found.ids.tolist()) == [1, 2]


def test_the_folder_of_a_run_is_read_by_its_texts(tmp_path):
    found = make_detections([(0, 1001, 1, 1.0, (3, 4, 9, 9))])
    (tmp_path / "data").mkdir()
    write_tracks(tmp_path / "data" / "0002.txt", found, found.ids)
    (tmp_path / "summary.json").write_text("{}")
    (read,) = read_all(tmp_path, Options())
    assert read.sequence == "0002" and any("its data/ is read" in note for note in read.notes)
