"""TrackR-CNN's detections: as tracking-only, with corners and an association vector."""

from utils.formats.lines import Columns

VECTOR = 128  # floats

TRACK_RCNN = Columns(
    "trackrcnn",
    f"frame x1 y1 x2 y2 score class height width rle and {VECTOR} floats",
    fields=10 + VECTOR,
    frame=0,
    box=1,
    corners=True,
    score=5,
    cls=6,
    height=7,
    width=8,
    rle=9,
    vector=VECTOR,
)
