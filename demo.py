"""Generate, track and score a short Sprites-MOT and MNIST-MOT sequence: `make demo`."""

from pathlib import Path

from models.run import Request, execute
from models.settings import settings_for
from utils import synthetic
from utils.cli import run, say
from utils.data_sets import data_set
from utils.tables import format_table

OUTPUT = Path("results") / "demo"
FRAMES, OBJECTS, SEED = 120, 3, 7


def main() -> None:
    """Run the whole pipeline on both kinds; print one table."""
    rows = {}
    for kind in ("sprites", "mnist"):
        folder, of = OUTPUT / kind, data_set(kind)
        draw, origin = synthetic.source(kind)
        say(f"{of.title}: objects {origin}")
        synthetic.generate(
            folder / "input", kind, draw, of.margin or 0, "test", 1, FRAMES, OBJECTS, SEED
        )
        made = folder / "input"
        request = Request(
            settings_for(of),
            [made / of.detections],
            folder,
            ground_truth=made,
            images=made / of.images,
            visualize=True,
        )
        summary = execute(request)
        scores = summary["scores"]
        masks = scores["masks"]["pedestrian"]
        rows[of.title] = {
            "detections": summary["counts"]["read"],
            "tracks": summary["counts"]["tracker_tracks"],
            **scores["boxes"][kind],
            "sMOTSA": masks["sMOTSA"],
            "HOTA": masks["HOTA"],
        }
    say(format_table("demo", list(next(iter(rows.values()))), rows))
    say(f"{OUTPUT}: sprites/ and mnist/ hold data/ (MOTS txt) and pictures/ (mp4, t-SNE)")


if __name__ == "__main__":
    run(main)
