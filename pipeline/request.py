"""What is asked of a run: what to track, by which settings, and what to write."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from pipeline.parallel import Means
from pipeline.settings import Settings
from utils.data_sets import DataSet
from utils.formats.base import Options


@dataclass(frozen=True)
class Files:
    """Detections in files, a sequence each or several.

    Attributes:
        detections: files or folders of any format, merged by sequence.
        images: folder of SEQ/000000.png or the like, or None.
        sequences: names; None takes those of the split. split: of the data set; None takes all.
        weights: *.keras; None takes the data set's own.
        options: what files do not say of themselves. format_name: theirs; None tells it by content.
        means: what sequences are tracked with, one after another or beside each other.
        chunk: frames after which a sequence is cut, see `pipeline.parts`; None cuts none.
    """

    detections: Sequence[Path]
    images: Path | None = None
    sequences: Sequence[str] | None = None
    split: str | None = None
    weights: Sequence[Path] | None = None
    options: Options = field(default_factory=Options)
    format_name: str | None = None
    means: Means = field(default_factory=Means)
    chunk: int | None = None


@dataclass(frozen=True)
class Video:
    """The frames of one video, with masks from files or from a segmenter.

    Attributes:
        source: video, folder of pictures, or number of a camera.
        detections: files or folders of masks; or `segmenter`: name of one, and `batch`: frames that
            go through it at once.
        format_name: of the detections; None tells it by content.
        rate: frames per second where the source does not say it.
        first_frame: number of a video's first frame; None: the masks say it.
        fit_masks: whether masks of another size, but of one aspect ratio, are scaled.
        resume: whether to go on with a run that was stopped. show: on the screen, too.
        live_csv: file, or "-", for a line an object as frames are tracked.
        marks: what else must be the same for going on, as the user gave it.
    """

    source: str
    detections: Sequence[Path] = ()
    segmenter: str | None = None
    batch: int = 4
    format_name: str | None = None
    rate: Fraction | None = None
    first_frame: int | None = None
    fit_masks: bool = False
    resume: bool = False
    show: bool = False
    live_csv: str | None = None
    marks: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Corrections:
    """The result of an earlier run, and what was corrected in its page.

    Attributes:
        run: folder of the run. edits: file that the page saved.
    """

    run: Path
    edits: Path


@dataclass(frozen=True)
class Request:
    """What is asked of a run.

    Attributes:
        settings: Settings to read files with.
        source: Files, Video or Corrections.
        output: folder for the results.
        ground_truth: masks with ids to score against, a file or a folder, or None.
        write: formats of results beside MOTS txt. report: whether to make report.html.
        submit: server whose archive is written, see `pipeline.submission`; None: none.
        annotated_only: leave results in frames without truth out of the scores.
        visualize: whether to make videos and pictures of files; seed: of t-SNE.
        asked: further facts for the summary, as the user gave them.
        named: makes the settings once the classes' names are known, which files may bring.
    """

    settings: Settings
    source: Files | Video | Corrections
    output: Path
    ground_truth: Path | None = None
    write: Sequence[str] = ()
    report: bool = False
    annotated_only: bool = False
    visualize: bool = False
    seed: int = 0
    asked: Mapping[str, Any] = field(default_factory=dict)
    named: Callable[[DataSet], Settings] | None = None
    submit: str | None = None

    def __post_init__(self) -> None:
        """Refuse what does not go together."""
        chunk = getattr(self.source, "chunk", None)
        if chunk is not None and self.settings.refine:
            raise ValueError(f"--refine needs the whole video, got --chunk {chunk}")

    @property
    def inputs(self) -> list[Path]:
        """Return what is read, and must not be written over."""
        source = self.source
        if isinstance(source, Corrections):
            paths: tuple[Path | None, ...] = (source.run, source.edits, self.ground_truth)
        else:
            frames = source.images if isinstance(source, Files) else Path(source.source)
            paths = (*source.detections, self.ground_truth, frames)
        return [path for path in paths if path is not None]

    def settled(self, data_set: DataSet) -> Settings:
        """Return the settings for a data set with its classes' names."""
        return self.named(data_set) if self.named else replace(self.settings, data_set=data_set)


def shown(numbers: Sequence[int]) -> str:
    """Return the first few of some frame numbers, for a message."""
    return ", ".join(map(str, numbers[:3])) + ", ..." * (len(numbers) > 3)
