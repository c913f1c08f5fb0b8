"""Training on whatever accelerator there is: steps, masks and peak memory, and where time goes.

    python -m benchmarks.gpu --output gpu.md
    KERAS_BACKEND=jax python -m benchmarks.gpu --models maskrcnn --profile paper

The profile is `paper` on an accelerator and `tiny` on a CPU. Frames are generated. Each row runs in
its own process. After `--minutes`, the current row is stopped. It and the remaining rows are listed
as not measured.

A step is timed on batches in memory; `data` is the time to read a batch, `RoIAlign` that of both
its calls with their gradients, `NMS` that of the proposals, each as a share of the step.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.torch_side import peak_mib
from models.frame_networks import NETWORKS, network_class, trainer_class
from models.networks.checkpoints import JIT, PRECISIONS
from utils.cli import Parser, import_keras, positive, run, say
from utils.data_sets import data_set

ROOT = Path(__file__).resolve().parents[1]
DHAE = "dhae"
WAYS = (("no", "float32"), ("yes", "float32"), ("no", "mixed_bfloat16"), ("yes", "mixed_bfloat16"))
REPEATS = 5
HEADER = ("model", "profile", "jit", "precision", "batch", "s a step", "a second", "GiB",
          "first step s", "data %", "RoIAlign %", "NMS %")  # fmt: skip


def accelerator() -> str:
    """Return the name of the device that Keras' backend computes on."""
    keras = import_keras()
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        devices = tf.config.list_physical_devices("GPU")
        name = tf.config.experimental.get_device_details(devices[0]) if devices else {}
        return str(name.get("device_name", "GPU")) if devices else "cpu"
    if backend == "jax":
        import jax

        device = jax.devices()[0]
        return "cpu" if device.platform == "cpu" else str(device.device_kind)
    import torch

    return torch.cuda.get_device_name(0) if torch.cuda.is_available() else "cpu"


def peak_gib(device: str) -> float:
    """Return the most memory that was held on the device, of a CPU that of the process."""
    if device == "cpu":
        return peak_mib() / 1024
    backend = import_keras().backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        return float(tf.config.experimental.get_memory_info("GPU:0")["peak"]) / 2**30
    if backend == "jax":
        import jax

        return float((jax.devices()[0].memory_stats() or {}).get("peak_bytes_in_use", 0)) / 2**30
    import torch

    return float(torch.cuda.max_memory_allocated()) / 2**30


def seconds_of(call: Callable[[], Any], repeats: int = REPEATS) -> float:
    """Return the median time of a call that returns when all is computed."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def compiled(function: Callable[..., Any], values: Sequence[Any]) -> Callable[[], Any] | None:
    """Return a call of a function and its gradient by the values, None where none is known."""
    keras = import_keras()
    backend = keras.backend.backend()
    tensors = [keras.ops.convert_to_tensor(v) for v in values]
    if backend == "tensorflow":
        import tensorflow as tf

        def slopes() -> Any:
            with tf.GradientTape() as tape:
                tape.watch(tensors)
                total = function(*tensors)
            return tape.gradient(total, tensors)

        step = tf.function(slopes, autograph=False)
    elif backend == "jax":
        import jax

        graded = jax.jit(jax.grad(function, argnums=tuple(range(len(tensors)))))

        def step() -> Any:
            return graded(*tensors)

    else:
        return None

    def call() -> None:
        for slope in step():
            if slope is not None:
                np.asarray(slope).ravel()[:1]

    call()
    return call


def boxes_in(size: Sequence[int], count: int, n: int) -> Any:
    """Return (count, n, 4) boxes of many sizes, px."""
    rng = np.random.default_rng(n)
    first = rng.random((count, n, 2)) * (size[1] * 0.7, size[0] * 0.7)
    sides = np.exp(rng.uniform(2.5, 5, (count, n, 2)))
    return np.concatenate([first, first + sides], axis=-1).astype(np.float32)


def parts_of(network: Any, batch: Mapping[str, Any]) -> dict[str, float]:
    """Return seconds of RoIAlign and of suppression at the sizes of a step."""
    from models.networks.nms import best_apart
    from models.networks.roi_align import align

    if not hasattr(network, "pooled"):  # it has no boxes
        return {}
    ops, config, rng = import_keras().ops, network.config, np.random.default_rng(0)
    count, *size = batch["images"].shape[:3]
    sizes = np.asarray(batch["sizes"], np.float32)
    strides = (4, 8, 16, 32) if config.pyramid else (16,)
    channels = network.rpn.input_shape[-1]
    levels = [
        rng.random((count, *(-(-n // s) for n in size), channels), np.float32) for s in strides
    ]
    chosen = boxes_in(size, count, config.box_samples)
    some = chosen[:, : max(1, int(config.box_samples * config.box_fraction))]

    def both(*levels: Any) -> Any:
        inside = align(list(levels), chosen, sizes, config.box_size)
        more = align(list(levels), some, sizes, config.mask_size)
        return ops.sum(inside**2) + ops.sum(more**2)

    before = config.proposals_before[0] * (5 if config.pyramid else 1)
    rivals, scores = boxes_in(size, count, before), rng.random((count, before)).astype(np.float32)
    classes = np.zeros((count, before), np.int32)

    def suppress(values: Any) -> Any:
        places, real = best_apart(
            rivals, scores, classes, config.proposals_nms, config.proposals_after[0]
        )
        return ops.sum(values) * ops.sum(ops.cast(places, "float32") * ops.cast(real, "float32"))

    found = {}
    for name, function, values in (("RoIAlign", both, levels), ("NMS", suppress, [scores[:1, :1]])):
        call = compiled(function, values)
        if call is not None:
            found[name] = seconds_of(call)
    return found


def measure(
    model: str, profile: str, jit: str, precision: str, data: Path, changes: Sequence[str]
) -> dict[str, Any]:
    """Return the figures of one way to train one model, with settings of networks changed."""
    keras = import_keras()
    keras.mixed_precision.set_dtype_policy(precision)
    if model == DHAE:
        trainer = dhae_trainer(data)
    else:
        trainer = network_trainer(model, profile, data, changes)
    trainer.jit = JIT[jit]
    network = trainer.new_model()
    network.optimizer.build(network.trainable_variables)
    batches = trainer.data(1)
    reading = seconds_of(lambda: batches[0], 3)
    batch = batches[0]
    start = time.perf_counter()
    network.train_on_batch(*batch)
    first = time.perf_counter() - start
    step = seconds_of(lambda: network.train_on_batch(*batch))
    size = len(batch[0]["box" if model == DHAE else next(iter(batch[0]))])
    device = accelerator()
    row = {
        "model": model, "profile": profile, "jit": jit, "precision": precision, "batch": size,
        "s a step": round(step, 4), "a second": round(size / step, 2),
        "GiB": round(peak_gib(device), 2), "first step s": round(first, 1),
        "data %": round(100 * reading / step),
    }  # fmt: skip
    shares = parts_of(network, batch[0]) if model != DHAE else {}
    return row | {f"{name} %": round(100 * t / step) for name, t in shares.items()}


def network_trainer(model: str, profile: str, data: Path, changes: Sequence[str]) -> Any:
    """Return what trains a network on generated frames."""
    from models.networks.data import load_sequences
    from train_network import settings_of, with_classes

    dataset = data_set("sprites")
    sequences = load_sequences(data, dataset)
    config, plan = settings_of(model, profile, changes)
    config, kind = with_classes(config, sequences, dataset), network_class(model)
    output, tracking = Path("none.keras"), model != "maskrcnn"
    return trainer_class(model)(
        output, {}, dataset, "", (kind, config), plan, sequences, [], tracking
    )


def dhae_trainer(data: Path) -> Any:
    """Return what trains a DHAE on generated masks, 1,024 at once as the paper has it."""
    from models.usc_mots.training import DhaeTrainer
    from models.usc_mots.training_data import load_training_sequences
    from pipeline.settings import settings_for

    dataset = data_set("kitti")
    network = dataset.network_config(1)
    shape = network["patch_size"], network["channels"]
    sequences = load_training_sequences(data, dataset, *shape, None, None, None)
    settings = {"seed": 0, "learning_rate": 1.0, "batch_size": 1024}
    return DhaeTrainer(
        Path("none.keras"), settings, dataset, "", sequences, [], sequences, network,
        settings_for(dataset, "paper").tracker,
    )  # fmt: skip


def one_way(arguments: Sequence[str], limit: float) -> dict[str, Any]:
    """Measure one row in its own process; return {"why": reason} if it fails."""
    if limit <= 0:
        return {"why": "no time left"}
    command = [sys.executable, "-m", "benchmarks.gpu", "--one", *arguments]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=limit)
    except subprocess.TimeoutExpired:
        return {"why": "no time left"}
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"status {done.returncode}"]
        return {"why": lines[-1][:160]}
    row: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return row


def ways_of(parser: Parser, given: Sequence[str] | None) -> Sequence[Sequence[str]]:
    """Return (jit, precision) of the command line."""
    ways = [way.split(",") for way in given or ()]
    for way in ways:
        if len(way) != 2 or way[0] not in JIT or way[1] not in PRECISIONS:
            parser.error(f"--ways must be of {', '.join(map(','.join, WAYS))}, got {','.join(way)}")
    return ways


def generate(folder: str) -> None:
    """Write the frames and masks that are trained on."""
    words = f"--split train --sequences 2 --frames 200 --objects 4 --seed 3 --output {folder}"
    command = [sys.executable, "gen_sprite.py", *words.split()]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)


def parser_of() -> Parser:
    """Return the parser of the command line."""
    parser = Parser(description=__doc__.splitlines()[0])
    add, models = parser.add_argument, (DHAE, *NETWORKS)
    add("--models", nargs="+", choices=models, default=models)
    add("--profile", choices=("tiny", "paper"), help="(default: paper on an accelerator)")
    add("--ways", nargs="+", metavar="JIT,PRECISION", help="as no,float32 (default: all four; "
        "without an accelerator no,float32)")  # fmt: skip
    add("--minutes", type=positive, default=8, help="after which rows are not measured")
    add("--set", action="append", default=[], metavar="FIELD=VALUE", help="of train_network.py, as "
        "batch=2: what a smaller card has room for")  # fmt: skip
    add("--output", type=Path, help="Markdown file for the table")
    add("--one", nargs=5, help="MODEL PROFILE JIT PRECISION DATA: measure here, print JSON")
    return parser


def main() -> None:
    """Measure, print and write the table."""
    parser = parser_of()
    args = parser.parse_args()
    if args.one:
        model, profile, jit, precision, data = args.one
        say(json.dumps(measure(model, profile, jit, precision, Path(data), args.set)))
        return
    end, device = time.monotonic() + 60 * args.minutes, accelerator()
    ways = ways_of(parser, args.ways) or (WAYS[:1] if device == "cpu" else WAYS)
    profile = args.profile or ("tiny" if device == "cpu" else "paper")
    rows, missing = [], []
    with tempfile.TemporaryDirectory() as folder:
        generate(folder)
        for jit, precision in ways:
            for model in args.models:
                given = [model, profile, jit, precision]
                words = [*given, folder, *(f"--set={change}" for change in args.set)]
                row = one_way(words, end - time.monotonic())
                if "why" in row:
                    missing.append(f"not measured: {' '.join(given)}: {row['why']}")
                    say(missing[-1])
                else:
                    rows.append([row.get(name, "-") for name in HEADER])
                    say("  ".join(f"{n} {row.get(n, '-')}" for n in HEADER))
    backend = import_keras().backend.backend()
    lines = [f"| {' | '.join(map(str, row))} |" for row in (HEADER, ["---"] * len(HEADER), *rows)]
    text = "\n".join([f"{device}, Keras with {backend}", "", *lines, "", *missing]) + "\n"
    if args.output:
        args.output.write_text(text)
    say(text)


if __name__ == "__main__":
    run(main)
