"""The paper's tables, cell by cell: which run makes a figure, and the paper's beside it."""

from __future__ import annotations

import argparse
import csv
import io
import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from reproduction import paper
from reproduction.experiments import Experiments
from reproduction.runs import READINGS, Run, appearance_weights, chosen_gain
from utils.cli import say
from utils.data_sets import DataSet, data_set
from utils.files import atomic_path
from utils.tables import comparison

KITTI, MOTS = data_set("kitti"), data_set("mots")
GENERATED = (data_set("mnist"), data_set("sprites"))
NO_GRAPH = (("use_graph", False),)
# Ground-truth masks have no false positives, so that no track is too short to be true.
ORACLE = (("min_track_length", 1),)
TITLES = {
    1: "Table 1: MNIST-MOT and Sprites-MOT, boxes at IoU 0.5, t_lag 3, |O| = 3",
    2: "Table 2: KITTI MOTS",
    3: "Table 3: MOTSChallenge",
    4: "Table 4: ablation with ground-truth masks as detections",
}
THRESHOLDS = tuple(round(0.5 + 0.05 * i, 2) for i in range(10))


@dataclass(frozen=True)
class Cell:
    """One figure of a table: where it stands, the run that makes it and the paper's."""

    row: str
    column: str
    run: Run
    name: str  # class, or data set where boxes are scored
    metric: str
    paper: float | None


def cells_of(
    row: str,
    column: str,
    run_: Run,
    name: str,
    metrics: Sequence[str],
    values: Sequence[Any] | None,
) -> list[Cell]:
    """Return the cells of one row and column group, one per metric."""
    values = values or (None,) * len(metrics)
    return [
        Cell(row, f"{column} {metric}".strip(), run_, name, metric, value)
        for metric, value in zip(metrics, values, strict=True)
    ]


def names_of(dataset: DataSet) -> list[str]:
    """Return the names of the classes that a data set tracks."""
    return [dataset.name_of(cls) for cls in dataset.tracked or ()]


def column_of(dataset: DataSet, name: str) -> str:
    """Return the heading of a class: with its name where the data set tracks several."""
    return f"KITTI {name}" if len(names_of(dataset)) > 1 else dataset.title


def table_1() -> list[Cell]:
    """Return the cells of Table 1."""
    cells = []
    for row, values in paper.TABLE_1.items():
        branch = {"shape embed": "mask_only", "loc embed": "location_only"}
        branch |= {"loc + G": "location_only"}
        changes = () if row.endswith("G") else NO_GRAPH
        for dataset in GENERATED:
            weights = (f"dhae_{dataset.name}_{branch.get(row, 'shape')}.keras",)
            run = Run(dataset.name, weights, "detections", changes)
            cells += cells_of(
                row, dataset.title, run, dataset.name, paper.BOXES, values[dataset.name]
            )
    return cells


def network(row: str, dataset: DataSet) -> tuple[tuple[str, ...], bool]:
    """Return (weights, whether they need images) of a row of Tables 2 and 3."""
    return (appearance_weights(dataset), True) if "app" in row else (dataset.weights, False)


def table_2() -> list[Cell]:
    """Return the cells of Table 2."""
    cells, metrics = [], ("sMOTSA", "MOTSA", "MOTSP", "F_DR")
    for row, values in paper.TABLE_2.items():
        weights, images = network(row, KITTI)
        run = Run(KITTI.name, weights, "detections", images=images)
        for name in names_of(KITTI):
            cells += cells_of(row, name, run, name, metrics, (*values[name], None))
    return cells


def table_3() -> list[Cell]:
    """Return the cells of Table 3."""
    cells, metrics = [], ("sMOTSA", "MOTSA", "MOTSP", "MT", "F_DR")
    for row, values in paper.TABLE_3.items():
        weights, images = network(row, MOTS)
        changes = () if row.endswith("G") else NO_GRAPH
        run = Run(MOTS.name, weights, "detections", changes, images=images)
        cells += cells_of(row, "", run, "pedestrian", metrics, (*values, None))
    return cells


def table_4() -> list[Cell]:
    """Return the cells of Table 4.

    Every row has the location gain that was chosen for the KITTI weights on their held-back
    sequences. Rows of equal weights and of MTL differ in the loss alone: both keep the epoch of the
    least loss, as the authors' code does.
    """
    cells, metrics, gain = [], (*paper.ABLATION, "F_DR"), chosen_gain(KITTI.weights)
    for (t_lag, graph, mtl, estimated), values in paper.TABLE_4.items():
        row = f"t_lag {t_lag}, {'G' if graph else 'no G'}, {'MTL' if mtl else 'equal'}, |K| "
        row += "estimated" if estimated else "known"
        changes = (("t_lag", t_lag), ("use_graph", graph), ("known_clusters", not estimated))
        columns = [(dataset, name) for dataset in (MOTS, KITTI) for name in names_of(dataset)]
        for (dataset, name), column_values in zip(columns, values, strict=True):
            weights = dataset.mtl_weights if mtl else dataset.equal_weights
            run = Run(dataset.name, weights, "truth", (*changes, *ORACLE), location_gain=gain)
            cells += cells_of(
                row, column_of(dataset, name), run, name, metrics, (*column_values, None)
            )
    return cells


def figure_5() -> list[Cell]:
    """Return the cells of Figure 5: sMOTSA by detection threshold; the paper has a plot only."""
    cells = []
    for threshold in THRESHOLDS:
        for dataset in (KITTI, MOTS):
            run = Run(dataset.name, dataset.weights, "detections", min_score=threshold)
            for name in names_of(dataset):
                title = column_of(dataset, name)
                cells += cells_of(f"{threshold:.2f}", title, run, name, ("sMOTSA",), None)
    return cells


TABLES = {1: table_1, 2: table_2, 3: table_3, 4: table_4}
Line = tuple[str, str, Any, Any]  # row, column, ours or None, the paper's or None


def by_preset(cells: Sequence[Cell], preset: str) -> list[Cell]:
    """Return the cells, their runs by the rules of a preset."""
    return [replace(cell, run=replace(cell.run, preset=preset)) for cell in cells]


def compare(
    cells: Sequence[Cell], results: dict[Run, Any]
) -> tuple[list[Line], dict[str, list[str]]]:
    """Return ([(row, column, ours or None, paper's or None)], reasons of what was not run)."""
    lines: list[Line] = []
    reasons: dict[str, list[str]] = {}
    for cell in cells:
        scores, ours = results[cell.run], None
        if isinstance(scores, str):
            reasons.setdefault(scores, []).append(f"{cell.row} {cell.column}")
        elif scores[cell.name].get("objects") == 0:
            why = f"no {cell.name} in the ground truth of these sequences"
            reasons.setdefault(why, []).append(f"{cell.row} {cell.column}")
        else:
            ours = scores[cell.name][cell.metric]
        lines.append((cell.row, cell.column, ours, cell.paper))
    return lines, reasons


def write_csv(path: Path, table: str, lines: Sequence[Line]) -> None:
    """Write the comparison as CSV; a cell that was not run has no figure of ours."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("table", "row", "column", "ours", "paper", "difference"))
    for row, column, ours, theirs in lines:
        difference = "" if None in (ours, theirs) else round(ours - theirs, 4)
        shown = ["" if v is None else round(v, 4) for v in (ours, theirs)]
        writer.writerow((table, row, column, *shown, difference))
    with atomic_path(path) as temporary:
        temporary.write_text(text.getvalue())


def describe(
    experiments: Experiments, cells: Sequence[Cell], args: argparse.Namespace
) -> list[str]:
    """Return the lines under a table: which files, sequences and settings made it."""
    lines: list[str] = []
    seen: set[tuple[str, str]] = set()
    weights: set[str] = set()
    for cell in cells:
        run = cell.run
        if experiments.sources.possible(run):
            sequences = [name for name, _, _ in experiments.sources.inputs(run)]
            weights.update(run.pipeline().embedder.seen(sequences))
        key = run.dataset, run.source
        if key in seen or not experiments.sources.possible(run):
            continue
        seen.add(key)
        inputs = experiments.sources.inputs(run)
        names = listed([name for name, _, _ in inputs])
        folders = {file.parent.name for _, file, _ in inputs if file}
        folder = "the ground-truth masks" if run.source == "truth" else ", ".join(folders)
        lines.append(f"* {run.dataset}: {folder} of {len(inputs)} sequences ({names}).")
        if experiments.sources.undetected[key]:
            names = listed(experiments.sources.undetected[key])
            why = "which have ground truth: their objects count as missed"
            lines.append(f"* {run.dataset}: no detections of {names}, {why}.")
    lines += [f"* {text}." for text in experiments.sources.notes]
    lines += [f"* {text}." for text in sorted(weights)]
    gains = {cell.run.location_gain for cell in cells if cell.run.location_gain is not None}
    for gain in sorted(gains):
        how = "chosen on held-back training sequences, by the cards of"
        lines.append(f"* Location gain {gain:g} in every row, {how} {', '.join(KITTI.weights)}.")
    if args.quick:
        lines.append("* `--quick`: a part of the data only. These are not the figures.")
    return lines


def check_sequences(
    args: argparse.Namespace, experiments: Experiments, cells: Sequence[Cell]
) -> None:
    """Refuse names of sequences that none of the cells' data sets has."""
    runs = {cell.run for cell in cells if experiments.sources.possible(cell.run)}
    known = {name for run in runs for name, _, _ in experiments.sources.inputs(run)}
    for name in args.sequences or ():
        if name not in known:
            got = ", ".join(sorted(known)) or "none"
            raise ValueError(
                f"--sequences must name sequences of {args.data}, got {name}; of {got}"
            )


def listed(names: Sequence[str]) -> str:
    """Return names as text, consecutive numbers as their range."""
    if len(names) > 2 and all(name.isdigit() for name in names):
        numbers = [int(name) for name in names]
        if numbers == list(range(numbers[0], numbers[0] + len(numbers))):
            return f"{names[0]} to {names[-1]}"
    return ", ".join(names)


def make_tables(args: argparse.Namespace, experiments: Experiments) -> None:
    """Make, print and save the tables, or Figure 5, that the command line asks for."""
    wanted = {n: TABLES[n]() for n in args.tables} or {args.figure: figure_5()}
    if not args.quick:
        check_sequences(args, experiments, [cell for cells in wanted.values() for cell in cells])
    for number, cells in wanted.items():
        title = TITLES[number] if args.tables else "Figure 5: sMOTSA against the threshold"
        stem = f"{'table' if args.tables else 'figure'}_{number}{'_quick' * args.quick}"
        make_table(args, experiments, cells, title, stem)


def make_table(
    args: argparse.Namespace, experiments: Experiments, cells: list[Cell], title: str, stem: str
) -> None:
    """Make, print and save one table, by each preset that is asked for."""
    start, before = time.perf_counter(), experiments.made
    wanted = {preset: by_preset(cells, preset) for preset in args.preset}
    results = experiments.scores(
        [cell.run for preset_cells in wanted.values() for cell in preset_cells]
    )
    seconds, new = time.perf_counter() - start, experiments.made - before
    notes = [f"* Made by `{shlex.join(['python', Path(sys.argv[0]).name, *sys.argv[1:]])}`."]
    notes += describe(experiments, cells, args)
    number = int(stem.split("_")[1]) if args.tables else 0
    if number in paper.OTHERS:
        notes.append(f"* The paper's figures of other methods: {'; '.join(paper.OTHERS[number])}.")
    # What cannot be run lacks files, whatever the preset.
    compared = {preset: compare(preset_cells, results) for preset, preset_cells in wanted.items()}
    columns = {preset: lines for preset, (lines, _) in compared.items()}
    _, reasons = compared[args.preset[0]]
    notes += [f"* Not run ({len(what)} cells): {why}" for why, what in reasons.items()]
    for preset, lines in columns.items():
        text = as_text(f"# {title}, preset {preset}", [lines], notes)
        save(args, stem if preset == READINGS[0] else f"{stem}_{preset}", lines, text)
    if len(columns) > 1:
        head = f"# {title}: {' / '.join(columns)} (the paper's)"
        text = as_text(head, list(columns.values()), notes)
        if any(ours is not None for lines in columns.values() for _, _, ours, _ in lines):
            with atomic_path(args.output / f"{stem}_presets.md") as temporary:
                temporary.write_text(text)
    say(text)
    say(f"{args.output}/{stem}*: {new} runs made, {seconds:.1f} s")


def as_text(head: str, columns: Sequence[list[Line]], notes: Sequence[str]) -> str:
    """Return tables of the same cells side by side, with heading and notes, as Markdown."""
    rows = zip(*columns, strict=True)
    beside = [(*row[0][:2], [ours for _, _, ours, _ in row], row[0][3]) for row in rows]
    return "\n\n".join((head, comparison(beside), "\n".join(notes))) + "\n"


def save(args: argparse.Namespace, stem: str, lines: list[Line], text: str) -> None:
    """Write one table's files, unless nothing could be run and there are some."""
    made_any = any(ours is not None for _, _, ours, _ in lines)
    if not made_any and (args.output / f"{stem}.csv").is_file():
        say(f"{args.output}/{stem}.*: left as it was, since nothing could be run")
        return
    with atomic_path(args.output / f"{stem}.md") as temporary:
        temporary.write_text(text)
    write_csv(args.output / f"{stem}.csv", stem.replace("_", " "), lines)
    if args.figure and made_any:
        from reproduction.figures import plot_thresholds

        plot_thresholds(args.output / f"{stem}.png", lines)
