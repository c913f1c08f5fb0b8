"""NumPy files: masks (n, H, W) with a frame each, or label images (T, H, W), read by planes."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from utils import masks
from utils.detections import Detections
from utils.files import FormatError, atomic_path, shown
from utils.formats.base import UNKNOWN, File, Format, Options, Output
from utils.formats.label_writing import label_image
from utils.formats.labels import plain, read_labels
from utils.formats.rows import MAX_SIDE, Rows

Array = npt.NDArray[Any]

NPY = b"\x93NUMPY"
ZIP = b"PK\x03\x04"
STACKS = ("masks", "labels", "arr_0")  # the stack is the first of these that is there
COLUMNS = ("frames", "classes", "scores", "ids")  # of masks; labels may have frames
TRACKS = ("track_ids", "track_classes")  # of labels: which class an identity is of
MOST = 300_000_000  # values of a column or a label image
CHANNELS = 8  # up to so many in the last axis of a large array are taken for channels


class _Stack:
    """An array in a file whose planes are read one by one.

    Args:
        stream: of the `.npy`, from its beginning. size: of the file in bytes, None where unknown.

    Attributes:
        shape: of the array. dtype: likewise.
    """

    def __init__(self, stream: Any, size: int | None = None) -> None:
        try:
            version = np.lib.format.read_magic(stream)
            read = np.lib.format.read_array_header_1_0
            if version != (1, 0):
                read = np.lib.format.read_array_header_2_0
            self.shape, self.fortran, self.dtype = read(stream)
        except Exception as error:  # NumPy's parser of headers raises of every kind
            raise ValueError(f"a header that cannot be read ({shown(error)})") from None
        self._stream = stream
        if self.dtype.hasobject:
            raise ValueError("objects, which are not read")
        if any(side < 0 for side in self.shape) or max(self.shape[1:], default=0) > MAX_SIDE:
            raise ValueError(f"a header of shape {self.shape}")
        needed = math.prod(self.shape) * self.dtype.itemsize
        if size is not None and needed > size:
            raise ValueError(f"a header of shape {self.shape} ({needed} bytes in a file of {size})")

    def planes(self) -> Iterator[Array]:
        """Yield the (H, W) planes of a (n, H, W) array in order."""
        if self.fortran:
            raise ValueError("Fortran order (np.ascontiguousarray it before saving)")
        count, height, width = self.shape
        size = height * width * self.dtype.itemsize
        for _ in range(count):
            data = self._stream.read(size)
            if len(data) < size:
                raise ValueError("a file that ends early")
            yield np.frombuffer(data, self.dtype).reshape(height, width)

    def whole(self) -> Array:
        """Return all of a column."""
        count = int(np.prod(self.shape))
        if count > MOST:
            raise ValueError(f"{count} values")
        data = self._stream.read(count * self.dtype.itemsize)
        return np.frombuffer(data, self.dtype).reshape(self.shape)


def channels_last(shape: Sequence[int]) -> bool:
    """Return whether an array is masks side by side (H, W, n) rather than (n, H, W)."""
    height, width, last = shape
    return 0 < last <= CHANNELS and min(height, width) >= 4 * CHANNELS


class Npy(Format):
    """One array."""

    name = "npy"
    meaning = "NumPy array (npy): label images (T, H, W), frames from 0"
    suffixes = (".npy",)

    def fits(self, file: File) -> bool:
        """Return whether it is an .npy file."""
        return file.head.startswith(NPY)

    def single(self, file: File) -> bool:
        """Return whether it is a label image (H, W), one frame."""
        try:
            with file.open() as stream:
                return len(_Stack(stream).shape) == 2
        except ValueError:
            return False

    def read(self, file: File, options: Options) -> list[Detections]:
        """Return the sequence; planes of truth values are one object each."""
        rows = Rows(file.path, file.stem)
        size = None if file.zipped else file.path.stat().st_size
        with file.open() as stream:
            return [_read(rows, stream, {}, False, options, size)]

    def read_frames(self, files: Mapping[int, File], sequence: str, options: Options) -> Detections:
        """Return the sequence of label images (H, W), a file a frame."""
        first = next(iter(files.values()))
        rows = Rows(first.path.parent, sequence)

        def images() -> Iterator[tuple[str, int, Array]]:
            for frame, file in files.items():
                size = None if file.zipped else file.path.stat().st_size
                with file.open() as stream:
                    try:
                        stack = _Stack(stream, size)
                        yield file.path.name, frame, stack.whole()
                    except ValueError as error:
                        raise FormatError(file.path, None, "must be a label image", error) from None

        return read_labels(rows, images(), plain, options)


class Npz(Format):
    """An archive of arrays."""

    name = "npz"
    meaning = "NumPy archive (npz): masks (n, H, W) and frames (n), or labels (T, H, W); scores, "
    meaning += "classes, ids (n) as there are"
    suffixes = (".npz",)

    def fits(self, file: File) -> bool:
        """Return whether it is a zip file by that name."""
        return file.head.startswith(ZIP) and file.suffix == ".npz"

    def read(self, file: File, options: Options) -> list[Detections]:
        """Return the sequence. Nothing in the file is executed; planes are read one by one."""
        rows = Rows(file.path, file.stem)
        try:
            with file.open() as raw, zipfile.ZipFile(raw) as archive:
                inside = {name.removesuffix(".npy"): name for name in archive.namelist()}
                stack = next((name for name in STACKS if name in inside), None)
                if stack is None:
                    rule = "must hold masks (n, H, W) and frames (n), or labels (T, H, W)"
                    raise rows.fail(None, rule, ", ".join(inside) or "nothing")
                columns = {}
                for name in (*COLUMNS, *TRACKS):
                    if name in inside:
                        size = archive.getinfo(inside[name]).file_size
                        with archive.open(inside[name]) as stream:
                            columns[name] = _column(rows, stream, name, size)
                if left := sorted(inside.keys() - {stack, *COLUMNS, *TRACKS}):
                    known = ", ".join((*COLUMNS, *TRACKS))
                    rows.notes.append(f"arrays left out: {', '.join(left)} (known: {known})")
                size = archive.getinfo(inside[stack]).file_size
                with archive.open(inside[stack]) as stream:
                    return [_read(rows, stream, columns, stack == "masks", options, size)]
        except FormatError:
            raise
        except Exception as error:  # zipfile raises of every kind on broken archives
            raise rows.fail(None, "must be a readable npz archive", error) from None


def _column(rows: Rows, stream: Any, name: str, size: int) -> Array:
    """Return one column of an archive."""
    try:
        column = _Stack(stream, size).whole()
    except (ValueError, OverflowError) as error:
        raise rows.fail(name, "must be a readable array", error) from None
    if column.ndim != 1 or column.dtype.kind not in "iufb":
        rule = "must be one number for each mask"
        raise rows.fail(name, rule, f"shape {column.shape} of {column.dtype}")
    return column


def _read(
    rows: Rows,
    stream: Any,
    columns: dict[str, Array],
    single: bool,
    options: Options,
    size: int | None,
) -> Detections:
    """Return the sequence of a stack.

    Args:
        rows: to add to. stream: of the stack. columns: {name: (n,)} of an archive.
        single: whether each plane is the mask of one object. size: of the file in bytes.
    """
    try:
        stack = _Stack(stream, size)
        if len(stack.shape) != 3 or stack.dtype.kind not in "iufb":
            rule = "must be masks (n, H, W) or labels (T, H, W) of whole numbers"
            raise rows.fail(None, rule, f"shape {stack.shape} of {stack.dtype}")
        sideways = options.size == stack.shape[:2] != stack.shape[1:]
        if sideways or channels_last(stack.shape):
            rule = "must have the frames or objects first: (n, H, W), not (H, W, n)"
            raise rows.fail(None, rule, f"shape {stack.shape}")
        rows.fix_size(None, *stack.shape[1:])
        if single:
            return _masks(rows, stack, columns, options)
        if stack.dtype.kind == "b" and stack.shape[0]:
            rows.notes.append("planes are truth values: one object in each frame")
        return _labels(rows, stack, columns, options)
    except ValueError as error:
        if isinstance(error, FormatError):
            raise
        raise rows.fail(None, "must be a readable array", error) from None
    except OverflowError as error:
        raise rows.fail(None, "must be a readable array", shown(error)) from None


def _labels(rows: Rows, stack: _Stack, columns: dict[str, Array], options: Options) -> Detections:
    """Return the sequence of label images."""
    numbers = columns.pop("frames", np.arange(stack.shape[0]))
    if len(numbers) != stack.shape[0]:
        raise rows.fail("frames", f"must be one for each of {stack.shape[0]} planes", len(numbers))
    tracks: dict[int, int] = {}
    if columns.keys() == set(TRACKS) and len(columns[TRACKS[0]]) == len(columns[TRACKS[1]]):
        table = (columns.pop(name).tolist() for name in TRACKS)
        tracks = dict(zip(*table, strict=True))
    for name in columns:
        raise rows.fail(name, "must come with masks (n, H, W), not with labels", "labels")

    def meaning(label: int) -> tuple[int, int]:
        return tracks.get(label, 1), label

    if len(set(numbers.tolist())) < len(numbers):
        raise rows.fail("frames", "a frame must be listed once", f"{len(numbers)} planes")
    images = (
        (f"plane {i}", frame, plane)
        for i, (frame, plane) in enumerate(zip(numbers.tolist(), stack.planes(), strict=True))
    )
    return read_labels(rows, images, meaning if tracks else plain, options)


def _masks(rows: Rows, stack: _Stack, columns: dict[str, Array], options: Options) -> Detections:
    """Return the sequence of masks of one object each."""
    count = stack.shape[0]
    if "frames" not in columns:
        raise rows.fail("masks", "must come with frames (n), or be labels (T, H, W)", "no frames")
    for name, column in columns.items():
        if len(column) != count:
            raise rows.fail(name, f"must be one number for each of {count} masks", len(column))
    rows.scored = "scores" in columns
    ones = np.ones(count, np.int64)
    named = "classes" in columns
    table = [columns.get(n, d) for n, d in (("classes", ones), ("scores", ones), ("ids", 0 * ones))]
    values = zip(columns["frames"].tolist(), *(c.tolist() for c in table), strict=True)
    for i, (plane, (frame, cls, score, identity)) in enumerate(
        zip(stack.planes(), values, strict=True)
    ):
        mask = plane > 0.5 if plane.dtype.kind == "f" else plane != 0
        rows.add(f"mask {i}", frame, cls, masks.encode(mask), score, identity)
    names = dict(options.classes.names)
    if not named:
        names |= {options.classes.number(UNKNOWN, 1): UNKNOWN}
    return rows.finish(names, options.ids)


def write(path: Path, output: Output) -> None:
    """Write an archive of label images, plane by plane: `labels` (T, H, W) int32, 0 for none.

    Beside them `frames` (T,), the number of each plane, and `track_ids` and `track_classes`.
    """
    result, rows = output.result, output.rows
    identities, first = np.unique(result.ids[rows], return_index=True)
    frames = output.by_frame()
    columns = {
        "frames": np.array([frame for frame, _ in frames], np.int32),
        "track_ids": identities.astype(np.int32),
        "track_classes": result.classes[rows[first]].astype(np.int32),
    }
    shape = (len(frames), *result.size)
    with (
        atomic_path(path) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, allowZip64=True) as archive,
    ):
        for name, column in columns.items():
            with archive.open(f"{name}.npy", "w") as stream:
                np.lib.format.write_array(stream, column, allow_pickle=False)
        with archive.open("labels.npy", "w", force_zip64=True) as stream:
            header = {"descr": "<i4", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(stream, header)
            for _, of in frames:
                plane = label_image(result, of, result.ids[of]).astype("<i4")
                stream.write(np.ascontiguousarray(plane).tobytes())
