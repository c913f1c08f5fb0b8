"""Reproduce the tables and figures of the paper: our figures beside its own."""

import csv
import io
import shlex
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from models.experiments import Experiments, Run
from utils import paper
from utils.cli import Parser, positive, run
from utils.config import preset
from utils.mots_io import atomic_path
from utils.tables import comparison

SHAPE = preset("kitti").weights
EQUAL = ("dhae_kitti_shape_equal.keras", "dhae_kitti_shape_equal_b.keras")
APPEARANCE = ("dhae_mots_appearance.keras", "dhae_mots_appearance_b.keras")
NO_GRAPH = (("use_graph", False),)
# Ground-truth masks have no false positives, so that no track is too short to be true.
ORACLE = (("min_track_length", 1),)
CLASSES = {"kitti": ("car", "pedestrian"), "mots": ("pedestrian",)}
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


def parse_args(arguments=None):
    """Return the parsed command line."""
    parser = Parser(description=__doc__)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--table", type=int, choices=(1, 2, 3, 4))
    what.add_argument("--figure", type=int, choices=(3, 4, 5))
    parser.add_argument(
        "--data",
        type=Path,
        required=True,
        help="folder of kitti_mots, mots_challenge, mnist_mot and sprites_mot",
    )
    parser.add_argument("--output", type=Path, default=Path("results/tables"))
    parser.add_argument("--sequences", nargs="+", help="names (default: all there are)")
    parser.add_argument(
        "--detections", help="folder of detections in a data set (default: detections*)"
    )
    parser.add_argument("--jobs", type=positive, default=2, help="processes")
    parser.add_argument(
        "--quick",
        action="store_true",
        help="3 sequences, of the real ones the first 40 frames, to try it",
    )
    args = parser.parse_args(arguments)
    if args.detections and Path(args.detections).name != args.detections:
        parser.error(f"--detections must be a folder's name, got {args.detections}")
    return args


def cells_of(row, column, run_, name, metrics, values):
    """Return the cells of one row and column group, one per metric."""
    values = values or (None,) * len(metrics)
    return [
        Cell(row, f"{column} {metric}".strip(), run_, name, metric, value)
        for metric, value in zip(metrics, values, strict=True)
    ]


def table_1():
    """Return the cells of Table 1."""
    cells = []
    for row, values in paper.TABLE_1.items():
        branch = {"shape embed": "mask_only", "loc embed": "location_only"}
        branch |= {"loc + G": "location_only"}
        changes = () if row.endswith("G") else NO_GRAPH
        for dataset, title in (("mnist", "MNIST-MOT"), ("sprites", "Sprites-MOT")):
            weights = (f"dhae_{dataset}_{branch.get(row, 'shape')}.keras",)
            made = Run(dataset, weights, "detections", changes)
            cells += cells_of(row, title, made, dataset, paper.BOXES, values[dataset])
    return cells


def network(row):
    """Return (weights, whether they need images) of a row of Tables 2 and 3."""
    return (APPEARANCE, True) if "app" in row else (SHAPE, False)


def table_2():
    """Return the cells of Table 2."""
    cells, metrics = [], ("sMOTSA", "MOTSA", "MOTSP", "F_DR")
    for row, values in paper.TABLE_2.items():
        weights, images = network(row)
        made = Run("kitti", weights, "detections", images=images)
        for name in CLASSES["kitti"]:
            cells += cells_of(row, name, made, name, metrics, (*values[name], None))
    return cells


def table_3():
    """Return the cells of Table 3."""
    cells, metrics = [], ("sMOTSA", "MOTSA", "MOTSP", "MT", "F_DR")
    for row, values in paper.TABLE_3.items():
        weights, images = network(row)
        changes = () if row.endswith("G") else NO_GRAPH
        made = Run("mots", weights, "detections", changes, images=images)
        cells += cells_of(row, "", made, "pedestrian", metrics, (*values, None))
    return cells


def table_4():
    """Return the cells of Table 4.

    Both losses are compared as trained, at location gain 1: choosing the gain would weigh location
    by hand, which is what the uncertainties are to do.
    """
    cells, metrics = [], (*paper.ABLATION, "F_DR")
    for (t_lag, graph, mtl, estimated), values in paper.TABLE_4.items():
        row = f"t_lag {t_lag}, {'G' if graph else 'no G'}, {'MTL' if mtl else 'equal'}, |K| "
        row += "estimated" if estimated else "known"
        changes = (("t_lag", t_lag), ("use_graph", graph), ("known_clusters", not estimated))
        columns = (("mots", "pedestrian"), ("kitti", "car"), ("kitti", "pedestrian"))
        for (dataset, name), own in zip(columns, values, strict=True):
            weights = SHAPE if mtl else EQUAL
            made = Run(dataset, weights, "truth", (*changes, *ORACLE), location_gain=1.0)
            title = "MOTSChallenge" if dataset == "mots" else f"KITTI {name}"
            cells += cells_of(row, title, made, name, metrics, (*own, None))
    return cells


def figure_5():
    """Return the cells of Figure 5: sMOTSA by detection threshold; the paper has a plot only."""
    cells = []
    for threshold in THRESHOLDS:
        for dataset, names in CLASSES.items():
            made = Run(dataset, SHAPE, "detections", min_score=threshold)
            for name in names:
                title = "MOTSChallenge" if dataset == "mots" else f"KITTI {name}"
                cells += cells_of(f"{threshold:.2f}", title, made, name, ("sMOTSA",), None)
    return cells


def compare(cells, results):
    """Return ([(row, column, ours or None, paper's or None)], reasons of what was not run)."""
    lines, reasons = [], {}
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


def write_csv(path, table, lines):
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


def describe(experiments, cells, args):
    """Return the lines under a table: which files, sequences and settings made it."""
    lines, seen = [], set()
    for cell in cells:
        made = cell.run
        key = made.dataset, made.source
        if key in seen or not experiments.possible(made):
            continue
        seen.add(key)
        inputs = experiments.inputs(made)
        names = listed([name for name, _, _ in inputs])
        folder = "the ground-truth masks" if made.source == "truth" else inputs[0][1].parent.name
        lines.append(f"* {made.dataset}: {folder} of {len(inputs)} sequences ({names}).")
        if experiments.left_out[key] and not args.sequences:
            names = listed(experiments.left_out[key])
            lines.append(f"* {made.dataset}: no detections of {names}, which have ground truth.")
    if args.quick:
        lines.append("* `--quick`: a part of the data only. These are not the figures.")
    return lines


def check_sequences(args, experiments, cells):
    """Refuse names of sequences that none of the cells' data sets has."""
    runs = {cell.run for cell in cells if experiments.possible(cell.run)}
    known = {name for made in runs for name, _, _ in experiments.inputs(made)}
    for name in args.sequences or ():
        if name not in known:
            got = ", ".join(sorted(known)) or "none"
            raise ValueError(
                f"--sequences must name sequences of {args.data}, got {name}; of {got}"
            )


def listed(names):
    """Return names as text, consecutive numbers as their range."""
    if len(names) > 2 and all(name.isdigit() for name in names):
        numbers = [int(name) for name in names]
        if numbers == list(range(numbers[0], numbers[0] + len(numbers))):
            return f"{names[0]} to {names[-1]}"
    return ", ".join(names)


def make_table(args, experiments):
    """Make, print and save one table or Figure 5."""
    number = args.table or args.figure
    made = {1: table_1, 2: table_2, 3: table_3, 4: table_4, 5: figure_5}
    cells = made[number]()
    if not args.quick:
        check_sequences(args, experiments, cells)
    start = time.perf_counter()
    results = experiments.scores([cell.run for cell in cells])
    seconds = time.perf_counter() - start
    lines, reasons = compare(cells, results)
    title = TITLES.get(number, "Figure 5: sMOTSA against the detection threshold")
    stem = f"{'table' if args.table else 'figure'}_{number}{'_quick' * args.quick}"
    made_any = any(ours is not None for _, _, ours, _ in lines)
    notes = [f"* Made by `{shlex.join(['python', Path(sys.argv[0]).name, *sys.argv[1:]])}`."]
    notes += describe(experiments, cells, args)
    notes += [f"* Not run ({len(what)} cells): {why}" for why, what in reasons.items()]
    text = "\n\n".join((f"# {title}", comparison(lines), "\n".join(notes))) + "\n"
    print(text)
    if not made_any and (args.output / f"{stem}.csv").is_file():
        print(f"{args.output}/{stem}.*: left as it was, since nothing could be run")
        return
    with atomic_path(args.output / f"{stem}.md") as temporary:
        temporary.write_text(text)
    write_csv(args.output / f"{stem}.csv", stem.replace("_", " "), lines)
    if args.figure and made_any:
        from utils.figures import plot_thresholds

        plot_thresholds(args.output / f"{stem}.png", lines)
    print(f"{args.output}/{stem}.*: {experiments.made} runs made, {seconds:.1f} s")


def main():
    """Make what the command line asks for."""
    args = parse_args()
    if not args.data.is_dir():
        raise ValueError(f"--data must be a folder, got {args.data}")
    experiments = Experiments(
        args.data, args.output, args.jobs, args.quick, args.sequences, args.detections
    )
    if args.figure in (3, 4):
        from models import pictures

        make = pictures.figure_3 if args.figure == 3 else pictures.figure_4
        make(experiments, args.output / f"figure_{args.figure}.png")
    else:
        make_table(args, experiments)


if __name__ == "__main__":
    run(main)
