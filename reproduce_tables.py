"""Reproduce the tables and figures of the paper: our figures beside its own."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from pipeline.flags import add_split
from reproduction.experiments import Experiments
from reproduction.runs import READINGS
from reproduction.sources import Sources
from reproduction.systems import make_systems
from reproduction.tables import TABLES, make_tables
from utils.cli import Parser, positive, run

SYSTEMS = "systems"  # the other papers', beside each other


def parse_args(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the parsed command line."""
    parser = Parser(description=__doc__)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--table", "--tables", dest="tables", nargs="+", help="numbers, systems, or "
        "all")  # fmt: skip
    what.add_argument("--figure", type=int, choices=(3, 4, 5))
    add = parser.add_argument
    add("--data", type=Path, required=True, help="folder of kitti_mots, mots_challenge, mnist_mot "
        "and sprites_mot")  # fmt: skip
    add("--preset", nargs="+", choices=READINGS, help="whose rules associate: the paper's text "
        "(default), its authors' code, or both")  # fmt: skip
    add("--output", type=Path, default=Path("results/tables"))
    add_split(parser, "the paper's: val, that is 9 sequences of KITTI and all of MOTSChallenge")
    add("--detections", help="folder of detections in a data set (default: detections*)")
    add("--jobs", type=positive, default=2, help="processes")
    add("--quick", action="store_true", help="3 sequences, of the real ones the first 40 frames, "
        "to try it")  # fmt: skip
    args = parser.parse_args(arguments)
    known = {**{str(number): number for number in TABLES}, SYSTEMS: SYSTEMS}
    if args.tables == ["all"]:
        args.tables = list(known)
    for number in args.tables or ():
        if number not in known:
            parser.error(f"--tables must be among {', '.join(known)}, or all, got {number}")
    wanted = [known[number] for number in dict.fromkeys(args.tables or ())]
    args.systems = SYSTEMS in wanted
    args.tables = [number for number in wanted if number != SYSTEMS]
    if args.preset and args.figure in (3, 4):
        parser.error(f"--preset is for tables and Figure 5, got --figure {args.figure}")
    args.preset = list(dict.fromkeys(args.preset or READINGS[:1]))
    if args.detections and Path(args.detections).name != args.detections:
        parser.error(f"--detections must be a folder's name, got {args.detections}")
    return args


def main() -> None:
    """Make what the command line asks for."""
    args = parse_args()
    if not args.data.is_dir():
        raise ValueError(f"--data must be a folder, got {args.data}")
    sources = Sources(
        args.data, args.output, args.quick, args.sequences, args.detections, args.split
    )
    experiments = Experiments(sources, args.jobs)
    if args.figure in (3, 4):
        from reproduction import pictures

        make = pictures.figure_3 if args.figure == 3 else pictures.figure_4
        make(experiments, args.output / f"figure_{args.figure}.png")
        return
    if args.tables or not args.systems:
        make_tables(args, experiments)
    if args.systems:
        make_systems(args)


if __name__ == "__main__":
    run(main)
