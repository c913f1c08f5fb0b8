"""The networks that see frames, by name: where each one's settings, class and trainer are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from models.maskrcnn.published import PUBLISHED
from models.networks.config import FrameConfig
from models.networks.plan import Profile


@dataclass(frozen=True)
class Entry:
    """A network; a module is imported when it is asked for, since Keras takes seconds.

    Attributes:
        settings, network, trainer: "module:name" each. PROFILES stands beside the settings.
    """

    settings: str
    network: str
    trainer: str = "models.networks.training:NetworkTrainer"

    @property
    def config(self) -> type[FrameConfig]:
        """Return the class of its settings."""
        config: type[FrameConfig] = _named(self.settings)
        return config

    @property
    def profiles(self) -> Mapping[str, Profile]:
        """Return its sizes by name."""
        profiles: Mapping[str, Profile] = _named(f"{self.settings.partition(':')[0]}:PROFILES")
        return profiles


def _named(place: str) -> Any:
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)


NETWORKS = {
    "maskrcnn": Entry("models.maskrcnn.config:MaskRcnnConfig", "models.maskrcnn.network:MaskRCNN"),
    "trackrcnn": Entry(
        "models.trackrcnn.config:TrackRcnnNetworkConfig", "models.trackrcnn.network:TrackRCNN"
    ),
    "motsnet": Entry(
        "models.motsnet.config:MotsNetNetworkConfig", "models.motsnet.network:MOTSNet"
    ),
    "pixel_embeddings": Entry(
        "models.pixel_embeddings.config:PixelConfig",
        "models.pixel_embeddings.network:PixelEmbeddings",
    ),
    "remots": Entry(
        "models.remots.encoder_config:EncoderConfig",
        "models.remots.network:EncoderNetwork",
        "models.remots.training:EncoderTrainer",
    ),
}


def network_class(name: str) -> Any:
    """Return the class of a network by its name; imports Keras."""
    return _named(NETWORKS[name].network)


def trainer_class(name: str) -> Any:
    """Return the class that trains a network; imports Keras."""
    return _named(NETWORKS[name].trainer)


def load_network(name: Path | str) -> Any:
    """Return a network by the name of published weights, or from a file.

    Args:
        name: of PUBLISHED; *.keras of train_network.py; *.pth of torchvision's Mask R-CNN.

    Raises:
        ValueError: no such weights; what to fetch and where to put it where there is no network.
    """
    from models.networks.files import load_file

    if str(name) in PUBLISHED:
        from models.maskrcnn.download import published_network

        return published_network(str(name))
    if Path(name).suffix in (".pth", ".pt"):
        from models.maskrcnn.download import converted_network

        return converted_network(Path(name))
    for known in NETWORKS:
        network_class(known)  # registers with Keras what a file may hold
    return load_file(Path(name))
