"""What a run reads: detections of several folders merged by sequence, and their truth."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from utils.detections import Detections
from utils.files import FormatError, instances_folder
from utils.formats.base import Options
from utils.formats.registry import Source, find_sources, merge_sequences
from utils.truth import check_truth


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
    options: Options | None = None,
    format_name: str | None = None,
) -> Inputs:
    """Read all that a run needs.

    A sequence that has ground truth and no detections file takes part with none, so that its
    objects count as missed, unless `names`, or files named one by one, leave it out.

    Args:
        detections: files or folders of any format; several are merged by sequence.
        ground_truth: file or folder of masks with ids, or one that holds `instances_txt`.
        names: sequences to take; None takes all.
        options: what the files do not say.
        format_name: that of the detections; None tells it by content.

    Raises:
        FormatError: input that breaks a rule. ValueError: a name that no input has.
    """
    options = options or Options()
    merged: dict[str, Detections] = {}
    notes: list[str] = []
    known: set[str] = set()
    truths = _Truth(ground_truth, options)
    for path in detections:
        for source in find_sources(path, format_name):
            known |= {source.sequence} if source.sequence else set()
            if names and source.sequence is not None and source.sequence not in names:
                continue
            for detections_read in source.read(options):
                name = detections_read.sequence
                known.add(name)
                if names and name not in names:
                    continue
                if (
                    name in merged
                    and merged[name].scored != detections_read.scored
                    and len(detections_read)
                ):
                    notes.append(f"{name}: scores in some of its files only: the others count as 1")
                merged[name] = (
                    merge_sequences(merged[name], detections_read)
                    if name in merged
                    else detections_read
                )
    for name in names or ():
        if name not in merged and name not in truths:
            shown = ", ".join(sorted(known))
            raise ValueError(f"--sequences must name sequences of the input ({shown}), got {name}")
    truth = {
        name: truths.of(name, detections_read)
        for name, detections_read in merged.items()
        if ground_truth
    }
    folders = any(path.is_dir() for path in detections)
    for name in truths if folders or names else ():
        if name in merged or (names and name not in names):
            continue
        truth[name] = truths.read(name)
        objects = len(truth[name])
        merged[name] = Detections.empty(name, *truth[name].size)
        notes.append(
            f"{name}: ground truth and no detections: {objects} masks count as missed "
            "(--sequences leaves it out)"
        )
    notes += [note for name in sorted(merged) for note in merged[name].notes]
    return Inputs([merged[name] for name in sorted(merged)], truth, notes)


class _Truth:
    """The ground truth of sequences by name, read when it is asked for.

    Args:
        path: file or folder, None where there is none. options: what the files do not say.
    """

    def __init__(self, path: Path | None, options: Options) -> None:
        self._options = replace(options, ids=True)
        self._sources: dict[str, Source] = {}
        self._read: dict[str, Detections] = {}
        self._path = path
        if path is None:
            return
        self._path = path if path.is_file() else instances_folder(path)
        for source in find_sources(self._path):
            if source.sequence is not None:
                self._sources[source.sequence] = source
                continue
            for truth in source.read(self._options):
                self._sources[truth.sequence], self._read[truth.sequence] = source, truth

    def __iter__(self) -> Iterator[str]:
        return iter(self._sources)

    def read(self, name: str) -> Detections:
        """Return the truth of a sequence.

        Raises:
            FormatError: there is none, or it breaks a rule.
        """
        if name not in self._sources:
            assert self._path is not None
            raise FormatError(
                self._path, None, f"must hold sequence {name}", ", ".join(self._sources)
            )
        if name not in self._read:
            self._read[name] = self._sources[name].read(self._options)[0]
        return self._read[name]

    def of(self, name: str, detections: Detections) -> Detections:
        """Return the truth of a sequence, checked against its detections."""
        truth = self.read(name)
        check_truth(truth, detections, self._sources[name].path)
        return truth
