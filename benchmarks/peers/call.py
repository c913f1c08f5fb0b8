"""Calling trackers of other packages, each by the Python of an environment of its own.

    python -m venv /tmp/boxmot
    /tmp/boxmot/bin/pip install -r benchmarks/peers/requirements-boxmot.txt
    python -m benchmarks.compare_trackers --data data --peers boxmot=/tmp/boxmot/bin/python

So what they depend on need not agree with what we do, and nothing of theirs is imported here.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.peers.run_peer import PEERS
from utils.boxes import xywh_to_xyxy
from utils.detections import Detections

SCRIPT = Path(__file__).with_name("run_peer.py")


@dataclass(frozen=True)
class Peer:
    """A tracker of another package, and the Python that has the package."""

    package: str
    name: str
    python: str

    def __str__(self) -> str:
        """Return what its row is called."""
        return f"{self.package} {self.name}"


def peers_of(given: Sequence[str]) -> list[Peer]:
    """Return every tracker of the packages of PACKAGE=PYTHON.

    Raises:
        ValueError: a package is unknown or there twice, a Python does not exist or lacks it.
    """
    pythons: dict[str, str] = {}
    for text in given:
        package, _, python = text.partition("=")
        if package not in PEERS or package in pythons:
            raise ValueError(f"--peers: must be PACKAGE=PYTHON of {', '.join(PEERS)}, got {text!r}")
        if shutil.which(python) is None:
            raise ValueError(f"--peers {package}: must be a Python that exists, got {python!r}")
        if subprocess.run([python, "-c", f"import {package}"], capture_output=True).returncode:
            raise ValueError(
                f"{python}: package {package} must be installed: "
                f"benchmarks/peers/requirements-{package}.txt"
            )
        pythons[package] = python
    return [
        Peer(package, name, python)
        for package, python in pythons.items()
        for name in PEERS[package]
    ]


@dataclass(frozen=True)
class Answer:
    """What a peer made of sequences.

    Attributes:
        ids: for each sequence (n,), 0 where a row got no track.
        seconds: of the tracking alone.
        mib: the most memory that its process has held.
    """

    ids: list[npt.NDArray[np.int32]]
    seconds: float
    mib: float


def track(peer: Peer, scenes: Sequence[Detections]) -> Answer:
    """Return what one process of a peer's Python makes of sequences.

    Args:
        peer: which tracker.
        scenes: Detections, of each all that the tracker gets.

    Raises:
        ValueError: the peer failed; says with what.
    """
    with tempfile.TemporaryDirectory() as folder:
        pairs = [[f"{folder}/{part}_{i}.npz" for part in ("in", "out")] for i in range(len(scenes))]
        for (source, _), scene in zip(pairs, scenes, strict=True):
            np.savez(
                source,
                frames=scene.frames,
                boxes_xyxy=xywh_to_xyxy(scene.boxes_xywh),
                scores=scene.scores,
                classes=scene.classes,
                size=np.array([scene.height, scene.width]),
            )
        files = [file for pair in pairs for file in pair]
        command = [peer.python, str(SCRIPT), peer.package, peer.name, *files]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            reason = done.stderr.strip().rpartition("\n")[2]
            raise ValueError(f"{peer}: must run with {peer.python}, got {reason!r}")
        results = []
        for _, target in pairs:
            with np.load(target) as result:
                results.append(dict(result))
    return Answer(
        [result["ids"] for result in results],
        float(sum(result["seconds"] for result in results)),
        float(max(result["mib"] for result in results)),
    )
