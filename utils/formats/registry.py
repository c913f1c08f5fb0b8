"""The registry of formats, told apart by content."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib import import_module

from utils.files import FormatError, shown
from utils.formats.base import File, Format
from utils.formats.lines import TextLines, numbered
from utils.formats.mots_txt import MOTS_TXT
from utils.formats.track_rcnn import TRACK_RCNN
from utils.formats.tracking_only import TRACKING_ONLY

MOT_CSV = re.compile(rb"\d+ ?(, ?-?\d+(\.\d+)? ?){5,}")  # frame, id, x, y, w, h, ...
TEXTS = (MOTS_TXT, TRACKING_ONLY, TRACK_RCNN)
_FIELDS = [columns.fields for columns in TEXTS]
EXPECTED = f"{', '.join(map(str, _FIELDS[:-1]))} or {_FIELDS[-1]} fields"
# module.Class, in the order in which they are tried: the narrower before the wider.
CLASSES = (
    "yolo.YoloTxt",
    "coco.CocoResults",
    "ytvis.YtvisResults",
    "label_studio.LabelStudio",
    "ytvis.YtvisAnnotations",
    "coco.CocoAnnotations",
    "labels.MotsPng",
    "labels.CityscapesPng",
    "labels.DavisPng",
    "labels.LabelPng",
    "tiff.LabelTiff",
    "arrays.Npz",
    "arrays.Npy",
    "cvat_mots.CvatMots",
    "cvat.CvatXml",
)


def _format(place: str) -> Format:
    module, _, name = place.partition(".")
    format_: Format = getattr(import_module(f"utils.formats.{module}"), name)()
    return format_


_LINES = [TextLines(columns, dict.fromkeys(_FIELDS, EXPECTED)) for columns in TEXTS]
FORMATS: Mapping[str, Format] = {f.name: f for f in (*map(_format, CLASSES), *_LINES)}
SUFFIXES = tuple(dict.fromkeys(s for f in FORMATS.values() for s in f.suffixes))


def format_of(file: File, forced: str | None = None) -> Format:
    """Return the format of a file: the forced one, else told by its content.

    Raises:
        FormatError: none fits.
    """
    if forced is not None:
        return FORMATS[forced]
    for candidate in FORMATS.values():
        if file.suffix in candidate.suffixes and candidate.fits(file):
            return candidate
    if file.suffix == ".txt":
        lines = numbered(file.head)
        if not lines:
            return FORMATS[MOTS_TXT.name]
        if MOT_CSV.fullmatch(b" ".join(lines[0][1])):
            rule = "must hold masks; this is MOT CSV, boxes without masks"
            raise FormatError(file.path, lines[0][0], rule, shown(b" ".join(lines[0][1])))
        raise FormatError(file.path, lines[0][0], f"expected {EXPECTED}", len(lines[0][1]))
    known = ", ".join(FORMATS)
    raise FormatError(file.path, None, f"must be of a known format ({known})", "another")
