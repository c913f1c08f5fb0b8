"""What a video's run keeps on disk while it runs, so that it can go on after it was stopped."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from utils.cli import note
from utils.detections import Detections
from utils.files import FormatError, atomic_path
from utils.masks import tight_boxes_xywh

FOLDER = ".work"
PART = 50  # frames of a part of the video
FIELDS = (4, 5)  # of a stored mask: class id score rle, and its vector where it has one


class Spool:
    """A folder of a run that is not finished: what was segmented, and parts of the video.

    Says so where a run begins anew beside one that was stopped, or has none to go on with.

    Args:
        output: the run's folder. signature: what must be the same for going on. resume: whether to.

    Attributes:
        resumed: whether there is something to go on from.

    Raises:
        ValueError: going on with another signature, or where nothing was begun.
    """

    def __init__(self, output: Path, signature: Mapping[str, Any], resume: bool) -> None:
        self.folder = output / FOLDER
        self._state = self.folder / "state.json"
        held = self._held()
        self.resumed = resume and held is not None
        if resume and held is not None and held["signature"] != signature:
            old = held["signature"]
            keys = [k for k in {**old, **signature} if old.get(k) != signature.get(k)]
            rule = "--resume must have the inputs and settings of the run it goes on with (without "
            rule += f"it, the run begins anew): {', '.join(keys)} changed, {keys[0]} was"
            raise ValueError(f"{rule} {old.get(keys[0])!r}, got {signature.get(keys[0])!r}")
        if held is not None and not resume:
            note(f"{output}: an earlier run was stopped there; it is begun anew "
                 "(--resume goes on with it)")  # fmt: skip
        if resume and held is None:
            note(f"{output}: nothing to resume: starting from the beginning")
        if not self.resumed:
            shutil.rmtree(self.folder, ignore_errors=True)
        (self.folder / "video").mkdir(parents=True, exist_ok=True)
        self._signature = dict(signature)
        self.names: dict[int, str] = {}
        if held is not None and resume:
            self.names = {int(c): n for c, n in held["names"].items()}
        self.save_names(self.names)
        self._masks = self.folder / "masks.txt"
        self._cut()

    def _held(self) -> dict[str, Any] | None:
        """Return the state of an earlier run, None where there is none."""
        try:
            state = json.loads(self._state.read_text())
            return state if {"signature", "names"} <= state.keys() else None
        except (OSError, ValueError, AttributeError):
            return None

    def save_names(self, names: Mapping[int, str]) -> None:
        """Keep the numbers of classes by name, as they are now."""
        self.names = dict(names)
        state = {"signature": self._signature, "names": self.names}
        with atomic_path(self._state) as temporary:
            temporary.write_text(json.dumps(state))

    # What was segmented: a line "frame count height width scored", then a line per mask.

    def _cut(self) -> None:
        """Drop what was being written when the run was stopped."""
        if not self._masks.is_file():
            return
        with self._masks.open("rb") as file:
            end = max((end for _, _, end in self._entries(file)), default=0)
        with self._masks.open("r+b") as file:
            file.truncate(end)

    @staticmethod
    def _entries(file: Any) -> Iterator[tuple[list[bytes], list[list[bytes]], int]]:
        """Yield (head, rows, end in bytes) of each frame that is whole."""
        while True:
            head = file.readline()
            if not head.endswith(b"\n"):
                return
            fields = head.split()
            if len(fields) != 5 or not all(f.isdigit() for f in fields):
                return
            rows = [file.readline() for _ in range(int(fields[1]))]
            if any(not row.endswith(b"\n") or len(row.split()) not in FIELDS for row in rows):
                return
            yield fields, [row.split() for row in rows], file.tell()

    def stored(self) -> Iterator[tuple[int, Detections]]:
        """Yield (frame, Detections) of what was segmented until now, in order."""
        if not self._masks.is_file():
            return
        complete = self._masks.stat().st_size  # what is stored from now on does not count
        with self._masks.open("rb") as file:
            for head, rows, end in self._entries(file):
                if end > complete:
                    return
                frame, _, height, width, scored = (int(f) for f in head)
                yield frame, _detections(frame, (height, width), bool(scored), rows)

    def store(self, frame: int, detections: Detections) -> Detections:
        """Keep what was segmented in a frame; return it as it will be read again."""
        rows = []
        columns = (detections.classes, detections.ids, detections.scores, detections.rles)
        for cls, identity, score, rle in zip(*columns, strict=True):
            rows.append([str(v).encode() for v in (cls, identity, f"{score:.9g}")] + [rle])
        if detections.vectors is not None:
            for row, vector in zip(rows, detections.vectors.tolist(), strict=True):
                row.append(",".join(f"{v:.9g}" for v in vector).encode())
        head = (
            f"{frame} {len(rows)} {detections.height} {detections.width} {int(detections.scored)}\n"
        )
        with self._masks.open("ab") as file:
            file.write(head.encode() + b"".join(b" ".join(row) + b"\n" for row in rows))
        return _detections(frame, detections.size, detections.scored, rows)

    # Parts of the video, each complete once it has its name.

    def part(self, number: int) -> Path:
        """Return the file of a part."""
        return self.folder / "video" / f"{number:06d}.mp4"

    def keep(self, video: Path, number: int) -> None:
        """Put a part that is whole in its place, on the disk and not only in memory."""
        for path in (video, self._masks):
            if path.is_file():
                with path.open("rb") as file:
                    os.fsync(file.fileno())
        video.replace(self.part(number))

    def parts(self) -> list[Path]:
        """Return the complete parts in order, up to the first that is missing."""
        files: list[Path] = []
        while (path := self.part(len(files))).is_file():
            files.append(path)
        return files

    def remove(self) -> None:
        """Remove all of it: the run is finished."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _detections(
    frame: int, size: tuple[int, int], scored: bool, rows: list[list[bytes]]
) -> Detections:
    """Return the Detections of a stored frame."""
    n = len(rows)
    if any(len(row) not in FIELDS for row in rows):
        raise FormatError(FOLDER, None, "must be as the run before left it", f"frame {frame}")
    rles = np.empty(n, object)
    rles[:] = [row[3] for row in rows]
    vectors = [row[4].split(b",") for row in rows if len(row) > 4]
    return Detections(
        "",
        *size,
        np.full(n, frame, np.int32),
        np.array([int(row[0]) for row in rows], np.int16),
        np.array([float(row[2]) for row in rows], np.float32),
        tight_boxes_xywh(rles, *size),
        rles,
        np.array([int(row[1]) for row in rows], np.int32),
        np.array(vectors).astype(np.float32) if vectors else None,
        scored=scored,
    )
