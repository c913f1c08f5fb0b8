"""One step of training of every network in a folder, for comparing backends.

KERAS_BACKEND=jax python -m tests.one_step FOLDER

FOLDER holds NAME.keras and batch.npz; the losses before and after the step are printed as JSON.
"""

import json
import sys
from pathlib import Path

import numpy as np

# So many that nothing is drawn at random.
EVERYTHING = {"anchor_samples": 10**6, "box_samples": 200, "box_fraction": 0.5}


def losses_of(network, batch):
    """Return a network's losses by name."""
    import keras

    made = network(batch, training=True)
    return {name: float(keras.ops.convert_to_numpy(value)) for name, value in made.items()}


def one_step(path, batch):
    """Return the losses of a network before and after a step."""
    import keras

    from models.maskrcnn.files import load_file

    network = load_file(path)
    before = losses_of(network, batch)
    network.compile(keras.optimizers.SGD(0.01), jit_compile=False)
    network.train_on_batch(batch)
    return {"before": before, "after": losses_of(network, batch)}


def main(folder):
    """Print the losses of every network of a folder."""
    from utils.cli import import_keras

    import_keras()
    with np.load(folder / "batch.npz") as data:
        batch = {name: data[name] for name in data.files}
    found = {path.stem: one_step(path, batch) for path in sorted(folder.glob("*.keras"))}
    print(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
