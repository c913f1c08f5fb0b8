"""Writes the page of a run: one file of its own, but for the videos beside it."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from utils import evaluation
from utils.cli import counted
from utils.edits import KIND
from utils.report import drops, grouped, why_nothing
from utils.review import KINDS, MOST, Event, Review

Image = npt.NDArray[np.uint8]

HERE = Path(__file__).parent
SCRIPTS = ("edits.js", "rows.js", "timeline.js", "player.js")  # in this order
QUALITY = 80  # of pictures, JPEG
ALL_EVENTS = 300  # of a page; the sequences share them
ALL_THUMBS = 1500  # likewise; tracks beyond have no picture


@dataclass(frozen=True)
class Shown:
    """A sequence of the page.

    Attributes:
        review: what was gathered of it. digest: of its rows, which edits name.
        video: path of its frames as a video, relative to the page; None without frames.
        rate: frames per second.
    """

    review: Review
    digest: str
    video: str | None = None
    rate: float = 10.0


def write_page(path: Path, summary: Mapping[str, Any], sequences: Sequence[Shown]) -> None:
    """Write the page of a run. The same run makes the same bytes.

    Args:
        path: of the page. summary: of the run. sequences: all of them.
    """
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    template = environment.from_string((HERE / "page.html.jinja").read_text(encoding="utf-8"))
    share = max(5, ALL_EVENTS // max(1, len(sequences)))
    thumbs = max(20, ALL_THUMBS // max(1, len(sequences)))
    held = {"kind": KIND, "sequences": [_sequence(s, share, thumbs) for s in sequences]}
    html = template.render(
        title=summary.get("title") or f"Tracks (tracker: {summary['tracker_name']})",
        subtitle=_subtitle(summary),
        warnings=[text] if (text := why_nothing(dict(summary))) else [],
        scores=_scores(summary),
        dropped=_dropped(summary),
        notes=grouped(summary["notes"]),
        run=_run(summary),
        settings=_settings(summary),
        style=(HERE / "page.css").read_text(encoding="utf-8"),
        scripts=[(HERE / name).read_text(encoding="utf-8") for name in SCRIPTS],
        # No tag can begin inside it.
        held=json.dumps(held, separators=(",", ":")).replace("<", "\\u003c"),
    )
    path.write_text(html, encoding="utf-8")


def read_held(path: Path) -> dict[str, Any]:
    """Return what a page holds of its sequences.

    Raises:
        ValueError: it is no page of a run.
    """
    begin, end = '<script type="application/json" id="run">', "</script>"
    try:
        _, found, rest = path.read_text(encoding="utf-8").partition(begin)
        held = json.loads(rest.partition(end)[0]) if found else None
    except (OSError, ValueError):
        held = None
    if not isinstance(held, dict) or held.get("kind") != KIND:
        raise ValueError(f"{path}: must be the page of a run, got another file or none")
    return held


def _subtitle(summary: Mapping[str, Any]) -> str:
    counts = summary["counts"]
    return (
        f"{counted(summary['sequences'], 'sequence')}, {counts.get('frames', 0)} frames, "
        f"{counts.get('read', 0)} detections, {counts.get('written', 0)} written in "
        f"{counts.get('tracks', 0)} tracks"
    )


def _scores(summary: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the tables of scores."""
    tables = []
    for kind, scores in summary["scores"].items():
        columns = evaluation.BOX_COLUMNS if kind == "boxes" else evaluation.MASK_COLUMNS
        rows = [[name, *(_cell(row.get(c)) for c in columns)] for name, row in scores.items()]
        note = "Boxes by py-motmetrics' rules." if kind == "boxes" else ""
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
    return tables


def _dropped(summary: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the table of what the rules dropped, if they did."""
    rows = [[meaning, name, flag, count] for count, name, meaning, flag in drops(dict(summary))]
    columns = ["what", "rule", "changed by", "detections"]
    note = "Of the detections read, in the order of the rules."
    table = {"title": "What was dropped", "note": note, "columns": columns, "rows": rows}
    return [table] if rows else []


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


def _sequence(shown: Shown, share: int, thumbs: int) -> dict[str, Any]:
    """Return what the page holds of a sequence."""
    review = shown.review
    truth = review.truth is not None
    events = review.events[: min(share, MOST)]
    tracks = list(review.tracks.items())[:thumbs]
    return {
        "name": review.sequence,
        "digest": shown.digest,
        "size": review.size,
        "step": review.step,
        "video": shown.video,
        "rate": shown.rate,
        "frames": review.frames,
        "names": {cls: name for cls, name in sorted(review.names.items())},
        "parents": review.parents,
        "rows": review.rows.text(),
        "thumbs": {i: _picture(t.thumb) for i, t in tracks if t.thumb is not None},
        "heading": f"{review.found} identity switches"
        if truth
        else f"{review.found} suspicious places",
        "explanation": _explanation(review, truth, len(events)),
        "events": [_event(review, event) for event in events],
    }


def _explanation(review: Review, truth: bool, shown: int) -> str:
    if not review.found:
        return ""
    kinds = ("switch",) if truth else tuple(k for k in KINDS if k != "switch")
    text = "; ".join(KINDS[k] for k in kinds) + "."
    if truth:
        text = "The identity of a true object changes. The pictures show it before and after, and "
        text += "other objects with these two identities."
    return text if shown >= review.found else f"{text} The first {shown} are shown."


def _event(review: Review, event: Event) -> dict[str, Any]:
    return {
        "kind": event.kind,
        "frame": event.frame,
        "ids": event.ids,
        "cls": review.names.get(event.cls, f"class {event.cls}"),
        "text": event.text,
        "weight": round(event.weight, 4),
        "looks": [[caption, _picture(picture)] for caption, picture in event.looks],
    }


def _picture(picture: Image) -> str:
    """Return a picture as it stands in a page."""
    options = [cv2.IMWRITE_JPEG_QUALITY, QUALITY]
    _, jpeg = cv2.imencode(".jpg", np.ascontiguousarray(picture[:, :, ::-1]), options)
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg.tobytes()).decode()}"
