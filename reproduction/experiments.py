"""Runs of the paper's experiments: one tracker setting on one data set, scored and cached."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, replace
from functools import cache
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from models.pipeline import Pipeline, Tracked, frames_of
from models.settings import Settings, changed, settings_for
from models.tracking import EMBEDDINGS, trackers
from models.usc_mots.embedding import PRETRAINED, read_card
from utils import evaluation
from utils.config import UscMotsConfig
from utils.data_sets import DataSet, data_set
from utils.detections import Detections
from utils.files import atomic_path, find_sequences
from utils.formats.registry import read_detections
from utils.frames import FrameFolder
from utils.rules import DetectionRules

# The presets that read the paper: its text, and its authors' code.
PRESETS = tuple(
    name for name, kind in trackers().items() if issubclass(kind.settings, UscMotsConfig)
)
QUICK_FRAMES, QUICK_SEQUENCES = 40, 3
PACKAGES = ("keras", "numpy", "scipy", "scikit-learn", "pycocotools", "trackeval", "motrics")


Source = tuple[str, Path | None, Path]
Embedded = tuple[str, Path | None, Path, Path]


@dataclass(frozen=True)
class Run:
    """One tracker setting on one data set.

    Attributes:
        dataset: "kitti", "mots", "mnist" or "sprites".
        weights: file names in `pretrained/`; see `models.usc_mots.embedding.choose_weights`.
        source: "truth" tracks the ground-truth masks, "detections" those of a detector.
        changes: ((field, value), ...) of the preset's UscMotsConfig.
        location_gain: replaces that of the weights; None keeps it.
        images: whether the weights need the frames.
        min_score: replaces the score rule of every class; None keeps the preset's.
        preset: whose rules associate, "paper" or "authors".
    """

    dataset: str
    weights: tuple[str, ...]
    source: str
    changes: tuple[tuple[str, Any], ...] = ()
    location_gain: float | None = None
    images: bool = False
    min_score: float | None = None
    preset: str = PRESETS[0]

    @property
    def of(self) -> DataSet:
        """Return the data set."""
        return data_set(self.dataset)

    def settings(self) -> Settings:
        """Return the preset's Settings with the run's changes."""
        changes = [f"tracker.{name}={value}" for name, value in self.changes]
        settings = changed(settings_for(self.of, self.preset), changes)
        rules = settings.rules
        if self.min_score is not None:
            rules = DetectionRules(dict.fromkeys(rules.min_score, self.min_score), rules.min_area)
        return replace(settings, rules=rules)

    def pipeline(self) -> Pipeline:
        """Return the Pipeline."""
        weights = [PRETRAINED / name for name in self.weights]
        return Pipeline(self.settings(), weights, self.location_gain)


def chosen_gain(weights: Sequence[str]) -> float | None:
    """Return the location gain that weights were given on their held-back sequences.

    Args:
        weights: file names in `pretrained/`; their cards must agree.

    Returns:
        None where none has a card that says so.

    Raises:
        ValueError: they do not agree.
    """
    cards = [read_card(PRETRAINED / name) or {} for name in weights]
    scores = [card.get("scores_of_best_epoch", {}) for card in cards]
    gains = {float(row["location_gain"]) for row in scores if "location_gain" in row}
    if len(gains) > 1:
        raise ValueError(f"the cards of {' and '.join(weights)} must agree, got gains {gains}")
    return gains.pop() if gains else None


def appearance_weights(of: DataSet) -> tuple[str, ...]:
    """Return the appearance weights of a data set: the user's own where there are some.

    Those of docs/training.md, `pretrained/dhae_kitti_appearance.keras` and `..._b.keras`, go before
    the committed ones of another data set.
    """
    names = (f"dhae_{of.name}_appearance.keras", f"dhae_{of.name}_appearance_b.keras")
    own = tuple(name for name in names if (PRETRAINED / name).is_file())
    return own or of.appearance_weights


class Missing(ValueError):
    """A run cannot be made: the message says what is missing and how to get it."""


class Experiments:
    """Makes runs, sequences in parallel, and keeps what they score.

    Args:
        data: folder that holds the data sets' own.
        output: folder; `cache/` in it keeps scores, embeddings and tracks, each with the settings
            that made it.
        jobs: processes.
        quick: only the first frames of a few sequences, to see that everything runs.
        sequences: names to keep; None keeps all.
        detections: name of the folder of detections in a real data set; None takes the one that
            is called `detections*`.
    """

    def __init__(
        self,
        data: Path,
        output: Path,
        jobs: int = 2,
        quick: bool = False,
        sequences: Sequence[str] | None = None,
        detections: str | None = None,
    ) -> None:
        self.data, self.cache = Path(data), Path(output) / "cache"
        self.jobs, self.quick, self.names = jobs, quick, sequences
        self.detections = detections
        self.made = 0  # runs made, not found in the cache
        # (data set, source) -> sequences without detections: their objects count as missed
        self.undetected: dict[tuple[str, str], list[str]] = {}
        self._files: dict[tuple[str, str, bool], list[Source]] = {}
        self._digests: dict[Path, str] = {}
        self._checked: set[tuple[Path | None, Path]] = set()

    def inputs(self, run: Run) -> list[Source]:
        """Return [(sequence, detections file or None, ground-truth file)] of a run.

        Raises:
            Missing: a folder or weights are not there.
        """
        key = run.dataset, run.source, run.images
        if key not in self._files:
            self._files[key] = self._find(run)
        for name in run.weights:
            if not (PRETRAINED / name).is_file():
                raise Missing(f"weights pretrained/{name} missing: make them with train_dhae.py")
        return self._files[key]

    def possible(self, run: Run) -> bool:
        """Return whether all that a run needs is there."""
        try:
            self.inputs(run)
        except Missing:
            return False
        return True

    def _find(self, run: Run) -> list[Source]:
        """List the files of a run's data set, cut to the first frames where all is quick."""
        of, real = run.of, run.of.box_truth is None
        folder = self.data / of.folder
        truth = folder / of.truth
        if not truth.is_dir():
            raise Missing(f"{truth} missing: {of.source}")
        if run.images and not (folder / of.images).is_dir():
            raise Missing(f"{folder / of.images} missing: the frames of {of.source}")
        source = truth
        if not real or run.source == "detections":
            pattern = self.detections if real and self.detections else of.detections
            found = sorted(path for path in folder.glob(pattern) if path.is_dir())
            if not found:
                raise Missing(f"{folder / pattern} missing: {of.source}")
            if len(found) > 1:
                choice = ", ".join(path.name for path in found)
                raise Missing(f"{folder}: --detections must name one of {choice}")
            source = found[0]
        files, truths = find_sequences(source), find_sequences(truth)
        names = sorted({*files, *truths} & set(self.names) if self.names else {*files, *truths})
        if self.quick:  # the largest files: most is in them
            sized = sorted(set(names) & set(files), key=lambda n: -files[n].stat().st_size)
            names = sized[:QUICK_SEQUENCES]
        if not names:
            raise Missing(f"{source} holds none of the sequences: {of.source}")
        for name in names:
            if name not in truths:
                raise Missing(f"{truth / name}.txt missing: the ground truth of {source}")
            boxes = folder / (of.box_truth or "").format(sequence=name)
            if of.box_truth and not boxes.is_file():
                raise Missing(f"{boxes} missing: {of.source}")
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
                raise Missing(f"{what}: the frames of {run.of.source}")

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

    def settings(self, run: Run) -> dict[str, Any]:
        """Return all that decides a run's scores, as a dict for JSON."""
        inputs, settings = self.inputs(run), run.settings()
        return {
            "run": asdict(run),
            "settings": json.loads(json.dumps(settings.summary())),
            "weights": {name: self._weights_digest(name) for name in run.weights},
            "files": {name: self._file_digests(run, name, f, t) for name, f, t in inputs},
            "code": code_digest(),
            "versions": {package: version(package) for package in PACKAGES},
        }

    def _weights_digest(self, name: str) -> list[str | None]:
        """Return digests of weights and of their card, which says what they may track."""
        card = (PRETRAINED / name).with_suffix(".json")
        return [self._digest(PRETRAINED / name), self._digest(card) if card.is_file() else None]

    def _file_digests(self, run: Run, name: str, file: Path | None, truth: Path) -> list[Any]:
        """Return digests of all files that a sequence's scores depend on."""
        digests: list[Any] = [self._digest(file) if file else None, self._digest(truth)]
        of, folder = run.of, self.data / run.of.folder
        if of.box_truth:
            digests.append(self._digest(folder / of.box_truth.format(sequence=name)))
        if run.images:
            stats = [
                (p.name, p.stat().st_size, p.stat().st_mtime_ns)
                for p in _frames(folder / of.images, name)
            ]
            digests.append(key_of(stats))
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
            path = self.cache / f"{key_of(settings)}.json"
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
            folder = self.cache / "tracks" / key_of(settings)
            sequences = self.embed(run)
            if run.of.box_truth is None:
                jobs += [(run, folder, [s]) for s in sequences]
            else:
                jobs.append((run, folder, sequences))  # boxes are scored over all sequences
        # Spawned, not forked: TensorFlow's threads do not survive a fork. One thread each: a
        # k-means of a few points is slower on two.
        os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        results: dict[Run, Any] = {}
        with ProcessPoolExecutor(self.jobs, mp_context=get_context("spawn")) as pool:
            done = iter(tqdm(pool.map(track_and_score, jobs), "tracking", len(jobs), disable=None))
            try:
                for run, settings, path in todo:
                    count = sum(job[0] == run for job in jobs)
                    parts = [next(done) for _ in range(count)]
                    results[run] = combine(run, parts)
                    with atomic_path(path) as temporary:
                        content = {"settings": settings, "scores": results[run]}
                        temporary.write_text(json.dumps(content, indent=1) + "\n")
            except BrokenProcessPool:
                raise ValueError("a process was killed, for want of memory? Try --jobs 1") from None
        return results

    def embed(self, run: Run) -> list[Embedded]:
        """Return [(sequence, detections file, ground truth, embeddings file)], embedding once."""
        # Every detection of the classes, so that other thresholds find their embeddings made.
        pipeline = run.pipeline()
        pipeline.settings = replace(pipeline.settings, rules=DetectionRules())
        found: list[Embedded] = []
        for name, file, truth in self.inputs(run):
            self._check_once(file, truth, name)
            weights = pipeline.embedder.weights_of(name).name
            parts: list[Any] = [self._file_digests(run, name, file, truth)]
            parts += [self._weights_digest(weights)]
            parts += [run.location_gain, code_digest()]
            path = self.cache / "embeddings" / f"{key_of(parts)}.npy"
            if not readable(path):
                detections = read_sequence(name, file, truth)
                images = self.images(run, detections) if run.images else None
                keep, _ = pipeline.mark(detections)
                embeddings = pipeline.embedder.embed(detections, keep, images)
                with atomic_path(path) as temporary, open(temporary, "wb") as stream:
                    np.save(stream, embeddings)
            found.append((name, file, truth, path))
        return found

    def _check_once(self, file: Path | None, truth: Path, name: str) -> None:
        """Refuse a ground truth that does not fit its detections, once per call."""
        if (file, truth) not in self._checked:
            detections = read_sequence(name, file, truth)
            evaluation.check_truth(read_detections(truth, name), detections, truth)
            self._checked.add((file, truth))

    def images(self, run: Run, detections: Detections) -> FrameFolder | None:
        """Return the reader of a sequence's frames, None where there are none."""
        folder = self.data / run.of.folder / run.of.images
        return frames_of(folder if folder.is_dir() else None, detections)


def read_sequence(name: str, file: Path | None, truth: Path) -> Detections:
    """Return a sequence's detections; none where it has no file."""
    if file is None:
        return Detections.empty(name, *read_detections(truth, name).size)
    return read_detections(file, name)


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
    pipeline, of = run.pipeline(), run.of
    tracked: dict[str, tuple[Detections, Any]] = {}
    boxes: dict[str, Path] = {}
    for name, file, truth, embeddings in sequences:
        one = track_sequence(run, name, file, truth, embeddings)
        if of.box_truth is None:
            result, _ = pipeline.write(one, folder)
            objects = read_detections(truth, name)
            return pipeline.counts(objects, result, pipeline.scored_classes([objects]))
        tracked[name] = one.detections, one.track_ids
        boxes |= evaluation.find_box_truth(truth.parent, [name], of.box_truth)
    return {of.name: evaluation.score_boxes(boxes, tracked)}


def track_sequence(
    run: Run, name: str, file: Path | None, truth: Path, embeddings: Path
) -> Tracked:
    """Return one sequence of a run, tracked with the embeddings that are stored."""
    detections = read_sequence(name, file, truth)
    return run.pipeline().track(detections, given={EMBEDDINGS: np.load(embeddings)})


def combine(run: Run, parts: list[dict[str, Any]]) -> dict[str, Any]:
    """Return a run's scores from those of its sequences."""
    return evaluation.combine_masks(parts) if run.of.box_truth is None else parts[0]


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


def _frames(folder: Path, name: str) -> list[Path]:
    return sorted((folder / name).glob("*"))


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
