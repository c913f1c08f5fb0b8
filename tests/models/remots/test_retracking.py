"""The steps of ReMOTS: an encoder adapted to a video, short-term tracks, refine.py."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from models.remots.config import RetrackingConfig
from models.remots.encoder import Appearance
from models.remots.encoder_config import EncoderConfig
from models.remots.retracking import retrack
from models.remots.short_term import limit_of, short_term
from models.remots.triplets import Seen, augmented
from pipeline.stages import reader_of
from tests.models.motsnet.scene import moving
from utils import synthetic, synthetic_pictures
from utils.colours import colour_histograms
from utils.evaluation import identity_f1
from utils.formats import mots_txt
from utils.formats.reading import read_detections
from utils.masks import crop_patches

ROOT = Path(__file__).resolve().parents[3]
SMALL = EncoderConfig(
    depth=18, width=4, vector_size=8, side=32, intra_frame_steps=12, tracklet_steps=12,
    batch_size=16,
)  # fmt: skip


def coloured(count=6, frames=12):
    rng = np.random.default_rng(0)
    colours = rng.integers(60, 255, (count, 3))
    patches = np.zeros((count * frames, 32, 32, 3), np.uint8)
    patches[:, 4:28, 8:24] = np.repeat(colours, frames, axis=0)[:, None, None]
    noise = rng.integers(-12, 12, patches.shape) * (patches > 0)
    patches = np.clip(patches + noise, 0, 255).astype(np.uint8)
    ids = np.repeat(np.arange(1, count + 1), frames)
    return Seen(patches, np.tile(np.arange(frames), count), ids)


def test_an_encoder_learns_who_is_who_without_identities():
    seen = coloured()
    encoder = Appearance(SMALL)
    losses = encoder.learn_within_frames(seen) + encoder.learn_between_tracklets(seen)
    assert len(losses) == 24 and np.mean(losses[-6:]) < np.mean(losses[:6])
    vectors = encoder.describe(seen.patches)
    assert vectors.shape == (72, 8)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)
    alike = vectors @ vectors.T
    same = seen.tracklets[:, None] == seen.tracklets
    assert alike[same].mean() > alike[~same].mean() + 0.3


def test_an_object_alone_teaches_nothing():
    seen = coloured(count=1)
    encoder = Appearance(SMALL)
    assert encoder.learn_within_frames(seen) == [] == encoder.learn_between_tracklets(seen)
    assert encoder.describe(seen.patches[:0]).shape == (0, 8)


def test_augmentation_changes_pixels_and_keeps_the_outside_black():
    seen = coloured()
    changed = augmented(seen.patches, np.random.default_rng(0))
    assert changed.shape == seen.patches.shape and 0 <= changed.min() <= changed.max() <= 1
    assert (np.abs(changed - seen.patches / 255).mean(axis=(1, 2, 3)) > 0.01).all()
    assert (changed[:, 0, 0] == 0).all()
    inside = changed.max(axis=-1) > 0
    assert (inside.sum(axis=(1, 2)) < 0.9 * 32 * 32).all()


def test_the_limit_is_three_deviations_above_what_different_objects_look_like():
    _, detections = moving(steps=((1, 0), (2, 0)), frames=3)
    angles = np.array([0.2, 1.0, 0.1, 1.2, 0.3, 0.8])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    alike = np.cos([0.8, 1.1, 0.5])
    limit = limit_of(detections, vectors)
    assert limit.pairs == 3
    assert limit.similarity(3.0) == pytest.approx(min(1, alike.mean() + 3 * alike.std()))


def test_short_term_tracks_need_overlap_after_the_flow_and_looks():
    images, detections = moving(steps=((11, 7), (-11, -7)), frames=5)
    looks = np.eye(3)[[0, 1] * 5]
    ids, report = short_term(detections, images.__getitem__, looks)
    assert ids.reshape(5, 2).tolist() == [[1, 2]] * 5 and report["links"] == 8
    looks[4] = (0, 1, 0)  # in the third frame the first looks like the other
    looks[5] = (0, 0, 1)
    ids, report = short_term(detections, images.__getitem__, looks)
    assert ids.reshape(5, 2)[:, 0].tolist() == [1, 1, 3, 5, 5] and report["unlike"] == 4
    far = replace(detections, frames=detections.frames * 2)
    assert len(set(short_term(far, images.__getitem__, np.eye(3)[[0, 1] * 5])[0].tolist())) == 10


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """Return a folder of a generated sequence with frames, and of its tracks with some mixed up."""
    made = tmp_path_factory.mktemp("video")
    draw, _ = synthetic_pictures.source("sprites")
    synthetic.generate(made, "sprites", draw, 10, "test", 1, 70, 5, 4)
    truth = read_detections(made / "instances_txt" / "0001.txt")
    truth = truth.select(truth.classes != 10)
    ids = truth.ids.copy()
    for k, one in enumerate(sorted(set(ids.tolist()))):
        rows = np.flatnonzero(truth.ids == one)
        cut = rows[truth.frames[rows] >= 35]
        ids[cut] += 500 if k % 2 else 0
    left = np.flatnonzero((truth.frames < 33) | (truth.frames >= 35))
    mots_txt.write(made / "tracks" / "0001.txt", replace(truth, ids=ids).select(left))
    return made


QUICK = ("intra_frame_steps=10", "tracklet_steps=60", "batch_size=128")


def refine(folder, output, *more):
    command = [sys.executable, "refine.py", "--dataset", "sprites", "--images", folder / "images"]
    command += ["--tracks", folder / "tracks", "--output", output, "--no-report", *more]
    for setting in QUICK:
        command += ["--set", setting]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def test_one_command_refines_tracks_by_their_frames(video, tmp_path):
    done = refine(video, tmp_path / "out", "--ground-truth", video / "instances_txt")
    assert done.returncode == 0, done.stderr
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    before = read_detections(video / "tracks" / "0001.txt")
    after = read_detections(tmp_path / "out" / "data" / "0001.txt")
    assert len(after) == len(before)
    assert len(set(after.ids.tolist())) < len(set(before.ids.tolist()))
    counts = summary["counts"]
    assert counts["tracker_links"] >= counts["tracker_new"] > 0
    assert (
        f"{counts['tracker_tracklets']} tracklets, {counts['tracker_links']} links" in done.stdout
    )
    assert summary["refinement"]["merge"] == "evidence"
    assert summary["scores"]["masks"]["pedestrian"]["IDF1"] > 70


def test_bad_input_is_refused_in_one_line(video, tmp_path):
    done = refine(video, tmp_path / "out", "--set", "merge=guess")
    assert done.returncode and done.stderr.count("\n") == 1
    assert "merge must be one of evidence, clustering, got guess" in done.stderr
    pictures = tmp_path / "some" / "0001"
    pictures.mkdir(parents=True)
    for path in sorted((video / "images" / "0001").iterdir())[:-1]:
        (pictures / path.name).symlink_to(path)
    done = refine(video, tmp_path / "out", "--images", tmp_path / "some")
    assert done.returncode and "must hold every frame" in done.stderr.splitlines()[-1]
    assert not (tmp_path / "out").exists()


def test_tracks_are_made_anew_by_flow_and_merged_as_the_paper_does(video):
    truth = read_detections(video / "tracks" / "0001.txt")
    pictures = {
        int(p.stem): cv2.imread(str(p))[:, :, ::-1] for p in (video / "images" / "0001").iterdir()
    }
    config = RetrackingConfig(
        intra_frame_steps=5, tracklet_steps=10, batch_size=64, tracklets="flow", merge="clustering"
    )
    looks = [crop_patches(truth, 8, pictures.__getitem__).reshape(len(truth), -1)]
    ids, report = retrack(truth, truth.ids, looks, pictures.__getitem__, config)
    assert (ids > 0).all() and 0 < report["short_term_links"] < len(truth)
    for frame in set(truth.frames.tolist()):
        own = ids[truth.frames == frame]
        assert len(set(own.tolist())) == len(own)
    # Frames that are numbered by twos are neighbours, too.
    doubled = replace(truth, frames=truth.frames * 2 + 1)
    reader = {2 * f + 1: picture for f, picture in pictures.items()}.__getitem__
    again, found = retrack(doubled, truth.ids, looks, reader, config, step=2)
    assert found == report and (again == ids).all()
    # A ResNet's looks take the place of the others.
    resnet = replace(config, tracklets="given", merge="evidence", encoder="resnet", encoder_steps=2)
    ids, report = retrack(truth, truth.ids, [], pictures.__getitem__, resnet)
    assert (ids > 0).all() and report["tracklets"] >= len(set(truth.ids.tolist()))


@pytest.mark.parametrize("name", ["0005", "0009", "0012"])
def test_true_identities_come_out_as_they_went_in(real_data, name):
    """Refining must not break what is right; KITTI's 0012 has no pictures here, so noise."""
    kitti = name == "0012"
    folder = real_data / ("kitti_mots" if kitti else "mots_challenge")
    found = read_detections(folder / "instances_txt" / f"{name}.txt")
    found = found.select(found.classes == 2)
    if kitti:
        looks = np.random.default_rng(0).random((len(found), 40)).astype(np.float32)
    else:
        looks = colour_histograms(found, reader_of(folder / "images", found))
    config = RetrackingConfig(tracklet_steps=200)
    ids, _ = retrack(found, found.ids, [looks], lambda frame: None, config)
    assert identity_f1(found.ids, ids)[0] >= 0.998
