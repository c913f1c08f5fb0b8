"""Fetch the data sets from their own addresses, or say what is there and what is missing."""

from __future__ import annotations

import argparse
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from utils.cli import Parser, note, run, say
from utils.data_sets import DATA_SETS, DataSet
from utils.data_sets.archives import ANNOTATIONS, ARCHIVES, DETECTIONS, FRAMES, Archive
from utils.download import check_digits, fetch
from utils.files import FormatError
from utils.frames import find_pictures
from utils.layouts import find_layout

NAMES = tuple(dict.fromkeys(archive.dataset for archive in ARCHIVES))
# Folders that archives hold at their top; any other single one is left out when unpacking.
TOPS = ("train", "test", "training", "testing", "instances", "instances_txt", "images")


def parse_args(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the parsed command line."""
    parser = Parser(description=__doc__)
    add = parser.add_argument
    add("datasets", nargs="*", metavar="DATASET", help=", ".join(NAMES))
    add("--output", type=Path, default=Path("data"), help="folder for the data sets")
    add("--frames", action="store_true", help="the frames, too (KITTI's: about 15 GB)")
    add("--detections", action="store_true", help="public detections, too")
    add("--check", type=Path, metavar="DIR", help="say what a folder holds, fetch nothing")
    args = parser.parse_args(arguments)
    for name in args.datasets:
        if name not in NAMES:
            parser.error(f"data sets are {', '.join(NAMES)}, got {name}")
    if not args.datasets and not args.check:
        parser.error(f"name a data set ({', '.join(NAMES)}), or --check DIR")
    return args


def wanted(args: argparse.Namespace) -> list[Archive]:
    """Return the archives that the command line asks for."""
    kinds = {ANNOTATIONS} | ({FRAMES} if args.frames else set())
    kinds |= {DETECTIONS} if args.detections else set()
    return [a for a in ARCHIVES if a.dataset in args.datasets and a.kind in kinds]


def get(archive: Archive, output: Path) -> None:
    """Fetch one archive and unpack it; what is there already is not fetched again.

    Raises:
        ValueError: it cannot be had, or is damaged.
    """
    folder = output / archive.dataset
    path = output / "downloads" / archive.name
    if archive.url is None:
        note(
            f"{archive.dataset}: {archive.kind} have no address of their own: see {archive.page}, "
            f"unpack them below {folder}"
        )
        return
    mark = output / "downloads" / f"{archive.name}.unpacked"
    if mark.is_file():
        say(f"{archive.name}: unpacked before ({mark} says so)")
        return
    if not path.is_file():
        fetch(archive.url, path, archive.sha256, archive.size)
    elif archive.sha256:
        check_digits(path, archive.sha256)
    if zipfile.is_zipfile(path) and path.suffix == ".zip":
        count = unpack(path, folder)
        say(f"{folder}: {count} files of {archive.name}")
        mark.touch()
    else:
        if path.suffix == ".zip":
            rule = "must be a zip archive (remove the file to fetch it again)"
            raise FormatError(path, None, rule, "another file")
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder / archive.name)
        say(f"{folder / archive.name}")


def unpack(path: Path, folder: Path) -> int:
    """Unpack an archive into a folder, all of it or nothing; return how many files.

    Raises:
        FormatError: it is damaged, or a name in it leads elsewhere.
    """
    with zipfile.ZipFile(path) as archive:
        names = [info.filename for info in archive.infolist() if not info.is_dir()]
        parts = {name: PurePosixPath(name).parts for name in names}
        for name, split in parts.items():
            if ".." in split or PurePosixPath(name).is_absolute() or "\\" in name:
                raise FormatError(path, None, "names must stay in the archive's folder", name)
        tops = {split[0] for split in parts.values()}
        skip = 1 if len(tops) == 1 and not tops & set(TOPS) else 0
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".unpacking") as staged:
            try:
                for name, split in parts.items():
                    target = Path(staged).joinpath(*(split[skip:] or split))
                    target.parent.mkdir(parents=True, exist_ok=True)
                    with archive.open(name) as source, target.open("wb") as file:
                        shutil.copyfileobj(source, file)
            except (zipfile.BadZipFile, zlib.error, OSError, EOFError) as error:
                raise FormatError(path, None, "must be a whole archive", error) from None
            move_all(Path(staged), folder)
    return len(names)


def move_all(source: Path, target: Path) -> None:
    """Move the files of a folder into another, which may have some of them."""
    for path in sorted(p for p in source.rglob("*") if p.is_file()):
        to = target / path.relative_to(source)
        to.parent.mkdir(parents=True, exist_ok=True)
        path.replace(to)


def report(folder: Path, dataset: DataSet) -> list[str]:
    """Return lines that say what of a data set is in a folder, and what is missing."""
    layout = find_layout(folder, dataset)
    if layout is None:
        return [f"{dataset.title}: no annotations below {folder}"]
    lines, there = [], {dataset.canonical(name): name for name in layout.truth}
    lines.append(f"{dataset.title}: annotations of {len(there)} sequences in {layout.folder}")
    for split in ("train", "val"):
        missing = [n for n in dataset.splits[split] if n not in there]
        count = len(dataset.splits[split])
        state = "complete" if not missing else f"missing {', '.join(missing)}"
        lines.append(f"  split {split}: {count - len(missing)} of {count} sequences, {state}")
    with_frames = [
        name for name in there.values() if layout.images and find_pictures(layout.images, name)[0]
    ]
    lines.append(f"  frames: of {len(with_frames)} of {len(there)} sequences")
    found = layout.detections or "none, or several folders"
    lines.append(f"  detections: {found}")
    return lines


def main() -> None:
    """Do what the command line asks for."""
    args = parse_args()
    if args.check:
        if not args.check.is_dir():
            raise ValueError(f"--check must be a folder, got {args.check}")
        for dataset in DATA_SETS.values():
            if dataset.splits:
                for line in report(args.check, dataset):
                    say(line)
        return
    archives = wanted(args)
    for archive in archives:
        say(f"{archive.dataset}, {archive.kind}: {archive.licence}; {archive.page}")
        if archive.url and not archive.tried:
            note(f"{archive.url}: this address was not tried when the table was written")
    for archive in archives:
        get(archive, args.output)


if __name__ == "__main__":
    run(main)
