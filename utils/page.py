"""The report: one page, of its own, that shows what ran, who was there when, and where it errs."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from utils import evaluation
from utils.cli import counted
from utils.report import drops, why_nothing
from utils.review import KINDS, MOST, Event, Review, Seen

Image = npt.NDArray[np.uint8]

TEMPLATE = Path(__file__).parent / "page.html.jinja"
# Colours of classes, told apart also by those who see few colours (Okabe and Ito).
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8a6d00", "#555555")
ROWS = 1500  # tracks shown of a sequence, the longest
ROW, LEAST_ROW = 8, 2  # px of a track's row, and the least
TALLEST = 1200  # px of a timeline
WIDTH = 1000  # units of the drawings along time
BINS = 500  # of the counts along time
QUALITY = 82  # of pictures, JPEG
ALL_EVENTS = 400  # of a page; the sequences share them


def write_page(path: Path, summary: Mapping[str, Any], reviews: Sequence[Review]) -> None:
    """Write the report of a run. The same run makes the same bytes.

    Args:
        path: of the page. summary: of the run. reviews: of its sequences.
    """
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    share = max(5, ALL_EVENTS // max(1, len(reviews)))
    html = template.render(
        title=f"Tracks by {summary['tracker_name']}",
        subtitle=_subtitle(summary),
        warnings=[text] if (text := why_nothing(dict(summary))) else [],
        tables=_tables(summary),
        notes=summary["notes"],
        run=_run(summary),
        settings=_settings(summary),
        sequences=[_sequence(review, share) for review in reviews],
    )
    path.write_text(html, encoding="utf-8")


def _subtitle(summary: Mapping[str, Any]) -> str:
    counts = summary["counts"]
    return (
        f"{counted(summary['sequences'], 'sequence')}, {counts.get('frames', 0)} frames, "
        f"{counts.get('read', 0)} detections, {counts.get('written', 0)} written in "
        f"{counts.get('tracks', 0)} tracks"
    )


def _tables(summary: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the tables of scores and of what was dropped."""
    tables = []
    for kind, scores in summary["scores"].items():
        columns = evaluation.BOX_COLUMNS if kind == "boxes" else evaluation.MASK_COLUMNS
        rows = [[name, *(_cell(row.get(c)) for c in columns)] for name, row in scores.items()]
        note = "Masks by the benchmark's rules; click a column to sort."
        note = "Boxes by py-motmetrics' rules." if kind == "boxes" else note
        tables.append({"title": f"Scores, {kind}", "note": note, "columns": ["", *columns],
                       "rows": rows})  # fmt: skip
    parts = summary.get("by_sequence", {})
    if len(parts) > 1:
        columns = evaluation.MASK_COLUMNS
        rows = [
            [f"{sequence}, {name}", *(_cell(row.get(c)) for c in columns)]
            for sequence, scores in parts.items()
            for name, row in scores.items()
        ]
        tables.append({"title": "Scores by sequence", "note": "", "columns": ["", *columns],
                       "rows": rows})  # fmt: skip
    rows = [[meaning, name, flag, count] for count, name, meaning, flag in drops(dict(summary))]
    if rows:
        note = "Of the detections read, in the order of the rules."
        tables.append({"title": "What was dropped", "note": note, "rows": rows,
                       "columns": ["what", "rule", "changed by", "detections"]})  # fmt: skip
    return tables


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.1f}" if isinstance(value, float) else str(value)


def _run(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what was asked for."""
    shown = {
        "tracker": summary["tracker_name"],
        "data set": summary["dataset"],
        "detections": ", ".join(summary["detections"]),
        "classes": ", ".join(summary["classes"]),
        "refined": "yes" if summary["refined"] else "no",
        "weights": ", ".join(sorted(set(summary["weights"].values()))) or "none needed",
        "versions": ", ".join(f"{k} {v}" for k, v in summary["versions"].items()),
        "files": ", ".join(summary.get("files", [])[:12]),
    }
    return [(name, value) for name, value in shown.items() if value]


def _settings(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    held = {**summary["tracker"], **{f"rules.{k}": v for k, v in summary["rules"].items()}}
    return [(name, str(value)) for name, value in held.items()]


def _sequence(review: Review, share: int) -> dict[str, Any]:
    """Return what the template shows of a sequence."""
    first, last = min(review.frames, default=0), max(review.frames, default=0)
    axis = _Time(first, last + review.step)
    classes = sorted({t.cls for t in review.tracks.values()})
    colours = {c: COLOURS[i % len(COLOURS)] for i, c in enumerate(classes)}
    tracks = sorted(review.tracks.items(), key=lambda item: item[1].spans[0][0])
    cut = ""
    if len(tracks) > ROWS:
        longest = sorted(tracks, key=lambda item: -item[1].count)[:ROWS]
        tracks = sorted(longest, key=lambda item: item[1].spans[0][0])
        cut = f"; the {ROWS} longest of {len(review.tracks)}"
    height = ROW * len(tracks)
    truth = review.truth is not None
    events = review.events[: min(share, MOST)]
    return {
        "anchor": f"sequence-{review.sequence}",
        "name": review.sequence,
        "text": f"{len(review.frames)} frames, {len(review.tracks)} tracks, "
        f"{sum(review.counts)} masks.",
        "key": [(review.names.get(c, f"class {c}"), colour) for c, colour in colours.items()],
        "rows": [
            _row(review, axis, i, identity, track, colours[track.cls])
            for i, (identity, track) in enumerate(tracks)
        ],
        "height": max(1, height),
        "shown_height": int(np.clip(height, min(height, LEAST_ROW * len(tracks)), TALLEST)),
        "cut": cut,
        "first": first,
        "last": last,
        "counts": _counts(review, axis),
        "most": max(review.counts, default=0),
        "stills": [
            {"frame": frame, "count": count, "src": _data(picture)}
            for count, frame, picture in sorted(review.stills, key=lambda s: s[1])
        ],
        "events": [_event(review, event) for event in events],
        "heading": _heading(review, truth),
        "explanation": _explanation(review, truth, len(events)),
        "nothing": "No identity switch." if truth and review.frames else "",
    }


def _heading(review: Review, truth: bool) -> str:
    return f"{review.found} identity switches" if truth else f"{review.found} suspicious places"


def _explanation(review: Review, truth: bool, shown: int) -> str:
    kinds = ("switch",) if truth else tuple(k for k in KINDS if k != "switch")
    text = "; ".join(KINDS[k] for k in kinds) + "."
    if truth:
        text = "A true object gets another identity: before, after, and who else had them."
    return text if shown >= review.found else f"{text} The first {shown} are shown."


class _Time:
    """Frames along the width of the drawings."""

    def __init__(self, first: int, end: int) -> None:
        self._first, self._length = first, max(1, end - first)

    def __call__(self, frame: int) -> float:
        return WIDTH * (frame - self._first) / self._length


def _box(x: float, y: float, w: float, h: float) -> str:
    return f"M{x:.2f} {y:g}h{w:.2f}v{h:g}h{-w:.2f}z"


def _row(
    review: Review, axis: _Time, i: int, identity: int, track: Seen, colour: str
) -> dict[str, str]:
    """Return the drawing of a track."""
    top, tall, step = ROW * i + 1, ROW - 2, review.step
    spans = "".join(_box(axis(a), top, axis(b + step) - axis(a), tall) for a, b in track.spans)
    gaps = "".join(
        _box(axis(a[1] + step), top + tall / 2 - 0.5, axis(b[0]) - axis(a[1] + step), 1)
        for a, b in zip(track.spans, track.spans[1:], strict=False)
    )
    end = axis(track.last + step)
    over = track.last >= max(review.frames)
    name = review.names.get(track.cls, f"class {track.cls}")
    runs = f", {counted(len(track.spans) - 1, 'gap')}" if len(track.spans) > 1 else ""
    title = f"{name} {identity}: frames {track.spans[0][0]} to {track.last}, {track.count} masks"
    return {
        "title": title + runs,
        "spans": spans,
        "gaps": gaps,
        "colour": colour,
        "end": "" if over else _box(end - 1, top, 2, tall),
    }


def _counts(review: Review, axis: _Time) -> str:
    """Return the drawing of the objects in a frame, the most of each bin."""
    if not review.frames:
        return ""
    bins: dict[int, int] = {}
    for frame, count in zip(review.frames, review.counts, strict=True):
        at = int(axis(frame) / WIDTH * BINS)
        bins[at] = max(bins.get(at, 0), count)
    most, wide = max(1, *review.counts), WIDTH / BINS
    wide = max(wide, axis(review.frames[0] + review.step))
    return "".join(
        _box(at * WIDTH / BINS, 60 - 58 * count / most, wide, 58 * count / most)
        for at, count in sorted(bins.items())
    )


def _event(review: Review, event: Event) -> dict[str, Any]:
    return {
        "kind": event.kind,
        "frame": event.frame,
        "cls": review.names.get(event.cls, f"class {event.cls}"),
        "text": event.text,
        "weight": f"{event.weight:.4f}",
        "looks": [{"caption": caption, "src": _data(p)} for caption, p in event.looks],
    }


def _data(picture: Image) -> str:
    """Return a picture as it stands in a page."""
    options = [cv2.IMWRITE_JPEG_QUALITY, QUALITY]
    _, jpeg = cv2.imencode(".jpg", np.ascontiguousarray(picture[:, :, ::-1]), options)
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg.tobytes()).decode()}"
