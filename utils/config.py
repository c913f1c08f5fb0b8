"""Settings as frozen dataclasses, and the presets of the four data sets."""

from dataclasses import dataclass, field, replace

from utils.detections import CAR, PEDESTRIAN

DATASETS = ("mnist", "sprites", "kitti", "mots")
REAL = ("kitti", "mots")
PRESETS = ("paper", "best")


@dataclass(frozen=True)
class TrackerConfig:
    """How detections become tracks (paper, section 3.3 and 3.4).

    Attributes:
        t_lag: frames in the window, the current one included.
        tau: largest frame distance at which the gate forbids a link (Eq. 6).
        gate: "mask_iou" (no link between masks that do not overlap, Eq. 6) or "embedding" (none
            beyond `max_distance`, section 4.1).
        max_distance: limit on ||z_i - z_j|| of the "embedding" gate.
        centre_rule: cluster centre, "mean" of the members (paper) or the member "nearest" in time
            to the current frame (authors' code).
        order: which node chooses its cluster first, the closest to a centre ("distance") or those
            of the current frame ("time", authors' code).
        use_graph: False clusters with plain k-means, the rows without G of Table 4.
        known_clusters: True takes |K| from the true identities in the window, as Table 4's rows
            with |K| as a prior do, and opens no cluster beyond; needs detections with ids.
        seed: of the first centres of plain k-means.
        min_score: lambda, what a new cluster's normalised score must reach (Alg. 1).
        min_track_length: tracks with fewer detections are dropped.
        max_iterations: of k-means, per window.
        tolerance: k-means stops when the centres move less than this times the mean variance.
    """

    t_lag: int = 3
    tau: int = 1
    gate: str = "mask_iou"
    max_distance: float = float("inf")
    centre_rule: str = "nearest"
    order: str = "distance"
    use_graph: bool = True
    known_clusters: bool = False
    seed: int = 0
    min_score: float = 0.1
    min_track_length: int = 3
    max_iterations: int = 50
    tolerance: float = 1e-4

    def __post_init__(self):
        """Refuse settings without a meaning."""
        rules = (
            ("t_lag", self.t_lag >= 2, "at least 2 frames"),
            ("tau", self.tau >= 0, "at least 0 frames"),
            ("gate", self.gate in ("mask_iou", "embedding"), "'mask_iou' or 'embedding'"),
            ("max_distance", self.max_distance > 0, "above 0"),
            ("centre_rule", self.centre_rule in ("mean", "nearest"), "'mean' or 'nearest'"),
            ("order", self.order in ("distance", "time"), "'distance' or 'time'"),
            ("seed", self.seed >= 0, "at least 0"),
            ("min_track_length", self.min_track_length >= 1, "at least 1 detection"),
            ("max_iterations", self.max_iterations >= 1, "at least 1"),
        )
        check_settings(self, rules)


@dataclass(frozen=True)
class MotionConfig:
    """How detections become tracks by expected positions (preset `best`).

    Attributes:
        least_overlap: generalised IoU of an expected box and a detection at which, and below, the
            two cannot link.
        slack: by how much that limit falls as a track's position becomes uncertain.
        smoothing, damping: of the velocity, see `models.motion.Motion`.
        mask_weight: of the IoU of masks, beside the generalised IoU of boxes, whose weight is 1.
        size_weight: of the change of log width and height, which counts against a pair.
        descriptor_weight: of the log-likelihood ratio of embeddings (`models.evidence`); half of it
            for tracks seen at the last frame, whose position is certain.
        colour_weight: the same for colours, whose distances within a video are less alike.
        memory: frames for which a missed track stays.
        t_lag: frames within which a second detection must join the first.
        min_track_length: tracks with fewer detections are dropped.
        confident: {class: score} from which a detection may start a track; others only continue.
        confirmed: {class: mean score} that a track must reach to be written.
    """

    least_overlap: float = 0.0
    slack: float = 0.0
    smoothing: float = 0.25
    damping: float = 0.9
    mask_weight: float = 1.0
    size_weight: float = 0.4
    descriptor_weight: float = 0.2
    colour_weight: float = 0.4
    memory: int = 30
    t_lag: int = 3
    min_track_length: int = 5
    confident: dict = field(default_factory=dict)
    confirmed: dict = field(default_factory=dict)

    def __post_init__(self):
        """Refuse settings without a meaning."""
        rules = (
            ("least_overlap", -1 <= self.least_overlap < 1, "in [-1, 1)"),
            ("slack", 0 <= self.slack <= 1, "in [0, 1]"),
            ("mask_weight", self.mask_weight >= 0, "at least 0"),
            ("size_weight", self.size_weight >= 0, "at least 0"),
            ("descriptor_weight", self.descriptor_weight >= 0, "at least 0"),
            ("colour_weight", self.colour_weight >= 0, "at least 0"),
            ("smoothing", 0 < self.smoothing <= 1, "in (0, 1]"),
            ("damping", 0 < self.damping <= 1, "in (0, 1]"),
            ("memory", self.memory >= 1, "at least 1 frame"),
            ("t_lag", self.t_lag >= 2, "at least 2 frames"),
            ("min_track_length", self.min_track_length >= 1, "at least 1 detection"),
        )
        check_settings(self, rules)


def check_settings(config, rules):
    """Raise ValueError for the first (name, holds, rule) that does not hold."""
    for name, holds, rule in rules:
        if not holds:
            raise ValueError(f"{name} must be {rule}, got {getattr(config, name)}")


@dataclass(frozen=True)
class DetectionRules:
    """Which detections take part, per class; a class that is absent has no limit.

    Attributes:
        min_score: {class: least confidence}.
        min_area: {class: least box area in px^2}.
        max_overlap: IoU of masks above which the one with the lower score is a duplicate.
    """

    min_score: dict = field(default_factory=dict)
    min_area: dict = field(default_factory=dict)
    max_overlap: float = 1.0


@dataclass(frozen=True)
class Preset:
    """All settings of one data set.

    Attributes:
        dataset: its name.
        classes: the classes tracked.
        rules: which detections take part.
        tracker: how they become tracks; a MotionConfig for the preset `best`.
        trusted: the same for files without scores (ground truth, or another tracker's output),
            which miss nothing and invent nothing; None means `tracker`.
        object_size: side in pixels that divides box sizes before the DHAE; None means the frame.
        weights: the committed weights' file names, see `pretrained/`.
    """

    dataset: str
    classes: tuple
    rules: DetectionRules
    tracker: TrackerConfig | MotionConfig
    object_size: int | None
    weights: tuple
    trusted: MotionConfig | None = None

    def tracker_of(self, detections):
        """Return the settings for one sequence."""
        return self.tracker if detections.scored or self.trusted is None else self.trusted


def preset(dataset, name="paper"):
    """Return the named preset of a data set.

    Raises:
        ValueError: no such data set or preset.
    """
    if name not in PRESETS:
        raise ValueError(f"preset must be one of {', '.join(PRESETS)}, got {name!r}")
    if dataset not in DATASETS:
        raise ValueError(f"dataset must be one of {', '.join(DATASETS)}, got {dataset!r}")
    if name == "best":
        return _best(dataset)
    if dataset in REAL:
        kitti = dataset == "kitti"
        return Preset(
            dataset,
            classes=(CAR, PEDESTRIAN) if kitti else (PEDESTRIAN,),
            rules=DetectionRules({CAR: 0.6, PEDESTRIAN: 0.7}, {CAR: 150, PEDESTRIAN: 100}),
            # The code has tau = 2 for MOTSChallenge, which reproduces its figures less (README).
            tracker=TrackerConfig(tau=1, min_track_length=3 if kitti else 5),
            object_size=None,
            weights=("dhae_kitti_shape.keras", "dhae_kitti_shape_b.keras"),
        )
    return Preset(
        dataset,
        classes=(PEDESTRIAN,),
        rules=DetectionRules(),
        tracker=TrackerConfig(
            tau=2,
            gate="embedding",
            max_distance=2.5 if dataset == "mnist" else 1.0,
            min_score=0.2,
            min_track_length=1,
        ),
        object_size=28,
        weights=(f"dhae_{dataset}_shape.keras",),
    )


def _best(dataset):
    """Return the preset `best`, one setting for all real data."""
    if dataset not in REAL:
        raise ValueError(f"preset best is for {' and '.join(REAL)}, got {dataset}")
    paper = preset(dataset)
    return replace(
        paper,
        rules=replace(paper.rules, min_score={CAR: 0.2, PEDESTRIAN: 0.4}, max_overlap=0.5),
        tracker=MotionConfig(
            confident={CAR: 0.4, PEDESTRIAN: 0.5}, confirmed={CAR: 0.7, PEDESTRIAN: 0.7}
        ),
        trusted=MotionConfig(least_overlap=-0.6, slack=0.2, size_weight=0.0, min_track_length=3),
    )


def network_config(dataset, channels=1):
    """Return the DHAE's arguments for a data set (paper, section 3.2.2; authors' code)."""
    if dataset in REAL:
        return dict(
            patch_size=128,
            channels=channels,
            filters=(16, 16, 32, 32, 64),
            latent_dim=128,
            batch_norm_after=(1, 2, 3),
            dropout_after=(1, 2, 3),
            decoder_dropout_after=(1, 2, 3),
            reduction="mean",
        )
    return dict(
        patch_size=28,
        channels=channels,
        filters=(16, 24, 48) if dataset == "mnist" else (16, 32, 32),
        latent_dim=64,
        last_padding="valid",
        dropout_after=(0, 1),
        reduction="scaled_sum",
    )
