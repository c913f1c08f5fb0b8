import cv2
import h5py
import numpy as np
import pytest

from models.usc_mots import training_data as datasets
from tests.conftest import generate, make_detections, random_scene, write_tracks
from utils import masks
from utils.data_sets import data_set
from utils.files import FormatError

KITTI = data_set("kitti")


def test_packed_patches_are_lossless():
    rng = np.random.default_rng(0)
    binary = (rng.random((7, 28, 28, 1)) < 0.5).astype(np.uint8) * 255
    packed = datasets.PackedPatches.pack(binary)
    assert packed.packed.nbytes == 7 * 98 and (packed[:] == binary).all()
    assert (packed[np.array([4, 1])] == binary[[4, 1]]).all() and len(packed) == 7
    colour = rng.integers(0, 256, (3, 8, 8, 3), dtype=np.uint8)
    assert (datasets.PackedPatches.pack(colour)[:] == colour).all()


@pytest.fixture
def folder(tmp_path):
    scene = random_scene(np.random.default_rng(1), objects=6)
    write_tracks(tmp_path / "instances_txt" / "0001.txt", scene, scene.ids)
    return tmp_path


def load(folder, **options):
    return datasets.load_training_sequences(folder, KITTI, 32, 1, **options)


def test_cache_is_used_and_damage_is_mended(folder, monkeypatch):
    first = load(folder, cache=folder / "cache")[0]
    (file,) = (folder / "cache").iterdir()
    calls = []
    crop = masks.crop_patches
    monkeypatch.setattr(masks, "crop_patches", lambda *a: calls.append(1) or crop(*a))
    again = load(folder, cache=folder / "cache")[0]
    assert not calls and (again.patches[:] == first.patches[:]).all()
    file.write_bytes(file.read_bytes()[:200])  # a run was killed, or a disk was full
    mended = load(folder, cache=folder / "cache")[0]
    assert calls and (mended.patches[:] == first.patches[:]).all()
    with h5py.File(file) as stored:
        assert len(stored["patches"]) == len(first.boxes)


def test_changed_input_is_not_served_from_the_cache(folder):
    load(folder, cache=folder / "cache")
    other = random_scene(np.random.default_rng(2), objects=6)
    write_tracks(folder / "instances_txt" / "0001.txt", other, other.ids)
    fresh = load(folder)[0].patches[:]
    assert (load(folder, cache=folder / "cache")[0].patches[:] == fresh).all()


def test_changed_frames_are_not_served_from_the_cache(tmp_path):
    scene = make_detections([(0, 1, 1, 1, (0, 0, 9, 9))])
    write_tracks(tmp_path / "instances_txt" / "0001.txt", scene, scene.ids)
    (tmp_path / "images" / "0001").mkdir(parents=True)
    for value in (50, 200):
        image = np.full((40, 60, 3), value, np.uint8)
        cv2.imwrite(str(tmp_path / "images" / "0001" / "000000.png"), image)
        found = datasets.load_training_sequences(tmp_path, KITTI, 32, 3, cache=tmp_path / "cache")
        assert found[0].patches[:].max() == value


def test_ignore_regions_are_not_trained_on(tmp_path):
    scene = make_detections([(0, 1, 1, 1, (0, 0, 9, 9)), (0, 10000, 10, 1, (20, 20, 5, 5))])
    write_tracks(tmp_path / "0001.txt", scene, scene.ids)
    empty = masks.encode(np.zeros((40, 60), np.uint8)).decode()
    with open(tmp_path / "0001.txt", "a") as file:
        file.write(f"1 7 1 40 60 {empty}\n")
    found = datasets.read_training_detections(tmp_path, KITTI)[0][0]
    assert found.classes.tolist() == [1]


def test_synthetic_sets_carry_their_true_ids(tmp_path):
    generate(tmp_path, "sprites", "train", 1, 60, 3, 0)
    found = datasets.read_training_detections(tmp_path, data_set("sprites"))[0][0]
    rows = np.loadtxt(tmp_path / "gt" / "0001" / "gt.txt", delimiter=",")
    assert (found.ids == rows[:, 1]).all() and found.ids.min() == 1
    (tmp_path / "gt" / "0001" / "gt.txt").unlink()
    with pytest.raises(FormatError, match="must exist"):
        datasets.read_training_detections(tmp_path, data_set("sprites"))


def test_thinned_keeps_rows_together(folder):
    whole = load(folder)[0]
    thin = whole.thinned(3)
    assert (thin.boxes == whole.boxes[::3]).all()
    assert (thin.patches[:] == whole.patches[::3]).all()
    assert (thin.detections.frames == whole.detections.frames[::3]).all()


def test_a_changed_mask_in_the_same_frames_is_not_served_from_the_cache(tmp_path):
    for size in (9, 5):
        scene = make_detections([(f, 1, 1, 1, (2, 2, 9, size)) for f in range(3)])
        write_tracks(tmp_path / "instances_txt" / "0001.txt", scene, scene.ids)
        cached = load(tmp_path, cache=tmp_path / "cache")[0].patches[:]
        assert (cached == load(tmp_path)[0].patches[:]).all()
