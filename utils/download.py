"""Files from the network: whole, checked, and gone on with after an interruption."""

from __future__ import annotations

import hashlib
import http.client
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from tqdm import tqdm

from utils.cli import say
from utils.files import FormatError

CHUNK = 1 << 20
TIMEOUT = 20  # seconds without an answer
FULL, PARTIAL, BEYOND = 200, 206, 416  # HTTP: whole file, its rest, nothing left of it


def fetch(url: str, to: Path, digits: str | None = None, size: int | None = None) -> None:
    """Download a file, or the rest of it; it stands at `to` only when it is whole and checked.

    Args:
        url: its address. to: path; `NAME.part` beside it holds what is there of it.
        digits: what its sha256 begins with, None where it is not known. size: likewise, in bytes.

    Raises:
        ValueError: it cannot be had, says what to fetch and where to put it; or it is another file.
    """
    to.parent.mkdir(parents=True, exist_ok=True)
    part = to.with_name(f"{to.name}.part")
    say(f"downloading {url}")
    try:
        expected = _receive(url, part)
    except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
        reason = getattr(error, "reason", error)
        rest = f"; {part} keeps what came, the same command goes on" if part.is_file() else ""
        raise ValueError(
            f"{url}: could not be downloaded ({reason}); fetch it where there is a network and put "
            f"it at {to}{rest}"
        ) from None
    got, wanted = part.stat().st_size, size or expected
    if wanted is not None and got < wanted:
        rule = f"must have {wanted} bytes (the same command goes on)"
        raise FormatError(part, None, rule, got)
    try:
        if wanted is not None and got > wanted:
            raise FormatError(to, None, f"must have {wanted} bytes", got)
        if digits is not None:
            check_digits(part, digits)
    except FormatError:
        part.unlink()  # going on would only add to another file
        raise
    part.replace(to)


def _receive(url: str, part: Path) -> int | None:
    """Append what is missing to a file; return how many bytes it should have, if that is known."""
    start = part.stat().st_size if part.is_file() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={start}-"} if start else {})
    try:
        answer: Any = urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code == BEYOND and start:
            return None  # all of it is there
        raise
    with answer:
        if getattr(answer, "status", FULL) != PARTIAL:
            start = 0  # a server that does not go on sends all of it again
        length = answer.headers.get("Content-Length") if hasattr(answer, "headers") else None
        total = None if length is None else start + int(length)
        bar = tqdm(total=total, initial=start, unit="B", unit_scale=True, disable=None)
        with part.open("ab" if start else "wb") as file, bar:
            while data := answer.read(CHUNK):
                file.write(data)
                bar.update(len(data))
    return total


def check_digits(path: Path, digits: str) -> None:
    """Refuse a file whose sha256 does not begin as its publisher says.

    Raises:
        FormatError: it does not.
    """
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while part := file.read(CHUNK):
            digest.update(part)
    if not digest.hexdigest().startswith(digits):
        rule = f"sha256 must begin with {digits} (remove the file to fetch it again)"
        raise FormatError(path, None, rule, digest.hexdigest()[:16])
