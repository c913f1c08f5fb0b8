"""What a run reads: detections of several folders merged by sequence, and their truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from utils import evaluation
from utils.detections import Detections
from utils.files import find_sequences, instances_folder
from utils.formats.registry import merge_sequences, read_detections


@dataclass(frozen=True)
class Inputs:
    """Sequences by name, ascending, all read and checked.

    Attributes:
        sequences: [Detections]; one without a detections file is empty.
        truth: {sequence: Detections} of the ground truth.
        notes: what was left out or taken for granted, for the user.
    """

    sequences: list[Detections]
    truth: dict[str, Detections]
    notes: list[str] = field(default_factory=list)


def read_inputs(
    detections: Sequence[Path],
    ground_truth: Path | None = None,
    names: Sequence[str] | None = None,
) -> Inputs:
    """Read all that a run needs.

    A sequence that has ground truth and no detections file takes part with none, so that its
    objects count as missed, unless `names`, or files named one by one, leave it out.

    Args:
        detections: files or folders; several are merged by sequence.
        ground_truth: folder of MOTS txt, or one that holds `instances_txt`.
        names: sequences to take; None takes all.

    Raises:
        FormatError: input that breaks a rule. ValueError: a name that no input has.
    """
    merged: dict[str, Detections] = {}
    notes: list[str] = []
    truth_files = find_sequences(instances_folder(ground_truth)) if ground_truth else {}
    for path in detections:
        for name, file in find_sequences(path).items():
            if names and name not in names:
                continue
            found = read_detections(file, name)
            if name in merged and merged[name].scored != found.scored and len(found):
                notes.append(f"{name}: scores in some of its files only: the others count as 1")
            merged[name] = merge_sequences(merged[name], found) if name in merged else found
    for name in names or ():
        if name not in merged and name not in truth_files:
            known = ", ".join(sorted({n for p in detections for n in find_sequences(p)}))
            raise ValueError(f"--sequences must name sequences of the input ({known}), got {name}")
    truth = _read_truth(merged, truth_files, ground_truth)
    folders = any(path.is_dir() for path in detections)
    for name, file in truth_files.items() if folders or names else ():
        if name in merged or (names and name not in names):
            continue
        truth[name] = read_detections(file, name)
        objects = len(truth[name])
        merged[name] = Detections.empty(name, *truth[name].size)
        notes.append(
            f"{name}: ground truth and no detections: {objects} masks count as missed "
            "(--sequences leaves it out)"
        )
    notes += [note for name in sorted(merged) for note in merged[name].notes]
    return Inputs([merged[name] for name in sorted(merged)], truth, notes)


def _read_truth(
    merged: dict[str, Detections], files: dict[str, Path], ground_truth: Path | None
) -> dict[str, Detections]:
    """Return the checked ground truth of the sequences that have detections."""
    truth: dict[str, Detections] = {}
    if ground_truth is None:
        return truth
    find_sequences(instances_folder(ground_truth), merged)
    for name, found in merged.items():
        truth[name] = read_detections(files[name], name)
        evaluation.check_truth(truth[name], found, files[name])
    return truth
