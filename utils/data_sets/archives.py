"""Where the data sets' archives are: an entry each, with size, checksum and licence."""

from __future__ import annotations

from dataclasses import dataclass

ANNOTATIONS, FRAMES, DETECTIONS = "annotations", "frames", "detections"
_CC = "CC BY-NC-SA 3.0 (Voigtlaender et al., CVPR 2019)"
_RWTH = "https://www.vision.rwth-aachen.de"
_KITTI = "https://s3.eu-central-1.amazonaws.com/avg-kitti"


@dataclass(frozen=True)
class Archive:
    """One file to fetch.

    Attributes:
        dataset: folder in --output that it unpacks into. kind: ANNOTATIONS, FRAMES or DETECTIONS.
        url: its address; None where only a page leads to it. page: that describes it.
        licence: of what is in it.
        size: in bytes; None: not known. sha256: likewise.
        tried: whether the address was fetched from when this entry was written.
    """

    dataset: str
    kind: str
    url: str | None
    page: str
    licence: str
    size: int | None = None
    sha256: str | None = None
    tried: bool = False

    @property
    def name(self) -> str:
        """The file's name."""
        return (self.url or f"{self.dataset}_{self.kind}.zip").rsplit("/", 1)[1 if self.url else 0]


# None of the addresses could be tried where this was written: no entry says `tried`.
ARCHIVES = (
    Archive(
        "kitti_mots", ANNOTATIONS, f"{_RWTH}/media/resource_files/instances_txt.zip",
        f"{_RWTH}/page/mots", _CC,
    ),
    Archive(
        "kitti_mots", FRAMES, f"{_KITTI}/data_tracking_image_2.zip",
        "https://www.cvlibs.net/datasets/kitti/eval_tracking.php",
        "CC BY-NC-SA 3.0 (Geiger et al., CVPR 2012)",
    ),
    Archive("kitti_mots", DETECTIONS, None, f"{_RWTH}/page/mots", _CC),
    # One archive holds frames and annotations.
    Archive(
        "mots_challenge", ANNOTATIONS, "https://motchallenge.net/data/MOTS.zip",
        "https://motchallenge.net/data/MOTS/", _CC,
    ),
    Archive("mots_challenge", DETECTIONS, None, f"{_RWTH}/page/mots", _CC),
    Archive(
        "mnist", ANNOTATIONS,
        "https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz",
        "https://keras.io/api/datasets/mnist/", "CC BY-SA 3.0 (LeCun et al.)",
        size=11_490_434,
        sha256="731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1",
    ),
)  # fmt: skip
