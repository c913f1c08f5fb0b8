"""Runs of the paper's experiments: one tracker setting on one data set, scored and cached."""

import hashlib
import json
import os
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, replace
from functools import cache
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from tqdm import tqdm

from models.embedding import choose_weights, embed, read_card
from models.rules import apply_rules
from models.tracker import track
from utils import evaluation, mots_io
from utils.cli import import_keras
from utils.config import REAL, DetectionRules, preset
from utils.datasets import frame_reader

PRETRAINED = Path(__file__).resolve().parents[1] / "pretrained"
FOLDERS = {
    "kitti": "kitti_mots",
    "mots": "mots_challenge",
    "mnist": "mnist_mot/test",
    "sprites": "sprites_mot/test",
}
QUICK_FRAMES, QUICK_SEQUENCES = 40, 3
PACKAGES = ("keras", "numpy", "scipy", "scikit-learn", "pycocotools", "trackeval", "motrics")
FETCH = {
    "kitti": "KITTI MOTS, https://www.vision.rwth-aachen.de/page/mots",
    "mots": "MOTSChallenge, https://www.vision.rwth-aachen.de/page/mots",
    "mnist": "made by `python gen_mnist.py --split test`",
    "sprites": "made by `python gen_sprite.py --split test`",
}


@dataclass(frozen=True)
class Run:
    """One tracker setting on one data set.

    Attributes:
        dataset: "kitti", "mots", "mnist" or "sprites".
        weights: file names in `pretrained/`; see `models.embedding.choose_weights`.
        source: "truth" tracks the ground-truth masks, "detections" those of a detector.
        changes: ((field, value), ...) of the preset's TrackerConfig.
        location_gain: replaces that of the weights; None keeps it.
        images: whether the weights need the frames.
        min_score: replaces the score rule of every class; None keeps the preset's.
    """

    dataset: str
    weights: tuple
    source: str
    changes: tuple = ()
    location_gain: float | None = None
    images: bool = False
    min_score: float | None = None

    def tracker(self):
        """Return the TrackerConfig."""
        return replace(preset(self.dataset).tracker, **dict(self.changes))

    def rules(self):
        """Return the DetectionRules."""
        rules = preset(self.dataset).rules
        if self.min_score is None:
            return rules
        return DetectionRules(dict.fromkeys(rules.min_score, self.min_score), rules.min_area)


class Missing(ValueError):
    """A run cannot be made: the message says what is missing and how to get it."""


class Experiments:
    """Makes runs, sequences in parallel, and keeps what they score.

    Args:
        data: folder that holds FOLDERS.
        output: folder; `cache/` in it keeps scores, embeddings and tracks, each with the settings
            that made it.
        jobs: processes.
        quick: only the first frames of a few sequences, to see that everything runs.
        sequences: names to keep; None keeps all.
        detections: name of the folder of detections in a real data set; None takes the one that
            is called `detections*`.
    """

    def __init__(self, data, output, jobs=2, quick=False, sequences=None, detections=None):
        self.data, self.cache = Path(data), Path(output) / "cache"
        self.jobs, self.quick, self.names = jobs, quick, sequences
        self.detections = detections
        self.made = 0  # runs made, not found in the cache
        self.left_out = {}  # (data set, source) -> sequences without detections
        self._files, self._digests, self._models, self._checked = {}, {}, {}, set()

    def inputs(self, run):
        """Return [(sequence, detections file, ground-truth file)] of a run.

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

    def possible(self, run):
        """Return whether all that a run needs is there."""
        try:
            self.inputs(run)
        except Missing:
            return False
        return True

    def _find(self, run):
        """List the files of a run's data set, cut to the first frames where all is quick."""
        folder = self.data / FOLDERS[run.dataset]
        truth = folder / "instances_txt"
        if not truth.is_dir():
            raise Missing(f"{truth} missing: {FETCH[run.dataset]}")
        if run.images and not (folder / "images").is_dir():
            raise Missing(f"{folder / 'images'} missing: the frames of {FETCH[run.dataset]}")
        source = truth
        if run.dataset not in REAL:
            source = folder / "detections"
        elif run.source == "detections":
            pattern = self.detections or "detections*"
            found = sorted(path for path in folder.glob(pattern) if path.is_dir())
            if not found:
                raise Missing(f"{folder / pattern} missing: {FETCH[run.dataset]}")
            if len(found) > 1:
                names = ", ".join(path.name for path in found)
                raise Missing(f"{folder}: --detections must name one of {names}")
            source = found[0]
        files = mots_io.find_sequences(source, None)
        names = sorted(set(files) & set(self.names) if self.names else files)
        if self.quick:  # the largest files: most is in them
            names = sorted(names, key=lambda n: -files[n].stat().st_size)[:QUICK_SEQUENCES]
        if not names:
            raise Missing(f"{source} holds none of the sequences: {FETCH[run.dataset]}")
        truths = mots_io.find_sequences(truth)
        for name in names:
            if name not in truths:
                raise Missing(f"{truth / name}.txt missing: the ground truth of {source}")
            boxes = folder / "gt" / name / "gt.txt"
            if run.dataset not in REAL and not boxes.is_file():
                raise Missing(f"{boxes} missing: {FETCH[run.dataset]}")
        self.left_out[run.dataset, run.source] = sorted(set(truths) - set(files))
        if not self.quick or run.dataset not in REAL:
            return [(name, files[name], truths[name]) for name in names]
        return [(name, self._cut(files[name]), self._cut(truths[name])) for name in names]

    def _cut(self, file):
        """Return a copy of a file with its first frames only."""
        mots_io.read_detections(file)  # refuses bad lines by their number
        lines = file.read_text().splitlines(keepends=True)
        first = min((int(line.split()[0]) for line in lines if line.strip()), default=0)
        kept = [s for s in lines if s.strip() and int(s.split()[0]) < first + QUICK_FRAMES]
        text = "".join(kept)
        folder = hashlib.sha256(str(file.parent.resolve()).encode()).hexdigest()[:12]
        path = self.cache / "quick" / folder / file.parent.name / file.name
        if not path.is_file() or path.read_text() != text:
            with mots_io.atomic_path(path) as temporary:
                temporary.write_text(text)
        return path

    def settings(self, run):
        """Return all that decides a run's scores, as a dict for JSON."""
        inputs = self.inputs(run)
        return {
            "run": asdict(run),
            "tracker": asdict(run.tracker()),
            "rules": json.loads(json.dumps(asdict(run.rules()))),
            "weights": {name: self._weights_digest(name) for name in run.weights},
            "files": {name: self._file_digests(run, name, f, t) for name, f, t in inputs},
            "code": code_digest(),
            "versions": {package: version(package) for package in PACKAGES},
        }

    def _weights_digest(self, name):
        """Return digests of weights and of their card, which says what they may track."""
        card = (PRETRAINED / name).with_suffix(".json")
        return [self._digest(PRETRAINED / name), self._digest(card) if card.is_file() else None]

    def _file_digests(self, run, name, file, truth):
        """Return digests of all files that a sequence's scores depend on."""
        digests = [self._digest(file), self._digest(truth)]
        folder = self.data / FOLDERS[run.dataset]
        if run.dataset not in REAL:
            digests.append(self._digest(folder / "gt" / name / "gt.txt"))
        if run.images:
            stats = [
                (p.name, p.stat().st_size, p.stat().st_mtime_ns) for p in _frames(folder, name)
            ]
            digests.append(key_of(stats))
        return digests

    def _digest(self, file):
        if file not in self._digests:
            self._digests[file] = hashlib.sha256(file.read_bytes()).hexdigest()
        return self._digests[file]

    def scores(self, runs):
        """Return {run: {class or data set: {column: value}}, or the reason why it was not made}.

        Args:
            runs: [Run].
        """
        results, todo = {}, []
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

    def _make(self, todo):
        """Embed where needed, track and score in parallel, keep each run's scores at once."""
        jobs = []
        for run, settings, _ in tqdm(todo, desc="embedding", unit="run", disable=None):
            folder = self.cache / "tracks" / key_of(settings)
            sequences = self.embed(run)
            if run.dataset in REAL:
                jobs += [(run, folder, [s]) for s in sequences]
            else:
                jobs.append((run, folder, sequences))  # boxes are scored over all sequences
        # Spawned, not forked: TensorFlow's threads do not survive a fork. One thread each: a
        # k-means of a few points is slower on two.
        os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        results = {}
        with ProcessPoolExecutor(self.jobs, mp_context=get_context("spawn")) as pool:
            done = iter(tqdm(pool.map(track_and_score, jobs), "tracking", len(jobs), disable=None))
            try:
                for run, settings, path in todo:
                    count = sum(job[0] == run for job in jobs)
                    parts = [next(done) for _ in range(count)]
                    results[run] = combine(run, parts)
                    with mots_io.atomic_path(path) as temporary:
                        content = {"settings": settings, "scores": results[run]}
                        temporary.write_text(json.dumps(content, indent=1) + "\n")
            except BrokenProcessPool:
                raise ValueError("a process was killed, for want of memory? Try --jobs 1") from None
        return results

    def embed(self, run):
        """Return [(sequence, detections file, ground truth, embeddings file)], embedding once."""
        cards = {name: read_card(PRETRAINED / name) for name in run.weights}
        settings = preset(run.dataset)
        found = []
        for name, file, truth in self.inputs(run):
            self._check_once(file, truth, name)
            weights = choose_weights(cards, run.dataset, name)
            parts = [self._file_digests(run, name, file, truth), self._weights_digest(weights)]
            parts += [run.location_gain, asdict(settings), code_digest()]
            path = self.cache / "embeddings" / f"{key_of(parts)}.npy"
            if not readable(path):
                detections = mots_io.read_detections(file, name)
                detections, _ = apply_rules(detections, settings.classes, DetectionRules())
                images = self.images(run, detections) if run.images else None
                embeddings = embed(
                    self._model(weights, run.location_gain),
                    detections,
                    settings.object_size,
                    images,
                )
                with mots_io.atomic_path(path) as temporary, open(temporary, "wb") as stream:
                    np.save(stream, embeddings)
            found.append((name, file, truth, path))
        return found

    def _check_once(self, file, truth, name):
        """Refuse a ground truth that does not fit its detections, once per call."""
        if (file, truth) not in self._checked:
            evaluation.check_ground_truth(truth, mots_io.read_detections(file, name))
            self._checked.add((file, truth))

    def images(self, run, detections):
        """Return the reader of a sequence's frames, None where there are none."""
        folder = self.data / FOLDERS[run.dataset] / "images"
        if not folder.is_dir():
            return None
        return frame_reader(folder, detections.sequence, (detections.height, detections.width))

    def _model(self, weights, location_gain):
        """Return loaded weights, with another location gain unless it is None."""
        if weights not in self._models:
            import_keras()  # slow: only where something is to be embedded
            from models.dhae import load

            model = load(PRETRAINED / weights)
            self._models[weights] = model, model.config["location_gain"]
        model, own = self._models[weights]
        model.config["location_gain"] = own if location_gain is None else location_gain
        return model


def track_and_score(job):
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


def _track_and_score(run, folder, sequences):
    settings, tracked, boxes = preset(run.dataset), {}, {}
    for name, file, truth, embeddings in sequences:
        detections, track_ids = track_sequence(run, name, file, embeddings)
        if run.dataset in REAL:
            mots_io.write_tracks(folder / f"{name}.txt", detections, track_ids)
            return evaluation.mask_counts(name, truth, folder, settings.classes)
        tracked[name] = detections, track_ids
        boxes |= evaluation.find_box_truth(truth.parent, [name])
    return {run.dataset: evaluation.score_boxes(boxes, tracked)}


def track_sequence(run, name, file, embeddings):
    """Return (Detections that take part, (n,) int32 ids) of one sequence of a run."""
    every = mots_io.read_detections(file, name)
    every, _ = apply_rules(every, preset(run.dataset).classes, DetectionRules())
    every = replace(every, embeddings=np.load(embeddings))  # they go where their rows go
    detections, _ = apply_rules(every, preset(run.dataset).classes, run.rules())
    track_ids, _ = track(detections, detections.embeddings, run.tracker())
    return detections, track_ids


def combine(run, parts):
    """Return a run's scores from those of its sequences."""
    return evaluation.combine_masks(parts) if run.dataset in REAL else parts[0]


def read_scores(path):
    """Return the scores kept in a cache file, None where there are none to be read."""
    try:
        scores = json.loads(path.read_text())["scores"]
        return scores if all(isinstance(row, dict) and row for row in scores.values()) else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def readable(path):
    """Return whether a file of embeddings is there and whole."""
    try:
        np.load(path, mmap_mode="r")
    except (OSError, ValueError, EOFError):
        return False
    return True


def _frames(folder, name):
    return sorted((folder / "images" / name).glob("*"))


@cache
def code_digest():
    """Return a digest of all code but the scripts: a changed rule is a changed cell."""
    root = Path(__file__).resolve().parents[1]
    digest = hashlib.sha256()
    for file in sorted([*root.glob("models/*.py"), *root.glob("utils/*.py")]):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def key_of(settings):
    """Return a short digest of JSON-able settings."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:20]
