"""Long sequences in parts: who is who stays what it was."""

from dataclasses import replace

import numpy as np
import pytest

import test_mots
from pipeline.parts import SHARED, parts_of, stitched
from tests.conftest import make_detections
from utils.formats import mots_txt


def lanes(frames, count=3, leave=()):
    """Return objects in lanes; of those in `leave` (id, frame) none is seen from then on."""
    gone = dict(leave)
    return make_detections(
        [
            (f, k, 2, 1.0, (10 + f % 30, 12 * k, 9, 8))
            for f in frames
            for k in range(1, count + 1)
            if f < gone.get(k, 10**9)
        ],
        height=12 * count + 40,
        width=60,
    )


def test_parts_cover_all_and_share_frames_with_the_next():
    detections = lanes(range(7, 247))
    parts = parts_of(detections, 100)
    spans = [(detections.frames[p].min(), detections.frames[p].max()) for p in parts]
    assert spans == [(7, 106), (57, 156), (107, 206), (157, 246)]
    assert len(np.unique(np.concatenate(parts))) == len(detections)
    assert len(parts_of(detections, 240)) == 1
    doubled = replace(detections, frames=detections.frames * 2)
    assert [len(p) for p in parts_of(doubled, 100, step=2)] == [len(p) for p in parts]
    assert [len(p) for p in parts_of(detections.select(np.zeros(0, int)), 100)] == [0]
    with pytest.raises(ValueError, match=f"--chunk must be above {SHARED} frames, got 50"):
        parts_of(detections, 50)


def test_tracks_go_on_as_those_with_which_they_share_most():
    detections = lanes(range(200), leave=[(3, 110)])
    parts = parts_of(detections, 100)
    true = detections.ids
    # Each part has names of its own; in the last, another object is called what the lost one was.
    own = [true[parts[0]], true[parts[1]] % 3 + 1, (true[parts[2]] + 1) % 3 + 5]
    # The second part confuses two objects in its first frames, which are not its own yet.
    early = detections.frames[parts[1]] < 60
    own[1] = np.where(early & (true[parts[1]] < 3), 4 - own[1] + 1, own[1])
    found = stitched(detections, parts, own)
    assert [len(set(found[true == k].tolist())) for k in (1, 2, 3)] == [1, 1, 1]
    assert sorted(set(found.tolist())) == [1, 2, 3]
    # Rows without a track stay so, and whoever is new gets an id that nobody had.
    own[2] = np.where(true[parts[2]] == 2, 0, own[2])
    fresh = detections.frames[parts[2]] > 180
    own[2] = np.where(fresh & (true[parts[2]] == 1), 9, own[2])
    found = stitched(detections, parts, own)
    late = detections.frames > 180
    assert set(found[late & (true == 1)].tolist()) == {4}
    assert set(found[late & (true == 2)].tolist()) == {0}


def track(folder, output, *more):
    arguments = ["--detections", folder, "--ground-truth", folder, "--output", output]
    return test_mots.evaluate(
        test_mots.parse_args(list(map(str, [*arguments, "--no-report", *more])))
    )


def test_a_sequence_in_parts_is_written_as_one(tmp_path):
    folder = tmp_path / "in"
    detections = lanes(range(1, 201), count=5, leave=[(2, 90)])
    mots_txt.write(folder / "0001.txt", detections)
    texts = []
    for name, more in {"whole": (), "parts": ("--chunk", "80")}.items():
        summary = track(folder, tmp_path / name, *more)
        texts.append((tmp_path / name / "data" / "0001.txt").read_text())
        (scores,) = summary["scores"]["masks"].values()
        assert scores["IDF1"] == 100 and summary["counts"]["tracks"] == 5
    assert texts[0] == texts[1]
    with pytest.raises(ValueError, match="--refine needs the whole video, got --chunk 80"):
        track(folder, tmp_path / "no", "--chunk", "80", "--refine", "--images", folder)
    assert not (tmp_path / "no").exists()
