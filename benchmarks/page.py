"""How large the page of a long run gets, how soon it opens, and how quick its timeline is.

    python -m benchmarks.page [--frames 2000] [--tracks 300]

A page of 10 objects in each frame, in so many tracks, is written and opened in headless Chromium.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from urllib.parse import unquote

import cv2
import numpy as np

from utils.cli import Parser, positive, run, say
from utils.detections import Detections
from utils.masks import encode, tight_boxes_xywh
from utils.page.writing import Shown, write_page
from utils.review import Review
from utils.tables import format_table

OBJECTS, SIZE = 10, (720, 1280)
SCRIPT = """<script>
addEventListener("load", () => {
  const opened = performance.now(), start = performance.now();
  for (let k = 0; k < 200; k++) { timeline.view(10 * (k % 50), 200 + 9 * k); timeline.draw(); }
  const drawn = performance.now();
  for (let k = 0; k < 200; k++) { state.frame = k; drawMasks(); }
  const masks = 200e3 / (performance.now() - drawn);
  const found = {opened, timeline: 200e3 / (drawn - start), masks};
  document.title = "RESULT" + encodeURIComponent(JSON.stringify(found)) + "END";
});
</script></body>"""


def review_of(frames: int, tracks: int) -> Review:
    """Return the review of blobs that walk; each frame has OBJECTS of them."""
    rng = np.random.default_rng(0)
    review = Review("walk", SIZE, {1: "person"})
    length = max(1, frames * OBJECTS // tracks)
    rles = []
    for _ in range(40):  # outlines as networks make them
        mask = np.zeros(SIZE, np.uint8)
        angles = np.linspace(0, 2 * np.pi, 40, endpoint=False)
        radii = 60 * (1 + 0.25 * rng.standard_normal(40)).clip(0.4, 1.6)
        x, y = rng.uniform(100, 1180), rng.uniform(100, 620)
        ring = np.stack([x + 0.5 * radii * np.cos(angles), y + radii * np.sin(angles)], axis=1)
        cv2.fillPoly(mask, [ring.round().astype(np.int32)], (1,))
        rles.append(encode(mask))
    for frame in range(frames):
        chosen = rng.choice(40, OBJECTS, replace=False)
        ids = np.array([1 + (frame // length * OBJECTS + k) % tracks for k in range(OBJECTS)])
        masks = np.array([rles[k] for k in chosen], object)
        ones, boxes = np.ones(OBJECTS), tight_boxes_xywh(masks, *SIZE)
        review.take(frame, Detections("walk", *SIZE, np.full(OBJECTS, frame, np.int32),
                    ones.astype(np.int16), ones.astype(np.float32), boxes, masks,
                    ids.astype(np.int32)))  # fmt: skip
    return review


def main() -> None:
    """Print the figures of docs/review.md."""
    parser = Parser(description=__doc__)
    parser.add_argument("--frames", type=positive, default=2000)
    parser.add_argument("--tracks", type=positive, default=300)
    args = parser.parse_args()
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser is None:
        raise ValueError("chromium must be installed, got none")
    summary = {"tracker_name": "best", "dataset": "custom", "detections": ["walk"], "classes": [],
               "refined": False, "weights": {}, "versions": {}, "counts": {"written": 1},
               "sequences": 1, "scores": {}, "notes": [], "tracker": {}, "rules": {}}  # fmt: skip
    with tempfile.TemporaryDirectory() as place:
        page = Path(place) / "report.html"
        write_page(page, summary, [Shown(review_of(args.frames, args.tracks), "0")])
        size = page.stat().st_size / 1e6
        page.write_text(page.read_text().replace("</body>", SCRIPT))
        words = ("--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={place}/profile")
        done = subprocess.run([browser, *words, "--window-size=1280,900", "--dump-dom",
                               page.as_uri()], capture_output=True, text=True)  # fmt: skip
    found = re.search(r"<title>RESULT(.*?)END", done.stdout)
    if found is None:
        raise ValueError(f"chromium must open the page, got {done.stderr[-200:]}")
    values = json.loads(unquote(found.group(1)))
    row = {"MB": f"{size:.1f}", "opens in s": f"{values['opened'] / 1000:.2f}",
           "timeline, redraws/s": f"{values['timeline']:.0f}",
           "masks, redraws/s": f"{values['masks']:.0f}"}  # fmt: skip
    say(format_table("page", tuple(row), {f"{args.frames} frames, {args.tracks} tracks": row}))


if __name__ == "__main__":
    run(main)
