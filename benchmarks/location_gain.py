"""What location should weigh in Z: association on ground-truth masks by location gain.

python -m benchmarks.location_gain --data DIR --weights pretrained/dhae_kitti_shape.keras
"""

from pathlib import Path

from models.calibration import LOCATION_GAINS, associate
from utils.cli import Parser, import_keras
from utils.config import preset
from utils.datasets import load_training_sequences
from utils.tables import format_table


def main():
    """Embed once, fuse with each gain, track, print."""
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="holds instances_txt")
    parser.add_argument("--weights", type=Path, required=True)
    args = parser.parse_args()
    import_keras()
    from models.dhae import load

    model, config = load(args.weights), preset("kitti").tracker
    chosen, rows = model.config["location_gain"], {}
    sequences = load_training_sequences(
        args.data, "kitti", model.config["patch_size"], model.config["channels"], None
    )
    features = [model.encode_masks(s.patches[:]) for s in sequences]
    for gain in LOCATION_GAINS:
        model.config["location_gain"] = gain
        scores = associate(model, sequences, features, config)
        name = f"location gain {gain:g}" + (" (kept)" if gain == chosen else "")
        rows[name] = {f"sMOTSA {k}": f"{100 * v:.2f}" for k, v in scores.items()}
    print(format_table("ground-truth masks", list(rows[name]), rows))


if __name__ == "__main__":
    main()
