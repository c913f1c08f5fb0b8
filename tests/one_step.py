"""Two steps of training of every network in a folder, for comparing backends.

KERAS_BACKEND=jax python -m tests.one_step FOLDER

FOLDER holds NAME.keras and batch.npz; the losses of each step are printed as JSON.
"""

import json
import sys
from pathlib import Path

import numpy as np

# So many that nothing is drawn at random.
EVERYTHING = {"anchor_samples": 10**6, "box_samples": 200, "box_fraction": 0.5}


def two_steps(path, batch):
    """Return the losses by name of two steps, each as it was before the step."""
    import keras

    from models.frame_networks import load_network

    network = load_network(path)
    network.compile(keras.optimizers.SGD(0.01), jit_compile=keras.backend.backend() == "jax")
    found = []
    for _ in range(2):
        found.append(network.train_on_batch(batch, return_dict=True))
        network.reset_metrics()
    return [{name: float(value) for name, value in losses.items()} for losses in found]


def main(folder):
    """Print the losses of every network of a folder."""
    from utils.cli import import_keras

    import_keras()
    with np.load(folder / "batch.npz") as data:
        batch = {name: data[name] for name in data.files}
    found = {path.stem: two_steps(path, batch) for path in sorted(folder.glob("*.keras"))}
    print(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
