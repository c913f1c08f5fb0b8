"""Runs of the paper's experiments: one tracker setting on one data set, scored and cached."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, replace
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from models.tracking import EMBEDDINGS
from pipeline.parallel import Failed, Means
from pipeline.tracked import Tracked
from reproduction.runs import Run, weights_path
from reproduction.sources import Missing, Sources, read_sequence
from utils import evaluation
from utils.detections import Detections
from utils.files import atomic_path
from utils.formats import mots_txt
from utils.formats.reading import read_detections
from utils.frames import FrameFolder
from utils.rules import DetectionRules
from utils.truth import check_truth

PACKAGES = ("keras", "numpy", "scipy", "scikit-learn", "pycocotools", "trackeval", "motrics")

Embedded = tuple[str, Path | None, Path, Path]


class Experiments:
    """Makes runs, sequences in parallel, and keeps what they score.

    Args:
        sources: Sources. Its cache keeps scores, embeddings and tracks, each with the settings that
            made it.
        jobs: processes.
    """

    def __init__(self, sources: Sources, jobs: int = 2) -> None:
        self.sources, self.jobs = sources, jobs
        self.made = 0  # runs made, not found in the cache
        self._digests: dict[Path, str] = {}
        self._checked: set[tuple[Path | None, Path]] = set()

    def settings(self, run: Run) -> dict[str, Any]:
        """Return all that decides a run's scores, as a dict for JSON."""
        inputs, settings = self.sources.inputs(run), run.settings()
        return {
            "run": asdict(run),
            "settings": json.loads(json.dumps(settings.summary())),
            "weights": {name: self._weights_digest(weights_path(name)) for name in run.weights},
            "files": {name: self._file_digests(run, name, f, t) for name, f, t in inputs},
            "code": code_digest(),
            "versions": {package: version(package) for package in PACKAGES},
        }

    def _weights_digest(self, weights: Path) -> list[str | None]:
        """Return digests of weights and of their card, which says what they may track."""
        card = weights.with_suffix(".json")
        return [self._digest(weights), self._digest(card) if card.is_file() else None]

    def _file_digests(self, run: Run, name: str, file: Path | None, truth: Path) -> list[Any]:
        """Return digests of all files that a sequence's scores depend on."""
        digests: list[Any] = [self._digest(file) if file else None, self._digest(truth)]
        dataset, folder = run.data_set, self.sources.data / run.data_set.folder
        if dataset.box_truth:
            digests.append(self._digest(folder / dataset.box_truth.format(sequence=name)))
        if run.images:
            images = FrameFolder(folder / dataset.images, name, (0, 0))
            digests.append(key_of([images.stamp(frame) for frame in sorted(images.files)]))
        return digests

    def _digest(self, file: Path) -> str:
        if file not in self._digests:
            self._digests[file] = hashlib.sha256(file.read_bytes()).hexdigest()
        return self._digests[file]

    def scores(self, runs: Iterable[Run]) -> dict[Run, Any]:
        """Return {run: {class or data set: {column: value}}, or the reason why it was not made}.

        Args:
            runs: [Run].
        """
        results: dict[Run, Any] = {}
        todo = []
        for run in dict.fromkeys(runs):
            try:
                settings = self.settings(run)
            except Missing as reason:
                results[run] = str(reason)
                continue
            path = self.sources.cache / f"{key_of(settings)}.json"
            known = read_scores(path)
            if known is None:
                todo.append((run, settings, path))
            else:
                results[run] = known
        if todo:
            results |= self._make(todo)
        self.made += len(todo)
        return results

    def _make(self, todo: list[tuple[Run, dict[str, Any], Path]]) -> dict[Run, Any]:
        """Embed where needed, track and score in parallel, keep each run's scores at once."""
        jobs: list[tuple[Run, Path, list[Embedded]]] = []
        for run, settings, _ in tqdm(todo, desc="embedding", unit="run", disable=None):
            folder = self.sources.cache / "tracks" / key_of(settings)
            sequences = self.embed(run)
            if run.data_set.box_truth is None:
                jobs += [(run, folder, [s]) for s in sequences]
            else:
                jobs.append((run, folder, sequences))  # boxes are scored over all sequences
        results: dict[Run, Any] = {}
        waiting = {run: (settings, path) for run, settings, path in todo}
        parts: dict[Run, dict[int, Any]] = {run: {} for run in waiting}
        done = Means(self.jobs).each(track_and_score, jobs)
        for k, part in tqdm(done, "tracking", len(jobs), disable=None):
            if isinstance(part, Failed):
                raise ValueError(part.reason)
            run = jobs[k][0]
            parts[run][k] = part
            if len(parts[run]) < sum(job[0] == run for job in jobs):
                continue
            settings, path = waiting[run]
            results[run] = combine(run, [parts[run][i] for i in sorted(parts[run])])
            with atomic_path(path) as temporary:
                content = {"settings": settings, "scores": results[run]}
                temporary.write_text(json.dumps(content, indent=1) + "\n")
        return results

    def embed(self, run: Run) -> list[Embedded]:
        """Return [(sequence, detections file, ground truth, embeddings file)], embedding once."""
        # Every detection of the classes, so that other thresholds find their embeddings made.
        pipeline = run.pipeline()
        pipeline.settings = replace(pipeline.settings, rules=DetectionRules())
        embedded: list[Embedded] = []
        for name, file, truth in self.sources.inputs(run):
            self._check_once(file, truth, name)
            weights = pipeline.embedder.weights_of(name)
            parts: list[Any] = [self._file_digests(run, name, file, truth)]
            parts += [self._weights_digest(weights)]
            parts += [run.location_gain, code_digest()]
            path = self.sources.cache / "embeddings" / f"{key_of(parts)}.npy"
            if not readable(path):
                detections = read_sequence(name, file, truth)
                images = self.sources.images(run, detections) if run.images else None
                keep, _ = pipeline.mark(detections)
                embeddings = pipeline.embedder.embed(detections, keep, images)
                with atomic_path(path) as temporary, open(temporary, "wb") as stream:
                    np.save(stream, embeddings)
            embedded.append((name, file, truth, path))
        return embedded

    def _check_once(self, file: Path | None, truth: Path, name: str) -> None:
        """Refuse a ground truth that does not fit its detections, once per call."""
        if (file, truth) not in self._checked:
            detections = read_sequence(name, file, truth)
            check_truth(read_detections(truth, name), detections, truth)
            self._checked.add((file, truth))


def track_and_score(job: tuple[Run, Path, list[Embedded]]) -> dict[str, Any]:
    """Track and score sequences of one run; runs in a process of its own.

    Args:
        job: (Run, folder for the results, [(sequence, detections, ground truth, embeddings)]).

    Returns:
        `evaluation.mask_counts` of the one sequence, or for synthetic sets {data set: scores}.
    """
    try:
        return _track_and_score(*job)
    except ValueError as error:  # the errors of this project do not pickle; their text does
        raise ValueError(str(error)) from None


def _track_and_score(run: Run, folder: Path, sequences: list[Embedded]) -> dict[str, Any]:
    pipeline, dataset = run.pipeline(), run.data_set
    tracked: dict[str, tuple[Detections, Any]] = {}
    boxes: dict[str, Path] = {}
    for name, file, truth, embeddings in sequences:
        sequence = track_sequence(run, name, file, truth, embeddings)
        if dataset.box_truth is None:
            result, _ = sequence.result()
            mots_txt.write(folder / f"{result.sequence}.txt", result)
            objects = read_detections(truth, name)
            return pipeline.counts(objects, result, pipeline.scored_classes([objects]))
        tracked[name] = sequence.detections, sequence.track_ids
        boxes |= evaluation.find_box_truth(truth.parent, [name], dataset.box_truth)
    return {dataset.name: evaluation.score_boxes(boxes, tracked)}


def track_sequence(
    run: Run, name: str, file: Path | None, truth: Path, embeddings: Path
) -> Tracked:
    """Return one sequence of a run, tracked with the embeddings that are stored."""
    detections = read_sequence(name, file, truth)
    return run.pipeline().track(detections, given={EMBEDDINGS: np.load(embeddings)})


def combine(run: Run, parts: list[dict[str, Any]]) -> dict[str, Any]:
    """Return a run's scores from those of its sequences."""
    return evaluation.combine_masks(parts) if run.data_set.box_truth is None else parts[0]


def read_scores(path: Path) -> dict[str, Any] | None:
    """Return the scores kept in a cache file, None where there are none to be read."""
    try:
        scores: dict[str, Any] = json.loads(path.read_text())["scores"]
        return scores if all(isinstance(row, dict) and row for row in scores.values()) else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def readable(path: Path) -> bool:
    """Return whether a file of embeddings is there and whole."""
    try:
        np.load(path, mmap_mode="r")
    except (OSError, ValueError, EOFError):
        return False
    return True


@cache
def code_digest() -> str:
    """Return a digest of all code but the scripts: a changed rule is a changed cell."""
    root = Path(__file__).resolve().parents[1]
    digest = hashlib.sha256()
    for file in sorted([*root.glob("models/**/*.py"), *root.glob("utils/**/*.py")]):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def key_of(settings: Any) -> str:
    """Return a short digest of JSON-able settings."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:20]
