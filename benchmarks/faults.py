"""Kill each script at each file operation, and see what is left and whether the next run works.

    python -m benchmarks.faults [--scripts test_mots segment ...] [--every 3]

A script runs with a hook that counts the operations which change files below its output folder
(open to write, rename, remove, make or remove a folder), and that ends the process by SIGKILL
before the N-th. After each kill, the folder must hold the results of the run before, whole, or the
new ones. The next run, with --resume where something is kept, must end with the results of a run
that was never killed.
"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import h5py
import numpy as np

from utils import synthetic, synthetic_pictures
from utils.cli import Parser, positive, run, say
from utils.data_sets import data_set
from utils.tables import format_table
from utils.video_writing import VideoWriter

ROOT = Path(__file__).resolve().parents[1]
# Run in the script's process before anything else: counts, and kills at the N-th operation.
HOOK = """
import os, runpy, signal, sys
folder, left, counted = os.environ["FAULT_FOLDER"], int(os.environ["FAULT_AT"]), [0]
CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate"}
def hook(event, arguments):
    if event == "open":
        path, mode = arguments[0], arguments[1]
        changes = isinstance(mode, str) and set(mode) & set("wax+")
    else:
        path, changes = arguments[0] if arguments else None, event in CHANGES
    if not changes or not isinstance(path, (str, bytes, os.PathLike)):
        return
    if not os.path.abspath(os.fsdecode(path)).startswith(folder):
        return
    counted[0] += 1
    if counted[0] == left:
        os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(hook)
import atexit
atexit.register(lambda: open(os.environ["FAULT_COUNT"], "w").write(str(counted[0])))
sys.argv = sys.argv[1:]
sys.path.insert(0, os.getcwd())
runpy.run_path(sys.argv[0], run_name="__main__")
"""
LEFT = (".running", ".work")  # what may lie beside results: a lock, and what resuming needs


def script(words: Sequence[str], folder: Path, at: int) -> tuple[int, int]:
    """Run a script that is killed at an operation (0: never); return exit status and operations."""
    count = folder.parent / "count"
    count.unlink(missing_ok=True)
    environment = {**os.environ, "FAULT_FOLDER": str(folder.resolve()), "FAULT_AT": str(at),
                   "FAULT_COUNT": str(count), "TF_CPP_MIN_LOG_LEVEL": "3"}  # fmt: skip
    command = [sys.executable, "-c", HOOK, *words]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    return done.returncode, int(count.read_text()) if count.is_file() else 0


def results(folder: Path) -> dict[str, bytes]:
    """Return {name: content} of a run's results, without pages and summaries, which hold times."""
    kept = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        hidden = any(part.startswith(".") for part in name.parts)
        if path.is_file() and not hidden and name.suffix not in (".html", ".json", ".md"):
            kept[name.as_posix()] = _timeless(path)
    return kept


def _timeless(path: Path) -> bytes:
    """Return what a file holds beside times: a network's weights, a history without seconds."""
    if path.suffix == ".keras":
        with zipfile.ZipFile(path) as archive:
            parts = [archive.read("config.json")]
            with h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as weights:
                weights.visititems(
                    lambda name, held: (
                        parts.append(name.encode() + held[()].tobytes())
                        if isinstance(held, h5py.Dataset)
                        else None
                    )
                )
            return b"".join(parts)
    if path.suffix == ".csv":
        return b"\n".join(line.rpartition(b",")[0] for line in path.read_bytes().splitlines())
    return path.read_bytes()


def inputs(folder: Path) -> Path:
    """Generate a short sequence, its masks, its video and weights' data; return the folder."""
    draw, _ = synthetic_pictures.source("sprites", "test")
    synthetic.generate(
        folder, "sprites", draw, data_set("sprites").margin or 0, "test", 1, 12, 2, 0
    )
    with VideoWriter(folder / "walk.mp4", (128, 128), Fraction(10)) as video:
        for frame in range(12):
            image = np.full((128, 128, 3), 90, np.uint8)
            image[40:60, 6 * frame : 6 * frame + 20] = 240
            video.write(image)
    return folder


def commands(data: Path) -> dict[str, tuple[list[str], list[str]]]:
    """Return {script: (words without --output, words for going on)}."""
    masks = str(data / "detections")
    return {
        "test_mots": (["test_mots.py", "--detections", masks, "--write", "coco", "png"], []),
        "track_video": (["track_video.py", str(data / "walk.mp4"), "--detections", masks,
                         "--tracker", "mask_iou"], ["--resume"]),
        "refine": (["refine.py", "--tracks", str(data / "instances_txt"), "--images",
                    str(data / "images")], []),
        "segment": (["segment.py", str(data / "walk.mp4"), "--weights", "threshold:side=light"],
                    ["--resume"]),
        "train_dhae": (["train_dhae.py", "--dataset", "sprites", "--data", str(data), "--epochs",
                        "2", "--batch-size", "32", "--held-back", "--cache",
                        str(data / "cache")], ["--resume"]),
    }  # fmt: skip


def output_of(name: str, folder: Path) -> list[str]:
    """Return the words that name a script's output."""
    return ["--output", str(folder / "w.keras" if name == "train_dhae" else folder)]


def faults(name: str, data: Path, every: int) -> dict[str, object]:
    """Kill one script at each operation; return the row of the table."""
    words, more = commands(data)[name]
    with tempfile.TemporaryDirectory() as place:
        home = Path(place)
        _, total = script([*words, *output_of(name, home / "whole")], home / "whole", 0)
        whole = results(home / "whole")
        kills = mixed = failed = other = 0
        for at in range(1, total + 1, every):
            out = home / "out"
            shutil.rmtree(out, ignore_errors=True)
            if name != "train_dhae":  # results of an earlier run are there
                shutil.copytree(home / "whole", out)
            status, _ = script([*words, *output_of(name, out)], out, at)
            kills += status == -9
            left = results(out) if out.is_dir() else {}
            # Either whole, or to be finished by the next run from what it left in its journal.
            mixed += name != "train_dhae" and left != whole and not (out / ".installing").exists()
            held = (out / ".work").exists() or name == "train_dhae"
            status, _ = script([*words, *output_of(name, out), *(more if held else [])], out, 0)
            failed += status != 0
            other += results(out) != whole
        return {"operations": total, "kills": kills, "neither old nor new": mixed,
                "next run failed": failed, "other results then": other}  # fmt: skip


def main() -> None:
    """Print the table of docs/reliability.md."""
    names = list(commands(Path()))
    parser = Parser(description=__doc__)
    parser.add_argument("--scripts", nargs="+", choices=names, default=names)
    parser.add_argument("--every", type=positive, default=1, help="kill at every n-th operation")
    args = parser.parse_args()
    rows = {}
    with tempfile.TemporaryDirectory() as place:
        data = inputs(Path(place))
        for name in args.scripts:
            rows[name] = faults(name, data, args.every)
            say(f"{name}: {rows[name]}")
    say(format_table("script", tuple(next(iter(rows.values()))), rows))


if __name__ == "__main__":
    run(main)
