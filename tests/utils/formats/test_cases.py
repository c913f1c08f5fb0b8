"""Small inputs that went wrong once, each ending as it should; see their names."""

import base64
import gzip
import io
import json
import zipfile
from dataclasses import replace

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from tests import independent
from tests.conftest import box_mask, make_detections, write_tracks
from tests.utils.formats.scenes import content, read, scene_of
from utils.detections import Detections
from utils.files import check_name, printable
from utils.formats.base import Classes, Options
from utils.formats.merging import merge_sequences
from utils.formats.objects import detections_of
from utils.formats.reading import read_all, read_detections
from utils.formats.sources import find_sources, gathered
from utils.frames import FrameFolder
from utils.inputs import read_inputs
from utils.pictures import Reader, picture_size
from utils.video import Frames


def truth_in(path, name=None):
    found = make_detections([(f, 1001, 1, 1.0, (3 + f, 4, 9, 9)) for f in range(3)])
    path.parent.mkdir(parents=True, exist_ok=True)
    write_tracks(path, found, found.ids)
    return path


def test_two_videos_whose_files_have_one_name(tmp_path):
    for name in ("videoA", "videoB"):
        truth_in(tmp_path / name / "gt" / "gt.txt")
    assert [d.sequence for d in read_all(tmp_path, Options())] == ["videoA", "videoB"]
    files = [tmp_path / name / "gt" / "gt.txt" for name in ("videoA", "videoB")]
    assert [s.sequence for s in read_inputs(files).sequences] == ["videoA", "videoB"]


def test_truth_in_two_files_is_refused_and_both_are_named(tmp_path):
    path = truth_in(tmp_path / "s.txt")
    (tmp_path / "s.txt.gz").write_bytes(gzip.compress(path.read_bytes()))
    with pytest.raises(ValueError, match=r"s\.txt\.gz: a sequence must be in one file .*s\.txt"):
        read_all(tmp_path, Options())


def test_files_named_for_one_sequence_are_merged_and_said(tmp_path):
    for kind, cls in (("cars", 1), ("people", 2)):
        found = make_detections([(0, cls * 1000 + 1, cls, 1.0, (3, 20 * cls - 15, 9, 9))])
        (tmp_path / kind).mkdir()
        write_tracks(tmp_path / kind / "0001.txt", found, found.ids)
    inputs = read_inputs([tmp_path / "cars", tmp_path / "people"])
    assert len(inputs.sequences) == 1 and len(inputs.sequences[0]) == 2
    assert any("0001: merged from 2 inputs" in note for note in inputs.notes)
    apart = read_inputs([tmp_path])  # one folder: nobody asked for merging
    assert [s.sequence for s in apart.sequences] == ["cars_0001", "people_0001"]


def test_one_sequence_on_each_side_needs_no_common_name(tmp_path):
    inputs = read_inputs([truth_in(tmp_path / "mine.txt")], truth_in(tmp_path / "theirs.txt"))
    assert list(inputs.truth) == ["mine"]
    assert "mine: scored against the one sequence of the ground truth, theirs" in inputs.notes
    truth_in(tmp_path / "two" / "a.txt")
    truth_in(tmp_path / "two" / "b.txt")
    with pytest.raises(ValueError, match="must hold sequence mine, got a, b"):
        read_inputs([tmp_path / "mine.txt"], tmp_path / "two")


def coco_of(names, **fields):
    rle = {"size": [40, 60], "counts": box_mask(3, 4, 9, 9).decode()}
    images = [
        {"id": i, "file_name": n, "height": 40, "width": 60, **{k: v[i] for k, v in fields.items()}}
        for i, n in enumerate(names)
    ]
    annotations = [
        {"id": i, "image_id": i, "category_id": 1, "segmentation": rle, "track_id": 1}
        for i in range(len(names))
    ]
    return {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "x"}]}


def test_folders_of_one_name_in_a_coco_file_are_two_videos(tmp_path):
    names = [f"{part}/cam1/{n:06d}.jpg" for part in ("train", "val") for n in (1, 2)]
    (tmp_path / "vid.json").write_text(json.dumps(coco_of(names)))
    found = read_all(tmp_path / "vid.json", Options())
    assert [d.sequence for d in found] == ["train_cam1", "val_cam1"]
    assert [d.frames.tolist() for d in found] == [[1, 2], [1, 2]]


def test_a_field_says_the_frame_before_any_name(tmp_path):
    names = ["9f3c1a.jpg", "03ab77.jpg", "d7e002.jpg"]
    for key in ("frame_index", "frame_id"):
        (tmp_path / "a.json").write_text(json.dumps(coco_of(names, **{key: [2, 0, 1]})))
        found = read(tmp_path / "a.json")
        assert found.frames.tolist() == [2, 0, 1]
        assert found.pictures == {2: "9f3c1a", 0: "03ab77", 1: "d7e002"}
    (tmp_path / "a.json").write_text(json.dumps(coco_of(names)))
    found = read(tmp_path / "a.json")
    assert found.frames.tolist() == [0, 1, 2]
    assert any("in the order listed" in note for note in found.notes)


def test_times_in_names_are_in_the_order_of_the_clock(tmp_path):
    names = [f"c3_2024-05-01_12-{m}-{s}.jpg" for m, s in (("31", "00"), ("30", "55"), ("30", "59"))]
    (tmp_path / "a.json").write_text(json.dumps(coco_of(names)))
    found = read(tmp_path / "a.json")
    assert found.frames.tolist() == [2, 0, 1]
    assert any("counted from 0 in their order" in note for note in found.notes)


@pytest.mark.parametrize(("axes", "shape"), [("TZYX", (4, 3, 20, 30)), ("CYX", (2, 20, 30))])
def test_stacks_of_more_than_times_are_refused(tmp_path, axes, shape):
    path = tmp_path / "v.ome.tif"
    tifffile.imwrite(path, np.ones(shape, np.uint16), ome=True, metadata={"axes": axes})
    with pytest.raises(ValueError, match=r"keep one slice and one channel, got axes \w+ of shape"):
        read(path)


def test_a_stack_of_slices_is_read_and_said(tmp_path):
    path = tmp_path / "v.ome.tif"
    labels = np.zeros((3, 20, 30), np.uint16)
    labels[:, 4:9, 4:9] = 5
    tifffile.imwrite(path, labels, ome=True, metadata={"axes": "ZYX"})
    found = read(path)
    assert found.sequence == "v" and len(found) == 3
    assert any("calls its images Z, not T" in note for note in found.notes)


def test_lzw_needs_no_package(tmp_path):
    labels = np.zeros((20, 30), np.uint16)
    labels[4:9, 4:9] = 500
    Image.fromarray(labels).save(tmp_path / "a.tif", compression="tiff_lzw")
    found = read(tmp_path / "a.tif")
    assert found.ids.tolist() == [500] and found.boxes_xywh.tolist() == [[4, 4, 5, 5]]


def test_an_array_a_frame(tmp_path):
    (tmp_path / "m").mkdir()
    for n in (3, 4):
        labels = np.zeros((20, 30), np.int32)
        labels[n : n + 4, 5:9] = 7
        np.save(tmp_path / "m" / f"{n:05d}.npy", labels)
    found = read(tmp_path / "m")
    assert found.frames.tolist() == [3, 4] and found.ids.tolist() == [7, 7]


def test_a_folder_for_each_object(tmp_path):
    for identity in (1, 2):
        folder = tmp_path / "street" / f"{identity:03d}"
        folder.mkdir(parents=True)
        for frame in range(3):
            mask = np.zeros((40, 60), np.uint8)
            mask[4:12, 20 * identity + frame : 20 * identity + frame + 8] = 255
            cv2.imwrite(str(folder / f"{frame:05d}.png"), mask)
    (found,) = read_all(tmp_path, Options())
    assert found.sequence == "street" and sorted(set(found.ids.tolist())) == [1, 2]
    assert any("2 folders of one object each" in note for note in found.notes)
    # Label images of several objects in folders with numbers are videos.
    mask[30:, 50:] = 9
    cv2.imwrite(str(tmp_path / "street" / "001" / "00000.png"), mask)
    sources = find_sources(tmp_path)
    assert [s.title for s in sources] == ["001", "002"] == [s.title for s in gathered(sources)]


def test_headers_that_promise_more_than_the_file_holds(tmp_path):
    stream = io.BytesIO()
    shape = (1_000_000_000, 16000, 16000)
    np.lib.format.write_array_header_1_0(
        stream, {"descr": "|u1", "fortran_order": False, "shape": shape}
    )
    (tmp_path / "giant.npy").write_bytes(stream.getvalue())
    with pytest.raises(ValueError, match=r"giant\.npy: must be a readable array, got a header of"):
        read(tmp_path / "giant.npy")
    np.savez(tmp_path / "n.npz", masks=np.ones((2, 8, 9), bool), frames=np.arange(2))
    data = (tmp_path / "n.npz").read_bytes()
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        columns = {name: archive.read(name) for name in archive.namelist()}
    columns["frames.npy"] = columns["frames.npy"].replace(b"(2,)", b"(-1,)"[:4] + b" "[:0])
    columns["frames.npy"] = columns["frames.npy"].replace(b"'shape': (-1,", b"'shape': (-1,)")
    with zipfile.ZipFile(tmp_path / "n.npz", "w") as archive:
        for name, column in columns.items():
            archive.writestr(name, column)
    with pytest.raises(ValueError, match=r"n\.npz: frames: must be a readable array"):
        read(tmp_path / "n.npz")


def test_masks_with_their_number_last_are_refused(tmp_path):
    np.save(tmp_path / "a.npy", np.ones((64, 48, 3), np.uint8))
    with pytest.raises(ValueError, match=r"\(n, H, W\), not \(H, W, n\), got shape \(64, 48, 3\)"):
        read(tmp_path / "a.npy")
    with pytest.raises(ValueError, match=r"masks must be \(n, H, W\), not \(H, W, n\)"):
        detections_of(np.ones((40, 60, 5), bool), 0, (40, 60))
    assert len(detections_of(np.ones((40, 40, 60), bool), 0, (40, 60))) == 40


def test_a_packed_file_beyond_the_limit_is_refused_before_it_is_unpacked(tmp_path, monkeypatch):
    monkeypatch.setenv("USC_MOTS_LARGEST", "1000")
    (tmp_path / "a.json.gz").write_bytes(gzip.compress(b"[" + b" " * 5000 + b"]"))
    with pytest.raises(ValueError, match=r"must unpack to at most 1000 bytes \(USC_MOTS_LARGEST"):
        read(tmp_path / "a.json.gz")
    with zipfile.ZipFile(tmp_path / "t.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("annotations.xml", b"<annotations>" + b" " * 5000)
    with pytest.raises(ValueError, match=r"t\.zip: annotations\.xml: must unpack to at most 1000"):
        read(tmp_path / "t.zip")


@pytest.mark.parametrize("name", ["b\0c", "..", "a\x1b[31m", "n" * 201, "é" * 101, "-o", " "])
def test_names_that_no_file_can_have_are_refused_before_tracking(tmp_path, name):
    with pytest.raises(ValueError, match="must be a name without separators") as caught:
        check_name("x.json", "a sequence", name)
    assert str(caught.value).isprintable()
    if "\0" in name or "\x1b" in name:
        names = ["a/0.jpg", f"{name}/0.jpg"]
        (tmp_path / "a.json").write_text(json.dumps(coco_of(names)))
        with pytest.raises(ValueError, match="a sequence must be a name"):
            read_all(tmp_path / "a.json", Options())


def test_what_a_terminal_would_obey_is_shown_escaped():
    assert printable("a\x1b[2Jb\udcff") == "a\\x1b[2Jb\\udcff" and printable("é 漢") == "é 漢"
    with pytest.raises(ValueError, match="a class must have a printable name"):
        Classes().number("c\x07p", 1)


def test_a_key_twice_in_a_json_object(tmp_path):
    (tmp_path / "a.json").write_text('[{"image_id": 1, "image_id": 2}]')
    with pytest.raises(ValueError, match=r"must be valid JSON, got the key 'image_id' twice"):
        read(tmp_path / "a.json")


def test_boxes_without_masks_are_called_so(tmp_path):
    (tmp_path / "det.txt").write_text("1,-1,4.5,4,12,14,0.9,-1,-1,-1\n")
    with pytest.raises(ValueError, match=r"det\.txt:1: must hold masks; this is MOT CSV, boxes"):
        read(tmp_path / "det.txt")


def test_what_macos_puts_into_archives_is_no_mask(tmp_path):
    path = independent.cvat_mots(independent.Scene.of(scene_of()), tmp_path)
    before = content(read(path))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("__MACOSX/train/instances/._000000.png", b"junk")
        archive.writestr("train/instances/._000001.png", b"junk")
    assert content(read(path)) == before


def ls_task(number, *regions, **more):
    results = [{"original_width": 60, "original_height": 40, **r} for r in regions]
    image = {"image": f"f_{number}.png"}
    return {"id": number, "data": image, "annotations": [{"result": results}], **more}


SQUARE = {"points": [[10, 10], [50, 10], [50, 50], [10, 50]]}


def test_label_studio_tags_without_labels_of_their_own(tmp_path):
    mask = np.zeros((40, 60, 4), np.uint8)
    mask[4:9, 4:9] = 255
    url = "data:image/png;base64," + base64.b64encode(cv2.imencode(".png", mask)[1]).decode()
    tasks = [
        ls_task(1, {"id": "a", "type": "polygon", "value": SQUARE},
                {"id": "a", "type": "labels", "value": {**SQUARE, "labels": ["cell"]}}),
        ls_task(2, {"id": "b", "type": "bitmask", "value": {"imageDataURL": url}}),
        {**ls_task(3), "annotations": [], "predictions": [
            {"result": [{"type": "polygonlabels", "original_width": 60, "original_height": 40,
                         "score": 0.75, "value": {**SQUARE, "polygonlabels": ["cell"]}}]}]},
    ]  # fmt: skip
    (tmp_path / "p.json").write_text(json.dumps(tasks))
    found = read(tmp_path / "p.json")
    assert found.frames.tolist() == [1, 2, 3] and found.scores.tolist() == [1, 1, 0.75]
    assert [found.class_names[c] for c in found.classes.tolist()] == ["cell", "object", "cell"]
    assert found.boxes_xywh[1].tolist() == [4, 4, 5, 5]
    assert any("their predictions are taken" in note for note in found.notes)


def test_an_export_without_a_mask_is_refused_with_what_it_holds(tmp_path):
    box = {"type": "rectanglelabels", "value": {"x": 1, "rectanglelabels": ["cell"]}}
    (tmp_path / "p.json").write_text(json.dumps([ls_task(1, box), ls_task(2, box)]))
    with pytest.raises(ValueError, match=r"must hold masks, got 2 regions of other kinds"):
        read(tmp_path / "p.json")
    text = ('<annotations><meta><task><labels><label><name>x</name></label></labels></task></meta>'
            '<track id="0" label="x"><box frame="0" xtl="1" ytl="1" xbr="5" ybr="5"/></track>'
            '</annotations>')  # fmt: skip
    (tmp_path / "a.xml").write_text(text)
    with pytest.raises(ValueError, match=r"must hold masks, got shapes that are no masks: 1 box"):
        read(tmp_path / "a.xml")
    (tmp_path / "empty.json").write_text("[]")
    assert len(read(tmp_path / "empty.json")) == 0  # a detector found nothing


def test_cvat_shapes_are_held_between_keyframes(tmp_path):
    points = "5,5;15,5;15,15;5,15"
    shape = '<polygon frame="{}" keyframe="1" outside="{}" points="' + points + '"/>'
    text = ('<annotations><meta><task><labels><label><name>x</name></label></labels><original_size>'
            "<width>60</width><height>40</height></original_size></task></meta>"
            f'<track id="0" label="x">{shape.format(2, 0)}{shape.format(5, 1)}{shape.format(8, 0)}'
            "</track></annotations>")  # fmt: skip
    (tmp_path / "a.xml").write_text(text)
    found = read(tmp_path / "a.xml")
    assert found.frames.tolist() == [2, 3, 4, 8]
    assert any("held from keyframe to keyframe" in note for note in found.notes)
    stepped = text.replace("<original_size>", "<frame_filter>step=3</frame_filter><original_size>")
    (tmp_path / "a.xml").write_text(stepped)
    assert read(tmp_path / "a.xml").frames.tolist() == [2, 8]


def read_picture(path):
    return Reader([path])(path)


def test_pictures_are_upright_whole_and_of_eight_bits(tmp_path):
    image = Image.fromarray(np.zeros((40, 60, 3), np.uint8))
    exif = Image.Exif()
    exif[274] = 6
    image.save(tmp_path / "a.jpg", exif=exif)
    assert (
        picture_size(tmp_path / "a.jpg") == (60, 40) == read_picture(tmp_path / "a.jpg").shape[:2]
    )
    twelve = np.full((40, 60), 4095, np.uint16)
    twelve[:, :30] = 1024
    cv2.imwrite(str(tmp_path / "b.png"), twelve)
    values = read_picture(tmp_path / "b.png")
    assert values[0, 0].tolist() == [64] * 3 and values[0, 59].tolist() == [255] * 3
    palette = Image.fromarray(np.tile(np.arange(2, dtype=np.uint8), (40, 30)), "P")
    palette.putpalette([10, 20, 30, 200, 100, 50])
    palette.save(tmp_path / "c.png")
    assert read_picture(tmp_path / "c.png")[0, 1].tolist() == [200, 100, 50]
    for name in ("a.jpg", "b.png"):
        data = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(data[: len(data) * 2 // 3])
        with pytest.raises(ValueError, match=f"{name[0]}\\.{name[2:]}: must be a whole picture"):
            read_picture(tmp_path / name)


def test_a_value_of_sixteen_bits_is_as_bright_in_every_frame(tmp_path):
    for k, brightest in enumerate((2000, 4000, 30000)):
        values = np.full((40, 60), 2000, np.uint16)
        values[0, 0] = brightest
        cv2.imwrite(str(tmp_path / f"{k}.png"), values)
    frames = [image for _, image in Frames(str(tmp_path))]
    assert {int(image[9, 9, 0]) for image in frames} == {2000 * 256 // 2**15}
    again = FrameFolder(tmp_path.parent, tmp_path.name, (40, 60))
    assert all(np.array_equal(again(k), image) for k, image in enumerate(frames))


def test_sizes_of_turned_pictures_are_those_of_their_masks(tmp_path):
    exif = Image.Exif()
    exif[274] = 8
    (tmp_path / "images").mkdir()
    Image.fromarray(np.zeros((40, 60, 3), np.uint8)).save(
        tmp_path / "images" / "v_1.jpg", exif=exif
    )
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "v_1.txt").write_text("0 0.1 0.1 0.5 0.1 0.5 0.5\n")
    found = read_detections(tmp_path / "labels", options=Options(images=tmp_path / "images"))
    assert found.size == (60, 40)


@pytest.mark.parametrize("kind", ["panoptic", "list", "objects", "rles"])
def test_more_that_segmenters_return(kind):
    masks = np.zeros((2, 40, 60), bool)
    masks[0, 4:9, 4:9] = masks[1, 20:30, 20:40] = True
    rles = [{"size": [40, 60], "counts": box_mask(*b)} for b in ((4, 4, 5, 5), (20, 20, 20, 10))]
    source = {
        "panoptic": {"segmentation": masks[0] + 2 * masks[1].astype(int), "segments_info": [
            {"id": 1, "label_id": 3, "score": 0.5}, {"id": 2, "label_id": 0, "score": 0.75}]},
        "list": [masks[0], masks[1]],
        "objects": {0: masks[:1], 4: np.where(masks[1], 3.0, -2.0)},
        "rles": [{**r, "counts": r["counts"].decode()} for r in rles],
    }[kind]  # fmt: skip
    found = detections_of(source, 7, (40, 60))
    assert found.boxes_xywh.tolist() == [[4, 4, 5, 5], [20, 20, 20, 10]]
    assert found.ids.tolist() == ([1, 5] if kind == "objects" else [0, 0])
    if kind == "panoptic":
        assert found.classes.tolist() == [4, 1] and found.scores.tolist() == [0.5, 0.75]


def test_counted_frames_of_two_files_must_be_the_same_pictures():
    first = make_detections([(0, 1, 1, 1.0, (1, 1, 5, 5))])
    first = replace(first, pictures={0: "a"})
    second = replace(first, ids=np.array([2], np.int32), pictures={0: "a", 1: "b"})
    assert merge_sequences(first, second).pictures == {0: "a", 1: "b"}
    with pytest.raises(ValueError, match=r"frame 0 must be one picture in all files .*a and c"):
        merge_sequences(first, replace(second, pictures={0: "c"}))
    assert isinstance(first, Detections)
