"""Generate, track and score a short Sprites-MOT and MNIST-MOT sequence: `make demo`."""

from pathlib import Path

import test_mots
from utils import synthetic
from utils.cli import run
from utils.tables import format_table

OUTPUT = Path("results") / "demo"
FRAMES, OBJECTS, SEED = 120, 3, 7


def source(kind):
    """Return the function that draws a new object, and where its pictures come from."""
    if kind == "sprites":
        return synthetic.sprite_source(), "drawn"
    images, labels, origin = synthetic.load_mnist("test")
    return synthetic.digit_source(images, labels), origin


def main():
    """Run the whole pipeline on both kinds; print one table."""
    rows = {}
    for kind, name in (("sprites", "Sprites-MOT"), ("mnist", "MNIST-MOT")):
        folder = OUTPUT / kind
        draw, origin = source(kind)
        print(f"{name}: objects {origin}")
        synthetic.generate(folder / "input", kind, draw, "test", 1, FRAMES, OBJECTS, SEED)
        arguments = ["--dataset", kind, "--detections", str(folder / "input" / "detections")]
        arguments += ["--ground-truth", str(folder / "input"), "--output", str(folder)]
        arguments += ["--images", str(folder / "input" / "images"), "--visualize"]
        summary = test_mots.evaluate(test_mots.parse_args(arguments))
        scores = summary["scores"]
        masks = scores["masks"]["pedestrian"]
        rows[name] = {
            "detections": summary["counts"]["read"],
            "tracks": summary["counts"]["tracker_tracks"],
            **scores["boxes"][kind],
            "sMOTSA": masks["sMOTSA"],
            "HOTA": masks["HOTA"],
        }
    print(format_table("demo", list(rows[name]), rows))
    print(f"{OUTPUT}: sprites/ and mnist/ hold data/ (MOTS txt) and pictures/ (mp4, t-SNE)")


if __name__ == "__main__":
    run(main)
