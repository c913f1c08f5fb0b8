"""What each reading of the paper does to Table 4: one rule changed at a time.

    python -m benchmarks.readings --data data

Cells are sMOTSA (identity switches) at t_lag 3, 5 and 8, of ground-truth masks as detections, MTL,
|K| estimated. `docs/differences.md` says what the rules are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from reproduction.experiments import Experiments
from reproduction.runs import READINGS, Run
from reproduction.sources import Sources
from reproduction.tables import Cell, by_preset, table_4
from utils.cli import Parser, positive, run, say

T_LAGS = (3, 5, 8)
Changes = tuple[tuple[str, Any], ...]
VARIANTS: dict[str, Changes] = {
    "": (),
    "gated=newer": (("gated", "newer"),),
    "centre_rule=nearest": (("centre_rule", "nearest"),),
    "score_rule=sum": (("score_rule", "sum"),),
    "classes_apart=yes": (("classes_apart", True),),
    "order=distance": (("order", "distance"),),
    "fullest=latest": (("fullest", "latest"),),
    "labelling=all": (("labelling", "all"),),
    "tau=1": (("tau", 1),),
    "tau=2": (("tau", 2),),
}
WITHOUT_GRAPH: dict[str, Changes] = {
    "": (),
    "labelling=all": (("labelling", "all"),),
    "restarts=1": (("restarts", 1),),
}


def rows_of(graph: bool) -> list[Cell]:
    """Return the sMOTSA cells of Table 4 that are varied."""
    text = f", {'G' if graph else 'no G'}, MTL, |K| estimated"
    return [c for c in table_4() if c.row.endswith(text) and c.metric == "sMOTSA"]


def runs_of(cells: list[Cell], changes: Changes) -> dict[Cell, Run]:
    """Return {cell: its run with some settings changed}."""
    return {c: replace(c.run, changes=(*c.run.changes, *changes)) for c in cells}


def as_row(name: str, cells: Mapping[Cell, Run], scores: Mapping[Run, Any]) -> str:
    """Return one line of the table: for each column the cells of all t_lags."""
    shown: dict[str, list[str]] = {}
    for cell, cell_run in cells.items():
        if isinstance(scores[cell_run], str):
            raise ValueError(scores[cell_run])
        row = scores[cell_run][cell.name]
        shown.setdefault(cell.column, []).append(f"{row['sMOTSA']:.1f} ({row['IDS']})")
    return f"| {name} | " + " | ".join(" ".join(parts) for parts in shown.values()) + " |"


def main() -> None:
    """Run every variant; print a table for G and one without."""
    parser = Parser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--data", type=Path, required=True, help="folder of kitti_mots and the like"
    )
    parser.add_argument("--output", type=Path, default=Path("results/readings"))
    parser.add_argument("--preset", choices=READINGS, default=READINGS[0])
    parser.add_argument("--jobs", type=positive, default=2, help="processes")
    args = parser.parse_args()
    experiments = Experiments(Sources(args.data, args.output), args.jobs)
    for graph, variants in ((True, VARIANTS), (False, WITHOUT_GRAPH)):
        cells = by_preset(rows_of(graph), args.preset)
        rows = {f"{args.preset} {n}".strip(): runs_of(cells, c) for n, c in variants.items()}
        if graph:
            for preset in READINGS:
                rows.setdefault(preset, runs_of(by_preset(cells, preset), ()))
        scores = experiments.scores([r for row in rows.values() for r in row.values()])
        columns = list(dict.fromkeys(cell.column for cell in cells))
        say(f"\n| {'G' if graph else 'no G'} | {' | '.join(columns)} |")
        say("|---" * (len(columns) + 1) + "|")
        for name, cell_runs in rows.items():
            say(as_row(name, cell_runs, scores))


if __name__ == "__main__":
    run(main)
