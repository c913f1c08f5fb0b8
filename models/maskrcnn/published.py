"""Weights that torchvision publishes, by the names of this repository."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """Weights that torchvision publishes.

    Attributes:
        url: of the file, whose name ends in the first digits of its sha256.
        norm_eps: of its normalisation, which no shape shows.
        licence: of the weights.
    """

    url: str
    norm_eps: float
    licence: str = "torchvision, BSD-3-Clause; trained on COCO 2017 (annotations CC BY 4.0)"

    @property
    def name(self) -> str:
        """The file's name."""
        return self.url.rsplit("/", 1)[1]

    @property
    def digits(self) -> str:
        """What its sha256 begins with."""
        return self.name.rsplit("-", 1)[1].split(".")[0]


_AT = "https://download.pytorch.org/models/"
PUBLISHED = {
    "coco": Published(f"{_AT}maskrcnn_resnet50_fpn_v2_coco-73cbd019.pth", 1e-5),
    "coco-v1": Published(f"{_AT}maskrcnn_resnet50_fpn_coco-bf2d0c1e.pth", 0.0),
}
