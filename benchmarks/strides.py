"""What tracking can score at most on maps of a lower resolution (thesis, Figure 6.2).

    python -m benchmarks.strides --data data/kitti_mots/instances_txt

True masks are scaled down by the nearest pixel, scaled up again in the same way, and scored. The
thesis has sMOTSA 93.6 / 89.4 at stride 2 and 88.0 / 79.6 at stride 4 (KITTI MOTS, cars /
pedestrians).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from pycocotools import mask as coco_mask

from utils import evaluation, masks
from utils.cli import Parser, run, say
from utils.data_sets import DATA_SETS, data_set
from utils.detections import Detections
from utils.formats.reading import read_sequences
from utils.tables import format_table

STRIDES = (1, 2, 4, 8)


def coarse(mask: masks.Array, stride: int) -> masks.Array:
    """Return a mask (height, width) as a map of every `stride`-th pixel shows it (Figure 6.2)."""
    rows, columns = (
        np.minimum(np.arange(n) // stride * stride + stride // 2, n - 1) for n in mask.shape
    )
    return mask[np.ix_(rows, columns)]


def at_stride(truth: Detections, stride: int) -> Detections:
    """Return a ground truth on coarser maps; objects without a pixel there are gone."""
    rles = [masks.encode(coarse(coco_mask.decode(rle), stride)) for rle in truth.coco()]
    found = replace(truth, rles=np.array(rles, object))
    return found.select(masks.areas_of(found.rles, truth.height * truth.width) > 0)


def main() -> None:
    """Print the table."""
    parser = Parser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="ground truth")
    parser.add_argument("--dataset", choices=list(DATA_SETS), default="kitti")
    parser.add_argument("--sequences", nargs="+")
    args = parser.parse_args()
    dataset = data_set(args.dataset)
    classes = {number: dataset.name_of(number) for number in dataset.tracked or ()}
    truths = read_sequences(args.data, args.sequences)
    rows = {}
    for stride in STRIDES:
        counts = [
            evaluation.mask_counts(truth, at_stride(truth, stride), classes) for truth in truths
        ]
        table = evaluation.combine_masks(counts)
        rows[str(stride)] = {
            name: "-" if row["sMOTSA"] is None else f"{row['sMOTSA']:.1f}"
            for name, row in table.items()
        }
    say(format_table("stride", tuple(rows["1"]), rows))


if __name__ == "__main__":
    run(main)
