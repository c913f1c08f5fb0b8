import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask

from tests.conftest import generate
from utils import gen_mnist, gen_sprite, masks, synthetic, synthetic_pictures
from utils.data_sets import data_set
from utils.formats.reading import read_detections
from utils.synthetic_cli import parse_args

ROOT = Path(__file__).resolve().parents[2]


def sequence(frames=300, kind="sprites", seed=0):
    return synthetic.generate_sequence(
        "0001",
        synthetic_pictures.sprite_source(),
        data_set(kind).margin,
        frames,
        3,
        np.random.default_rng(seed),
    )


def test_objects_move_straight_at_the_papers_speed_and_cross_the_frame():
    _, found = sequence()
    sides = {"left": 0, "right": 0, "top": 0, "bottom": 0}
    for identity in np.unique(found.ids)[:-3]:
        rows = np.flatnonzero(found.ids == identity)
        frames, boxes = found.frames[rows], found.boxes_xywh[rows]
        assert (np.diff(frames) == 1).all() and 18 <= len(rows) <= 35
        inside = (boxes[:, :2] > 0).all(1) & (boxes[:, :2] + boxes[:, 2:] < 128).all(1)
        centres = (boxes[:, :2] + boxes[:, 2:] / 2)[inside]
        frames = frames[inside]
        steps = (centres[-1] - centres[0]) / (frames[-1] - frames[0])
        assert np.linalg.norm(steps) == pytest.approx(5.3, abs=0.25)
        assert np.allclose(np.diff(centres, axis=0), steps, atol=1.1)  # rounding to pixels
        axis = np.argmax(np.abs(steps))
        sides[("left", "top")[axis] if steps[axis] > 0 else ("right", "bottom")[axis]] += 1
    assert min(sides.values()) > 0


def test_at_most_three_objects_and_births_after_a_wait():
    _, found = sequence(600)
    counts = np.bincount(found.frames)
    assert counts.max() == 3
    last = {i: found.frames[found.ids == i].max() for i in np.unique(found.ids)}
    first = {i: found.frames[found.ids == i].min() for i in np.unique(found.ids)}
    # A slot rests 5 frames: no birth finds more than two objects in the 5 frames before it.
    for identity, born in first.items():
        recent = [i for i in last if i != identity and last[i] >= born - 5 and first[i] < born]
        assert len(recent) <= 2, (identity, born)


def test_overlapping_objects_add_up_and_clamp():
    # Everything is one colour of 150: where two objects overlap, 300 is clamped to 255.
    def square(rng):
        return np.full((21, 21, 3), 150, np.uint8)

    rng = np.random.default_rng(0)
    images, found = synthetic.generate_sequence("s", square, 10, 300, 3, rng)
    overlaps = 0
    for frame, rows in found.rows_by_frame():
        count = sum(coco_mask.decode(mask).astype(int) for mask in found.coco(rows))
        assert (images[frame - 1, :, :, 0] == np.minimum(150 * count, 255)).all()
        overlaps += (count > 1).sum()
    assert overlaps > 100


def test_files_and_formats(tmp_path):
    generate(tmp_path, "sprites", "test", 2, 30, 3, 0)
    for name in ("0001", "0002"):
        found = read_detections(tmp_path / "detections" / f"{name}.txt")
        truth = read_detections(tmp_path / "instances_txt" / f"{name}.txt")
        rows = np.loadtxt(tmp_path / "gt" / name / "gt.txt", delimiter=",")
        assert found.scored and (found.height, found.width) == (128, 128)
        assert len(rows) == len(found) and rows.shape[1] == 10
        assert (rows[:, 2:6] == found.boxes_xywh).all() and (rows[:, 6:] == [1, -1, -1, -1]).all()
        tight = masks.tight_boxes_xywh(found.rles, 128, 128)
        assert (tight == found.boxes_xywh).all()
        for _, here in truth.rows_by_frame():
            coco = truth.coco(here)
            assert not np.triu(masks.overlap(coco, coco), 1).any()
        pictures = sorted((tmp_path / "images" / name).iterdir())
        assert len(pictures) == 30 and pictures[0].name == "000001.png"
        assert cv2.imread(str(pictures[0])).shape == (128, 128, 3)
        assert "seqLength=30" in (tmp_path / "gt" / name / "seqinfo.ini").read_text()


def test_same_seed_same_bytes_other_seed_or_split_other_bytes(tmp_path):
    def digest(folder, split="test", seed=3):
        generate(folder, "sprites", split, 1, 20, 3, seed)
        return [p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()]

    first = digest(tmp_path / "a")
    assert first == digest(tmp_path / "b")
    assert first != digest(tmp_path / "c", seed=4) and first != digest(tmp_path / "d", "train")


def test_mnist_from_a_file_and_digit_classes(tmp_path):
    images = np.zeros((20, 28, 28), np.uint8)
    labels = np.arange(20) % 10
    images[np.arange(20), labels, 0] = 255
    arrays = {f"{k}_{s}": v for s in ("train", "test") for k, v in (("x", images), ("y", labels))}
    np.savez(tmp_path / "m.npz", **arrays)
    found, classes, origin = synthetic_pictures.load_mnist("test", tmp_path / "m.npz")
    assert found.shape == (20, 28, 28) and origin.endswith("m.npz")
    draw, rng = synthetic_pictures.digit_source(found, classes), np.random.default_rng(0)
    drawn = {int(np.argmax(draw(rng)[:, 0, 0])) for _ in range(200)}
    assert drawn == set(range(1, 10))  # 9 of the 10 classes


def test_without_mnist_scikit_learns_digits_take_its_place(monkeypatch):
    def offline(split):
        raise Exception("URL fetch failure on https://example.invalid: None -- no network")

    monkeypatch.setattr(synthetic_pictures, "_keras_mnist", offline)
    train, labels, origin = synthetic_pictures.load_mnist("train")
    test, _, _ = synthetic_pictures.load_mnist("test")
    assert "scikit-learn" in origin and "no network" in origin
    assert train.shape[1:] == (28, 28) and len(train) == len(labels)
    shared = {i.tobytes() for i in train} & {i.tobytes() for i in test}
    assert len(shared) < 5


def test_keras_mnist_is_asked_first(monkeypatch):
    marker = np.ones((1, 28, 28), np.uint8), np.array([1])
    monkeypatch.setattr(synthetic_pictures, "_keras_mnist", lambda split: marker)
    images, _, origin = synthetic_pictures.load_mnist("test")
    assert images is marker[0] and origin == "keras.datasets.mnist"


def test_damaged_mnist_is_one_line(tmp_path):
    path = tmp_path / "m.npz"
    path.write_bytes(b"no archive")
    with pytest.raises(ValueError, match=r"m\.npz: must be an mnist\.npz"):
        synthetic_pictures.load_mnist("test", path)


def test_command_line(tmp_path):
    assert parse_args("sprites", ["--train", "1"]).split == "train"
    assert parse_args("mnist", ["--test", "1"]).split == "test"
    assert parse_args("mnist", []).output == Path("data/mnist_mot/test")
    for bad in (["--frames", "0"], ["--seed", "-1"], ["--train", "1", "--test", "1"]):
        with pytest.raises(SystemExit) as caught:
            parse_args("sprites", bad)
        assert caught.value.code == 2
    done = subprocess.run(
        [
            sys.executable,
            "gen_sprite.py",
            "--test",
            "1",
            "--sequences",
            "1",
            "--frames",
            "12",
            "--output",
            str(tmp_path),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0 and "1 sequence of 12 frames" in done.stdout, done.stderr


def test_sprites_vary_by_a_tenth_in_size_and_a_fifth_in_aspect():
    draw, rng = synthetic_pictures.sprite_source(), np.random.default_rng(0)
    shapes = np.array([draw(rng).shape[:2] for _ in range(800)], float)
    sizes, aspects = np.sqrt(shapes.prod(axis=1)) / 21, shapes[:, 1] / shapes[:, 0]
    assert 0.86 < sizes.min() < 0.93 and 1.07 < sizes.max() < 1.14
    assert 0.72 < aspects.min() < 0.84 and 1.15 < aspects.max() < 1.32


def test_pictures_are_written_in_their_colours(tmp_path):
    image = np.zeros((1, 128, 128, 3), np.uint8)
    image[..., 0] = 250  # red
    found = synthetic._detections("0001", [])
    synthetic.write_sequence(tmp_path, image, found)
    read = cv2.imread(str(tmp_path / "images" / "0001" / "000001.png"))
    assert read[0, 0].tolist() == [0, 0, 250]


def test_defaults_of_the_generators_are_the_papers_test_set():
    from utils.synthetic_cli import parse_args

    args = parse_args("mnist", [])
    assert (args.sequences, args.frames, args.objects, args.split) == (20, 500, 3, "test")
    assert args.output.as_posix() == "data/mnist_mot/test"
    assert parse_args("sprites", ["--split", "train"]).split == "train"
    assert parse_args("sprites", ["--train", "1"]).output.as_posix() == "data/sprites_mot/train"


def test_a_mask_is_what_is_brighter_than_half():
    def draw(rng):
        picture = np.full((20, 20, 3), 100, np.uint8)  # a dim rim
        picture[5:15, 5:15] = 200
        return picture

    _, found = synthetic.generate_sequence("s", draw, 10, 30, 1, np.random.default_rng(0))
    assert found.boxes_xywh[:, 2:].max() == 10


@pytest.mark.parametrize("name", [gen_mnist.__name__, gen_sprite.__name__])
def test_the_original_commands_work(tmp_path, name):
    command = [sys.executable, f"{name.replace('.', '/')}.py", "--test", "1", "--sequences", "1"]
    done = subprocess.run(
        [*command, "--frames", "3", "--output", str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0 and "1 sequence of 3 frames" in done.stdout
    assert "absl" not in done.stderr and "oneDNN" not in done.stderr
