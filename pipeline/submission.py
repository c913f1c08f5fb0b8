"""The archive that a benchmark's server takes: a file a test sequence, by the server's names."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pipeline.results import SUBMISSION
from pipeline.sinks import Sink
from utils.data_sets import DataSet, data_set
from utils.formats.writing import MOTS, WRITERS

SERVERS = {"kitti": "kitti", "mots_challenge": "mots"}  # name of --submit: data set


def server_name(server: str, sequence: str) -> str:
    """Return the name of a sequence's file: 0003.txt of KITTI MOTS, MOTS20-06.txt of MOTS20."""
    return f"MOTS20-{sequence[2:]}.txt" if server == "mots_challenge" else f"{sequence}.txt"


def check_submission(server: str, dataset: DataSet, names: Iterable[str]) -> None:
    """Refuse a run whose results a server would not take.

    Args:
        server: one of SERVERS. dataset: of the run. names: its sequences.

    Raises:
        ValueError: another data set, or a test sequence is missing.
    """
    if dataset.name != SERVERS[server]:
        rule = f"--submit {server} needs --dataset {SERVERS[server]}"
        raise ValueError(f"{rule}, got {dataset.name}")
    there = {dataset.canonical(name) for name in names}
    missing = [name for name in dataset.splits["test"] if name not in there]
    if missing:
        count = len(dataset.splits["test"])
        rule = f"--submit {server} needs all {count} test sequences"
        listed = ", ".join(missing[:12]) + ", ..." * (len(missing) > 12)
        raise ValueError(f"{rule}, got {count - len(missing)} of them (missing: {listed})")


class SubmissionSink(Sink):
    """Writes DIR/submission/SERVER.zip from the MOTS txt of the test sequences.

    Args:
        folder: of the run. server: one of SERVERS.
    """

    def __init__(self, folder: Path, server: str) -> None:
        self.folder, self.server = folder, server

    def finish(self, summary: dict[str, Any]) -> None:
        """Write the archive; the same results give the same bytes."""
        dataset = data_set(SERVERS[self.server])
        files = {
            dataset.canonical(p.stem): p for p in (self.folder / WRITERS[MOTS].folder).glob("*.txt")
        }
        missing = [name for name in dataset.splits["test"] if name not in files]
        if missing:
            text = f"--submit {self.server}: no archive is written, without {', '.join(missing)}"
            summary["notes"].append(text)
            return
        path = self.folder / SUBMISSION / f"{self.server}.zip"
        path.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in dataset.splits["test"]:
                entry = zipfile.ZipInfo(server_name(self.server, name))
                entry.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(entry, files[name].read_bytes())
