"""A run's folder: held by one run at a time, and filled all at once."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Any

from utils.cli import note
from utils.files import atomic_path, check_writable
from utils.formats.writing import WRITERS

SUMMARY = "summary.json"
REPORT = "report.html"
LOCK = ".running"
STAGED = ".new."
JOURNAL = ".installing"  # lists what of a staged folder is to be put in place
PICTURES = "pictures"
DETECTIONS = "detections"  # what segment.py writes
SUBMISSION = "submission"  # the archive for a server
FOLDERS = (PICTURES, DETECTIONS, SUBMISSION, *(writer.folder for writer in WRITERS.values()))
FRAMES_END = "_frames.mp4"  # of a sequence's frames for the page
PICTURE_ENDS = (".mp4", ".png", "_tsne.png", FRAMES_END)


class OutputFolder:
    """The folder that a run writes into.

    As a context it is locked: a second run at once is refused. What is to be written goes to
    `staged` first; `install` puts all of it in its place, or, if anything fails before, nothing: an
    earlier run's results are then as they were. If `install` itself is interrupted, the next run
    finishes it first.

    Args:
        path: of the folder, which need not exist.
        inputs: files and folders that are read, which must not be written over.

    Raises:
        ValueError: it cannot be written, holds what is not ours, or the inputs are in it.
    """

    def __init__(self, path: Path, inputs: Sequence[Path] = ()) -> None:
        self.path = path
        check_writable(path)
        for name in inputs:
            given = name.resolve()
            for folder in FOLDERS:
                target = (path / folder).resolve()
                at_home = target.exists() and given in (path.resolve(), path.resolve() / given.name)
                if target == given or target in given.parents or at_home:
                    raise ValueError(
                        f"--output must not be where the detections are, or the video, got {path}"
                    )
        foreign = [
            f for folder in FOLDERS if (path / folder).is_dir() for f in _files(path / folder)
        ]
        foreign += [path / SUMMARY] if (path / SUMMARY).exists() else []
        unfinished = (path / JOURNAL).exists()  # the next run puts it in order, see __enter__
        if foreign and not unfinished and earlier_files(path) is None:
            rule = "must be a new folder, or one with the results of an earlier run"
            got = foreign[0] if foreign[0].name != SUMMARY else "another"
            raise ValueError(f"{path}: {rule}, got {got} and no {SUMMARY} of one")
        self._lock: int | None = None
        self._made: list[Path] = []
        self._staged: Path | None = None

    def __enter__(self) -> OutputFolder:
        missing = [p for p in (self.path, *self.path.parents) if not p.exists()]
        self.path.mkdir(parents=True, exist_ok=True)
        self._made = missing
        self._lock = os.open(self.path / LOCK, os.O_CREAT | os.O_RDWR, 0o644)
        if not _locked(self._lock):
            with open(self._lock) as file:
                holder = file.read().strip() or "unknown"
            self._lock = None
            rule = "must not be in use by another run"
            raise ValueError(f"{self.path}: {rule}, got one of process {holder}")
        if finish_install(self.path):
            note(f"{self.path}: the results of an earlier run, which was stopped, are put in place")
        for left in self.path.glob(f"{STAGED}*"):  # of a run that was killed
            shutil.rmtree(left, ignore_errors=True)
        for left in self.path.glob(f".{JOURNAL}.*"):
            left.unlink(missing_ok=True)
        os.truncate(self._lock, 0)
        os.write(self._lock, str(os.getpid()).encode())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._staged is not None and not (self.path / JOURNAL).exists():
            shutil.rmtree(self._staged, ignore_errors=True)
        if self._lock is not None:
            (self.path / LOCK).unlink(missing_ok=True)
            os.close(self._lock)
        for folder in self._made:  # what was made for nothing goes, the innermost first
            with contextlib.suppress(OSError):
                folder.rmdir()

    @property
    def staged(self) -> Path:
        """Return the folder to write into."""
        if self._staged is None:
            self._staged = Path(tempfile.mkdtemp(dir=self.path, prefix=STAGED))
            self._staged.chmod(0o755)
        return self._staged

    def install(self, summary: dict[str, Any]) -> None:
        """Put what is staged, and the summary, in place; remove what an earlier run left.

        Args:
            summary: gets the list `files` of what is there now, and a note of what is replaced.
        """
        new = [p.relative_to(self.staged).as_posix() for p in self._entries()]
        old = earlier_files(self.path)
        summary["files"] = sorted(new)
        for name in new:
            if old is None and (self.path / name).exists():
                rule = "must not hold files of another origin"
                raise ValueError(f"{self.path}: {rule}, got {name}")
        stale = [name for name in old or () if name not in new]
        if old and not _stopped(self.path):
            text = f"{self.path}: the results of an earlier run are replaced"
            text += f", {len(stale)} of its files removed ({stale[0]})" if stale else ""
            summary["notes"].append(text)
        text = json.dumps(summary, indent=2, allow_nan=False) + "\n"
        (self.staged / SUMMARY).write_text(text)
        journal = {"staged": self.staged.name, "new": [*new, SUMMARY], "stale": stale}
        with atomic_path(self.path / JOURNAL) as temporary:
            temporary.write_text(json.dumps(journal))
        # From here on the new results count: whatever interrupts this, the next run finishes it.
        finish_install(self.path)

    def _entries(self) -> list[Path]:
        """Return what is staged: files, and the folders of formats with a file a frame."""
        entries: list[Path] = []
        folders = {writer.folder for writer in WRITERS.values() if not writer.suffix}
        for path in sorted(self.staged.iterdir()):
            if path.is_dir():
                entries += [
                    p for p in sorted(path.iterdir()) if p.is_file() or path.name in folders
                ]
            else:
                entries.append(path)
        return entries


def finish_install(path: Path) -> bool:
    """Put in place what the journal of a folder lists, if there is one; return whether there was.

    Each step may be done twice, so that it does not matter where it was interrupted before.
    """
    try:
        journal = json.loads((path / JOURNAL).read_text())
        staged, new, stale = path / journal["staged"], journal["new"], journal["stale"]
    except (OSError, ValueError, TypeError, KeyError):
        return False
    known = [n for n in (*new, *stale) if n == SUMMARY or _ours(PurePosixPath(n))]
    if len(known) == len(new) + len(stale) and staged.name.startswith(STAGED):
        for name in stale:
            _remove(path / name)
        for name in new:
            if (staged / name).exists():
                if (path / name).is_dir():
                    _remove(path / name)  # a folder cannot be replaced at once
                (path / name).parent.mkdir(parents=True, exist_ok=True)
                os.replace(staged / name, path / name)
        shutil.rmtree(staged, ignore_errors=True)
    (path / JOURNAL).unlink()
    for folder in FOLDERS:
        with contextlib.suppress(OSError):
            (path / folder).rmdir()
    return True


def _locked(handle: int) -> bool:
    """Lock a file until it is closed or the process ends; return whether that could be done."""
    try:
        import fcntl
    except ImportError:  # Windows: runs are not kept apart there
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _files(folder: Path) -> list[Path]:
    """Return the results in a folder: texts and the like of any run."""
    suffixes = {writer.suffix for writer in WRITERS.values()} - {""}
    return sorted(p for p in folder.iterdir() if p.is_file() and p.suffix in suffixes)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def earlier_files(output: Path) -> list[str] | None:
    """Return the files that an earlier run left in a folder, None where there was none.

    Runs before summaries named their files wrote one text per sequence, which they did not name;
    later ones did not name their pictures.
    """
    try:
        summary = json.loads((output / SUMMARY).read_text())
        # Those of segment.py have neither data set nor rules.
        known = {"counts", "notes"} <= summary.keys()
        known &= "files" in summary or {"dataset", "rules"} <= summary.keys()
        files = summary.get("files", [f"data/{f.name}" for f in (output / "data").glob("*.txt")])
        names = [str(name) for name in files if _ours(PurePosixPath(name))]
    except (OSError, ValueError, TypeError, AttributeError):
        return None
    if not known:
        return None
    stems = [PurePosixPath(n).stem for n in names if n.startswith("data/")]
    names += [f"{PICTURES}/{stem}{end}" for stem in stems for end in PICTURE_ENDS]
    return [name for name in dict.fromkeys(names) if (output / name).exists()]


def _stopped(output: Path) -> bool:
    """Return whether an earlier run was stopped, which this one may be the end of."""
    try:
        return bool(json.loads((output / SUMMARY).read_text()).get("stopped"))
    except (OSError, ValueError, AttributeError):
        return False


def _ours(name: PurePosixPath) -> bool:
    """Return whether a run writes such a path: what a summary names is not believed blindly."""
    in_folder = len(name.parts) == 2 and name.parts[0] in FOLDERS and name.parts[1] != ".."
    return in_folder or name == PurePosixPath(REPORT)
