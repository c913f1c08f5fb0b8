"""The page of a run: what is in it, in a browser, at two widths, and how large it gets."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

import test_mots
from tests.browser import look
from tests.conftest import make_detections, random_scene, write_scored, write_tracks
from utils.page.writing import Shown, read_held, write_page
from utils.review import MOST, Event, Review, Seen


class Page(HTMLParser):
    """What a page asks from elsewhere, and whether its tags are closed."""

    VOID = ("meta", "img", "br", "link", "input", "hr")

    def __init__(self):
        super().__init__()
        self.open, self.outside, self.text = [], [], ""

    def handle_starttag(self, tag, attributes):
        if tag not in self.VOID:
            self.open.append(tag)
        for name, value in attributes:
            if name in ("src", "href", "action", "data") and not value.startswith("data:"):
                self.outside.append(value)

    def handle_endtag(self, tag):
        if tag != "path":
            assert self.open.pop() == tag

    def handle_startendtag(self, tag, attributes):
        pass

    def handle_data(self, data):
        self.text += data


def run(tmp_path, *arguments):
    scene = random_scene(np.random.default_rng(4), frames=40, objects=16, miss=0.2)
    write_scored(tmp_path / "in" / "<b>one & two.txt", replace(scene, sequence="x"))
    more, out = ["--min-score", "0.6"], tmp_path / "out"
    if "gt" in arguments:
        (tmp_path / "gt").mkdir(exist_ok=True)
        write_tracks(tmp_path / "gt" / "<b>one & two.txt", scene, scene.ids)
        more += ["--ground-truth", str(tmp_path / "gt")]
    arguments = [
        "--tracker",
        "mask_iou",
        "--detections",
        str(tmp_path / "in"),
        "--output",
        str(out),
    ]
    test_mots.evaluate(test_mots.parse_args([*arguments, *more]))
    return out / "report.html"


def test_the_page_is_whole_of_its_own_and_escapes_names(tmp_path):
    page = run(tmp_path, "gt")
    text = page.read_text()
    parsed = Page()
    parsed.feed(text)
    assert parsed.open == [] and parsed.outside == []
    assert not re.search(r"https?://", text)
    assert "<b>one" not in text and "\\u003cb>one & two" in text
    for words in ("Scores, masks", "What was dropped", "scores below the least", "low_score"):
        assert words in parsed.text
    for words in ("--min-score", "identity switches", "mask_iou", "Timeline"):
        assert words in parsed.text
    first = page.read_bytes()
    page.unlink()
    run(tmp_path, "gt")
    held = [re.search(rb'id="run">(.*?)</script>', p).group(1) for p in (first, page.read_bytes())]
    assert held[0] == held[1]


def test_as_many_switches_as_the_score_counts(tmp_path):
    page = run(tmp_path, "gt")
    scores = json.loads((page.parent / "summary.json").read_text())["scores"]["masks"]
    total = sum(row["IDS"] for row in scores.values() if row["IDS"] is not None)
    (held,) = read_held(page)["sequences"]
    assert held["heading"] == f"{total} identity switches" and len(held["events"]) == total > 0


SORT = """
  found.inner = window.innerWidth; found.scroll = document.documentElement.scrollWidth;
  found.small = [...document.querySelectorAll("p, td, th, dd, figcaption, label, button")].filter(
    e => parseFloat(getComputedStyle(e).fontSize) < 12).length;
  for (const image of document.images) image.loading = "eager";
  await new Promise(r => setTimeout(r, 1000));
  found.images = [...document.images].filter(i => !(i.complete && i.naturalWidth > 0)).length;
  found.pictures = document.images.length;
  const table = document.querySelector("table.sortable");
  const button = table.querySelectorAll("th button")[1];
  const column = () => [...table.tBodies[0].rows].map(r => parseFloat(r.cells[1].textContent));
  button.click(); found.down = column(); button.click(); found.up = column();
  const select = $("order");
  const order = () => [...document.querySelectorAll(".event")].map(e => Number(e.dataset.weight));
  found.before = order(); select.value = "weight"; select.dispatchEvent(new Event("change"));
  found.after = order();
  const ids = () => [...$("tracks").rows].map(r => Number(r.dataset.id));
  const count = () => [...$("tracks").rows].map(r => Number(r.cells[5].textContent));
  found.ids = ids(); document.querySelector("[data-key=count]").click(); found.counts = count();
  $("search").value = String(found.ids[3]); $("search").dispatchEvent(new Event("input"));
  found.searched = ids();
  const pixels = () => {
    const c = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
    let n = 0; for (let i = 3; i < c.length; i += 4) n += c[i] > 0; return n; };
  seek(20); found.drawn = pixels();
  const boxes = [...$("classes").querySelectorAll("input")];
  for (const box of boxes) box.click();
  found.hidden = pixels(); found.lines = timeline.lines.length;
  for (const box of boxes) box.click();
  found.shown = pixels(); found.every = timeline.lines.length;
"""


@pytest.mark.parametrize("width", [1280, 390])
def test_in_a_browser_all_pictures_load_tables_sort_and_nothing_fails(tmp_path, width):
    found = look(run(tmp_path, "gt"), SORT, width=width)
    assert found["errors"] == [] and found["images"] == 0 and found["pictures"] > 10
    assert found["scroll"] <= found["inner"] and found["small"] == 0
    assert found["down"] == sorted(found["up"], reverse=True) and len(found["up"]) == 2
    assert found["after"] == sorted(found["before"], reverse=True) != found["before"]
    assert found["ids"] == sorted(found["ids"]) and found["counts"] == sorted(found["counts"])
    assert found["searched"] == [found["ids"][3]]
    assert found["drawn"] == found["shown"] > 100 and found["hidden"] == 0 == found["lines"]
    assert found["every"] == len(found["ids"]) + 2  # a line for each of two classes


KEYS = """
  const press = (key, more = {}) => document.body.dispatchEvent(
    new KeyboardEvent("keydown", {key, bubbles: true, cancelable: true, ...more}));
  seek(5); found.frames = [];
  for (const key of ["ArrowRight", "ArrowRight", "ArrowLeft"]) {
    press(key); found.frames.push(state.frame); }
  press("ArrowRight", {shiftKey: true}); found.frames.push(state.frame);
  const wait = ms => new Promise(r => setTimeout(r, ms));
  const until = async done => { for (let k = 0; k < 200 && !done(); k++) await wait(20); };
  press("l"); await until(() => state.frame > 19); press("k");
  found.forth = state.frame; found.still = state.playing;
  press("j"); await until(() => state.frame < 15); press(" "); found.back = state.frame;
  const [a] = state.sequence.rows.ids;
  pick(a, 0); press("Escape"); found.chosen = state.chosen.length;
  pick(a, 0); document.querySelector("[data-op=delete]").click();
  found.edits = [state.edits.length];
  press("z", {ctrlKey: true}); found.edits.push(state.edits.length);
  press("z", {ctrlKey: true, shiftKey: true}); found.edits.push(state.edits.length);
"""


def test_keys_move_play_and_undo(tmp_path):
    found = look(run(tmp_path), KEYS)
    assert found["errors"] == [] and found["frames"] == [6, 7, 6, 16]
    assert found["forth"] > 19 and found["still"] == 0 and found["back"] < 15
    assert found["chosen"] == 0 and found["edits"] == [1, 0, 1]


def test_a_large_run_stays_small_opens_and_its_timeline_is_quick(tmp_path):
    """2,000 frames x 10 objects in 300 tracks, with 200 places to look at."""
    rng = np.random.default_rng(0)
    review = Review("crowd", (480, 640), {1: "cell"})
    picture = rng.integers(0, 255, (112, 112, 3)).astype(np.uint8)
    made = [
        make_detections(
            [(0, k, 1, 0.5, (60 * k, 40 * k, 50 + wide, 90)) for k in range(10)], 480, 640
        )
        for wide in range(7)
    ]
    for frame in range(2000):
        ids = np.array([1 + (frame // 66 * 10 + k) % 300 for k in range(10)], np.int32)
        review.frames.append(frame)
        shown = replace(made[frame % 7], ids=ids)
        review.rows.add(shown, np.arange(10), shown.boxes_xywh)
    for identity in range(1, 301):
        look_ = None
        review.tracks[identity] = Seen(1, 0, look_, np.zeros(4), 1.0, picture)
    review.events = [
        Event("gap", f, 1, "t", [("a", picture)] * 3, 1.0, (1, 2)) for f in range(MOST)
    ]
    review.found = 5000
    summary = {"tracker_name": "best", "dataset": "x", "detections": ["d"], "classes": ["cell"],
               "refined": False, "weights": {}, "versions": {}, "counts": {"frames": 2000},
               "sequences": 1, "scores": {}, "notes": [], "tracker": {}, "rules": {}}  # fmt: skip
    write_page(tmp_path / "r.html", summary, [Shown(review, "0")])
    assert (tmp_path / "r.html").stat().st_size < 12e6
    script = """
      found.rows = state.sequence.rows.ids.length; found.tracks = timeline.model.tracks.size;
      found.said = $("explanation").textContent;
    """
    found = look(tmp_path / "r.html", script)
    assert found["errors"] == [] and found["rows"] == 20000 and found["tracks"] == 300
    assert "The first 200 are shown" in found["said"]
