"""The data sets, one object each: classes, files, settings, weights, licence, how to get it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from utils.detections import CAR, IGNORE, PEDESTRIAN
from utils.rules import DetectionRules

# The one table of classes of the MOTS benchmarks; what is named "ignore" is no object.
MOTS_CLASSES = MappingProxyType({CAR: "car", PEDESTRIAN: "pedestrian", IGNORE: "ignore"})
CUSTOM = "custom"


@dataclass(frozen=True)
class Preset:
    """How one tracker is set for a data set.

    Attributes:
        rules: which detections take part.
        tracker: {field: value} of the tracker's settings that are not its defaults.
    """

    rules: DetectionRules
    tracker: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class DataSet:
    """One data set.

    Attributes:
        name: what --dataset takes. title: what tables call it.
        class_names: {number: name}; a class that is absent is called "class N", and the one called
            "ignore" marks regions that count for nothing.
        tracked: numbers of the classes that are tracked; None: every class but "ignore".
        presets: {tracker: Preset}; `default_tracker` is taken where none is named.
        network: arguments of the DHAE. object_size: side in px that divides box sizes before it;
            None means the frame.
        weights: file names in `pretrained/`. weights_from: data sets whose weights may track this
            one: their patches and boxes are made alike. mtl_weights, equal_weights: those of
            Table 4, which differ in the loss alone. appearance_weights: those that see colours.
        folder: in the --data folder. truth, detections, images: in `folder`, of `SEQ.txt` (of
            `SEQ/000000.png`); detections may be a pattern.
        box_truth: MOT ground truth of a sequence in `folder`, where boxes are scored, too, and the
            ids of training detections stand; None where there is none.
        first_frame: number of a sequence's first frame; None: any.
        margin: px between a generated frame's border and births; None: not generated here.
        source: where to get it. licence: of the data, for the cards of weights.
    """

    name: str
    title: str
    class_names: Mapping[int, str]
    tracked: tuple[int, ...] | None
    presets: Mapping[str, Preset]
    default_tracker: str
    network: Mapping[str, Any]
    object_size: int | None
    weights: tuple[str, ...]
    weights_from: tuple[str, ...]
    folder: str
    source: str
    licence: str
    first_frame: int | None
    truth: str = "instances_txt"
    detections: str = "detections*"
    images: str = "images"
    box_truth: str | None = None
    margin: int | None = None
    mtl_weights: tuple[str, ...] = field(default=())
    equal_weights: tuple[str, ...] = field(default=())
    appearance_weights: tuple[str, ...] = field(default=())

    @property
    def ignore(self) -> int | None:
        """Return the class of ignore regions, None where there is none."""
        return next((cls for cls, name in self.class_names.items() if name == "ignore"), None)

    @property
    def any_class(self) -> bool:
        """Return whether classes of any number may be tracked."""
        return self.tracked is None

    def name_of(self, cls: int) -> str:
        """Return a class' name."""
        return self.class_names.get(cls, f"class {cls}")

    @property
    def numbers(self) -> dict[str, int]:
        """Return {class name: number} of the named classes."""
        return {name: cls for cls, name in self.class_names.items()}

    def network_config(self, channels: int = 1) -> dict[str, Any]:
        """Return the DHAE's arguments (paper, section 3.2.2; authors' code)."""
        return {**self.network, "channels": channels}


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


def _readings(rules: DetectionRules, **settings: Any) -> dict[str, Preset]:
    """Return the two presets that read the paper, with settings that they share."""
    return {"paper": Preset(rules, settings), "authors": Preset(rules, settings)}


def _mots_presets(tau: int, min_track_length: int) -> dict[str, Preset]:
    """Return the presets of cars and pedestrians."""
    rules = DetectionRules({CAR: 0.6, PEDESTRIAN: 0.7}, {CAR: 150, PEDESTRIAN: 100})
    readings = _readings(rules, tau=tau, min_track_length={0: min_track_length})
    # The least areas are the benchmark's; no least score is anyone's.
    return {**readings, "best": replace(_BEST, rules=replace(_BEST.rules, min_area=rules.min_area))}


def _generated(
    name: str, title: str, filters: tuple[int, ...], limit: float, margin: int, licence: str
) -> DataSet:
    """Return one of the generated sets (paper, section 4.1)."""
    script = {"mnist": "gen_mnist.py", "sprites": "gen_sprite.py"}[name]
    return DataSet(
        name,
        title,
        class_names=MOTS_CLASSES,
        tracked=(PEDESTRIAN,),
        presets=_readings(
            DetectionRules(),
            tau=2,
            gate="embedding",
            max_distance=limit,
            min_score=0.2,
            min_track_length={0: 1},
        ),
        default_tracker="paper",
        network=MappingProxyType(
            dict(
                patch_size=28,
                filters=filters,
                latent_dim=64,
                last_padding="valid",
                dropout_after=(0, 1),
                reduction="scaled_sum",
            )
        ),
        object_size=28,
        weights=(f"dhae_{name}_shape.keras",),
        weights_from=(name,),
        folder=f"{name}_mot/test",
        source=f"made by `python {script} --split test`",
        licence=licence.format(title=title, script=script),
        first_frame=1,
        detections="detections",
        box_truth="gt/{sequence}/gt.txt",
        margin=margin,
    )


_KITTI = DataSet(
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
    appearance_weights=_APPEARANCE,
)
_ANY = replace(
    _KITTI,
    name=CUSTOM,
    title="your data",
    class_names={IGNORE: "ignore"},
    tracked=None,
    presets={**_readings(DetectionRules()), "best": _BEST},
    default_tracker="best",
    folder=CUSTOM,
    source="yours",
    licence="data of the user",
    first_frame=None,
)
DATA_SETS: Mapping[str, DataSet] = MappingProxyType(
    {
        "mnist": _generated(
            "mnist",
            "MNIST-MOT",
            (16, 24, 48),
            2.5,
            9,
            "{title}, generated by {script} from MNIST digits (LeCun et al.; CC BY-SA 3.0)",
        ),
        "sprites": _generated(
            "sprites",
            "Sprites-MOT",
            (16, 32, 32),
            1.0,
            10,
            "{title}, generated by {script} (drawn, no foreign data; MIT)",
        ),
        "kitti": _KITTI,
        "mots": replace(
            _KITTI,
            name="mots",
            title="MOTSChallenge",
            tracked=(PEDESTRIAN,),
            presets=_mots_presets(tau=2, min_track_length=5),
            folder="mots_challenge",
            source=f"MOTSChallenge, {_MOTS_PAGE}",
            licence=f"MOTSChallenge annotations and frames {_LICENCE}",
            first_frame=1,
        ),
        CUSTOM: _ANY,
    }
)


def data_set(name: str) -> DataSet:
    """Return the data set of that name.

    Raises:
        ValueError: there is none.
    """
    if name not in DATA_SETS:
        raise ValueError(f"dataset must be one of {', '.join(DATA_SETS)}, got {name!r}")
    return DATA_SETS[name]
