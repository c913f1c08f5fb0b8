"""Mask R-CNN as one Keras model (He et al., ICCV 2017)."""

from __future__ import annotations

import keras

from models.maskrcnn.config import MaskRcnnConfig
from models.networks.detector import Detector


@keras.saving.register_keras_serializable("usc_mots")
class MaskRCNN(Detector):
    """The detector as its paper has it; `Detector` says what goes in and what comes out.

    Args:
        config: MaskRcnnConfig, or the dict of it that a file holds.
    """

    config_class = MaskRcnnConfig
