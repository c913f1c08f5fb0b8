"""MOTS20 tracking-only detections: boxes, scores and masks without ids."""

from utils.formats.lines import Columns

TRACKING_ONLY = Columns(
    "tracking-only",
    "frame x y w h score class height width rle",
    fields=10,
    frame=0,
    box=1,
    score=5,
    cls=6,
    height=7,
    width=8,
    rle=9,
)
