"""Videos: frames in, one by one and in order, and H.264 out, in parts that are joined."""

from __future__ import annotations

import contextlib
import itertools
import re
import threading
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from queue import Full, Queue
from typing import Any, TypeVar

import cv2
import numpy as np
import numpy.typing as npt

from utils.cli import muted_stderr
from utils.files import FormatError
from utils.frames import SAID, SUFFIXES, find_pictures
from utils.pictures import Reader

Image = npt.NDArray[np.uint8]
Item = TypeVar("Item")

DEFAULT_RATE = Fraction(10)  # frames per second where nothing says it
ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)
TIMEOUT = 10.0  # seconds without a frame of a stream
RETRIES = 3  # to open a broken stream again, a second later each
AHEAD = 3  # frames that are read before they are asked for
UNEVEN = 1.5  # longest step between frames over the shortest, from which the rate is not constant


def ahead(items: Iterator[Item]) -> Iterator[Item]:
    """Yield what an iterator yields, while a thread takes the next few from it.

    What the iterator raises is raised here.
    """
    queue: Queue[tuple[Item | None, BaseException | None]] = Queue(AHEAD)
    stop = threading.Event()

    def put(item: Item | None, error: BaseException | None = None) -> None:
        while not stop.is_set():
            with contextlib.suppress(Full):
                queue.put((item, error), timeout=0.1)
                return

    def work() -> None:
        try:
            for item in items:
                put(item)
                if stop.is_set():
                    return
            put(None)
        except Exception as error:  # whatever it is: it is the reader's to handle
            put(None, error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        while True:
            item, error = queue.get()
            if error is not None:
                raise error
            if item is None:
                return
            yield item
    finally:
        stop.set()
        thread.join()


class Frames:
    """The frames of a video, a folder of pictures or a camera, read once and in order.

    Args:
        source: path of a video or folder, or the number of a camera.
        rate: frames per second of a folder or camera; None takes the camera's, or DEFAULT_RATE.
        first: number of a video's or camera's first frame.

    Attributes:
        source: as given. name: of the sequence. rate: Fraction, frames per second.
        count: of frames, None where unknown. size: (height, width) in px of the first frame.

    Raises:
        FormatError: nothing there that can be read.
    """

    def __init__(self, source: str, rate: Fraction | None = None, first: int = 0) -> None:
        path = Path(source)
        self._source: Any
        self.source, self.first, self.count = source, first, None
        if ADDRESS.match(source):
            self.name = stream_name(source)
            self._source = _Stream(source)
            self.rate = rate or self._source.rate or DEFAULT_RATE
        elif source.isdigit() and not path.exists():
            self.name = f"camera{source}"
            self._source = _Camera(int(source))
            self.rate = rate or self._source.rate or DEFAULT_RATE
        elif path.is_dir():
            self.name = path.resolve().name
            self._source = _Pictures(path)
            self.rate, self.count = rate or DEFAULT_RATE, len(self._source.files)
        elif path.is_file():
            self.name = path.stem
            self._source = _Video(path)
            self.rate = rate or self._source.rate or DEFAULT_RATE
            self.count = self._source.count
        else:
            rule = "must be a video, a folder of pictures, an address or the number of a camera"
            raise FormatError(path, None, rule, "no such path")
        self.size: tuple[int, int] = self._source.size

    def __iter__(self) -> Iterator[tuple[int, Image]]:
        """Yield (frame number, (height, width, 3) uint8 RGB).

        Raises:
            FormatError: a picture that cannot be read or has another size.
        """
        # A camera gives frames when it has them.
        frames = iter(self._source) if self.live else ahead(iter(self._source))
        for number, image in frames:
            if isinstance(self._source, _Pictures):
                yield number, image
            else:
                yield number + self.first, image

    @property
    def numbered(self) -> bool:
        """Return whether the frames have numbers of their own."""
        return isinstance(self._source, _Pictures)

    @property
    def live(self) -> bool:
        """Return whether they come from a camera or an address, once and never again."""
        return isinstance(self._source, _Camera | _Stream)

    @property
    def times(self) -> list[float] | None:
        """Return seconds of the frames read so far, where they do not come at a constant rate."""
        times = getattr(self._source, "times", [])
        steps = np.diff(times)
        if len(steps) < 2 or steps.min() <= 0 or steps.max() < UNEVEN * steps.min():
            return None
        return list(times)

    @property
    def pictures(self) -> dict[int, Path]:
        """Return {number: file} of a folder's pictures."""
        return dict(getattr(self._source, "files", {}))

    @property
    def numbers(self) -> list[int]:
        """Return the numbers of a folder's frames."""
        return list(self._source.files)

    @property
    def notes(self) -> list[str]:
        """Return what was left out of what is there, for the user."""
        return list(getattr(self._source, "notes", ()))


class _Video:
    """A video file."""

    def __init__(self, path: Path) -> None:
        import av

        self.path = path
        self.notes: list[str] = []
        try:
            with av.open(str(path)) as opened:
                stream = opened.streams.video[0]
                self.rate = stream.average_rate or stream.guessed_rate
                self.count = stream.frames or None
                first = next(opened.decode(stream))
                self.size = _upright(first).shape[:2]
        except (av.FFmpegError, IndexError, StopIteration, OSError, ValueError) as error:
            rule = "must be a video that can be read"
            raise FormatError(path, None, rule, str(error) or "no frames") from None

    def __iter__(self) -> Iterator[tuple[int, Image]]:
        import av

        number = -1
        self.times: list[float] = []
        try:
            with av.open(str(self.path)) as opened:
                stream = opened.streams.video[0]
                stream.thread_type = "AUTO"
                for number, frame in enumerate(opened.decode(stream)):
                    image = _upright(frame)
                    self.times.append(float(frame.time or 0))
                    if image.shape[:2] != self.size:
                        rule = f"frames must have size {self.size[0]} {self.size[1]}"
                        got = f"{image.shape[0]} {image.shape[1]} in frame {number}"
                        raise FormatError(self.path, None, rule, got)
                    yield number, image
        except (av.FFmpegError, IndexError) as error:
            self.notes.append(f"{self.path}: cannot be read after frame {number}: {error}")


def _upright(frame: Any) -> Image:
    """Return a decoded frame as (height, width, 3) RGB, turned as its recording says."""
    image = np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
    turns = round(getattr(frame, "rotation", 0) / 90) % 4
    return np.ascontiguousarray(np.rot90(image, turns)) if turns else image


class _Pictures:
    """A folder of pictures, numbered by their names."""

    def __init__(self, folder: Path) -> None:
        self.files, how, left = find_pictures(folder, "")
        if not self.files:
            raise FormatError(folder, None, f"must hold pictures ({', '.join(SUFFIXES)})", "none")
        self._read = Reader(list(self.files.values()))
        self.size = self._read(next(iter(self.files.values()))).shape[:2]
        said = SAID[how]
        self.notes = [] if said is None else [said]
        if left:
            text = f"{len(left)} pictures without a number are left out ({left[0].name})"
            self.notes.append(text)

    def __iter__(self) -> Iterator[tuple[int, Image]]:
        for number, path in self.files.items():
            image = self._read(path)
            if image.shape[:2] != self.size:
                rule = f"frames must have size {self.size[0]} {self.size[1]}"
                raise FormatError(path, None, rule, " ".join(map(str, image.shape[:2])))
            yield number, image


def stream_name(address: str) -> str:
    """Return the name of an address, without what may be a password in it."""
    rest = address.partition("://")[2].split("@")[-1].split("?")[0]
    return re.sub(r"[^\w.-]+", "_", rest).strip("_.-")[:100] or "stream"


class _Stream:
    """An address that FFmpeg opens (RTSP, HTTP, ...), until it ends or the user does it.

    A connection that breaks is opened again, RETRIES times in a row at most, and what is a file
    is read on from where it broke.
    """

    def __init__(self, address: str) -> None:
        self.address, self.notes = address, []  # type: tuple[str, list[str]]
        opened, self._decoded, stream = self._open()
        self._opened, self._first = opened, next(self._decoded, None)
        self._finite = bool(stream.frames or stream.duration)
        if self._first is None:
            raise FormatError(stream_name(address), None, "must give frames", "none")
        self.size = _upright(self._first).shape[:2]
        self.rate = stream.average_rate or stream.guessed_rate

    def _open(self) -> tuple[Any, Any, Any]:
        """Open the address; return container, iterator of frames and stream."""
        import av

        try:
            with muted_stderr():
                opened = av.open(self.address, timeout=TIMEOUT)
            stream = opened.streams.video[0]
            return opened, opened.decode(stream), stream
        except (av.FFmpegError, IndexError, OSError, ValueError) as error:
            rule = "must be a video that can be opened"
            reason = getattr(error, "strerror", None) or "no video"
            raise FormatError(stream_name(self.address), None, rule, reason) from None

    def __iter__(self) -> Iterator[tuple[int, Image]]:
        import av

        number, read, failed = 0, 0, 0
        frame, decoded = self._first, self._decoded
        while frame is not None:
            read += 1
            image = _upright(frame)
            if image.shape[:2] == self.size:
                yield number, image
                number, failed = number + 1, 0
            try:
                frame = next(decoded, None)
            except av.FFmpegError as error:
                frame, failed = None, failed + 1
                text = f"interrupted after frame {number - 1} ({error.strerror})"
                self.notes.append(f"{stream_name(self.address)}: {text}")
                while frame is None and failed <= RETRIES:
                    time.sleep(failed)
                    self._opened.close()
                    try:
                        self._opened, decoded, _ = self._open()
                        skipped = read if self._finite else 0
                        frame = next(itertools.islice(decoded, skipped, None), None)
                    except (FormatError, av.FFmpegError):
                        frame = None
                    failed += frame is None


class _Camera:
    """A camera, until it ends or the user does."""

    def __init__(self, number: int) -> None:
        with muted_stderr():  # OpenCV says in many lines what one below says
            self._opened = cv2.VideoCapture(number)
            read, image = self._opened.read()
        if not read:
            raise FormatError(f"camera {number}", None, "must give frames", "none")
        self._first = image
        self.size = image.shape[:2]
        rate = self._opened.get(cv2.CAP_PROP_FPS)
        self.rate = Fraction(rate).limit_denominator(1001) if rate > 0 else None

    def __iter__(self) -> Iterator[tuple[int, Image]]:
        image, number = self._first, 0
        while image is not None:
            yield number, np.ascontiguousarray(image[:, :, ::-1], np.uint8)
            read, image = self._opened.read()
            number += 1
            if not read:
                return
