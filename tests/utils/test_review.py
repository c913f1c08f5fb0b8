"""What a report shows: who was there when, where identities switched or may have, and the page."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

import test_mots
from tests.browser import look
from tests.conftest import make_detections, random_scene, write_scored, write_tracks
from utils.page import write_page
from utils.review import MOST, Review


def reviewed(objects, truth=None, images=None, size=(40, 60)):
    """Return the Review of [(frame, id, class, box)]."""
    scene = make_detections([(f, i, c, 1.0, box) for f, i, c, box in objects], *size)
    true = None
    if truth is not None:
        true = make_detections([(f, i, c, 1.0, box) for f, i, c, box in truth], *size)
    review = Review("seq", size, {1: "cell"}, truth=true, images=images)
    for frame, rows in scene.rows_by_frame():
        review.take(frame, scene.select(rows))
    return review


def steady(identity, frames, x=5, y=5, cls=1):
    return [(f, identity, cls, (x, y, 8, 8)) for f in frames]


def test_switches_are_those_of_the_benchmark_with_who_had_the_ids():
    truth = steady(1, range(10)) + steady(2, range(10), y=25)
    tracks = steady(7, range(4)) + steady(8, range(6, 10))  # id 1: lost, then another
    tracks += steady(8, range(4), y=25) + steady(7, range(4, 10), y=25)  # id 2: becomes 7
    review = reviewed(tracks, truth)
    assert [(e.kind, e.frame, e.text) for e in review.events] == [
        ("switch", 4, "object 2: 8 becomes 7"),
        ("switch", 6, "object 1: 7 becomes 8"),
    ]
    captions = [caption for caption, _ in review.events[1].looks]
    assert captions == ["7 in frame 3", "8 in frame 6", "8 in frame 3", "7 in frame 6"]
    assert review.events[1].weight == 3 and review.found == 2


def test_a_true_object_of_another_class_is_no_match():
    review = reviewed(steady(7, range(4), cls=2) + steady(8, range(4, 8), cls=1),
                      steady(1, range(8)))  # fmt: skip
    assert review.events == []


def test_crops_show_the_place_before_and_after():
    pictures = {f: np.full((40, 60, 3), 20 * f, np.uint8) for f in range(8)}
    pictures[5][0:20, 0:20] = (250, 0, 0)
    asked = []

    def images(frame):
        asked.append(frame)
        return pictures[frame]

    review = reviewed(steady(7, range(5)) + steady(8, range(5, 8)), steady(1, range(8)), images)
    (event,) = review.events
    before, after = (picture for _, picture in event.looks[:2])
    assert max(before.shape[:2]) == 112 == max(after.shape[:2])
    assert np.abs(before[60:, 60:].astype(int) - 80).mean() < 30  # the grey of frame 4
    assert (after[:, :, 0] > 200).mean() > 0.15  # what is red in frame 5
    assert set(asked) <= {0, 4, 5}  # only what is shown is opened


@pytest.mark.parametrize(
    ("tracks", "kind", "text"),
    [
        (steady(7, range(5)) + steady(8, range(9, 14), x=8), "gap",
         "7 ends, and 5 frames later 8 begins nearby"),
        (steady(7, range(5)) + steady(7, range(5, 9), x=40), "jump",
         "7 moves 3.1 of its diagonals in a frame"),
        (steady(7, range(4)) + steady(8, range(4), x=14) + steady(7, [4], x=14) + steady(8, [4]),
         "rival", "7 was where 8 is now"),
    ],
)  # fmt: skip
def test_suspicious_places_without_truth(tracks, kind, text):
    review = reviewed(tracks)
    assert (kind, text) in [(e.kind, e.text) for e in review.events]


def test_what_is_usual_is_not_suspicious():
    pan = [(f, i, 1, (5 + 30 * (f > 3) + i, 2 + 9 * i, 8, 8)) for f in range(8) for i in range(4)]
    assert reviewed(pan).found == 0  # the camera turns: all move alike
    calm = steady(7, range(20)) + steady(8, range(20), y=25)
    assert reviewed(calm).found == 0
    far = steady(7, range(5)) + steady(8, range(60, 70))  # too long ago
    other = steady(7, range(5)) + steady(8, range(7, 12), x=45)  # too far
    unlike = steady(7, range(5)) + steady(8, range(7, 12), cls=2)
    for tracks in (far, other, unlike):
        assert reviewed(tracks).found == 0


def test_spans_gaps_and_the_fullest_frames():
    tracks = steady(7, [0, 1, 2, 6, 7]) + steady(8, [2], y=25) + steady(9, range(60, 63), x=30)
    review = reviewed(tracks)
    assert review.tracks[7].spans == [[0, 2], [6, 7]] and review.tracks[7].count == 5
    assert next(frame for _, frame, _ in review.stills) == 2
    assert sorted(c for c, _, _ in review.stills) == [1, 2]
    assert review.counts == [1, 1, 2, 1, 1, 1, 1, 1]


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
    assert "<b>one" not in text and "&lt;b&gt;one &amp; two" in text
    for words in ("Scores, masks", "What was dropped", "scores below the least", "low_score"):
        assert words in parsed.text
    for words in ("--min-score", "identity switches", "mask_iou", "Who was there when"):
        assert words in parsed.text
    switches = int(re.search(r"(\d+) identity switches", parsed.text).group(1))
    assert switches == text.count('<article class="event"') > 0
    first = page.read_bytes()
    page.unlink()
    run(tmp_path, "gt")
    assert page.read_bytes().count(b"<g>") == first.count(b"<g>")


def test_as_many_switches_as_the_score_counts(tmp_path):
    import json

    page = run(tmp_path, "gt")
    scores = json.loads((page.parent / "summary.json").read_text())["scores"]["masks"]
    total = sum(row["IDS"] for row in scores.values() if row["IDS"] is not None)
    assert f"{total} identity switches" in page.read_text()


SORT = """
  found.images = [...document.images].filter(i => !(i.complete && i.naturalWidth > 0)).length;
  found.pictures = document.images.length;
  found.inner = window.innerWidth; found.scroll = document.documentElement.scrollWidth;
  found.small = [...document.querySelectorAll("p, td, th, dd, figcaption")].filter(
    e => parseFloat(getComputedStyle(e).fontSize) < 12).length;
  const table = document.querySelector("table.sortable");
  const button = table.querySelectorAll("th button")[1];
  const column = () => [...table.tBodies[0].rows].map(r => parseFloat(r.cells[1].textContent));
  button.click(); found.down = column(); button.click(); found.up = column();
  const select = document.querySelector("select.order");
  const order = () => [...document.querySelectorAll(".event")].map(e => Number(e.dataset.weight));
  found.before = order(); select.value = "weight"; select.dispatchEvent(new Event("change"));
  found.after = order();
"""


@pytest.mark.parametrize("width", [1280, 390])
def test_in_a_browser_all_pictures_load_tables_sort_and_nothing_fails(tmp_path, width):
    found = look(run(tmp_path, "gt"), SORT, width=width)
    assert found["errors"] == [] and found["images"] == 0 and found["pictures"] > 10
    assert found["scroll"] <= found["inner"] and found["small"] == 0
    assert found["down"] == sorted(found["up"], reverse=True) and len(found["up"]) == 2
    assert found["after"] == sorted(found["before"], reverse=True) != found["before"]


def test_a_large_run_stays_small_and_opens(tmp_path):
    rng = np.random.default_rng(0)
    review = Review("crowd", (480, 640), {1: "cell"})
    starts = rng.integers(0, 1500, 300)
    from utils.looks import Look
    from utils.review import Seen

    rle = make_detections([(0, 1, 1, 1.0, (1, 1, 9, 9))], 480, 640).rles[0]
    for identity, start in enumerate(starts.tolist(), 1):
        cuts = np.sort(rng.choice(np.arange(start, start + 500), 20, replace=False))
        spans = cuts.reshape(-1, 2).tolist()
        look_ = Look(identity, int(cuts[-1]), (480, 640), (1, 1, 9, 9), rle)
        review.tracks[identity] = Seen(1, spans, look_, np.array([1, 1, 9, 9.0]), 250)
    review.frames, review.counts = list(range(2000)), rng.integers(20, 60, 2000).tolist()
    picture = rng.integers(0, 255, (112, 112, 3)).astype(np.uint8)
    from utils.review import Event

    review.events = [Event("gap", f, 1, "t", [("a", picture)] * 3, 1.0) for f in range(MOST)]
    review.found = 5000
    summary = {"tracker_name": "best", "dataset": "x", "detections": ["d"], "classes": ["cell"],
               "refined": False, "weights": {}, "versions": {}, "counts": {"frames": 2000},
               "sequences": 1, "scores": {}, "notes": [], "tracker": {}, "rules": {}}  # fmt: skip
    write_page(tmp_path / "r.html", summary, [review])
    assert (tmp_path / "r.html").stat().st_size < 10e6
    assert "The first 200 are shown" in (tmp_path / "r.html").read_text()
    found = look(tmp_path / "r.html", "found.ms = performance.now(); found.rows = "
                 "document.querySelectorAll('svg g').length;")  # fmt: skip
    assert found["errors"] == [] and found["rows"] == 300
