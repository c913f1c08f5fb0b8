"""Where a data set's folder keeps truth and frames: its archives as they unpack, or ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from utils.data_sets import DataSet
from utils.detections import Detections
from utils.files import FormatError
from utils.formats.reading import read_detections, read_sequences

# Below the root, where archives have their training part: KITTI's, MOTS20's.
PARTS = ("", "training", "train")
FRAMES = ("images", "training/image_02", "image_02", "train/images")


@dataclass(frozen=True)
class Layout:
    """What a folder of a data set holds.

    Attributes:
        folder: of the ground truth. truth: {sequence: SEQ.txt, SEQ/gt/gt.txt or SEQ/ of images}.
        images: folder of SEQ/ with the frames, None where there is none.
        detections: the one folder of a detector's masks, None where there is none or several.
    """

    folder: Path
    truth: Mapping[str, Path]
    images: Path | None
    detections: Path | None


def find_layout(root: Path, dataset: DataSet) -> Layout | None:
    """Return the layout of a folder, None where it has none of those that are known.

    KITTI MOTS unpacks to `instances_txt/SEQ.txt`, `instances/SEQ/*.png` and
    `training/image_02/SEQ/*.png`; MOTS20 to `train/SEQ/gt/gt.txt` and `train/SEQ/img1/*.jpg`. The
    folder may be that of the data set, or hold it under the name that this project gives it.

    Args:
        root: folder. dataset: DataSet.
    """
    for base in (root, root / dataset.folder):
        for part in PARTS:
            folder, truth = _truth_in(base / part, dataset)
            if truth:
                frames = [base / name for name in (dataset.images, *FRAMES)]
                beside = next(iter(truth.values())).parent.parent / "img1"
                images = next(
                    (f for f in frames if f.is_dir()), folder if beside.is_dir() else None
                )
                found = sorted(p for p in base.glob(dataset.detections) if p.is_dir())
                return Layout(folder, truth, images, found[0] if len(found) == 1 else None)
    return None


def layout_of(root: Path, dataset: DataSet) -> Layout:
    """Return the layout of a folder.

    Raises:
        FormatError: it has none of those that are known.
    """
    layout = find_layout(root, dataset)
    if layout is None:
        rule = f"must hold {dataset.title}: {dataset.truth}/SEQ.txt, instances/SEQ/*.png or "
        rule += "train/SEQ/gt/gt.txt"
        inside = ", ".join(p.name for p in sorted(root.iterdir())[:5]) if root.is_dir() else ""
        raise FormatError(root, None, rule, inside or "nothing")
    return layout


def _truth_in(folder: Path, dataset: DataSet) -> tuple[Path, dict[str, Path]]:
    """Return the truth in a folder: where, and {sequence: file or folder}; none if it has none."""
    inner, pictures = folder / dataset.truth, folder / "instances"
    for place, found in (
        (inner, {p.stem: p for p in sorted(inner.glob("[!.]*.txt"))}),
        (pictures, {p.parent.name: p.parent for p in sorted(pictures.glob("[!.]*/[!.]*.png"))}),
        (folder, {p.parent.parent.name: p for p in sorted(folder.glob("[!.]*/gt/gt.txt"))}),
    ):
        if found:
            return place, found
    return folder, {}


def read_truth(
    root: Path, dataset: DataSet, names: Sequence[str] | None = None, split: str | None = None
) -> tuple[list[Detections], Path, str]:
    """Return the ground truth of a folder, the folder of its frames, and a note of the split.

    Args:
        root: see `find_layout`; or a file or folder of masks with ids in any format.
        dataset: DataSet. names: sequences to take. split: one of its splits; None takes all.

    Raises:
        ValueError: nothing there, a name that is not, or no sequence of the split.
    """
    layout = find_layout(root, dataset)
    if layout is None:
        sequences = read_sequences(root, names)
        there = [s.sequence for s in sequences]
        chosen = dataset.of_split(None if names else split, there)
        note = "" if names else dataset.split_note(split, there, chosen)
        kept = [s for s in sequences if s.sequence in chosen]
        inner = root / dataset.images
        return kept, inner if inner.is_dir() else root, note
    there = list(layout.truth)
    for name in names or ():
        if name not in layout.truth:
            raise FormatError(root, None, f"must hold sequence {name}", ", ".join(there))
    chosen = list(names) if names else dataset.of_split(split, there)
    note = "" if names else dataset.split_note(split, there, chosen)
    sequences = [read_detections(layout.truth[n], n) for n in chosen]
    return sequences, layout.images or root, note
