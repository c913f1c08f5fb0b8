"""Find, track and score the objects of a short generated sequence of each kind: `make demo`."""

from pathlib import Path
from typing import Any

from pipeline.request import Files, Request
from pipeline.run import execute
from pipeline.segmenting import SegmentRequest, segment
from pipeline.settings import changed, settings_for
from utils import synthetic, synthetic_pictures
from utils.cli import run, say
from utils.data_sets import DataSet, data_set
from utils.tables import format_table

OUTPUT = Path("results") / "demo"
FRAMES, OBJECTS, SEED = 120, 3, 7
# Networks that find the objects in frames; without one the generated masks are tracked.
NETWORKS = {"sprites": Path(__file__).parent / "pretrained" / "trackrcnn_sprites.keras"}
LEAST = 0.5  # score of what a network found
COLUMNS = ("mask AP50", "detections", "tracks", "IDF1", "IDS", "MOTA", "sMOTSA", "HOTA")


def segmented(folder: Path, dataset: DataSet, network: Path) -> tuple[Path, float]:
    """Find the objects of a generated sequence; return their file and the masks' AP50."""
    source, output = folder / "input", folder.with_name(f"{folder.name}_found")
    frames = str(source / dataset.images / "0001")
    truth = source / dataset.truth
    summary = segment(SegmentRequest(frames, output, str(network), ground_truth=truth))
    return output / summary["files"][0], summary["scores"]["AP50"]["mask"]["mean"]


def tracked(folder: Path, dataset: DataSet, detections: Path, least: float) -> dict[str, Any]:
    """Track, draw and score a sequence; return its row of the table."""
    source = folder / "input"
    request = Request(
        changed(settings_for(dataset), [f"rules.min_score={least}"]),
        Files([detections], source / dataset.images),
        folder,
        ground_truth=source,
        report=True,
        visualize=True,
    )
    summary = execute(request)
    scores = summary["scores"]
    counted = {
        "detections": summary["counts"]["read"],
        "tracks": summary["counts"]["tracker_tracks"],
    }
    row: dict[str, Any] = scores["boxes"][dataset.name] | scores["masks"]["pedestrian"]
    return counted | row


def main() -> None:
    """Run the whole pipeline on both kinds; print one table."""
    rows = {}
    for kind in ("sprites", "mnist"):
        folder, dataset = OUTPUT / kind, data_set(kind)
        draw, origin = synthetic_pictures.source(kind)
        say(f"{dataset.title}: objects {origin}")
        synthetic.generate(
            folder / "input", kind, draw, dataset.margin or 0, "test", 1, FRAMES, OBJECTS, SEED
        )
        given, network = folder / "input" / dataset.detections, NETWORKS.get(kind)
        row: dict[str, Any] = {}
        if network is not None:
            given, row["mask AP50"] = segmented(folder, dataset, network)
            say(f"detections that score below {LEAST} are left out")
        rows[f"{dataset.title}, {'from frames' if network else 'given masks'}"] = row | tracked(
            folder, dataset, given, LEAST if network else 0.0
        )
    shown = {name: {c: row.get(c) for c in COLUMNS} for name, row in rows.items()}
    say(format_table("demo", list(COLUMNS), shown))
    say(f"{OUTPUT}: sprites/ and mnist/ hold data/ (MOTS txt) and pictures/ (mp4, t-SNE), "
        "sprites_found/ what the network found")  # fmt: skip
    say(f"open {(OUTPUT / 'sprites' / 'report.html').resolve().as_uri()} to play and correct them")


if __name__ == "__main__":
    run(main)
