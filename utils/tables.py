"""Tables as text."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any


def _cell(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.1f}" if isinstance(value, float) else str(value)


def format_table(title: str, columns: Sequence[str], rows: Mapping[str, Mapping[str, Any]]) -> str:
    """Return a plain-text table.

    Args:
        title: heading of the first column.
        columns: names of the others.
        rows: {first cell: {column: value}}; floats get one decimal, what is missing or None a dash.
    """
    cells = [[name] + [_cell(row.get(c, "-")) for c in columns] for name, row in rows.items()]
    lines = [[title, *columns], *cells]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    )


def comparison(lines: Iterable[tuple[str, str, Sequence[Any], Any]]) -> str:
    """Return a Markdown table: ours, and in brackets the paper's figure and our difference to it.

    Args:
        lines: [(row, column, our figures, each None where it was not run, paper's or None)]. Of
            several figures of ours the difference is left out.
    """
    lines = list(lines)
    rows = list(dict.fromkeys(line[0] for line in lines))
    columns = list(dict.fromkeys(line[1] for line in lines))
    cells = {(row, column): (ours, theirs) for row, column, ours, theirs in lines}
    text = ["| | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for row in rows:
        shown = [_compared(*cells.get((row, column), ([None], None))) for column in columns]
        text.append(f"| {row.replace('|', chr(92) + '|')} | " + " | ".join(shown) + " |")
    return "\n".join(text)


def _compared(ours: Sequence[Any], theirs: Any) -> str:
    mine = " / ".join("not run" if value is None else _cell(value) for value in ours)
    if theirs is None:
        return mine
    if len(ours) > 1 or ours[0] is None:
        return f"{mine} ({theirs})"
    if isinstance(ours[0], int):
        return f"{mine} ({theirs}, {ours[0] - theirs:+d})"
    return f"{mine} ({theirs}, {round(ours[0] - theirs, 1) + 0.0:+.1f})"  # never -0.0
