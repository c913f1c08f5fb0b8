"""Tables as text."""


def _cell(value):
    return f"{value:.1f}" if isinstance(value, float) else str(value)


def format_table(title, columns, rows):
    """Return a plain-text table.

    Args:
        title: heading of the first column.
        columns: names of the others.
        rows: {first cell: {column: value}}; floats get one decimal, what is missing a dash.
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
