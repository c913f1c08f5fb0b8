"""The README's video: people pass behind pillars and each other, ids by `paper` and by `best`.

    python -m benchmarks.occlusion_video --output docs/occlusion.gif

The street is drawn, the masks are what can be seen of each person; both presets get the same masks,
embeddings (committed weights) and, as far as they use them, pixels.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.settings import settings_for
from pipeline.stages import Pipeline
from utils import masks
from utils.cli import Parser, run, say
from utils.data_sets import data_set
from utils.detections import PEDESTRIAN, Detections
from utils.evaluation import association_accuracy, identity_f1
from utils.files import atomic_path

HEIGHT, WIDTH, FRAMES = 200, 320, 120
PILLARS = ((96, 126), (206, 236))  # px from, to
LEAST_SHOWN = 0.3  # share of a person that must show to be detected
WALKERS = (  # x at the start, px per frame, feet, height, colour
    (2, 1.9, 182, 74, (200, 60, 50)),
    (312, -1.7, 172, 68, (60, 90, 200)),
    (140, 0.9, 158, 60, (60, 150, 70)),
    (380, -2.2, 190, 78, (210, 180, 60)),
    (-60, 1.7, 165, 64, (150, 80, 170)),
)


def draw(frame: int) -> tuple[npt.NDArray[np.uint8], list[Any]]:
    """Return the (HEIGHT, WIDTH, 3) uint8 picture and [visible mask or None] of the walkers."""
    image = np.full((HEIGHT, WIDTH, 3), (120, 125, 130), np.uint8)
    image[110:] = (85, 85, 80)
    owner = np.full((HEIGHT, WIDTH), -1)
    whole = {}
    # Who stands lower is nearer, and hides the others.
    for i in sorted(range(len(WALKERS)), key=lambda i: WALKERS[i][2]):
        x, speed, feet, height, colour = WALKERS[i]
        centre = round(x + speed * frame), feet - height // 2
        shape = np.zeros((HEIGHT, WIDTH), np.uint8)
        swing = round(4 * np.sin(frame / 3 + i))
        for leg in (-swing, swing):
            foot = centre[0] + leg, feet
            cv2.line(shape, (centre[0], centre[1] + height // 8), foot, 1, max(5, height // 11))
        cv2.ellipse(shape, centre, (height // 7, height // 4), 0, 0, 360, 1, -1)
        cv2.circle(shape, (centre[0], feet - height + height // 9), height // 9, 1, -1)
        whole[i] = int(shape.sum())
        owner[shape > 0] = i
        image[shape > 0] = colour
    for left, right in PILLARS:
        image[30:, left:right] = (60, 58, 55)
        owner[30:, left:right] = -1
    shown = [owner == i for i in range(len(WALKERS))]
    return image, [
        m if m.sum() >= max(LEAST_SHOWN * whole[i], 20) else None for i, m in enumerate(shown)
    ]


def simulate() -> tuple[Detections, list[npt.NDArray[np.uint8]]]:
    """Return the Detections and the pictures of the street."""
    images, found = [], []
    for frame in range(FRAMES):
        image, shown = draw(frame)
        images.append(image)
        found += [(frame, i + 1, masks.encode(m)) for i, m in enumerate(shown) if m is not None]
    rles = np.empty(len(found), object)
    rles[:] = [rle for _, _, rle in found]
    detections = Detections(
        "street",
        HEIGHT,
        WIDTH,
        np.array([f for f, _, _ in found], np.int32),
        np.full(len(found), PEDESTRIAN, np.int16),
        np.ones(len(found), np.float32),
        masks.tight_boxes_xywh(rles, HEIGHT, WIDTH),
        rles,
        np.array([i for _, i, _ in found], np.int32),
        scored=False,
    )
    return detections, images


def main() -> None:
    """Simulate, track twice, write the video."""
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("docs/occlusion.gif"))
    args = parser.parse_args()
    from matplotlib import animation
    from matplotlib import pyplot as plt

    from utils.drawing import Painter

    detections, images = simulate()
    ids = {
        name: Pipeline(settings_for(data_set("mots"), name))
        .track(detections, images.__getitem__)
        .track_ids
        for name in ("paper", "best")
    }
    for name, track_ids in ids.items():
        switches = association_accuracy(detections, track_ids)[2]
        score = 100 * identity_f1(detections.ids, track_ids)[0]
        say(f"{name}: {len(set(track_ids.tolist()) - {0})} ids for {len(WALKERS)} people, "
              f"{switches} switches, IDF1 {score:.1f}")  # fmt: skip
    figure, axes = plt.subplots(1, 2, figsize=(8, 2.75), dpi=100)
    shown = [axis.imshow(images[0]) for axis in axes]
    for axis in axes:
        axis.set_axis_off()
    figure.subplots_adjust(0.005, 0.005, 0.995, 0.9, wspace=0.01)
    painters = {name: Painter() for name in ids}
    results = {name: replace(detections, ids=track_ids) for name, track_ids in ids.items()}
    rows_of = dict(detections.rows_by_frame())
    with tempfile.TemporaryDirectory() as folder, atomic_path(args.output) as temporary:
        writer, drawn = animation.PillowWriter(fps=12), Path(folder) / "video.gif"
        with writer.saving(figure, drawn, dpi=100):
            for frame, image in enumerate(images):
                for axis, picture, (name, track_ids) in zip(axes, shown, ids.items(), strict=True):
                    rows = rows_of.get(frame, np.zeros(0, int))
                    rows = rows[track_ids[rows] > 0]
                    picture.set_data(painters[name].draw(image, results[name], rows, frame, 2))
                    picture.set_extent((0, WIDTH, HEIGHT, 0))
                    used = len(set(track_ids[detections.frames <= frame].tolist()) - {0})
                    axis.set_title(
                        f"--preset {name}: {used} ids so far, {len(WALKERS)} people", fontsize=10
                    )
                writer.grab_frame()
        shutil.move(drawn, temporary)


if __name__ == "__main__":
    run(main)
