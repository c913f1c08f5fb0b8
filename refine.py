"""Track a whole video anew by its frames: any tracker's tracks in, better ones out (ReMOTS).

How much better, and where not: docs/systems.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from models.remots.config import RetrackingConfig
from pipeline.flags import SettingsFlags, add_flags
from pipeline.request import Files, Request
from pipeline.run import execute
from pipeline.settings import BOXES
from utils.cli import Parser, counted, frame_size, run, say
from utils.config import parts_of, with_changes
from utils.data_sets import DataSet
from utils.formats.base import Options
from utils.formats.registry import FORMATS
from utils.formats.writing import WRITERS
from utils.report import print_results

# Settings by name: ours is the default, paper what ReMOTS says (sections 2.2 to 2.5).
RECIPES = {
    "ours": (),
    "paper": ("tracklets=flow", "merge=clustering", "encoder=resnet", "horizon=15"),
}


def parse_args(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the parsed command line."""
    parser = Parser(description=__doc__)
    add = parser.add_argument
    add("--tracks", type=Path, nargs="+", required=True, help="masks with ids, of any format")
    add("--images", type=Path, required=True, help="folder of SEQ/000000.png or the like")
    add("--output", type=Path, required=True, help="folder for the results")
    add("--ground-truth", type=Path, help="masks with ids to score against")
    add("--sequences", nargs="+", help="names (default: all)")
    add("--format", choices=FORMATS, help="take the tracks to be of this format")
    add("--size", type=frame_size, help="HxW of the frames, for formats that do not say it")
    add_flags(parser, "dataset", "classes", "class-names")
    add("--boxes", choices=BOXES, default="mask", help="mask: compute them from the masks")
    add("--write", nargs="+", choices=WRITERS, default=[], help="further formats of the results")
    add("--no-report", dest="report", action="store_false", help="no report.html")
    add("--recipe", choices=RECIPES, default="ours", help="paper: ReMOTS by its paper; --set "
        "labelled=DIR adds its training set, 1 : 1")  # fmt: skip
    add("--set", dest="changes", action="append", default=[], metavar="FIELD=VALUE",
        help=f"override {', '.join(parts_of(RetrackingConfig()))}")  # fmt: skip
    return parser.parse_args(arguments)


def refined(args: argparse.Namespace) -> dict[str, Any]:
    """Do what the command line asks for; return the summary."""
    config = with_changes(RetrackingConfig(), [*RECIPES[args.recipe], *args.changes])
    # Ids are kept, and no detection is left out.
    flags = SettingsFlags.of(args, tracker="given", refine=True, trusted="yes")
    settings, late = flags.early_and_late()

    def named(dataset: DataSet) -> Any:
        return replace(late(dataset), refinement=config)

    files = Files(
        args.tracks,
        args.images,
        args.sequences,
        options=Options(args.size, args.images),
        format_name=args.format,
    )
    request = Request(
        replace(settings, refinement=config),
        files,
        args.output,
        args.ground_truth,
        args.write,
        args.report,
        named=named,
    )
    return execute(request)


def main() -> None:
    """Refine, and print the scores."""
    args = parse_args()
    summary = refined(args)
    print_results(summary)
    counts = summary["counts"]
    told = {"tracklets": "tracklets", "links": "links between them", "new": "of them new",
            "cut": "links of the tracks cut", "joined": "tracklets joined"}  # fmt: skip
    said = ", ".join(f"{counts[f'tracker_{k}']} {t}" for k, t in told.items()
                     if f"tracker_{k}" in counts)  # fmt: skip
    seconds = sum(summary["seconds"].values())
    sequences = counted(summary["sequences"], "sequence")
    say(f"{args.output}: {sequences} in {seconds:.1f} s: {said or 'no change'}")


if __name__ == "__main__":
    run(main)
