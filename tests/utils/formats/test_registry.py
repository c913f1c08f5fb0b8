"""Every format told apart, broken files refused, a real sequence the same in all of them."""

import gzip
import shutil
from dataclasses import replace

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from pipeline.api import track
from tests import independent
from tests.conftest import make_detections
from tests.utils.formats.scenes import KITTI_NAMES, content, read, same_partition, scene_of
from tests.utils.formats.test_yolo import SQUARE, yolo_file
from utils.detections import IGNORE
from utils.files import FormatError
from utils.formats.base import Options
from utils.formats.merging import merge_sequences
from utils.formats.registry import FORMATS
from utils.formats.sources import find_sources


def test_gzipped_files_are_read_as_they_are(tmp_path):
    scene = scene_of()
    for name in ("coco", "npz", "cvat", "ytvis"):
        path = independent.EXACT[name](independent.Scene.of(scene), tmp_path / name)
        packed = path.with_name(path.name + ".gz")
        packed.write_bytes(gzip.compress(path.read_bytes()))
        assert content(read(packed, KITTI_NAMES)) == content(read(path, KITTI_NAMES))
        assert read(packed).sequence == "seq"


def test_a_folder_of_folders_is_a_sequence_each(tmp_path):
    for name in ("a", "b"):
        made = independent.mots_png(independent.Scene.of(scene_of()), tmp_path / name)
        (tmp_path / "top").mkdir(exist_ok=True)
        shutil.move(made, tmp_path / "top" / name)
    assert sorted(s.sequence for s in find_sources(tmp_path / "top")) == ["a", "b"]


def test_masks_that_are_in_two_files_of_a_sequence_are_said(tmp_path):
    from utils.inputs import read_inputs

    scene = independent.Scene.of(scene_of())
    first = independent.coco(scene, tmp_path / "a")
    second = independent.coco(scene, tmp_path / "b")
    count = len(scene.objects)
    inputs = read_inputs([first, second])
    assert f"seq: {count} masks are in more than one of its files" in inputs.notes
    assert not any("more than one" in note for note in read_inputs([first]).notes)


def test_ground_truth_keeps_its_ids_whatever_is_asked_of_the_detections(tmp_path):
    from utils.inputs import read_inputs

    scene = independent.Scene.of(scene_of())
    found = independent.coco_results(scene, tmp_path / "found")
    truth = independent.coco(scene, tmp_path / "truth")
    inputs = read_inputs([found], truth, options=Options(ids=False))
    assert inputs.truth["seq"].ids.all()


def test_frames_of_videos_are_those_of_their_file_names(tmp_path):
    scene = scene_of()
    later = independent.Scene.of(scene)
    later.objects = [(7 + 2 * f, *rest) for f, *rest in later.objects]
    for name in ("ytvis", "coco", "mots-png", "cvat"):
        found = read(independent.EXACT[name](later, tmp_path / name))
        assert sorted(found.frames.tolist()) == sorted((7 + 2 * scene.frames).tolist()), name


def test_refusals_of_other_formats(tmp_path):
    from PIL import Image

    (tmp_path / "no.json").write_text('{"a": 1')
    Image.new("RGB", (9, 9)).save(tmp_path / "rgb.png")
    np.savez(tmp_path / "no_frames.npz", masks=np.zeros((2, 4, 5), bool))
    np.savez(tmp_path / "short.npz", masks=np.zeros((2, 4, 5), bool), frames=[1])
    np.save(tmp_path / "flat.npy", np.zeros((4, 5)))
    np.save(tmp_path / "half.npy", np.full((2, 4, 5), 0.5))
    (tmp_path / "d.xml").write_text("<!DOCTYPE a><annotations></annotations>")
    for name, message in (
        ("no.json", "must be of a known format"),
        ("rgb.png", "a label image must have one channel, one number per object, got colours"),
        ("no_frames.npz", "masks: must come with frames (n), or be labels (T, H, W), got no frame"),
        ("short.npz", "frames: must be one number for each of 2 masks, got 1"),
        ("flat.npy", "must be masks (n, H, W) or labels (T, H, W) of whole numbers, got shape (4"),
        ("half.npy", "plane 0: labels must be whole numbers, got float64"),
        ("d.xml", "must be XML without a document type, got one"),
    ):
        with pytest.raises(FormatError) as caught:
            read(tmp_path / name)
        assert str(caught.value).startswith(f"{tmp_path / name}: {message}")
    with pytest.raises(FormatError, match=r"need its size \(--size HxW, or --images\), got none"):
        read(yolo_file(tmp_path / "y", f"0 {SQUARE}"))
    with pytest.raises(FormatError, match=r"v_3.txt:2: expected class, three points or more, got"):
        read(yolo_file(tmp_path / "y", f"0 {SQUARE}", "0 0.1 0.1 0.2 0.2"), size=(40, 60))


def test_two_files_of_a_frame_and_files_of_two_kinds_are_refused(tmp_path):
    from PIL import Image

    for name in ("a_1.png", "b_1.png"):
        Image.fromarray(np.ones((5, 6), np.uint8)).save(tmp_path / name)
    with pytest.raises(FormatError, match=r"b_1.png: a frame must be listed once \(also a_1.png\)"):
        find_sources(tmp_path)
    (tmp_path / "b_1.png").rename(tmp_path / "x.npy")
    with pytest.raises(FormatError, match=r"must hold files of one kind \(--format takes one\)"):
        find_sources(tmp_path)
    assert find_sources(tmp_path, "labels")[0].format.name == "labels"


def mutated(rng, data):
    """Return bytes with a few changed, cut, doubled or swapped."""
    data = bytearray(data)
    for _ in range(int(rng.integers(1, 4))):
        kind, at = rng.integers(0, 5), int(rng.integers(0, max(1, len(data))))
        if kind == 0 and data:
            data[at] = int(rng.integers(0, 256))
        elif kind == 1:
            del data[at : at + int(rng.integers(1, 40))]
        elif kind == 2:
            data[at:at] = data[at : at + int(rng.integers(1, 40))]
        elif kind == 3:
            data[at:at] = rng.choice([b"-1", b"1e999", b"null", b'"', b"99999999999", b"\x00"])
        else:
            del data[at:]
    return bytes(data)


def test_mutated_files_of_every_format_are_read_or_refused_in_one_line(tmp_path):
    # 10,000 over all: never another exception, never a message of several lines.
    scene = independent.Scene.of(scene_of(3, height=24, width=32))
    writers = {**independent.EXACT, **independent.ONE_CLASS, **independent.OUTLINES}
    rng = np.random.default_rng(0)
    refused = total = 0
    each = 10_000 // len(writers) + 1
    for name, write in writers.items():
        path = write(scene, tmp_path / name.replace(", ", "_"))
        files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
        originals = [file.read_bytes() for file in files]
        for _ in range(each):
            i = int(rng.integers(0, len(files)))
            data = mutated(rng, originals[i])
            files[i].write_bytes(data)
            total += 1
            try:
                for source in find_sources(path):
                    source.read(Options(size=scene.size))
            except FormatError as error:
                refused += 1
                assert str(error).count("\n") == 0 and len(str(error)) < 600
            files[i].write_bytes(originals[i])
    assert total >= 10_000 and refused > 2000


def test_every_format_has_a_test_and_a_meaning():
    tested = {
        n.split(",")[0] for n in (*independent.EXACT, *independent.ONE_CLASS, "yolo", "cityscapes")
    }
    assert set(FORMATS) == tested | {"mots", "tracking-only", "trackrcnn"}
    assert all(f.meaning and f.suffixes for f in FORMATS.values())


@pytest.mark.parametrize(("name", "frames"), [("kitti_mots/0012", 30), ("mots_challenge/0009", 10)])
def test_a_real_sequence_gets_the_same_ids_from_every_format(real_data, tmp_path, name, frames):
    folder, sequence = name.split("/")
    truth = read(real_data / folder / "instances_txt" / f"{sequence}.txt")
    truth = truth.select((truth.classes != IGNORE) & (truth.frames < frames))
    order = np.lexsort((truth.rles.astype(str), truth.frames))
    expected = track(truth, class_names=KITTI_NAMES).ids[order]
    assert len(set(expected.tolist())) > 2
    scene = independent.Scene.of(truth)
    writers = {**independent.EXACT, **independent.OUTLINES}
    if len(set(truth.classes.tolist())) == 1:
        writers |= independent.ONE_CLASS
    for kind, write in writers.items():
        if kind == "label-studio" and truth.height > 500:
            continue  # its bits, written as text by the test, are too many at this size
        path = write(scene, tmp_path / kind.replace(", ", "_"))
        names = None if kind in independent.ONE_CLASS else KITTI_NAMES
        found = read(path, names, size=truth.size)
        ids = track(found, class_names=names).ids
        if kind in independent.OUTLINES:  # pixels differ: rows by their order, which is the same
            back = np.arange(len(found)) if kind.startswith("coco") else _rows_like(truth, found)
            assert same_partition(ids[back], track(truth, class_names=KITTI_NAMES).ids), kind
            continue
        back = np.lexsort((found.rles.astype(str), found.frames))
        assert same_partition(ids[back], expected), kind


def _rows_like(truth, found):
    """Return for each true row the row of the same object, by place."""
    rows = np.zeros(len(truth), int)
    for frame, there in truth.rows_by_frame():
        mine = np.flatnonzero(found.frames == frame)
        iou = coco_mask.iou(truth.coco(there), found.coco(mine), [0] * len(mine))
        rows[there] = mine[iou.argmax(axis=1)]
    return rows


def test_an_empty_file_merges_into_the_other():
    found = make_detections([(0, 1, 1, 0.5, (2, 2, 5, 5))])
    empty = found.select(np.zeros(0, int))
    assert len(merge_sequences(empty, found)) == len(merge_sequences(found, empty)) == 1


def test_merge_of_two_class_folders():
    car, person = (make_detections([(0, 1, c, 1.0, (3, 4, 5, 6))]) for c in (1, 2))
    both = merge_sequences(replace(car, scored=False), replace(person, scored=False))
    assert both.classes.tolist() == [1, 2] and not both.scored
    assert merge_sequences(replace(car, scored=False), replace(person, scored=True)).scored
