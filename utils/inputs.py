"""What a run reads: detections, sequences of several files merged if asked, and their truth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from utils.data_sets import ALL, DataSet
from utils.detections import Detections
from utils.files import FormatError, instances_folder
from utils.formats.base import File, Options
from utils.formats.merging import merge_sequences
from utils.formats.reading import read_each
from utils.truth import check_truth, on_frames_of
from utils.video_names import informative, repeated, video_names


@dataclass(frozen=True)
class Choice:
    """Which sequences of the input are taken.

    Attributes:
        names: these, all of which must be there; None: any.
        split: those of a split of the data set; None: any. dataset: whose splits.
    """

    names: Sequence[str] | None = None
    split: str | None = None
    dataset: DataSet | None = None

    def wants(self, name: str) -> bool:
        """Return whether a sequence is taken."""
        if self.names:
            return name in self.names
        if self.split in (None, ALL) or self.dataset is None:
            return True
        return self.dataset.canonical(name) in self.dataset.splits.get(self.split or "", ())

    def check(self, known: Sequence[str]) -> list[str]:
        """Return notes of what the choice leaves out of the sequences that are there.

        Raises:
            ValueError: a name that is not among them, or a split that has none of them.
        """
        for name in self.names or ():
            if name not in known:
                shown = ", ".join(known)
                rule = f"--sequences must name sequences of the input ({shown})"
                raise ValueError(f"{rule}, got {name}")
        if self.names or self.split is None or self.dataset is None:
            return []
        chosen = self.dataset.of_split(self.split, known)
        note = self.dataset.split_note(self.split, known, chosen)
        return [note] if note else []


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
    choice: Choice | None = None,
    options: Options | None = None,
    format_name: str | None = None,
) -> Inputs:
    """Read all that a run needs.

    A sequence with ground truth alone takes part without detections, so that its objects count as
    missed, unless `choice`, or files named one by one, leave it out.

    Args:
        detections: files or folders of any format. What several of them hold of one sequence is
            merged; within one of them each name is another sequence.
        ground_truth: file or folder of masks with ids, or one that holds `instances_txt`.
        choice: which sequences to take; None takes all.
        options: what the files do not say.
        format_name: that of the detections; None tells it by content.

    Raises:
        FormatError: input that breaks a rule. ValueError: a name that no input has.
    """
    options, choice = options or Options(), choice or Choice()
    every = bool(choice.names) or any(path.is_dir() for path in detections)
    notes: list[str] = []
    known: set[str] = set()
    wanted = _noting(choice, known)
    merged = _merged(detections, options, format_name, wanted, notes)
    truths: dict[str, tuple[Path, Detections]] = {}
    if ground_truth is not None:
        needed = wanted if every else lambda name: wanted(name) and name in merged
        truths = _read_truth(ground_truth, options, needed)
        if not truths and len(merged) == 1:
            truths = _read_truth(ground_truth, options, wanted)
        _pair_single(merged, truths, notes)
    notes += choice.check(sorted(known))
    if ground_truth is not None:
        _paired(merged, truths, ground_truth, every, notes)
    notes += [note for name in sorted(merged) for note in merged[name].notes]
    truth = {name: truths[name][1] for name in merged if name in truths}
    return Inputs([merged[name] for name in sorted(merged)], truth, notes)


def _paired(
    merged: dict[str, Detections],
    truths: dict[str, tuple[Path, Detections]],
    ground_truth: Path,
    every: bool,
    notes: list[str],
) -> None:
    """Give each truth without detections an empty sequence; check that the others fit.

    Raises:
        FormatError: a sequence without truth, or a truth that does not fit.
    """
    for name in merged:
        if name not in truths:
            rule = f"must hold sequence {name}"
            raise FormatError(ground_truth, None, rule, ", ".join(truths) or "none that is taken")
    for name, (path, truth) in sorted(truths.items()):
        if name not in merged and not every:
            continue
        if name not in merged:
            merged[name] = Detections.empty(name, *truth.size)
            notes.append(
                f"{name}: ground truth and no detections: {len(truth)} masks count as missed "
                "(--sequences leaves it out)"
            )
        truth, said = on_frames_of(merged[name], truth, path)
        truths[name] = path, truth
        notes += [f"{name}: {said}"] if said else []
        check_truth(truth, merged[name], path)


def _noting(choice: Choice, known: set[str]) -> Callable[[str], bool]:
    """Return `choice.wants`, which notes every name that it is asked for."""

    def wanted(name: str) -> bool:
        known.add(name)
        return choice.wants(name)

    return wanted


def _merged(
    paths: Sequence[Path],
    options: Options,
    format_name: str | None,
    wanted: Callable[[str], bool],
    notes: list[str],
) -> dict[str, Detections]:
    """Return {name: Detections} of all paths, those of one name merged; note what was merged."""
    merged: dict[str, Detections] = {}
    origin: dict[str, list[Path]] = {}
    titles = _titles(paths)
    for path in paths:
        title = titles.get(path)
        found = [d for _, d in read_each(path, options, format_name, None if title else wanted)]
        if title and len(found) == 1 and found[0].sequence == File(path).stem:
            found = [replace(found[0], sequence=title)]
        for part in found:
            name = part.sequence
            if title and not wanted(name):
                continue
            origin.setdefault(name, []).append(path)
            if name not in merged:
                merged[name] = part
                continue
            if merged[name].scored != part.scored and len(part):
                notes.append(f"{name}: scores in some of its files only: the others count as 1")
            merged[name] = merge_sequences(merged[name], part)
    for name, parts in origin.items():
        if len(parts) > 1:
            listed = ", ".join(map(str, parts))
            notes.append(f"{name}: merged from {len(parts)} inputs ({listed})")
    return merged


def _titles(paths: Sequence[Path]) -> dict[Path, str]:
    """Return {file: name} of files that are named alike, by names that tell no video: `gt.txt`.

    It is the name of the file's one sequence, unless the file itself names what it holds.
    """
    files = [path for path in paths if path.is_file()]
    stems = [path.name.removesuffix(".gz").rpartition(".")[0] for path in files]
    alike = [
        path
        for path, stem in zip(files, stems, strict=True)
        if stem in repeated(stems) and informative((".", stem)) == (".",)
    ]
    parts = [(*path.resolve().parts[1:-1], path.name.partition(".")[0]) for path in alike]
    return dict(zip(alike, video_names(parts), strict=True))


def _read_truth(
    path: Path, options: Options, wanted: Callable[[str], bool]
) -> dict[str, tuple[Path, Detections]]:
    """Return {name: (its file, Detections)} of a ground truth."""
    place = path if path.is_file() else instances_folder(path)
    truths = read_each(place, replace(options, ids=True), None, wanted)
    return {truth.sequence: (file, truth) for file, truth in truths}


def _pair_single(
    merged: dict[str, Detections], truths: dict[str, tuple[Path, Detections]], notes: list[str]
) -> None:
    """Let one sequence and one truth belong together whatever they are called; note it."""
    if len(merged) != 1 or len(truths) != 1 or set(merged) == set(truths):
        return
    (name,), (other,) = merged, truths
    path, truth = truths.pop(other)
    truths[name] = path, replace(truth, sequence=name)
    notes.append(f"{name}: scored against the one sequence of the ground truth, {other}")
