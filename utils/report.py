"""What a run says of the detections it dropped: by which rule, and which flag changes it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from utils import evaluation
from utils.cli import note, say, warn
from utils.rules import RULES
from utils.tables import format_table

# What trackers count of detections they do not write; low_score counts clusters (lambda).
BY_TRACKER = {
    "tentative": ("in tracks of a single detection", "--frame-step or --min-length"),
    "short": ("in tracks that are too short", "--min-length"),
    "weak": ("below the tracker's own least score", "--set tracker.min_score"),
    "doubtful": (
        "probably not objects, judged by their own score or their track's mean score",
        "--set written, --set part or --scores",
    ),
    "low_score": ("clusters below lambda", "--set tracker.min_score"),
    "merged": ("that share the identity of another one of their frame", ""),
}
HIDDEN = ("masks that better ones cover", "")


def drops(summary: dict[str, Any]) -> list[tuple[int, str, str, str]]:
    """Return [(count, rule, meaning, flag)] of all that dropped something."""
    counts = summary["counts"]
    rules = {f"dropped_{name}": (name, *text) for name, text in RULES.items()}
    rules |= {f"tracker_{name}": (name, *text) for name, text in BY_TRACKER.items()}
    rules["dropped_hidden"] = ("hidden", *HIDDEN)
    rules["dropped_deleted"] = ("deleted", "deleted by hand", "edits.json")
    return [(counts[key], *text) for key, text in rules.items() if counts.get(key)]


def dropped_lines(summary: dict[str, Any]) -> list[str]:
    """Return lines that say what each rule dropped; none where nothing was."""
    dropped = drops(summary)
    if not dropped:
        return []
    total = f"{summary['counts'].get('written', 0)} of {summary['counts'].get('read', 0)} written"
    lines = [f"detections: {total}; dropped:"]
    for count, name, meaning, flag in dropped:
        lines.append(f"  {count} {meaning} ({name}{f'; {flag}' if flag else ''})")
    return lines


def why_nothing(summary: dict[str, Any]) -> str | None:
    """Return why nothing was written, naming the rule and the flag; None where something was."""
    counts = summary["counts"]
    if counts.get("written"):
        return None
    if not counts.get("read"):
        return "nothing was written: the input holds no mask"
    dropped = drops(summary)
    if not dropped:
        return f"nothing was written of {counts['read']} detections"
    count, name, meaning, flag = max(dropped)
    change = f": {flag} changes that" if flag else ""
    return (
        f"nothing was written: of {counts['read']} detections {count} are {meaning} "
        f"(rule {name}){change}"
    )


def grouped(notes: Sequence[str]) -> list[str]:
    """Return notes, one in place of those that say the same of several sequences."""
    sequences: dict[str, list[str]] = {}
    for text in notes:
        name, _, rest = text.partition(": ")
        if " " in name or not rest:
            name, rest = "", text
        sequences.setdefault(rest, []).append(name)
    lines = []
    for rest, names in sequences.items():
        shown = f"{', '.join(names[:3])}, ... ({len(names)} in all)" if len(names) > 3 else None
        lines.append(f"{shown or ', '.join(names)}: {rest}".removeprefix(": "))
    return lines


def print_results(summary: dict[str, Any]) -> None:
    """Print notes, what the rules dropped and one table: scores, or counts without truth."""
    for text in grouped(summary["notes"]):
        note(text)
    for text in dropped_lines(summary):
        say(text)
    reason = why_nothing(summary)
    if reason:
        warn(reason)
    rows: dict[str, dict[str, Any]] = {}
    columns: tuple[str, ...] = evaluation.MASK_COLUMNS
    for kind, scores in summary["scores"].items():
        rows |= {f"{kind}, {name}": row for name, row in scores.items()}
    if "boxes" in summary["scores"]:
        columns += tuple(c for c in evaluation.BOX_COLUMNS if c not in columns)
    if not rows:
        names = {"frames": "frames", "read": "detections", "written": "written", "tracks": "tracks"}
        counts = summary["counts"]
        rows["all"] = {text: counts.get(name, 0) for name, text in names.items()}
        columns = tuple(rows["all"])
    say(format_table(summary["dataset"], columns, rows))
