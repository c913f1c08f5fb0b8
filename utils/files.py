"""Files: errors that name the culprit, sequences in folders, writing whole or not at all."""

from __future__ import annotations

import gzip
import os
import shutil
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

GZIP = b"\x1f\x8b"
LARGEST, DEFAULT_LARGEST = "USC_MOTS_LARGEST", 4 << 30
MOST_PACKED = 1032  # bytes that deflate can make of one
LONGEST_NAME = 200  # bytes; file systems take 255, and results add to it
BOM = b"\xef\xbb\xbf"
LFS = b"version https://git-lfs"


class FormatError(ValueError):
    """Input that breaks a rule; the message is one line: `file:line: rule, got value`.

    Args:
        path: the file. place: line number, or what the file calls it (`annotation 12`), or None.
        rule: that is broken. value: what was got.
    """

    def __init__(self, path: Path | str, place: int | str | None, rule: str, value: object) -> None:
        where = f"{path}:{place}" if isinstance(place, int) and place else str(path)
        where += f": {place}" if isinstance(place, str) else ""
        super().__init__(printable(f"{where}: {rule}, got {value}"))


def printable(text: object) -> str:
    """Return text without what a terminal would obey, or that is no character: escaped instead."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode()
        for c in str(text)
    )


def check_name(path: Path | str, kind: str, name: str) -> str:
    """Return the name of a sequence, which becomes that of files.

    Raises:
        FormatError: it cannot be a file's name everywhere.
    """
    wrong = not name.isprintable() or name.startswith((".", "-")) or not set(name).isdisjoint("/\\")
    if wrong or not name.strip() or len(name.encode("utf-8", "replace")) > LONGEST_NAME:
        rule = f"{kind} must be a name without separators, of at most {LONGEST_NAME} bytes"
        raise FormatError(path, None, rule, repr(shown(name)))
    return name


def shown(field: bytes | object) -> str:
    """Return a field as short printable text for a message."""
    text = ascii(field.decode("latin-1")) if isinstance(field, bytes) else str(field)
    return text if len(text) <= 60 else text[:57] + "..."


def read_bytes(path: Path) -> bytes:
    """Return a file's content, unpacked if it is gzipped, without a byte-order mark.

    Raises:
        FormatError: it cannot be read, or is a Git LFS pointer in place of the file.
    """
    try:
        content = path.read_bytes()
        if content.startswith(GZIP):
            check_unpacked(path)
            content = gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or shown(error)
        raise FormatError(path, None, "must be readable", reason) from None
    return checked_start(path, content)


def largest() -> int:
    """Return how many bytes a packed file may unpack to: USC_MOTS_LARGEST, else 4 GiB."""
    return int(os.environ.get(LARGEST, DEFAULT_LARGEST))


def check_unpacked(path: Path, size: int | None = None, member: str | None = None) -> None:
    """Refuse a packed file that unpacks to more than `largest`, before it fills the memory.

    Args:
        path: gzip file, or archive. size: unpacked size of its member, which zip files name.
        member: its name.

    Raises:
        FormatError: it is too large.
    """
    limit, total = largest(), size or 0
    if size is None and path.stat().st_size * MOST_PACKED > limit:
        with gzip.open(path) as stream:
            while total <= limit and (part := stream.read(1 << 20)):
                total += len(part)
    if total > limit:
        rule = f"must unpack to at most {limit} bytes ({LARGEST} changes that)"
        raise FormatError(path, member, rule, f"{total} and more" if size is None else total)


def checked_start(path: Path, content: bytes) -> bytes:
    """Return the beginning of a file, or all of it, without a byte-order mark.

    Raises:
        FormatError: it is a Git LFS pointer in place of the file.
    """
    if content.startswith(LFS):
        raise FormatError(path, None, "must be the file itself (git lfs pull)", "a Git LFS pointer")
    return content.removeprefix(BOM)


def instances_folder(path: Path | str) -> Path:
    """Return the folder of MOTS ground truth: `instances_txt` in `path`, else `path` itself."""
    inner = Path(path) / "instances_txt"
    return inner if inner.is_dir() else Path(path)


def find_sequences(path: Path | str, names: Iterable[str] | None = None) -> dict[str, Path]:
    """Return {sequence name: file} for a txt file or a folder of them, names ascending.

    Args:
        path: a SEQ.txt file, or a folder of SEQ.txt files.
        names: sequences to take; None takes all.

    Raises:
        FormatError: nothing there, or a named sequence is missing.
    """
    path = Path(path)
    if path.is_file():
        files = {path.stem: path}
    elif path.is_dir():
        files = {file.stem: file for file in sorted(path.glob("[!.]*.txt")) if file.is_file()}
    else:
        raise FormatError(path, None, "must be a txt file or a folder of txt files", "no such path")
    if not files:
        raise FormatError(path, None, "must hold SEQ.txt files", "none")
    for name in names or ():
        if name not in files:
            raise FormatError(path, None, f"must hold sequence {name}", ", ".join(files))
    return {name: files[name] for name in names} if names else files


@contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it there on success, else leave nothing."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}.", suffix=path.suffix)
    os.close(handle)
    try:
        os.chmod(name, 0o644)
        yield Path(name)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


@contextmanager
def atomic_folder(path: Path | str) -> Iterator[Path]:
    """Yield a temporary folder beside `path`; put it in its place on success, else leave nothing.

    A folder that was there is removed only once the new one is whole.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
    old = path.parent / f"{temporary.name}.old"
    try:
        os.chmod(temporary, 0o755)
        yield temporary
        if path.exists():
            os.replace(path, old)
        os.replace(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def check_writable(folder: Path) -> None:
    """Raise ValueError unless results can be written into a folder, which need not exist yet."""
    parent = folder
    while not parent.exists() and parent != parent.parent:
        parent = parent.parent
    try:
        if not parent.is_dir():
            raise NotADirectoryError(20, "Not a directory")
        with tempfile.TemporaryFile(dir=parent):
            pass
    except OSError as error:
        raise ValueError(
            f"{folder}: must be a folder that can be written, got {error.strerror} ({parent})"
        ) from None
