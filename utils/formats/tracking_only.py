"""MOTS20 tracking-only detections: boxes, scores and masks without ids."""

from utils.detections import Detections
from utils.formats.lines import Columns
from utils.formats.track_rcnn import VECTOR

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


def line_of(detections: Detections, row: int) -> bytes:
    """Return the line of a detection: 10 fields, or TrackR-CNN's 138 where it has a vector.

    A vector of fewer than 128 values is filled up with zeros, which changes no distance.

    Raises:
        ValueError: a vector of more values.
    """
    x, y, w, h = (float(v) for v in detections.boxes_xywh[row])
    vectors = detections.vectors
    box = (x, y, w, h) if vectors is None else (x, y, x + w, y + h)
    fields = [str(detections.frames[row]), *(f"{v:g}" for v in box)]
    fields += [f"{detections.scores[row]:.6g}", str(detections.classes[row])]
    fields += [str(detections.height), str(detections.width), detections.rles[row].decode()]
    if vectors is not None:
        values = vectors[row].tolist()
        if len(values) > VECTOR:
            rule = f"vectors in a file must have at most {VECTOR} values"
            raise ValueError(f"{rule}, got {len(values)}")
        fields += [f"{v:.6g}" for v in values] + ["0"] * (VECTOR - len(values))
    return " ".join(fields).encode() + b"\n"
