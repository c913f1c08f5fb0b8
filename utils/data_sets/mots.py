"""KITTI MOTS, MOTSChallenge, and the user's data, which the same weights track."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

from utils.data_sets.data_set import CUSTOM, MOTS_CLASSES, DataSet, Preset, readings
from utils.detections import CAR, IGNORE, PEDESTRIAN
from utils.rules import DetectionRules

_REAL_NETWORK = MappingProxyType(
    dict(
        patch_size=128,
        filters=(16, 16, 32, 32, 64),
        latent_dim=128,
        batch_norm_after=(1, 2, 3),
        dropout_after=(1, 2, 3),
        decoder_dropout_after=(1, 2, 3),
        reduction="mean",
    )
)
_MOTS_PAGE = "https://www.vision.rwth-aachen.de/page/mots"
_LICENCE = "(Voigtlaender et al., CVPR 2019; CC BY-NC-SA 3.0)"
# One for all data sets.
_BEST = Preset(DetectionRules(max_overlap=0.5))
_SHAPE = ("dhae_kitti_shape.keras", "dhae_kitti_shape_b.keras")
_MTL = ("dhae_kitti_shape_mtl.keras", "dhae_kitti_shape_mtl_b.keras")
_EQUAL = ("dhae_kitti_shape_equal.keras", "dhae_kitti_shape_equal_b.keras")
_APPEARANCE = ("dhae_mots_appearance.keras", "dhae_mots_appearance_b.keras")


# Of KITTI's 21 training videos, 9 validate (Voigtlaender et al., CVPR 2019, section 3).
_VAL = (2, 6, 7, 8, 10, 13, 14, 16, 18)
_KITTI_SPLITS = MappingProxyType(
    {
        "train": tuple(f"{n:04d}" for n in range(21) if n not in _VAL),
        "val": tuple(f"{n:04d}" for n in _VAL),
        "test": tuple(f"{n:04d}" for n in range(29)),
    }
)
# None of the four is set apart: they validate by leaving one out (--held-back).
_FOUR = ("0002", "0005", "0009", "0011")
_MOTS_SPLITS = MappingProxyType(
    {"train": _FOUR, "val": _FOUR, "test": ("0001", "0006", "0007", "0012")}
)


def _mots_presets(tau: int, min_track_length: int) -> dict[str, Preset]:
    """Return the presets of cars and pedestrians."""
    # Section 4.2 has a threshold of 0.70 for all; the authors' code 0.6 for cars.
    rules = DetectionRules({CAR: 0.7, PEDESTRIAN: 0.7}, {CAR: 150, PEDESTRIAN: 100})
    presets = readings(rules, tau=tau, min_track_length={0: min_track_length})
    presets["authors"] = replace(
        presets["authors"], rules=replace(rules, min_score={CAR: 0.6, PEDESTRIAN: 0.7})
    )
    # The least areas are the benchmark's; no least score is anyone's.
    return {**presets, "best": replace(_BEST, rules=replace(_BEST.rules, min_area=rules.min_area))}


KITTI = DataSet(
    "kitti",
    "KITTI MOTS",
    class_names=MOTS_CLASSES,
    tracked=(CAR, PEDESTRIAN),
    presets=_mots_presets(tau=1, min_track_length=3),
    default_tracker="paper",
    network=_REAL_NETWORK,
    object_size=None,
    weights=_SHAPE,
    weights_from=("kitti", "mots", CUSTOM),
    folder="kitti_mots",
    source=f"KITTI MOTS, {_MOTS_PAGE}",
    licence=f"KITTI MOTS annotations {_LICENCE}",
    first_frame=0,
    mtl_weights=_MTL,
    equal_weights=_EQUAL,
    splits=_KITTI_SPLITS,
    appearance_weights=_APPEARANCE,
)
ANY = replace(
    KITTI,
    name=CUSTOM,
    title="your data",
    class_names={IGNORE: "ignore"},
    tracked=None,
    presets={**readings(DetectionRules()), "best": _BEST},
    default_tracker="best",
    folder=CUSTOM,
    splits={},
    source="yours",
    licence="data of the user",
    first_frame=None,
)
MOTS = replace(
    KITTI,
    name="mots",
    title="MOTSChallenge",
    tracked=(PEDESTRIAN,),
    presets=_mots_presets(tau=2, min_track_length=5),
    folder="mots_challenge",
    source=f"MOTSChallenge, {_MOTS_PAGE}",
    licence=f"MOTSChallenge annotations and frames {_LICENCE}",
    first_frame=1,
    splits=_MOTS_SPLITS,
    alias=r"MOTS20-(\d\d)",
)
