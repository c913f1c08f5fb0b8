"""What the experiments read: the files of a run's data set, or what is missing."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from pipeline.stages import reader_of
from reproduction.runs import Run, weights_path
from utils.data_sets import DataSet
from utils.detections import Detections
from utils.files import atomic_path, find_sequences
from utils.formats.reading import read_detections
from utils.frames import FrameFolder
from utils.layouts import find_layout

QUICK_FRAMES, QUICK_SEQUENCES = 40, 3
PAPER_SPLIT = "val"  # section 4.2: the 9 validation sequences of KITTI, all four of MOTSChallenge
Source = tuple[str, Path | None, Path]


class Missing(ValueError):
    """A run cannot be made: the message says what is missing and how to get it."""


class Sources:
    """Finds the files of runs.

    Args:
        data: folder that holds the data sets' own.
        output: folder; `cache/` in it keeps what is made on the way.
        quick: only the first frames of a few sequences, to see that everything runs.
        sequences: names to keep; None keeps all.
        detections: name of the folder of detections in a real data set; None takes the one that
            is called `detections*`.
        split: official split of the real data sets; None takes the paper's, PAPER_SPLIT.
    """

    def __init__(
        self,
        data: Path,
        output: Path,
        quick: bool = False,
        sequences: Sequence[str] | None = None,
        detections: str | None = None,
        split: str | None = None,
    ) -> None:
        self.data, self.cache = Path(data), Path(output) / "cache"
        self.quick, self.names, self.detections = quick, sequences, detections
        self.split = split or PAPER_SPLIT
        # (data set, source) -> sequences without detections: their objects count as missed
        self.undetected: dict[tuple[str, str], list[str]] = {}
        self._files: dict[tuple[str, str, bool], list[Source]] = {}
        self.notes: dict[str, None] = {}  # what splits leave out or lack, each once

    def inputs(self, run: Run) -> list[Source]:
        """Return [(sequence, detections file or None, ground-truth file)] of a run.

        Raises:
            Missing: a folder or weights are not there.
        """
        key = run.dataset, run.source, run.images
        if key not in self._files:
            self._files[key] = self._find(run)
        for name in run.weights:
            if not weights_path(name).is_file():
                raise Missing(f"weights pretrained/{name} missing: make them with train_dhae.py")
        return self._files[key]

    def possible(self, run: Run) -> bool:
        """Return whether all that a run needs is there."""
        try:
            self.inputs(run)
        except Missing:
            return False
        return True

    def _detections(self, folder: Path, dataset: DataSet, real: bool) -> Path:
        """Return the one folder of detections that is there, or is named."""
        pattern = self.detections if real and self.detections else dataset.detections
        folders = sorted(path for path in folder.glob(pattern) if path.is_dir())
        if not folders:
            raise Missing(f"{folder / pattern} missing: {dataset.source}")
        if len(folders) > 1:
            choice = ", ".join(path.name for path in folders)
            raise Missing(f"{folder}: --detections must name one of {choice}")
        return folders[0]

    def _chosen(
        self, dataset: DataSet, files: Mapping[str, Path], truths: Mapping[str, Path]
    ) -> list[str]:
        """Return the sequences that are asked for, else the split's; or the largest few."""
        every = {*files, *truths}
        names = sorted(every & set(self.names) if self.names else every)
        if not self.names and dataset.splits:
            try:
                names = dataset.of_split(self.split, names)
            except ValueError as error:
                raise Missing(str(error)) from None
            if said := dataset.split_note(self.split, sorted(every), names):
                self.notes.setdefault(f"{dataset.title}: {said}")
        if self.quick:
            sized = sorted(set(names) & set(files), key=lambda n: -files[n].stat().st_size)
            names = sized[:QUICK_SEQUENCES]
        return names

    def _find(self, run: Run) -> list[Source]:
        """List the files of a run's data set, cut to the first frames where all is quick."""
        dataset, real = run.data_set, run.data_set.box_truth is None
        layout = find_layout(self.data, dataset)
        folder = self.data / dataset.folder
        if layout is None:
            raise Missing(f"{folder / dataset.truth} missing: {dataset.source}")
        if run.images and layout.images is None:
            raise Missing(f"{folder / dataset.images} missing: the frames of {dataset.source}")
        truth, source = layout.folder, layout.folder
        files = truths = layout.truth
        if not real or run.source == "detections":
            source = self._detections(truth.parent, dataset, real)
            files = find_sequences(source)
        names = self._chosen(dataset, files, truths)
        if not names:
            raise Missing(f"{source} holds none of the sequences: {dataset.source}")
        for name in names:
            if name not in truths:
                raise Missing(f"{truth / name}.txt missing: the ground truth of {source}")
            boxes = folder / (dataset.box_truth or "").format(sequence=name)
            if dataset.box_truth and not boxes.is_file():
                raise Missing(f"{boxes} missing: {dataset.source}")
        if run.images:
            self._check_frames(run, {n: files[n] for n in names if n in files})
        self.undetected[run.dataset, run.source] = sorted(set(names) - set(files))
        found_files = [(name, files.get(name), truths[name]) for name in names]
        if not self.quick or not real:
            return found_files
        return [(name, file and self._cut(file), self._cut(t)) for name, file, t in found_files]

    def _check_frames(self, run: Run, files: dict[str, Path]) -> None:
        """Refuse a run by appearance whose frames are not all there."""
        for name, file in files.items():
            detections = read_detections(file, name)
            images = self.images(run, detections)
            missing = images.missing(np.unique(detections.frames).tolist()) if images else []
            if images and missing:
                what = f"{len(missing)} frames of {images.folder} missing"
                raise Missing(f"{what}: the frames of {run.data_set.source}")

    def _cut(self, file: Path) -> Path:
        """Return a copy of a file with its first frames only."""
        read_detections(file)  # refuses bad lines by their number
        lines = file.read_text().splitlines(keepends=True)
        first = min((int(line.split()[0]) for line in lines if line.strip()), default=0)
        kept = [s for s in lines if s.strip() and int(s.split()[0]) < first + QUICK_FRAMES]
        text = "".join(kept)
        folder = hashlib.sha256(str(file.parent.resolve()).encode()).hexdigest()[:12]
        path = self.cache / "quick" / folder / file.parent.name / file.name
        if not path.is_file() or path.read_text() != text:
            with atomic_path(path) as temporary:
                temporary.write_text(text)
        return path

    def images(self, run: Run, detections: Detections) -> FrameFolder | None:
        """Return the reader of a sequence's frames, None where there are none."""
        layout = find_layout(self.data, run.data_set)
        return reader_of(layout.images if layout else None, detections)


def read_sequence(name: str, file: Path | None, truth: Path) -> Detections:
    """Return a sequence's detections; none where it has no file."""
    if file is None:
        return Detections.empty(name, *read_detections(truth, name).size)
    return read_detections(file, name)
