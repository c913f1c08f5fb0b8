"""Fit what a detector's scores mean: P(object | score) of each class, from annotated frames.

How much it gains, and on how few frames: docs/best.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.flags import SettingsFlags, add_flags, add_split
from pipeline.stages import Pipeline
from utils.class_names import named_after, own_names
from utils.cli import Parser, counted, frame_size, note, run, say
from utils.detections import Detections
from utils.files import FormatError, check_writable
from utils.formats.base import Classes, Options
from utils.formats.registry import FORMATS
from utils.inputs import Choice, Inputs, read_inputs
from utils.score_curves import Curve, Observations, ScoreCurves, cross_validated, fit, observe
from utils.tables import format_table


def parse_args(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the parsed command line."""
    parser = Parser(description=__doc__)
    add = parser.add_argument
    add("--detections", type=Path, nargs="+", required=True, help="masks with scores, any format")
    add("--ground-truth", type=Path, required=True, help="true masks of some or all of the frames")
    add("--output", type=Path, required=True, help="the curves, a .json file")
    add_flags(parser, "dataset", "class-names")
    add("--format", choices=FORMATS, help="take the detections to be of this format")
    add_split(parser, "all")
    add("--size", type=frame_size, help="HxW of the frames, for formats that do not say it")
    add("--plot", type=Path, metavar="PNG", help="draw the reliability diagram")
    args = parser.parse_args(arguments)
    for path, suffix in ((args.output, ".json"), (args.plot, ".png")):
        if path is not None and path.suffix != suffix:
            parser.error(f"the file must end in {suffix}, got {path}")
    return args


def observed(inputs: Inputs, pipeline: Pipeline) -> dict[str, list[tuple[str, Observations]]]:
    """Return {class name: [(sequence, Observations)]} of the sequences that are annotated.

    Raises:
        ValueError: detections without scores.
    """
    dataset = pipeline.settings.data_set
    by_class: dict[str, list[tuple[str, Observations]]] = {}
    for detections in inputs.sequences:
        truth = inputs.truth.get(detections.sequence)
        if truth is None or not len(truth):
            continue
        if not detections.scored:
            raise FormatError(detections.sequence, None, "detections must have scores", "none")
        keep, _ = pipeline.mark(detections)
        for cls, seen in observe(detections, truth, keep, dataset.ignore).items():
            by_class.setdefault(dataset.name_of(cls), []).append((detections.sequence, seen))
    return by_class


def report_class(name: str, sequences: Sequence[Observations]) -> tuple[Curve, dict[str, Any]]:
    """Fit one class and print its curve; return the curve and facts of it."""
    curve = fit(sequences)
    rows = {
        f"{score:.3f}": {"P": f"{p:.3f}", "detections": int(n), "objects": int(hits)}
        for score, p, n, hits in zip(
            curve.scores, curve.probabilities, curve.counts, curve.hits, strict=True
        )
        if n
    }
    print(format_table(f"{name}: score", ["P", "detections", "objects"], rows))
    facts: dict[str, Any] = {
        "detections": int(curve.counts.sum()), "objects": int(curve.hits.sum())
    }  # fmt: skip
    errors = cross_validated(sequences)
    if errors is not None:
        fitted, plain = errors
        facts |= {"brier": round(fitted, 5), "brier_of_scores": round(plain, 5)}
        better = "below" if fitted < plain else "not below"
        say(
            f"{name}: Brier score {fitted:.4f} with each sequence left out of its own fit, "
            f"{better} the {plain:.4f} of the scores themselves"
        )
    else:
        say(f"{name}: one sequence, so that the error on others cannot be estimated")
    return curve, facts


def fitted(args: argparse.Namespace) -> ScoreCurves:
    """Do what the command line asks for; return the curves.

    Raises:
        ValueError: bad input; nothing is written then.
    """
    check_writable(args.output.parent)
    for path in (*args.detections, args.ground_truth):
        if path.resolve() == args.output.resolve():
            raise ValueError(f"--output must not be one of the inputs, got {args.output}")
    flags = SettingsFlags.of(args, tracker="best", trusted="no")
    dataset = flags.data_set()
    options = Options(args.size, classes=Classes(own_names(dataset)))
    choice = Choice(args.sequences, args.split, dataset)
    inputs = read_inputs(args.detections, args.ground_truth, choice, options, args.format)
    settings = flags.settings(named_after(dataset, [*inputs.sequences, *inputs.truth.values()]))
    for text in inputs.notes:
        note(text)
    by_class = observed(inputs, Pipeline(settings))
    if not by_class:
        rule = "must annotate frames with detections"
        raise FormatError(args.ground_truth, None, rule, "no detection in them")
    frames = {d.sequence: _frames(inputs.truth.get(d.sequence)) for d in inputs.sequences}
    frames = {name: count for name, count in frames.items() if count}
    say(f"{sum(frames.values())} annotated frames of {counted(len(frames), 'sequence')}")
    curves, facts = {}, {}
    for name, parts in by_class.items():
        curves[name], facts[name] = report_class(name, [seen for _, seen in parts])
    result = ScoreCurves(curves, {"annotated_frames": frames, "fit": facts})
    if args.plot is not None:
        plot(args.plot, curves)
    result.write(args.output)
    say(f"{args.output}: curves of {', '.join(curves)} (test_mots.py --scores {args.output})")
    return result


def _frames(truth: Detections | None) -> int:
    return 0 if truth is None else len(np.unique(truth.frames))


def plot(path: Path, curves: Mapping[str, Curve]) -> None:
    """Draw the reliability diagram: what share of each score's detections are objects."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4 * len(curves), 4), layout="constrained")
    for axes, (name, curve) in zip(
        figure.subplots(1, len(curves), squeeze=False)[0], curves.items(), strict=True
    ):
        used = curve.counts > 0
        share = curve.hits[used] / curve.counts[used]
        size = 8 + 120 * curve.counts[used] / curve.counts.max()
        axes.plot([0, 1], [0, 1], color="0.7", lw=1, label="score = P")
        axes.scatter(curve.scores[used], share, size, color="#d55e00", label="observed")
        axes.plot(curve.scores, curve.probabilities, color="#0072b2", label="fitted")
        axes.set(title=name, xlabel="score", ylabel="share of objects", xlim=(0, 1), ylim=(0, 1))
        axes.legend(loc="upper left", frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)


def main() -> None:
    """Fit, print and write."""
    fitted(parse_args())


if __name__ == "__main__":
    run(main)
