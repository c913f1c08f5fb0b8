"""The formats that results are written in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from utils.formats import arrays, coco, ctc, cvat, label_writing, mot, mots_txt, yolo, ytvis
from utils.formats.base import Output


@dataclass(frozen=True)
class Writer:
    """Writes a result in one format.

    Attributes:
        folder: in the run's folder. suffix: of a sequence's file; "" where it is a folder of files.
        write: function (path, Output). meaning: one line for docs and --help.
    """

    folder: str
    suffix: str
    write: Callable[[Path, Output], None]
    meaning: str

    def place(self, sequence: str) -> str:
        """Return the path of a sequence's file or folder in the run's folder."""
        return f"{self.folder}/{sequence}{self.suffix}"


MOTS = "mots"
WRITERS: Mapping[str, Writer] = {
    MOTS: Writer("data", ".txt", mots_txt.write_output, "MOTS txt, always written"),
    "coco": Writer("coco", ".json", coco.write, "COCO annotations with track_id"),
    "ytvis": Writer("ytvis", ".json", ytvis.write, "YouTube-VIS annotations"),
    "png": Writer("png", "", label_writing.write_mots_png, "MOTS PNG, class * 1000 + number"),
    "davis": Writer("davis", "", label_writing.write_davis, "PNG with a palette, to 254 tracks"),
    "yolo": Writer("yolo", "", yolo.write, "YOLO segmentation txt with ids"),
    "cvat": Writer("cvat", ".xml", cvat.write, "CVAT for video 1.1, tracks of polygons"),
    "npz": Writer("npz", ".npz", arrays.write, "label images (T, H, W) with frames"),
    "ctc": Writer("ctc", "", ctc.write, "Cell Tracking Challenge: maskTTT.tif and res_track.txt"),
    "mot": Writer("mot", ".txt", mot.write, "MOT txt, the boxes around the masks"),
}
