"""Every network takes the same step with JAX as with TensorFlow."""

import importlib.util
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

from models.frame_networks import NETWORKS, network_class
from tests import one_step
from tests.conftest import JAX
from tests.models.motsnet.test_network import SMALL as MOTSNET
from tests.models.pixel_embeddings.test_pixels import SMALL as PIXELS
from tests.models.remots.test_training import SMALL as ENCODER
from tests.models.trackrcnn.test_network import SMALL as TRACKRCNN
from tests.models.trackrcnn.test_network import batch

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = {
    "trackrcnn": replace(TRACKRCNN, **one_step.EVERYTHING),
    "motsnet": replace(MOTSNET, **one_step.EVERYTHING),
    # With the factor of 0.1 the first step of an untrained network is far too long to compare.
    "pixel_embeddings": replace(PIXELS, samples=2000, centres=True, past=1, loss_factor=1e-4),
    "remots": ENCODER,
}


@pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="JAX is not installed")
def test_a_step_is_the_same_with_jax(tmp_path):
    assert set(CONFIGS) == set(NETWORKS) - {"maskrcnn"}  # that one: tests.parity
    given = batch(TRACKRCNN, 2)
    given["patches"] = np.random.default_rng(0).random((2, 3, 32, 32, 3), np.float32)
    np.savez(tmp_path / "batch.npz", **given)
    for name, config in CONFIGS.items():
        keras.utils.set_random_seed(3)
        network_class(name)(config).save(tmp_path / f"{name}.keras")
    ours = {n: one_step.two_steps(tmp_path / f"{n}.keras", given) for n in CONFIGS}
    done = subprocess.run(
        [sys.executable, "-m", "tests.one_step", tmp_path],
        cwd=ROOT,
        env={**os.environ, **JAX},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    theirs = json.loads(done.stdout.splitlines()[-1])
    for name, steps in ours.items():
        assert steps[0] != steps[1]
        for step, losses in enumerate(steps):
            for loss, value in losses.items():
                # Of pixels some are drawn at random.
                loose = name == "pixel_embeddings" and (step or loss in ("embedding", "loss"))
                found, rel = theirs[name][step][loss], 0.05 if loose else 2e-3
                assert found == pytest.approx(value, rel=rel, abs=1e-4), (name, step, loss)
