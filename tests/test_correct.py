"""The whole way: a run, its page, corrections made in it, correct.py, and the page again."""

import json
import os
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

import correct
import test_mots
from pipeline.corrected import CorrectedSource
from pipeline.request import Corrections, Request
from pipeline.settings import settings_for
from tests.browser import look
from tests.conftest import make_detections, write_scored, write_tracks
from utils.data_sets import data_set
from utils.formats.reading import read_detections
from utils.report import drops

# Finds a row, clicks its mask, and does what the buttons do.
HELP = """
  const wait = ms => new Promise(r => setTimeout(r, ms));
  const click = (i, shiftKey = false) => {
    const b = state.sequence.boxes[i], room = canvas.getBoundingClientRect();
    const s = room.width / state.sequence.data.size[1];
    canvas.dispatchEvent(new MouseEvent("click", {shiftKey, bubbles: true,
      clientX: room.left + (b[0] + b[2]) / 2 * s, clientY: room.top + (b[1] + b[3]) / 2 * s}));
  };
  const rowOf = (id, frame) => {
    const {rows, editing} = state.sequence;
    for (let i = rows.starts[frame]; i < rows.starts[frame + 1]; i++)
      if (editing.ids[i] === id) return i;
    return -1;
  };
  const op = name => document.querySelector(`[data-op=${name}]`).click();
"""


def walkers(frames=20):
    """Return two walkers, the second of which changes its identity twice; the truth has two."""
    truth = [(f, 1, 1, 0.9, (4 + 2 * f, 5, 9, 12)) for f in range(frames)]
    truth += [(f, 2, 1, 0.8, (50 - 2 * f, 24, 9, 12)) for f in range(frames)]
    given = [(f, 2 + (f > 6) + (f > 12) if i == 2 else 1, c, s, b) for f, i, c, s, b in truth]
    return make_detections(truth, name="walk"), make_detections(given, name="walk")


def tracked(tmp_path, pictures=True):
    """Run test_mots.py on tracks as they are given; return the run's folder."""
    truth, given = walkers()
    write_tracks(tmp_path / "gt" / "walk.txt", truth, truth.ids)
    write_tracks(tmp_path / "in" / "walk.txt", given, given.ids)
    more = []
    if pictures:
        (tmp_path / "frames" / "walk").mkdir(parents=True)
        for f in range(20):
            image = np.full((40, 60, 3), 9 * f, np.uint8)
            cv2.imwrite(str(tmp_path / "frames" / "walk" / f"{f:06d}.png"), image)
        more = ["--images", str(tmp_path / "frames")]
    arguments = ["--tracker", "given", "--detections", str(tmp_path / "in"), "--output",
                 str(tmp_path / "run"), "--ground-truth", str(tmp_path / "gt"), *more]  # fmt: skip
    test_mots.evaluate(test_mots.parse_args(arguments))
    return tmp_path / "run"


def corrections(tmp_path, *arguments):
    return correct.corrected(
        correct.parse_args(["--tracks", str(tmp_path / "run"), "--edits",
                            str(tmp_path / "edits.json"), "--output", str(tmp_path / "new"),
                            *map(str, arguments)])
    )  # fmt: skip


def test_switches_are_put_right_in_the_page(tmp_path):
    run = tracked(tmp_path)
    before = json.loads((run / "summary.json").read_text())["scores"]["masks"]["class 1"]
    assert before["IDS"] == 2 and before["IDF1"] < 80
    found = look(run / "report.html", HELP + """
      found.heading = $("heading").textContent;
      found.video = [video.videoWidth, video.videoHeight];
      seek(10); await wait(200);
      found.at = [$("number").value, video.currentTime];
      click(rowOf(1003, 10)); found.clicked = [...state.chosen];
      seek(3); click(rowOf(1002, 3), true); found.both = [...state.chosen];
      op("merge"); found.merged = [$("said").textContent, $("tracks").rows.length];
      seek(15); click(rowOf(1004, 15)); op("split"); found.split = [...state.chosen];
      $("undo").click(); found.undone = $("said").textContent;
      pick(1004); pick(1002, state.frame, true); op("merge");
      op("merge"); found.refused = $("merge") === null && state.edits.length;
      document.querySelector(".event input").click();
      found.saved = saved(); found.kept = JSON.parse(localStorage.getItem(place));
    """)  # fmt: skip
    assert found["errors"] == [] and found["heading"] == "2 identity switches"
    assert found["video"] == [600, 400] and found["at"] == ["10", 1.05]
    assert found["clicked"] == [1003] and found["both"] == [1003, 1002]
    assert found["merged"] == ["Merged track 1003 into 1002.", 3]
    assert found["split"] == [1005] and found["undone"].startswith(
        "Undid: Split track 1004 at frame 15"
    )
    assert found["kept"] == found["saved"] and len(found["saved"]["seen"]) == 1
    (tmp_path / "edits.json").write_text(json.dumps(found["saved"]))

    summary = corrections(tmp_path, "--ground-truth", tmp_path / "gt", "--write", "coco")
    assert summary["scores"]["masks"]["class 1"]["IDF1"] == 100
    assert "applied edits: 2 merge" in summary["notes"]
    result = read_detections(tmp_path / "new" / "data" / "walk.txt")
    assert set(result.ids.tolist()) == {1001, 1002} and len(result) == 40
    old = (run / "pictures" / "walk_frames.mp4").read_bytes()
    assert (tmp_path / "new" / "pictures" / "walk_frames.mp4").read_bytes() == old

    again = look(tmp_path / "new" / "report.html", HELP + """
      found.heading = $("heading").textContent; found.tracks = $("tracks").rows.length;
      found.video = video.videoWidth; seek(4); click(rowOf(1002, 4)); op("split");
      found.chosen = [...state.chosen]; found.saved = saved();
    """)  # fmt: skip
    assert again["errors"] == [] and again["heading"] == "0 identity switches"
    assert again["tracks"] == 2 and again["video"] == 600 and again["chosen"] == [1003]
    assert again["saved"]["runs"] != found["saved"]["runs"]


def saved_edits(tmp_path, *edits):
    """Write edits of the run, as its page would."""
    page = (tmp_path / "run" / "report.html").read_text()
    held = json.loads(page.split('id="run">')[1].split("</script>")[0])
    runs = {s["name"]: s["digest"] for s in held["sequences"]}
    text = {"kind": held["kind"], "runs": runs, "edits": [{"sequence": "walk", **e} for e in edits]}
    (tmp_path / "edits.json").write_text(json.dumps(text))


def test_the_source_has_every_frame_and_its_picture(tmp_path):
    tracked(tmp_path)
    saved_edits(tmp_path, {"op": "delete", "track": 1001, "first": 0, "last": 99})
    corrections_of = Corrections(tmp_path / "run", tmp_path / "edits.json")
    settings = settings_for(data_set("custom"), "given")
    source = CorrectedSource(Request(settings, corrections_of, tmp_path / "new"))
    (outcome,) = source.outcomes()
    frames = list(outcome.frames())
    assert [number for number, _, _ in frames] == list(range(20))
    assert {image.shape for _, _, image in frames} == {(40, 60, 3)}
    assert abs(frames[10][2].mean() - 90) < 4  # that of frame 10
    assert source.facts()["classes"] == ["class 1"] and outcome.scored() is False


def test_scores_and_names_are_those_of_the_run(tmp_path):
    scene = replace(walkers()[1], class_names={1: "ant"})
    write_scored(tmp_path / "in" / "walk.txt", scene)
    arguments = ["--tracker", "mask_iou", "--detections", str(tmp_path / "in"), "--output",
                 str(tmp_path / "run"), "--class-names", "1=ant,2=bee"]  # fmt: skip
    test_mots.evaluate(test_mots.parse_args(arguments))
    saved_edits(tmp_path, {"op": "delete", "track": 1001, "first": 0, "last": 3},
                {"op": "class", "track": 1002, "class": 2})  # fmt: skip
    summary = corrections(tmp_path, "--write", "coco", "npz")
    assert summary["counts"]["written"] == 36 and summary["counts"]["dropped_deleted"] == 4
    coco = json.loads((tmp_path / "new" / "coco" / "walk.json").read_text())
    kinds = {c["id"]: c["name"] for c in coco["categories"]}
    assert ["deleted by hand", "deleted", "edits.json", 4] in [
        [text, rule, flag, count] for count, rule, text, flag in drops(summary)
    ]
    rows = {
        (kinds[a["category_id"]], round(a["score"], 3), a["track_id"]) for a in coco["annotations"]
    }
    assert rows == {("ant", 0.9, 1001), ("bee", 0.8, 2001)}


@pytest.mark.parametrize("change", ["edits", "result", "page", "edit", "in place"])
def test_what_does_not_belong_together_is_refused(tmp_path, change):
    run = tracked(tmp_path, pictures=False)
    saved_edits(tmp_path, {"op": "split", "track": 1001, "frame": 99 if change == "edit" else 5})
    message, more = "", []
    if change == "edits":
        path = tmp_path / "edits.json"
        path.write_text(path.read_text().replace('"walk": "', '"walk": "0'))
        message = "must hold edits of the run .*, got edits of another run"
    elif change == "result":
        path = run / "data" / "walk.txt"
        path.write_bytes(path.read_bytes().partition(b"\n")[2])
        message = r"walk.txt: must be the file that .*report.html was made from, got a changed file"
    elif change == "page":
        (run / "report.html").unlink()
        message = "must be the page of a run"
    elif change == "edit":
        message = "edits.json: edit 1: split needs detections before frame 99"
    else:
        more, message = ["--output", run], "--output must not be where the detections are"
    before = sorted(os.listdir(run))
    with pytest.raises(ValueError, match=message):
        corrections(tmp_path, *more)
    assert not (tmp_path / "new").exists() and sorted(os.listdir(run)) == before


@pytest.mark.skipif(not os.environ.get("USC_MOTS_DATA"), reason="needs USC_MOTS_DATA")
def test_kitti_0012_is_corrected_in_its_page(tmp_path):
    data = Path(os.environ["USC_MOTS_DATA"]) / "kitti_mots"
    arguments = ["--dataset", "kitti", "--tracker", "best", "--detections",
                 str(data / "detections_rrc"), "--sequences", "0012", "--ground-truth", str(data),
                 "--output", str(tmp_path / "run")]  # fmt: skip
    test_mots.evaluate(test_mots.parse_args(arguments))
    found = look(tmp_path / "run" / "report.html", HELP + """
      const [a] = [...timeline.model.tracks.values()].sort((x, y) => y.count - x.count);
      const middle = Math.floor((a.first + a.last) / 2);
      pick(a.id, middle); op("split"); found.made = state.chosen[0];
      pick(a.id); pick(found.made, state.frame, true); op("merge");
      found.count = timeline.model.tracks.get(found.made).count - a.count; found.id = a.id;
      found.saved = saved();
    """)  # fmt: skip
    assert found["errors"] == [] and found["count"] == 0
    (tmp_path / "edits.json").write_text(json.dumps(found["saved"]))
    old = read_detections(tmp_path / "run" / "data" / "0012.txt")
    summary = corrections(tmp_path, "--ground-truth", data)
    new = read_detections(tmp_path / "new" / "data" / "0012.txt")
    assert new.ids.tolist() == np.where(old.ids == found["id"], found["made"], old.ids).tolist()
    scores = json.loads((tmp_path / "run" / "summary.json").read_text())["scores"]["masks"]
    assert summary["scores"]["masks"] == scores
