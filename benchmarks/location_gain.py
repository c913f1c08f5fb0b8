"""What location should weigh in Z: association on ground-truth masks by location gain.

python -m benchmarks.location_gain --data DIR --weights pretrained/dhae_kitti_shape.keras
"""

from pathlib import Path

from models.usc_mots.calibration import LOCATION_GAINS, associate
from models.usc_mots.embedding import load_model
from models.usc_mots.training_data import load_training_sequences
from pipeline.settings import settings_for
from utils.cli import Parser, run
from utils.data_sets import data_set
from utils.tables import format_table


def main() -> None:
    """Embed once, fuse with each gain, track, print."""
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="holds instances_txt")
    parser.add_argument("--weights", type=Path, required=True)
    args = parser.parse_args()
    of = data_set("kitti")
    model, config = load_model(args.weights), settings_for(of, "paper").tracker
    chosen, rows = model.config["location_gain"], {}
    sequences = load_training_sequences(
        args.data, of, model.config["patch_size"], model.config["channels"]
    )
    features = [model.encode_masks(s.patches[:]) for s in sequences]
    for gain in LOCATION_GAINS:
        embeddings = [
            model.fuse(feature, s.boxes, location_gain=gain)
            for s, feature in zip(sequences, features, strict=True)
        ]
        scores = associate(sequences, embeddings, config)
        name = f"location gain {gain:g}" + (" (kept)" if gain == chosen else "")
        rows[name] = {f"sMOTSA {k}": f"{100 * v:.2f}" for k, v in scores.items()}
    print(format_table("ground-truth masks", list(rows[name]), rows))


if __name__ == "__main__":
    run(main)
