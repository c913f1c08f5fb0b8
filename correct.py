"""Apply the corrections that a run's page saved: edits.json in, corrected tracks and a page out."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.request import Corrections, Request
from pipeline.run import execute
from pipeline.settings import settings_for
from utils.cli import Parser, run, say
from utils.data_sets import data_set
from utils.formats.writing import WRITERS
from utils.report import print_results


def parse_args(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the parsed command line."""
    parser = Parser(description=__doc__)
    add = parser.add_argument
    add("--tracks", type=Path, required=True, help="folder of the run whose page was edited")
    add("--edits", type=Path, required=True, help="edits.json that its page saved")
    add("--output", type=Path, required=True, help="folder for the results")
    add("--ground-truth", type=Path, help="masks with ids to score against")
    add("--write", nargs="+", choices=WRITERS, default=[], help="further formats of the results")
    return parser.parse_args(arguments)


def corrected(args: argparse.Namespace) -> dict[str, Any]:
    """Do what the command line asks for; return the summary."""
    request = Request(
        settings_for(data_set("custom"), "given"),
        Corrections(args.tracks, args.edits),
        args.output,
        args.ground_truth,
        args.write,
        report=True,
    )
    return execute(request)


def main() -> None:
    """Run the command line."""
    args = parse_args()
    summary = corrected(args)
    print_results(summary)
    say(f"{args.output}: {', '.join(summary['files'][:6])}")


if __name__ == "__main__":
    run(main)
